"""The drawings of a report: the planned tree and three charts."""

import numpy as np

from sequoia_core.plan.curves import family_curves
from sequoia_core.plan.expected import path_values
from sequoia_core.plan.optimizer import MAX_BUDGET, SEQUOIA
from sequoia_core.plan.rivals import CHAIN
from sequoia_core.report.measured import CHAIN_ROW, TREE_ROW, MeasuredRow
from sequoia_core.report.report import Report
from sequoia_core.report.svg import Chart, Line, Mark, tree_svg

POINTS = 96
SHOWN_RANKS = 16
SMALLEST_RATE = 1e-4


def tree_drawing(report: Report) -> str:
    """The planned tree, each node as full as the chance that a step gets to it."""
    tree = report.plan.tree
    alt = f"The planned tree of {tree.size} nodes, {tree.depth} deep"
    return tree_svg(tree, path_values(tree, report.vector), alt)


def seconds_chart(report: Report) -> str:
    """Milliseconds of target and draft passes by tokens."""
    curves = {"target": report.hardware.target_seconds, "draft": report.hardware.draft_seconds}
    lines = [
        Line(name, [(n, 1e3 * seconds) for n, seconds in points], style, dots=True)
        for style, (name, points) in enumerate(curves.items())
    ]
    return Chart(
        x_title="tokens in the pass",
        y_title="milliseconds",
        alt="Milliseconds of target and draft passes against the tokens in the pass",
        lines=lines,
        log_x=True,
        log_y=True,
    ).svg()


def acceptance_chart(report: Report) -> str:
    """Acceptance by rank for every rule, on a logarithmic axis; zeros are left out.

    A sentence instead for a draft that is never right.
    """
    if all(vector.rows[0].max() < SMALLEST_RATE for vector in report.vectors.values()):
        return (
            f'<p class="note">No child is accepted as often as {SMALLEST_RATE:.2%} of the time.</p>'
        )
    lines = [
        Line(
            rule,
            [
                (rank + 1, float(rate) if rate >= SMALLEST_RATE else float("nan"))
                for rank, rate in enumerate(vector.rows[0][:SHOWN_RANKS])
            ],
            style,
            dots=True,
        )
        for style, (rule, vector) in enumerate(report.vectors.items())
    ]
    return Chart(
        x_title="child, in the order drawn",
        y_title="chance of being accepted",
        alt="Chance that the k-th child is accepted, for every rule",
        lines=lines,
        log_y=True,
    ).svg()


def speedup_chart(report: Report) -> str:
    """Predicted speedup of trees and chains over budgets, with what was measured."""
    last = min(report.hardware.last_tokens, MAX_BUDGET)
    budgets = np.unique(np.geomspace(1, last, POINTS).round().astype(int))
    curves = family_curves(report.vector, report.hardware, budgets, max_budget=last)
    lines = [
        Line(f"{name}, predicted", _points(budgets, curves[family].speedup), style)
        for style, (family, name) in enumerate(((SEQUOIA, "best tree"), (CHAIN, "best chain")))
        if family in curves
    ]
    return Chart(
        x_title="tree budget n",
        y_title="speedup over plain decoding",
        alt="Speedup against tree budget: predicted lines and measured points",
        lines=lines,
        marks=[_mark(row) for row in report.rows if row.method in (TREE_ROW, CHAIN_ROW)],
        log_x=True,
        level=1.0,
    ).svg()


def _points(budgets: np.ndarray, speedup: np.ndarray) -> list[tuple[float, float]]:
    """Budgets that the family has members for."""
    known = np.isfinite(speedup)
    return list(zip(budgets[known].tolist(), speedup[known].tolist(), strict=True))


def _mark(row: MeasuredRow) -> Mark:
    name = "chain" if row.method == CHAIN_ROW else "tree"
    middle = row.decode_speedup
    low, high = (middle if end is None else end for end in (row.decode_low, row.decode_high))
    style = 1 if row.method == CHAIN_ROW else 0
    return Mark(f"{name}, measured", row.budget, middle, low, high, style)
