"""Curves of Plan: by budget, by batch size, by acceptance."""

import numpy as np
import streamlit as st

from pages._charts import lines
from pages._plan_controls import Planned
from sequoia_core.plan.curves import (
    batch_curve,
    family_curves,
    grid_curve,
    pays_until,
    scale_curve,
)
from sequoia_core.plan.optimizer import EMPIRICAL

CURVE_POINTS = 96
TOKENS = {"type": "log", "min": 1, "name": "tree budget n"}
SPEEDUP = {"scale": True}


def budget_curves(planned: Planned) -> None:
    """Every family by budget: speedup, and expected tokens per step."""
    plan = planned.plan
    budgets = np.unique(np.geomspace(1, planned.max_budget, CURVE_POINTS).round().astype(int))
    curves = family_curves(
        planned.acceptance,
        planned.hardware,
        budgets,
        batch_size=plan.batch_size,
        max_budget=planned.max_budget,
        max_branch=planned.branch,
    )
    if plan.family == EMPIRICAL:
        curves = {EMPIRICAL: grid_curve(plan.grid, budgets), **curves}
    x = budgets.tolist()
    speedups = {name: (x, curve.speedup.tolist()) for name, curve in curves.items()}
    tokens = {name: (x, curve.expected_tokens.tolist()) for name, curve in curves.items()}
    left, right = st.columns(2, gap="medium")
    with left:
        st.markdown("**Speedup by budget, the best of every family**")
        lines(
            "speedup_by_budget",
            speedups,
            x={**TOKENS, "max": planned.max_budget},
            y=SPEEDUP,
            at=plan.budget,
            level=1,
            alt="Speedup against tree budget for every family",
        )
    with right:
        st.markdown("**Expected tokens per step by budget**")
        lines(
            "tokens_by_budget",
            tokens,
            x={**TOKENS, "max": planned.max_budget},
            y={},
            at=plan.budget,
            alt="Expected tokens per step against tree budget for every family",
        )


@st.cache_data(show_spinner=False, max_entries=64)
def _batch_points(_planned: Planned, key: int) -> list:
    return batch_curve(
        _planned.acceptance,
        _planned.hardware,
        max_budget=_planned.max_budget,
        max_branch=_planned.branch,
    )


def _batch_key(planned: Planned) -> int:
    """What the curve depends on, in a number: budget and depth are not in it."""
    acceptance = planned.acceptance
    statistics = acceptance.paths.key if acceptance.paths else None
    rows = acceptance.probabilities.shape, acceptance.probabilities.tobytes()
    return hash((rows, statistics, planned.hardware, planned.branch, planned.max_budget))


def batch_chart(planned: Planned) -> None:
    """The best tree and the best chain by batch size, and where each stops paying."""
    st.markdown("**By batch size**")
    points = _batch_points(planned, _batch_key(planned))
    sizes = [point.batch_size for point in points]
    curves = {
        "best tree": (sizes, [point.speedup for point in points]),
        "best chain": (sizes, [point.chain_speedup or 1.0 for point in points]),
    }
    lines(
        "by_batch",
        curves,
        x={"type": "log", "logBase": 2, "min": 1, "max": sizes[-1], "name": "batch size"},
        y=SPEEDUP,
        at=planned.plan.batch_size,
        level=1,
        symbols=True,
        height=260,
        alt="Speedup of the best tree and the best chain against batch size",
    )
    trees, speculation = pays_until(points)
    st.caption(f"Trees beat chains {_until(trees)}; speculation pays {_until(speculation)}.")


def _until(size: int | None) -> str:
    return f"up to a batch of {size}" if size else "at no batch size"


def scale_chart(planned: Planned) -> None:
    """This tree and the best chain, if the draft were better or worse than measured."""
    st.markdown("**If acceptance were different**")
    plan = planned.plan
    points = scale_curve(
        plan.tree, planned.acceptance, planned.hardware, batch_size=plan.batch_size
    )
    factors = [point.factor for point in points]
    curves = {
        "this tree": (factors, [point.tree_speedup for point in points]),
        "best chain for it": (factors, [point.chain_speedup for point in points]),
    }
    lines(
        "by_acceptance",
        curves,
        x={"type": "value", "min": factors[0], "max": factors[-1], "name": "acceptance times"},
        y=SPEEDUP,
        at=1,
        level=1,
        height=260,
        alt="Speedup of this tree and of the best chain against a factor on acceptance",
    )
    st.caption(
        "This tree stays, the chain is chosen anew. The slider “Acceptance times” plans all anew."
    )
