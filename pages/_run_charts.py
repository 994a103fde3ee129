"""Charts of a run on Explore."""

import streamlit as st

from pages._charts import colours
from pages._generate import RunView


def tokens_per_step(view: RunView, current: int | None) -> None:
    """One bar a step, the step on show filled, the mean as a line."""
    counts = [len(step.committed) for step in view.steps]
    bars = [
        {"value": count, "itemStyle": {"opacity": 1.0 if index == current else 0.5}}
        for index, count in enumerate(counts)
    ]
    mean = {
        "symbol": "none",
        "silent": True,
        "label": {"show": False},
        "lineStyle": {"type": "dotted", "color": colours()["muted"]},
        "data": [{"yAxis": sum(counts) / len(counts)}],
    }
    option = {
        "animation": False,
        "grid": {"left": 28, "right": 6, "top": 8, "bottom": 24},
        "tooltip": {"formatter": "step {b}: {c} tokens"},
        "xAxis": {"type": "category", "data": list(range(1, len(counts) + 1))},
        "yAxis": {"type": "value", "min": 0, "minInterval": 1},
        "series": [{"type": "bar", "data": bars, "barCategoryGap": "15%", "markLine": mean}],
    }
    st.echarts_chart(
        option,
        key="tokens_per_step",
        height=150,
        alt=f"Tokens committed by each of {len(counts)} steps, {min(counts)} to {max(counts)}",
    )
