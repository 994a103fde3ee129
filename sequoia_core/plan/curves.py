"""Curves over plans: the best tree by batch size, expected tokens by budget for every family."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sequoia_core.plan.acceptance import AcceptanceVector
from sequoia_core.plan.hardware import HardwareProfile
from sequoia_core.plan.optimizer import SEQUOIA, Limits, make_plan

BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)


@dataclass(frozen=True, slots=True)
class BatchPoint:
    """The best plan at one batch size; chain_speedup is the best chain's, None without one."""

    batch_size: int
    budget: int
    depth: int
    expected_tokens: float
    speedup: float
    chain_speedup: float | None
    tokens_per_second: float


def batch_curve(
    acceptance: AcceptanceVector,
    hardware: HardwareProfile,
    batch_sizes: Sequence[int] = BATCH_SIZES,
    *,
    max_budget: int = 1024,
    max_depth: int = 32,
    max_branch: int = 32,
) -> list[BatchPoint]:
    """The best Sequoia tree for each batch size: it shrinks as the batch fills the hardware.

    tokens_per_second is of the whole batch, as the cost model predicts it.
    """
    points = []
    for batch_size in batch_sizes:
        plan = make_plan(
            acceptance,
            hardware,
            max_budget=max_budget,
            max_depth=max_depth,
            max_branch=max_branch,
            batch_size=batch_size,
        )
        points.append(
            BatchPoint(
                batch_size=batch_size,
                budget=plan.budget,
                depth=plan.depth,
                expected_tokens=plan.expected_tokens,
                speedup=plan.speedup,
                chain_speedup=plan.best_chain.speedup if plan.best_chain else None,
                tokens_per_second=batch_size * plan.expected_tokens / plan.step_seconds,
            )
        )
    return points


def expected_by_budget(
    acceptance: AcceptanceVector,
    *,
    max_budget: int = 1024,
    max_depth: int = 32,
    max_branch: int = 32,
) -> dict[str, np.ndarray]:
    """Most expected tokens of each family with at most n nodes, float64 [max_budget + 1].

    Entry 0 is nan; with one node every family is plain decoding, one token a step.
    """
    limits = Limits(max_budget, max_depth, max_branch)
    best = {SEQUOIA: limits.table(acceptance).expected_tokens.max(axis=1)}
    for family, members in limits.rivals(acceptance).items():
        best[family] = np.ones(max_budget + 1)
        np.maximum.at(best[family], members.sizes, members.expected_tokens)
    curves = {family: np.maximum.accumulate(values) for family, values in best.items()}
    for values in curves.values():
        values[0] = np.nan
    return curves
