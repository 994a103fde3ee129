"""What Explore says of a run below its tree: table, tokens by step, time."""

import streamlit as st

from pages._generate import RunView
from pages._run_charts import tokens_per_step
from pages._text import time_split_html
from pages._tree_view import step_table
from sequoia_core.decode.trace import StepTrace


def run_details(view: RunView, step: StepTrace | None) -> None:
    """The step as a table on request, tokens by step, and where the time went."""
    if step is not None and st.toggle("Show as table", key="table"):
        _table(step)
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown("**Tokens per step**")
        tokens_per_step(view, step.index if step else None)
    with right:
        st.markdown("**Where the time went**")
        st.html(time_split_html(view))
        st.caption(_speedup_words(view))


def _table(step: StepTrace) -> None:
    st.dataframe(
        step_table(step.nodes),
        hide_index=True,
        height=280,
        alt="The step's nodes as a table",
        column_config={
            "draft": st.column_config.NumberColumn(format="%.4f"),
            "target": st.column_config.NumberColumn(format="%.4f"),
        },
    )


def _speedup_words(view: RunView) -> str:
    """The run's settings and the numbers behind the measured speedup."""
    request, settings = view.request, view.request.settings
    words = (
        f"{request.method}, {request.tree.size:,} nodes, {request.tree.depth} deep, temperature "
        f"{settings.temperature:g}: {view.tokens} tokens in {view.seconds:.2f} s of decoding."
    )
    if request.predicted_speedup:
        words += f" Predicted {request.predicted_speedup:.2f}×."
    if view.plain is None:
        return f"{words} No plain run was measured."
    plain = view.plain
    return (
        f"{words} Plain decoding of the same prompt: {len(plain.token_ids)} tokens in "
        f"{plain.decode_seconds:.2f} s. One run each, so expect some noise."
    )
