"""A line in the sidebar of the other pages while a comparison of this session runs."""

import streamlit as st

from pages._job_line import job_line
from pages._state import touch
from pages._worker import Job

EVERY_SECONDS = 5.0


def under_way(page) -> None:
    """Where the comparison is, on every page but its own; looking at it keeps it alive.

    page: what st.navigation has picked.
    """
    job: Job | None = st.session_state.get("compare_job")
    if job is not None and job.active and page.title != "Compare":
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
