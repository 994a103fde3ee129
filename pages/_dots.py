"""A chart of figures with intervals: a row for each name, a symbol and a colour for each group."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, floor
from typing import Any

import streamlit as st

from pages._charts import colours, ground, is_dark

# Groups differ in symbol as well as in colour, from the seventh on in how the two are paired; the
# colours are those of the theme's charts.
SYMBOLS = ("circle", "diamond", "triangle", "rect", "pin", "arrow")
HUES_LIGHT = ("#0072B2", "#D55E00", "#007A5A", "#8E4585", "#6b6b6b", "#111111")
HUES_DARK = ("#56B4E9", "#E8743B", "#3CB78E", "#CC79A7", "#a3a3a3", "#F0E442")
SPREAD, NEAREST = 0.66, 0.22
LEGEND = {
    "type": "scroll",
    "top": 0,
    "left": 0,
    "itemGap": 12,
    "itemWidth": 14,
    "itemHeight": 10,
    "textStyle": {"fontSize": 11},
}


@dataclass(frozen=True, slots=True)
class Dot:
    """A figure of a row and a group, with its interval; words: what a pointer on it is told.

    hollow: drawn as an outline, behind the others.
    """

    row: str
    group: str
    value: float
    words: str
    interval: tuple[float, float] | None = None
    hollow: bool = False


def dots(key: str, points: Sequence[Dot], *, level: float | None = None, alt: str) -> None:
    """Draw them, the groups of a row one below the other; level: a dotted line at this value."""
    if not points:
        return
    rows = list(dict.fromkeys(point.row for point in points))
    groups = list(dict.fromkeys(point.group for point in points))
    series = []
    for index, group in enumerate(groups):
        place = _place(rows, index, len(groups))
        for hollow in (False, True):
            own = [p for p in points if p.group == group and p.hollow == hollow]
            series.append(_series(group, index, own, place, hollow=hollow))
    if level is not None:
        line = {"type": "dotted", "color": colours()["muted"]}
        series[0]["markLine"]["data"].append({"xAxis": level, "lineStyle": line})
    height = 64 + (16 + 12 * len(groups)) * len(rows)
    st.echarts_chart(_option(rows, points, series), key=key, height=height, alt=alt)


def _option(rows: list[str], points: Sequence[Dot], series: list[dict[str, Any]]) -> dict[str, Any]:
    ends = _ends(points)
    # The names stand on an axis of their own, since points of a named axis cannot lie between.
    between = {"min": -0.5, "max": len(rows) - 0.5, "inverse": True, "show": False}
    return {
        "animation": False,
        "grid": {"left": 96, "right": 18, "top": 30, "bottom": 28, "outerBoundsMode": "none"},
        "legend": LEGEND,
        "tooltip": {"trigger": "item", "formatter": "{b}"},
        "xAxis": {
            "type": "value",
            "min": ends[0],
            "max": ends[1],
            "axisLine": {"onZero": False},
        },
        "yAxis": [
            {"type": "category", "data": rows, "inverse": True, "axisTick": {"show": False}},
            {"type": "value", **between},
        ],
        "series": series,
    }


def _place(rows: list[str], index: int, count: int) -> Callable[[Dot], float]:
    """Where on the rows' axis a point of the index-th of `count` groups lies."""
    shift = (index - (count - 1) / 2) * min(NEAREST, SPREAD / count)
    return lambda point: rows.index(point.row) + shift


def _series(
    name: str, index: int, points: list[Dot], place: Callable[[Dot], float], *, hollow: bool
) -> dict[str, Any]:
    hue = (HUES_DARK if is_dark() else HUES_LIGHT)[index % len(HUES_LIGHT)]
    outline = {"color": ground(), "borderColor": hue, "borderWidth": 1.5}
    spans = [
        [{"coord": [end, place(point)]} for end in point.interval]
        for point in points
        if point.interval is not None
    ]
    return {
        "name": name,
        "type": "scatter",
        "yAxisIndex": 1,
        "symbol": SYMBOLS[(index + index // len(HUES_LIGHT)) % len(SYMBOLS)],
        "symbolSize": 10,
        "color": hue,
        "itemStyle": outline if hollow else {"color": hue},
        "z": 3 if hollow else 4,
        "data": [
            {"name": point.words, "value": [round(point.value, 4), place(point)]}
            for point in points
        ],
        "markLine": {
            "symbol": "none",
            "silent": True,
            "label": {"show": False},
            "lineStyle": {"type": "solid", "width": 2, "color": hue},
            "data": spans,
        },
    }


def _ends(points: Sequence[Dot]) -> tuple[float, float]:
    """Where the axis begins and ends: around 1 and everything there is, on tenths."""
    values = [1.0, *(point.value for point in points)]
    values += [end for point in points if point.interval for end in point.interval]
    return floor(min(values) * 10 - 0.5) / 10, ceil(max(values) * 10 + 0.5) / 10
