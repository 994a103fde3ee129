"""Measuring this machine: the button, the progress, and where the profile goes."""

import streamlit as st

from pages import _library as library
from pages._job_line import job_line
from pages._profiling import Profiling, profile_work
from pages._state import server, session_id, touch
from pages._worker import Job
from sequoia_core.errors import SequoiaError

CONTEXT = 128
# Offered as far as the loaded pair's own context reaches.
CONTEXTS = (64, CONTEXT, 256, 384, 512, 1024, 2048, 4096, 8192, 16384, 32768)
# What the profiler keeps free behind the committed tokens.
ROOM = 64


def measure_machine() -> None:
    """Polls while the session's measurement is queued or running."""
    active = _active()
    st.fragment(_measure, run_every=0.5 if active else None)(active)


def _active() -> bool:
    job: Job | None = st.session_state.get("profile_job")
    return job is not None and job.active


def _measure(was_active: bool) -> None:
    touch()
    if _active() != was_active:
        # Just begun, so that this must poll from now on, or just ended.
        st.rerun()
    offered = _offered()
    st.pills(
        "Measure behind",
        offered,
        selection_mode="multi",
        default=[CONTEXT] if CONTEXT in offered else offered[:1],
        key="contexts",
        disabled=was_active,
        format_func="{:,}".format,
        help="Committed tokens that the passes look back on. With several, each is measured, and "
        "they share the time.",
    )
    with st.container(horizontal=True, gap="small"):
        st.button(
            "Measure this machine",
            key="profile",
            disabled=was_active,
            on_click=_start,
            help="Times passes of the loaded pair over 1 to 1,024 tokens, up to three minutes on a "
            "CPU and two on a GPU. Nothing else should run.",
        )
        st.button("Stop", key="profile_stop", disabled=not was_active, on_click=_stop)
    if note := st.session_state.get("profile_note"):
        st.caption(note)
    job_line(
        st.session_state.get("profile_job"),
        doing="Measuring",
        stopped="Stopped before it was done; nothing was kept.",
    )


def _offered() -> list[int]:
    """Context lengths that the loaded pair can take."""
    engine = server().worker.resident
    most = engine.pair.context_length - ROOM if engine else CONTEXT
    return [length for length in CONTEXTS if length <= most] or [max(most, 1)]


def _chosen() -> list[int]:
    """The usual one first where it is among them: plans are made with the first."""
    offered = _offered()
    chosen = [length for length in offered if length in (st.session_state.get("contexts") or ())]
    chosen = chosen or offered[:1]
    return sorted(chosen, key=lambda length: length != CONTEXT)


def _start() -> None:
    profiling = Profiling(_chosen())
    try:
        library.check_room(1)
        worker = server().worker
        work = profile_work(worker, profiling, library.profile_keeper())
        job = worker.submit("profile", session_id(), work)
    except SequoiaError as error:
        st.session_state.profile_note = str(error)
        return
    st.session_state.update(profile_job=job, profiling=profiling, profile_note="")


def _stop() -> None:
    server().worker.cancel(st.session_state.profile_job)


def show_measured() -> None:
    """A finished profile is picked, once: before the pickers are drawn."""
    profiling: Profiling | None = st.session_state.get("profiling")
    if profiling is None or not profiling.name:
        return
    note = f"Measured: it is `{profiling.name}` now, kept until you delete it."
    st.session_state.update(profiling=None, new_profile=profiling.name, profile_note=note)
