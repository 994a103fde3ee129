"""Measuring this machine: the button, the progress, and where the profile goes."""

import streamlit as st

from pages import _library as library
from pages._job_line import job_line
from pages._profiling import Profiling, profile_work
from pages._state import server, session_id, touch
from pages._worker import Job
from sequoia_core.errors import SequoiaError

CONTEXT = 128


def measure_machine() -> None:
    """Polls while the session's measurement is queued or running."""
    job: Job | None = st.session_state.get("profile_job")
    active = job is not None and job.active
    st.fragment(_measure, run_every=0.5 if active else None)(job, active)


def _measure(job: Job | None, was_active: bool) -> None:
    touch()
    if was_active and not job.active:
        st.rerun()
    with st.container(horizontal=True, gap="small"):
        st.button(
            "Measure this machine",
            key="profile",
            disabled=was_active,
            on_click=_start,
            help="Times passes of the loaded pair over 1 to 1,024 tokens. It takes some minutes; "
            "nothing else should run.",
        )
        st.button("Stop", key="profile_stop", disabled=not was_active, on_click=_stop)
    if note := st.session_state.get("profile_note"):
        st.caption(note)
    job_line(job, doing="Measuring", stopped="Stopped before it was done; nothing was kept.")


def _start() -> None:
    profiling = Profiling(CONTEXT)
    try:
        worker = server().worker
        job = worker.submit("profile", session_id(), profile_work(worker, profiling))
    except SequoiaError as error:
        st.session_state.profile_note = str(error)
        return
    st.session_state.update(profile_job=job, profiling=profiling, profile_note="")


def _stop() -> None:
    server().worker.cancel(st.session_state.profile_job)


def keep_measured() -> None:
    """A finished profile goes into the library, once: before the pickers are drawn."""
    profiling: Profiling | None = st.session_state.get("profiling")
    profile = profiling.read() if profiling else None
    if profile is None:
        return
    name = library.add_profile(profile, f"this machine, {profile.target_model}")
    st.session_state.update(profiling=None, profile_note=f"Measured: it is `{name}` now.")
