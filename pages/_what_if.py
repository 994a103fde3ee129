"""What other trees would have done on the text of a finished run: the replay on Explore."""

import streamlit as st

from pages._generate import RunView
from pages._planned_tree import PlannedTree
from sequoia_core.errors import InputError
from sequoia_core.plan.methods import AUTO, METHODS, PLAIN
from sequoia_core.plan.replay import replay
from sequoia_core.tree.token_tree import TokenTree

MISSING = "–"


def what_if(view: RunView, plan: PlannedTree | None) -> None:
    """Tokens per step of the run's tree and of the planned one: predicted, replayed, measured."""
    if view.ranks is None:
        return
    st.markdown("**Predicted, replayed, measured**")
    own = view.request
    rows = {
        "tokens per step": ["predicted", "replayed on this text", "measured"],
        f"this run ({own.method})": [
            _number(own.predicted_tokens),
            _replayed(own.tree, view) if _replays(view) else MISSING,
            _number(view.tokens / len(view.steps)),
        ],
    }
    if plan is not None:
        rows[f"planned ({plan.tree.size:,} nodes, {plan.tree.depth} deep)"] = [
            _number(plan.expected_tokens),
            _replayed(plan.tree, view),
            MISSING,
        ]
    st.dataframe(rows, hide_index=True, alt="Tokens per step of this run and of the planned tree")
    st.caption(_words(view))


def _replays(view: RunView) -> bool:
    """Whether the ranks of the text, drawn by Sequoia's rule, are those of the run's method."""
    own = view.request
    if own.method in (PLAIN, AUTO) or METHODS[own.method].grown:
        return False
    return METHODS[own.method].rule == "sequoia" or own.settings.temperature == 0


def _replayed(tree: TokenTree, view: RunView) -> str:
    try:
        return _number(replay(tree, view.ranks).tokens_per_step)
    except InputError:
        return f"wider than {view.ranks.width}"


def _number(value: float | None) -> str:
    return MISSING if value is None else f"{value:.2f}"


def _words(view: RunView) -> str:
    if view.request.settings.temperature == 0:
        return (
            "A replay walks the planned tree through this very text, so moving the sliders "
            "answers “what if” at once. At temperature 0 it is exact."
        )
    return (
        "A replay walks the planned tree through this very text, so moving the sliders answers "
        "“what if” at once. Above temperature 0 the draws are made anew, so it is one run of many "
        "that could have written this text."
    )
