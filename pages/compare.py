"""Compare: every method side by side, measured on this machine, with how sure that is."""

import streamlit as st

from pages import _library as library
from pages._comparing import Comparing, Request, compare_work
from pages._comparison_controls import comparison_controls, note_mistakes
from pages._comparison_panel import panel
from pages._comparison_request import Asked, effort_words
from pages._comparison_shelf import delete, proposed_name, put, rejoin_linked
from pages._frame import ensure_frame
from pages._sliders import COMPARE, keep_apart
from pages._state import server, session_id
from sequoia_core.errors import SequoiaError


@st.fragment
def page() -> None:
    """Controls on the left, results on the right; the controls rerun only this."""
    keep_apart(COMPARE)
    rejoin_linked()
    note_mistakes()
    sides = st.container(horizontal=True, gap="large", wrap=False, key="sides")
    left, right = sides.container(width=276), sides.container(width="stretch")
    with left:
        buttons = st.container()
        wanted = comparison_controls()
        with buttons:
            _buttons(wanted)
    with right:
        panel()


def _buttons(wanted: Asked | None) -> None:
    job = st.session_state.get("compare_job")
    active = job is not None and job.active
    go, stop = st.columns([2, 1], gap="small")
    if go.button(
        "Compare", key="compare", type="primary", width="stretch", disabled=active or not wanted
    ):
        _start(wanted)
    if stop.button("Stop", key="compare_stop", width="stretch", disabled=not active):
        server().worker.cancel(job)
    if wanted is not None:
        st.caption(effort_words(wanted))


def _start(wanted: Asked) -> None:
    """Queue the comparison, or say why it cannot be."""
    st.session_state.comparison_mistake = ""
    worker, record = server().worker, Comparing()
    request = Request(
        wanted.proposals,
        wanted.prompts,
        wanted.tuning_prompts,
        wanted.repeats,
        wanted.settings,
        worker.mark(),
    )
    try:
        name = put(proposed_name(wanted.methods, wanted.temperatures), record)
    except SequoiaError as error:
        st.error(str(error))
        return
    try:
        work = compare_work(worker, request, record, library.store())
        job = worker.submit("comparison", session_id(), work)
    except SequoiaError as error:
        delete(name)
        st.error(str(error))
        return
    server().announce(f"comparison {name}", job, record)
    st.session_state.update(compare_job=job, comparing=record)
    st.rerun()


ensure_frame()
page()
