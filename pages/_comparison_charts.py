"""Charts of a comparison: speedup with intervals, tokens per step, where the time goes."""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from pages._charts import is_dark
from pages._dots import LEGEND, Dot, dots
from sequoia_core.measure.comparison import BASELINE
from sequoia_core.measure.summary import PARTS, Summary

PROMPT, WHOLE = "prompt and rest", "not split"
# The parts' colours are those of Explore's time bar.
PART_COLOURS = {
    "draft": "#56b4e9",
    "verify": "#0072b2",
    "sample": "#d55e00",
    "commit": "#8c8c8c",
}
REST_LIGHT, REST_DARK = "#c7c7c7", "#5c5a57"
STRIPES = {"dashArrayX": [1, 0], "dashArrayY": [2, 4], "rotation": 0.785, "color": "#8c8c8c"}
MILLI = 1000


def speedup_chart(summaries: Sequence[Summary]) -> None:
    """A row a method, a symbol a temperature, a line for the interval; dotted: plain decoding."""
    points = [_speedup(summary) for summary in summaries if summary.entry.method != BASELINE]
    dots("comparison_speedup", points, level=1.0, alt="Speedup over plain decoding by method")


def _speedup(summary: Summary) -> Dot:
    speedup = summary.speedup
    span = (speedup.low, speedup.high)
    sure = f"{span[0]:.2f} to {span[1]:.2f}" if speedup.count > 1 else "a single run"
    words = f"{_words(summary)}: {speedup.median:.2f}× ({sure})"
    return Dot(summary.entry.method, _group(summary), speedup.median, words, span)


def tokens_chart(summaries: Sequence[Summary]) -> None:
    """Tokens per step by method and temperature; hollow: what the plan predicted."""
    points = []
    for summary in summaries:
        if summary.entry.method == BASELINE:
            continue  # One, always; and without it both charts have the same rows.
        row, group, told = summary.entry.method, _group(summary), _words(summary)
        measured, predicted = summary.tokens_per_step, summary.entry.predicted_tokens_per_step
        points.append(Dot(row, group, measured, f"{told}: {measured:.2f} tokens per step"))
        if predicted is not None:
            words = f"{told}: {predicted:.2f} predicted"
            points.append(Dot(row, group, predicted, words, hollow=True))
    dots("comparison_tokens", points, alt="Tokens per step by method")


def _group(summary: Summary) -> str:
    return f"T = {summary.entry.temperature:g}"


def _words(summary: Summary) -> str:
    return f"{summary.entry.method}, temperature {summary.entry.temperature:g}"


def time_chart(summaries: Sequence[Summary]) -> None:
    """Milliseconds a token in parts, a bar for each method, one temperature at a time."""
    groups = list(dict.fromkeys(map(_group, summaries)))
    chosen = groups[0]
    if len(groups) > 1:
        chosen = st.segmented_control(
            "Temperature",
            groups,
            default=chosen,
            required=True,
            key="time_at",
            label_visibility="collapsed",
        )
    _time_bars([summary for summary in summaries if _group(summary) == chosen])


def _time_bars(summaries: Sequence[Summary]) -> None:
    values = {
        name: [_part(summary, name) for summary in summaries] for name in (*PARTS, PROMPT, WHOLE)
    }
    option = {
        "animation": False,
        "grid": {"left": 96, "right": 18, "top": 30, "bottom": 28, "outerBoundsMode": "none"},
        "legend": LEGEND,
        "tooltip": {
            "trigger": "axis",
            "axisPointer": {"type": "shadow"},
            "valueFormatter": "%.2f ms",
        },
        "xAxis": {"type": "value"},
        "yAxis": {
            "type": "category",
            "data": [summary.entry.method for summary in summaries],
            "inverse": True,
            "axisTick": {"show": False},
        },
        "series": [
            {
                "name": name,
                "type": "bar",
                "stack": "time",
                "barWidth": 14,
                "itemStyle": _part_style(name),
                "data": values[name],
            }
            for name in values
            if any(values[name])
        ],
    }
    st.echarts_chart(
        option,
        key="comparison_time",
        height=64 + 24 * len(summaries),
        alt="Milliseconds a token by part of the work, for every method",
    )


def _part(summary: Summary, name: str) -> float | None:
    if name in PARTS:
        seconds = getattr(summary.parts, name) if summary.parts else None
    else:
        seconds = summary.rest if (name == WHOLE) == (summary.parts is None) else None
    return None if seconds is None else round(seconds * MILLI, 4)


def _part_style(name: str) -> dict[str, Any]:
    style = {"color": PART_COLOURS.get(name, REST_DARK if is_dark() else REST_LIGHT)}
    return style | ({"decal": STRIPES} if name == WHOLE else {})
