"""A line in the sidebar of the other pages while a comparison of this session runs."""

import streamlit as st

from pages._job_line import job_line
from pages._state import touch
from pages._worker import Job

EVERY_SECONDS = 5.0


def under_way(page_title: str) -> None:
    """Where the comparison is; it also keeps it alive, since its own page is not looked at."""
    job: Job | None = st.session_state.get("compare_job")
    if page_title != "Compare" and job is not None and job.active:
        with st.sidebar:
            st.fragment(_line, run_every=EVERY_SECONDS)(job)


def _line(job: Job) -> None:
    touch()
    st.divider()
    st.subheader("Comparison")
    if job.active:
        job_line(job, doing="Comparing", stopped="Stopped.")
    else:
        st.caption("It has ended; the page Compare shows what came out.")
