"""The sections on tables 1 to 4: every row beside the planner, the constants, the paired rows."""

from collections.abc import Sequence
from functools import cache

import numpy as np

from sequoia_core.plan.acceptance import load_acceptance
from sequoia_core.plan.cost import CostModel
from sequoia_core.plan.expected import plan_table
from sequoia_core.plan.table import PlanTable
from tools.paper.derived import Costs, baseline_milliseconds, fit_costs, offload_costs
from tools.paper.markdown import percent, table
from tools.paper.published import Result, blocks, results

VECTORS = ("paper-appendix-e", "reference-repository")
MAX_BUDGET, MAX_DEPTH = 768, 32
OFFLOAD_RIVAL_LEVELS = 49
TOKEN_HEAD = (">tokens", ">ours, E", ">ours, R")


@cache
def tables() -> tuple[PlanTable, ...]:
    """The planner's best trees for both shipped vectors: appendix E, then the repository's."""
    return tuple(
        plan_table(load_acceptance(name), max_budget=MAX_BUDGET, max_depth=MAX_DEPTH)
        for name in VECTORS
    )


def planned_tokens(row: Result) -> list[float]:
    """G of the best tree of the row's size and depth, levels - 1 edges, for each vector."""
    return [float(t.expected_tokens[row.size, row.levels - 1]) for t in tables()]


@cache
def on_device_costs() -> dict[tuple[str, str, float], Costs]:
    """t and c of every block of tables 1, 3 and 4."""
    return {key: fit_costs(rows) for key, rows in blocks(results(offload=False)).items()}


def on_device_section() -> str:
    """Tables 1, 3 and 4, row by row."""
    head = ["table", "hardware", "target", "T", "text", "tree", *TOKEN_HEAD, ">speedup"]
    head += [">modelled", ">residual", ">SpecInfer 5x8"]
    return table(head, map(_on_device_row, results(offload=False)))


def _on_device_row(row: Result) -> list[str]:
    modelled = on_device_costs()[row.block].speedup(row.tokens, row.size, row.levels)
    return [
        row.tables,
        row.hardware,
        row.target,
        f"{row.temperature:g}",
        *_row_head(row),
        f"{modelled:.2f}",
        percent(speedup_residual(row)),
        f"{row.rival_speedup:.2f} ({row.rival_tokens:.2f})",
    ]


def _row_head(row: Result) -> list[str]:
    """Text, tree, the three counts of tokens and the published speedup."""
    digits = 1 if row.half_step > 0.01 else 2
    return [
        row.text,
        f"({row.size}, {row.levels})",
        f"{row.tokens:.2f}",
        *(f"{tokens:.2f}" for tokens in planned_tokens(row)),
        f"{row.speedup:.{digits}f}",
    ]


def offload_section() -> str:
    """Table 2: tokens beside the planner's, and the constants two measured trees imply."""
    head = ["target / draft", "T", "text", "tree", *TOKEN_HEAD, ">speedup"]
    head += [">SpecInfer 16x48", ">t(768)", ">c", ">c, ms"]
    return table(head, map(_offload_row, results(offload=True)))


def _offload_row(row: Result) -> list[str]:
    costs = offload_costs(row, OFFLOAD_RIVAL_LEVELS)
    plain = row.milliseconds * row.speedup
    return [
        f"{row.target} / {row.draft}",
        f"{row.temperature:g}",
        *_row_head(row),
        f"{row.rival_speedup:.1f} ({row.rival_tokens:.2f})",
        f"{costs.t:.2f} ± {costs.t_bound:.2f}",
        f"{costs.c:.4f} ± {costs.c_bound:.4f}",
        f"{costs.c * plain:.0f} ± {costs.c_bound * plain:.0f}",
    ]


def costs_section() -> str:
    """The derived constants of every block, and the depth they would make the planner choose."""
    head = ["hardware", "target", "T", ">n", ">rows", ">t(n)", ">c", ">plain, ms", ">c, ms"]
    head += [">pass saved", ">SpecInfer 5x8: t + 9c", "levels published", "best levels, E / R"]
    grouped = blocks(results(offload=False))
    return table(head, [_costs_row(key, rows) for key, rows in grouped.items()])


def _costs_row(key: tuple[str, str, float], rows: Sequence[Result]) -> list[str]:
    costs, plain = on_device_costs()[key], baseline_milliseconds(rows)
    levels = sorted({row.levels for row in rows})
    rival = [row.rival_cost for row in rows]
    return [
        *key[:2],
        f"{key[2]:g}",
        str(costs.size),
        str(len(rows)),
        f"{costs.t:.3f} ± {costs.t_bound:.3f}",
        f"{costs.c:.4f} ± {costs.c_bound:.4f}",
        f"{plain:.1f}" if plain else "not printed",
        f"{costs.c * plain:.2f} ± {costs.c_bound * plain:.2f}" if plain else "unknown",
        percent(costs.c / (costs.t + levels[-1] * costs.c - costs.c)),
        f"{min(rival):.2f} to {max(rival):.2f}",
        ", ".join(map(str, levels)),
        " / ".join(str(best_levels(costs, plan)) for plan in tables()),
    ]


def best_levels(costs: Costs, plan: PlanTable) -> int:
    """Levels of the fastest of the planner's trees with `costs.size` nodes."""
    sizes = np.full(plan.max_depth + 1, costs.size)
    cost = CostModel(costs.profile())
    expected = np.where(plan.feasible[costs.size], plan.expected_tokens[costs.size], 0.0)
    speedups = cost.speedup(expected, cost.seconds(sizes, plan.pass_widths[costs.size]))
    return plan.tree(costs.size, int(speedups.argmax())).depth + 1


def paired_rows() -> list[tuple[Result, Result]]:
    """(L40, A100) rows of one target, temperature and text: only tree and GPU differ."""
    rows = {(r.hardware, r.target, r.temperature, r.text): r for r in results(offload=False)}
    return [(row, rows["A100", *key[1:]]) for key, row in rows.items() if key[0] == "L40"]


def paired_section() -> str:
    """What a change of tree is worth, published and planned; equal trees show the noise."""
    head = ["target", "T", "text", "L40 tree", "A100 tree", ">published", ">ours, E", ">ours, R"]
    head += [">SpecInfer 5x8"]
    return table(head, [_paired_row(*pair) for pair in paired_rows()])


def _paired_row(small: Result, large: Result) -> list[str]:
    return [
        small.target,
        f"{small.temperature:g}",
        small.text,
        f"({small.size}, {small.levels})",
        f"({large.size}, {large.levels})",
        percent(large.tokens / small.tokens - 1),
        *map(percent, _planned_gain(small, large)),
        percent(large.rival_tokens / small.rival_tokens - 1),
    ]


def summary_section() -> str:
    """How large the residuals are, the fitted constants in mind."""
    rows, fitted = results(offload=False), 2 * len(on_device_costs())
    errors = np.array([speedup_residual(row) for row in rows])
    gaps = np.array([np.array(planned_tokens(row)) / row.tokens - 1 for row in rows])
    spans = [f"{percent(gap.min())} to {percent(gap.max())}" for gap in gaps.T]
    pairs = [pair for pair in paired_rows() if pair[0].size != pair[1].size]
    gain = np.mean([large.tokens / small.tokens - 1 for small, large in pairs])
    ours = np.mean([_planned_gain(*pair) for pair in pairs], axis=0)
    return (
        f"- Speedup, published over modelled: {len(rows)} rows, {fitted} fitted constants, root "
        f"mean square {100 * np.sqrt(np.mean(errors**2)):.2f} %, at most "
        f"{100 * np.abs(errors).max():.2f} %.\n"
        f"- Tokens per step, ours over published: {spans[0]} with E, {spans[1]} with R.\n"
        f"- Tokens gained from 64 to 128 nodes at equal depth, mean of {len(pairs)} pairs of rows: "
        f"published {percent(gain)}, ours {percent(ours[0])} with E, {percent(ours[1])} with R."
    )


def speedup_residual(row: Result) -> float:
    """Published speedup over the one that its block's constants give, less 1."""
    costs = on_device_costs()[row.block]
    return row.speedup / costs.speedup(row.tokens, row.size, row.levels) - 1


def _planned_gain(small: Result, large: Result) -> np.ndarray:
    return np.array(planned_tokens(large)) / np.array(planned_tokens(small)) - 1
