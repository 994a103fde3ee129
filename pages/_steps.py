"""What of a run is shown: the planned tree, a step by slider, buttons and keys, or the race."""

import streamlit as st

from pages._generate import RunView
from pages._sliders import LINK, PLANNED, RUN
from sequoia_core.decode.trace import StepTrace


def race_wanted(view: RunView | None, *, live: bool) -> bool:
    """The switch between the tree and the race; off while the run is being written."""
    if view is None:
        return False
    wanted = st.toggle(
        "Race",
        key="race",
        bind=LINK,
        disabled=live,
        help="This run against plain decoding of its prompt, replayed with the times measured.",
    )
    return wanted and not live


def picked_step(view: RunView | None, *, live: bool) -> StepTrace | None:
    """The step to draw, None for the planned tree; its controls join the row they are drawn in."""
    if view is None:
        return None
    st.session_state.setdefault("view", RUN)
    shown = st.segmented_control(
        "Tree shown", [PLANNED, RUN], required=True, key="view", label_visibility="collapsed"
    )
    if shown == PLANNED:
        return None
    if live or len(view.steps) == 1:
        return view.steps[-1]
    with st.container(
        horizontal=True, vertical_alignment="bottom", gap="small", wrap=False, key="steps"
    ):
        return view.steps[_step_picker(len(view.steps))]


def _step_picker(count: int) -> int:
    """Index of the step to show, from 0."""
    st.session_state.step = min(max(st.session_state.get("step", 1), 1), count)
    st.button("Back", key="step_back", shortcut="Left", on_click=_move, args=(-1, count))
    step = st.slider("Step", 1, count, key="step", bind=LINK, width="stretch")
    st.button("Next", key="step_forward", shortcut="Right", on_click=_move, args=(1, count))
    return step - 1


def _move(by: int, count: int) -> None:
    st.session_state.step = min(max(st.session_state.step + by, 1), count)
