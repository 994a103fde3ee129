"""Charts that pages share: ECharts options in the page's colours, one look for all."""

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

LIGHT = {"accepted": "#0072B2", "rejected": "#D55E00", "muted": "#8c8c8c", "text": "#1b2430"}
DARK = {"accepted": "#56B4E9", "rejected": "#D55E00", "muted": "#8c8c8c", "text": "#eceae6"}
GROUND = {"light": "#ffffff", "dark": "#171614"}
GRID = {"left": 38, "right": 14, "top": 34, "bottom": 42, "outerBoundsMode": "none"}
LEGEND_ROW = 20
# Lines differ in dash as well as in colour.
DASHES = ("solid", "dashed", "dotted", [8, 3, 2, 3], [2, 2], [12, 4])


def is_dark() -> bool:
    """Whether the visitor sees the dark theme."""
    return st.context.theme.type == "dark"


def colours() -> dict[str, str]:
    """The page's colours by meaning."""
    return DARK if is_dark() else LIGHT


def ground() -> str:
    """The page's background."""
    return GROUND["dark" if is_dark() else "light"]


def lines(
    key: str,
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    *,
    x: Mapping[str, Any],
    y: Mapping[str, Any],
    alt: str,
    at: float | None = None,
    level: float | None = None,
    symbols: bool = False,
    height: int = 280,
    legend_rows: int = 1,
) -> None:
    """Named curves as lines; `at` marks an x by a vertical line, `level` a y by a dotted one.

    legend_rows: lines that the names need; in one they scroll where they do not fit.
    """
    series = [
        {
            "name": name,
            "type": "line",
            "showSymbol": symbols,
            "symbolSize": 5,
            "connectNulls": True,
            "lineStyle": {"width": 2.5 if index == 0 else 1.5, "type": DASHES[index % 6]},
            "data": [
                [a, round(b, 4)]
                for a, b in zip(*curves[name], strict=True)
                if b == b  # nan: the family has no member there
            ],
        }
        for index, name in enumerate(curves)
    ]
    if series and (at is not None or level is not None):
        series[0]["markLine"] = _marks(at, level)
    option = {
        "animation": False,
        "grid": GRID | {"top": GRID["top"] + LEGEND_ROW * (legend_rows - 1)},
        "legend": {
            "type": "scroll" if legend_rows == 1 else "plain",
            "top": 0,
            "left": 0,
            "itemGap": 8,
            "itemWidth": 18,
            "textStyle": {"fontSize": 11},
        },
        "tooltip": {"trigger": "axis", "valueFormatter": "%.2f"},
        "xAxis": {"nameLocation": "middle", "nameGap": 26, **x},
        "yAxis": {"type": "value", "nameTextStyle": {"align": "left"}, **y},
        "series": series,
    }
    st.echarts_chart(option, key=key, height=height, alt=alt)


def _marks(at: float | None, level: float | None) -> dict[str, Any]:
    data = []
    if at is not None:
        data.append({"xAxis": at, "lineStyle": {"type": "solid", "width": 1}})
    if level is not None:
        data.append({"yAxis": level, "lineStyle": {"type": "dotted", "width": 1}})
    return {
        "symbol": "none",
        "silent": True,
        "label": {"show": False},
        "lineStyle": {"color": colours()["muted"]},
        "data": data,
    }
