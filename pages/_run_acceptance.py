"""Acceptance of a run against the calibrated vector, by rank and by depth."""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from pages import _library as library
from pages._charts import GRID, colours, ground
from pages._generate import RunView
from pages._inputs import AUTO, vector_name
from sequoia_core.decode.trace_acceptance import Rates, TraceAcceptance, trace_acceptance
from sequoia_core.errors import InputError, SequoiaError
from sequoia_core.plan.acceptance import AcceptanceVector
from sequoia_core.plan.methods import METHODS, PLAIN, rule_fits

MOST_RANKS, MOST_DEPTHS = 12, 12
# Run and vector stand side by side, so that neither hides the other's error.
SHIFT = 0.1


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
        _chart("acceptance_by_rank", by_rank, ranks, expected, "drafted child", first=1)
    with right:
        st.markdown("**Acceptance of the first child by depth**")
        expected = None if vector is None else _first_by_depth(vector, depths)
        _chart("acceptance_by_depth", by_depth, depths, expected, "depth of its parent", first=0)
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
    origin = view.origin
    if origin and (origin.target, origin.draft) != (vector.target, vector.draft):
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


def _chart(
    key: str,
    found: Rates,
    count: int,
    expected: list[float | None] | None,
    axis: str,
    *,
    first: int,
) -> None:
    """Points of the run with their errors, and beside them the vector's. first: x of entry 0."""
    points = _points(found, count, first)
    series = [_run_series(points)]
    if expected is not None:
        series.append(_vector_series(expected, first))
    option = {
        "animation": False,
        "grid": GRID,
        "legend": {
            "top": 0,
            "right": 0,
            "itemWidth": 12,
            "itemHeight": 10,
            "textStyle": {"fontSize": 11},
        },
        "tooltip": {"trigger": "item", "formatter": "{a}: {b}"},
        # Names stand on the first axis; points on the second, where they can stand side by side.
        "xAxis": [
            {
                "type": "category",
                "data": [str(first + index) for index in range(count)],
                "name": axis,
                "nameLocation": "middle",
                "nameGap": 26,
            },
            {"type": "value", "min": first - 0.5, "max": first + count - 0.5, "show": False},
        ],
        "yAxis": {
            "type": "value",
            "min": 0,
            "max": 1,
            "interval": 0.25,
            "axisLine": {"show": False},
        },
        "series": series,
    }
    named = ", ".join(f"{x}: {words}" for x, _, _, words in points)
    st.echarts_chart(
        option, key=key, height=210, alt=f"Share accepted in this run by {axis}. {named}"
    )


def _points(found: Rates, count: int, first: int) -> list[tuple[int, float, float, str]]:
    """Place, rate, error and words of every entry that was offered at all."""
    columns = found.rates[:count], found.standard_errors[:count], found.offered[:count]
    return [
        (first + index, rate, error, f"{rate:.3f} ± {error:.3f} of {offered}")
        for index, (rate, error, offered) in enumerate(
            zip(*(column.tolist() for column in columns), strict=True)
        )
        if offered
    ]


def _run_series(points: list[tuple[int, float, float, str]]) -> dict[str, Any]:
    colour = colours()["accepted"]
    bars = [
        [
            {"coord": [x - SHIFT, round(max(rate - error, 0), 4)]},
            {"coord": [x - SHIFT, round(min(rate + error, 1), 4)]},
        ]
        for x, rate, error, _ in points
    ]
    return {
        "name": "this run",
        "type": "scatter",
        "xAxisIndex": 1,
        "symbolSize": 8,
        "itemStyle": {"color": colour, "opacity": 1},
        "data": [
            {"name": words, "value": [x - SHIFT, round(rate, 4)]} for x, rate, _, words in points
        ],
        "markLine": {
            "silent": True,
            "symbol": "none",
            "animation": False,
            "label": {"show": False},
            "lineStyle": {"color": colour, "type": "solid", "width": 2},
            "data": bars,
        },
    }


def _vector_series(expected: list[float | None], first: int) -> dict[str, Any]:
    return {
        "name": "vector",
        "type": "scatter",
        "xAxisIndex": 1,
        "symbol": "diamond",
        "symbolSize": 10,
        "itemStyle": {
            "color": ground(),
            "borderColor": colours()["text"],
            "borderWidth": 1.5,
            "opacity": 1,
        },
        "data": [
            {"name": f"{rate:.3f}", "value": [first + index + SHIFT, round(rate, 4)]}
            for index, rate in enumerate(expected)
            if rate is not None
        ],
    }
