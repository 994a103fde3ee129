"""Charts of Explore."""

import plotly.graph_objects as go
import streamlit as st

from pages._generate import RunView


def tokens_per_step(view: RunView, current: int | None) -> None:
    """One bar a step, the step on show filled, the mean as a line."""
    counts = [len(step.committed) for step in view.steps]
    figure = go.Figure(
        go.Bar(
            x=list(range(1, len(counts) + 1)),
            y=counts,
            name="tokens",
            marker={"opacity": [1.0 if i == current else 0.5 for i in range(len(counts))]},
            hovertemplate="step %{x}: %{y} tokens<extra></extra>",
        )
    )
    figure.add_hline(
        view.tokens / len(counts), line_dash="dot", line_width=1.5, line_color="#8c8c8c"
    )
    figure.update_layout(
        height=150,
        margin={"l": 28, "r": 4, "t": 6, "b": 28},
        bargap=0.15,
        showlegend=False,
        xaxis={"title": None, "showgrid": False},
        yaxis={"title": None, "rangemode": "tozero"},
    )
    st.plotly_chart(
        figure,
        key="tokens_per_step",
        config={"displayModeBar": False},
        alt=f"Tokens committed by each of {len(counts)} steps, {min(counts)} to {max(counts)}",
    )
