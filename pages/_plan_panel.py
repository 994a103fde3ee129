"""The right side of Plan: the answer, the tree, the charts, the tables, the exports."""

import streamlit as st

from pages._exports import exports
from pages._inputs import known_tokens
from pages._plan_charts import batch_chart, budget_curves, scale_chart
from pages._plan_check import check
from pages._plan_controls import Planned
from pages._speedup_map import speedup_map
from pages._text import first_strong
from pages._tree_view import planned as planned_view
from pages._tree_view import tree_view
from sequoia_core.plan.empirical import model_at
from sequoia_core.plan.expected import path_values
from sequoia_core.plan.optimizer import EMPIRICAL, judge_tree, make_plan
from sequoia_core.plan.plan import Plan

TREE_HEIGHT = 300


def panel(planned: Planned | None) -> None:
    """Everything about one plan; the last one that could be made while the settings do not fit."""
    if planned is not None:
        st.session_state.last_planned = planned
    planned = st.session_state.get("last_planned")
    if planned is None:
        return
    _answer(planned)
    _tree(planned)
    left, right = st.columns(2, gap="medium")
    with left:
        st.markdown("**Speedup by budget and depth**")
        speedup_map(planned.plan)
    with right:
        check(planned)
    budget_curves(planned)
    left, right = st.columns(2, gap="medium")
    with left:
        batch_chart(planned)
    with right:
        scale_chart(planned)
    if planned.versus is not None:
        _swap(planned)
    _families(planned.plan)
    exports(planned)


def _answer(planned: Planned) -> None:
    """Best tree, best chain and the difference in words, then the figures of this tree."""
    plan = planned.plan
    with st.container(border=True, key="verdict"):
        st.markdown(first_strong(plan.verdict.words))
        last = planned.hardware.last_tokens
        if plan.batch_size * plan.budget > last:
            st.caption(
                f"The profile ends at {last:,} tokens a pass and this tree needs "
                f"{plan.batch_size * plan.budget:,}: its last slope is continued."
            )
    figures = st.grid(5, min_column_width=108)
    error = plan.speedup_error
    figures.metric(
        "This tree",
        f"{plan.speedup:.2f}×",
        None if error is None else f"± {error:.2f}",
        delta_color="off",
        delta_arrow="off",
        help="Against plain decoding on this profile. ± is the 95 % interval that the standard "
        "errors of the acceptance vector allow; the profile's own noise is not in it.",
    )
    chain = plan.best_chain
    figures.metric("Best chain", f"{chain.speedup:.2f}×" if chain else "–")
    figures.metric(
        "Gain over chain", "–" if plan.over_chain is None else f"{plan.over_chain - 1:+.1%}"
    )
    figures.metric("Tokens per step", f"{plan.expected_tokens:.2f}")
    figures.metric(
        "A step takes",
        f"{1000 * plan.step_seconds:.1f} ms",
        help=f"A step of plain decoding takes {1000 * plan.plain_seconds:.1f} ms.",
    )


def _tree(planned: Planned) -> None:
    plan = planned.plan
    reach = (
        model_at(planned.acceptance, plan.tree).path_values(plan.tree)
        if plan.family == EMPIRICAL
        else path_values(plan.tree, planned.acceptance)
    )
    tree_view(planned_view(plan.tree, reach, height=TREE_HEIGHT), key="plan_tree")
    st.caption(
        f"{plan.family}: {plan.budget:,} nodes, {plan.depth} deep. "
        f"Level sizes: {', '.join(map(str, plan.level_sizes))}."
    )


def _swap(planned: Planned) -> None:
    """This tree on the other profile, and the best tree there."""
    plan, other = planned.plan, planned.versus
    st.markdown("**The same plan on another machine**")
    there = make_plan(
        planned.acceptance,
        other,
        batch_size=plan.batch_size,
        max_branch=planned.branch,
        max_budget=known_tokens(other),
    )
    moved = judge_tree(
        plan.tree, planned.acceptance, other, family=plan.family, batch_size=plan.batch_size
    )
    rows = [
        ("this tree", planned.hardware.name, plan.budget, plan.depth, plan.speedup),
        ("this tree", other.name, plan.budget, plan.depth, moved.speedup),
        ("the best there", other.name, there.budget, there.depth, there.speedup),
    ]
    names = ("tree", "hardware", "budget", "depth", "speedup")
    _table(dict(zip(names, zip(*rows, strict=True), strict=True)), "This tree on both profiles")
    st.caption(f"There: {there.verdict.words}")


def _families(plan: Plan) -> None:
    st.markdown("**The best of every family**")
    families = sorted(plan.families, key=lambda best: -best.speedup)
    chain = plan.best_chain
    columns = {
        "family": [best.family for best in families],
        "shape": [best.shape for best in families],
        "budget": [best.budget for best in families],
        "depth": [best.depth for best in families],
        "tokens per step": [best.expected_tokens for best in families],
        "speedup": [best.speedup for best in families],
        "over the chain": [
            None if chain is None else 100 * (best.speedup / chain.speedup - 1) for best in families
        ],
    }
    _table(columns, "The best member of every family")
    if any(best.family == EMPIRICAL for best in families):
        st.caption(
            "empirical is judged by the path model, the others by the positional one, so its "
            "figures do not compare with theirs to the last digit."
        )


def _table(columns: dict, alt: str) -> None:
    st.dataframe(
        columns,
        hide_index=True,
        alt=alt,
        column_config={
            "tokens per step": st.column_config.NumberColumn(format="%.3f"),
            "speedup": st.column_config.NumberColumn(format="%.3f×"),
            "over the chain": st.column_config.NumberColumn(format="%+.1f %%"),
        },
    )
