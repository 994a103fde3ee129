"""The controls that pages share, bound to the page's link, with the ranges of `_url`."""

import streamlit as st

from pages._url import RANGES

LINK = "query-params"
PLANNED, RUN = "Planned tree", "Run by step"
EXPLORE, PLAN, COMPARE = "explore", "plan", "compare"
# Controls of the tree's size, which several pages have under one name.
SIZE = ("auto", "budget", "depth")
AUTO_AT_FIRST = {EXPLORE: False, PLAN: True}


def look_at_plan() -> None:
    """Whoever moves a tree control wants to see what it does to the plan."""
    st.session_state.view = PLANNED


def slider(label: str, key: str, step: float, **options) -> float:
    """A slider over the whole range of `key`."""
    allowed = RANGES[key]
    return st.slider(
        label, allowed.low, allowed.high, allowed.default, step, key=key, bind=LINK, **options
    )


def keep_apart(page: str) -> None:
    """On coming to a page, before its controls: the tree's size is this page's own again.

    Where Auto chooses the size it moves the sliders, which must not change another page's tree.
    """
    state = st.session_state
    before = state.get("size_of")
    if before == page:
        return
    if before is not None:
        state[f"size_on_{before}"] = {key: state[key] for key in SIZE if key in state}
        state.update(state.get(f"size_on_{page}", {"auto": AUTO_AT_FIRST.get(page, False)}))
    state.size_of = page


def auto_switch(page: str, **options) -> bool:
    """Whether the tree's size is left to the planner."""
    return st.toggle(
        "Auto",
        AUTO_AT_FIRST[page],
        key="auto",
        bind=LINK,
        help="Let the hardware profile choose the budget and depth with the best speedup.",
        **options,
    )


def number(place, label: str, key: str) -> float:
    """A box for a number, whole where its default is, drawn into `place`."""
    allowed = RANGES[key]
    return place.number_input(label, allowed.low, allowed.high, allowed.default, key=key, bind=LINK)


def exact_slider(label: str, key: str, *, disabled: bool) -> int:
    """A slider to explore with, and a box to type the number in; both show one value."""
    wide, narrow = st.columns([2.6, 1], vertical_alignment="bottom")
    with wide:
        value = slider(label, key, 1, disabled=disabled, on_change=look_at_plan)
    st.session_state[f"{key}_exact"] = value
    narrow.number_input(
        f"{label}, exact",
        step=1,
        key=f"{key}_exact",
        label_visibility="collapsed",
        disabled=disabled,
        on_change=_take_exact,
        args=(key,),
    )
    if mistake := st.session_state.pop(f"{key}_mistake", ""):
        st.error(mistake)
    return value


def _take_exact(key: str) -> None:
    """Move the slider to the number typed, or say why it cannot go there."""
    wanted = st.session_state[f"{key}_exact"]
    mistake = "Type a number." if wanted is None else RANGES[key].check(wanted)
    if mistake:
        st.session_state[f"{key}_mistake"] = f"{mistake} It stays at {st.session_state[key]:,}."
        return
    st.session_state[key] = wanted
    look_at_plan()
