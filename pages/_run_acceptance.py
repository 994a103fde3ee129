"""Acceptance of a run against the calibrated vector, by rank and by depth."""

from collections.abc import Sequence

import streamlit as st

from pages import _library as library
from pages._generate import RunView
from pages._inputs import AUTO, vector_name
from pages._rate_chart import rate_chart
from sequoia_core.decode.trace_acceptance import TraceAcceptance, trace_acceptance
from sequoia_core.errors import InputError, SequoiaError
from sequoia_core.plan.acceptance import AcceptanceVector
from sequoia_core.plan.methods import METHODS, PLAIN, rule_fits

MOST_RANKS, MOST_DEPTHS = 12, 12


def run_acceptance(view: RunView) -> None:
    """Two charts with the run's standard errors, and how to read them."""
    found = _counted(view)
    if found is None:
        return
    vector, words = _vector(view)
    by_rank, by_depth = found.by_rank, found.by_depth
    ranks = min(MOST_RANKS, len(by_rank.offered))
    depths = min(MOST_DEPTHS, len(by_depth.offered))
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown("**Acceptance by rank**")
        expected = None if vector is None else _padded(vector.at_depth(0), ranks)
        if vector is not None and vector.rows.shape[0] > 1:
            expected = None  # One rate a depth: there is no single rate by rank.
        rate_chart("acceptance_by_rank", by_rank, ranks, expected, "drafted child", first=1)
    with right:
        st.markdown("**Acceptance of the first child by depth**")
        expected = None if vector is None else _first_by_depth(vector, depths)
        rate_chart(
            "acceptance_by_depth", by_depth, depths, expected, "depth of its parent", first=0
        )
    st.caption(f"{words} {_sample_words(view, int(found.nodes.sum()))}")


def _counted(view: RunView) -> TraceAcceptance | None:
    """The run's acceptance, None where nothing was drafted; counted once, not at every rerun."""
    kept = st.session_state.get("counted")
    if kept is None or kept[0] is not view.steps:
        try:
            kept = view.steps, trace_acceptance(view.steps)
        except InputError:
            kept = view.steps, None
        st.session_state.counted = kept
    return kept[1]


def _vector(view: RunView) -> tuple[AcceptanceVector | None, str]:
    """The vector to compare with, None where none holds, and a sentence about it."""
    method, temperature = view.request.method, view.request.settings.temperature
    rule = METHODS[method].rule if method != PLAIN else "sequoia"
    name = vector_name(st.session_state.get("acceptance", AUTO), temperature, rule)
    try:
        vector = library.acceptance(name)
    except SequoiaError as error:
        return None, str(error)
    if method != PLAIN and not rule_fits(method, vector):
        return None, (
            f"The acceptance `{name}` holds for the rule {vector.rule} and this run verified by "
            f"{rule}, so they are not compared."
        )
    words = f"Diamonds: `{name}`."
    origin, measured_on = view.origin, (vector.target, vector.draft)
    if origin and measured_on not in ((origin.target, origin.draft), origin.voices):
        words = f"Diamonds: `{name}`, which was not measured on this run's pair."
    elif vector.temperature is not None and abs(vector.temperature - temperature) > 0.05:
        words = f"Diamonds: `{name}`, measured at temperature {vector.temperature:g}."
    return vector, words


def _sample_words(view: RunView, nodes: int) -> str:
    words = (
        f"Points: this run, {nodes:,} nodes on its accepted paths, with one standard error. It is "
        "one sample of one text: about a third of the rates should miss by more than that."
    )
    if view.request.method != PLAIN and METHODS[view.request.method].grown:
        words += (
            " Its trees grew where the draft was sure, so its rates need not be the vector's: a "
            "child is offered where it is likely."
        )
    return words


def _padded(rates: Sequence[float], count: int) -> list[float | None]:
    known = [float(rate) for rate in rates[:count]]
    return known + [None] * (count - len(known))


def _first_by_depth(vector: AcceptanceVector, depths: int) -> list[float]:
    """p[0] at each depth: measured by depth where the vector has that, its last row below."""
    if vector.by_depth is None:
        return [float(vector.at_depth(depth)[0]) for depth in range(depths)]
    rows = vector.by_depth
    return [float(rows[min(depth, len(rows) - 1)][0]) for depth in range(depths)]
