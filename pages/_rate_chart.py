"""Acceptance rates of a run with their errors, beside those of a vector, as one chart."""

from typing import Any

import streamlit as st

from pages._charts import GRID, colours, ground
from sequoia_core.decode.trace_acceptance import Rates

# Run and vector stand side by side, so that neither hides the other's error.
SHIFT = 0.1


def rate_chart(
    key: str,
    found: Rates,
    count: int,
    expected: list[float | None] | None,
    axis: str,
    *,
    first: int,
) -> None:
    """Points of the run with their errors, and beside them the vector's. first: x of entry 0."""
    points = points_of(found, count, first)
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


def points_of(found: Rates, count: int, first: int) -> list[tuple[int, float, float, str]]:
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
