"""Where a session's job is, in a line: its place in the queue, its progress, how it ended."""

import streamlit as st

from pages._state import server
from pages._worker import FAILED, QUEUED, STOPPED, Job


def job_line(job: Job | None, *, doing: str, stopped: str) -> None:
    """doing: what a running job does, before its own words. stopped: what a stop left behind."""
    if job is None:
        return
    now = server().worker.snapshot(job)
    if now.state == QUEUED:
        st.progress(0.0, text=f"Waiting in the queue, {now.position} ahead of you")
    elif job.active:
        st.progress(now.fraction, text=f"{doing}: {now.text}" if now.text else "Starting")
    elif now.state == FAILED:
        st.error(now.error)
    elif now.state == STOPPED:
        st.caption(stopped)
