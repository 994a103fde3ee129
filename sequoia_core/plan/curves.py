"""Curves over plans: by batch size, by budget for every family, by how well the draft guesses."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from sequoia_core.plan.acceptance import AcceptanceVector
from sequoia_core.plan.cost import CostModel
from sequoia_core.plan.expected import expected_tokens
from sequoia_core.plan.hardware import HardwareProfile
from sequoia_core.plan.optimizer import SEQUOIA, Limits, make_plan, speedup_grid
from sequoia_core.plan.plan import SpeedupGrid
from sequoia_core.plan.rivals import Members
from sequoia_core.plan.verdict import PLAIN, TREE
from sequoia_core.plan.what_if import scaled
from sequoia_core.tree.token_tree import TokenTree

BATCH_SIZES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
FACTORS = tuple(round(0.5 + 0.05 * step, 2) for step in range(17))


@dataclass(frozen=True, slots=True)
class BatchPoint:
    """The best plan at one batch size; chain_speedup is the best chain's, None without one.

    choice: the verdict, `tree`, `chain` or `plain`.
    """

    batch_size: int
    choice: str
    budget: int
    depth: int
    expected_tokens: float
    speedup: float
    chain_speedup: float | None
    tokens_per_second: float

    @property
    def speculates(self) -> bool:
        """Whether anything is drafted at this size."""
        return self.choice != PLAIN


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
    # Only Sequoia's trees are wanted, so nothing is made of the path statistics.
    vector = replace(acceptance, paths=None)
    points = []
    for batch_size in batch_sizes:
        plan = make_plan(
            vector,
            hardware,
            max_budget=max_budget,
            max_depth=max_depth,
            max_branch=max_branch,
            batch_size=batch_size,
        )
        points.append(
            BatchPoint(
                batch_size=batch_size,
                choice=plan.verdict.choice,
                budget=plan.budget,
                depth=plan.depth,
                expected_tokens=plan.expected_tokens,
                speedup=plan.speedup,
                chain_speedup=plan.best_chain.speedup if plan.best_chain else None,
                tokens_per_second=batch_size * plan.expected_tokens / plan.step_seconds,
            )
        )
    return points


def pays_until(points: Sequence[BatchPoint]) -> tuple[int | None, int | None]:
    """Largest batch sizes up to which trees beat chains, and up to which speculation pays at all.

    Counted from the smallest size without a gap; None where it does not pay even there.
    """
    trees = speculation = None
    for point in points:
        if not point.speculates:
            break
        speculation = point.batch_size
    for point in points:
        if point.choice != TREE:
            break
        trees = point.batch_size
    return trees, speculation


@dataclass(frozen=True, slots=True, eq=False)
class FamilyCurve:
    """A family by budget: the most expected tokens within it, and the speedup at it.

    expected_tokens: float64 [r], of the best member with at most so many nodes. speedup: float64
    [r], of the fastest member larger than the budget before; nan where there is none.
    """

    expected_tokens: np.ndarray
    speedup: np.ndarray


def family_curves(
    acceptance: AcceptanceVector,
    hardware: HardwareProfile,
    budgets: np.ndarray,
    *,
    batch_size: int = 1,
    max_budget: int = 1024,
    max_depth: int = 32,
    max_branch: int = 32,
) -> dict[str, FamilyCurve]:
    """Every family at `budgets`, ascending ints [r] from 1: Sequoia's trees and their rivals."""
    limits = Limits(max_budget, max_depth, max_branch)
    cost = CostModel(hardware, batch_size)
    curves = {SEQUOIA: grid_curve(speedup_grid(limits.table(acceptance), cost), budgets)}
    for family, members in limits.rivals(acceptance).items():
        tokens = _most_within(members, max_budget)[budgets]
        curves[family] = FamilyCurve(tokens, _fastest_between(members, cost, budgets))
    return curves


def grid_curve(grid: SpeedupGrid, budgets: np.ndarray) -> FamilyCurve:
    """A planner's trees at `budgets`, each at its own best depth."""
    tokens = np.fmax.accumulate(np.fmax.reduce(grid.expected_tokens, axis=1))
    return FamilyCurve(tokens[budgets], np.fmax.reduce(grid.speedup, axis=1)[budgets])


def _fastest_between(members: Members, cost: CostModel, budgets: np.ndarray) -> np.ndarray:
    """The best speedup of members with budgets[i - 1] < size <= budgets[i], nan if none is."""
    seconds = cost.seconds(members.sizes, members.pass_widths)
    speedups = cost.speedup(members.expected_tokens, seconds)
    best = np.full(len(budgets) + 1, -np.inf)
    np.maximum.at(best, np.searchsorted(budgets, members.sizes), speedups)
    return np.where(np.isfinite(best), best, np.nan)[:-1]


@dataclass(frozen=True, slots=True)
class ScalePoint:
    """A tree and the best chain where the first child is accepted `factor` times as often."""

    factor: float
    tree_speedup: float
    chain_speedup: float


def scale_curve(
    tree: TokenTree,
    acceptance: AcceptanceVector,
    hardware: HardwareProfile,
    factors: Sequence[float] = FACTORS,
    *,
    batch_size: int = 1,
    max_depth: int = 32,
) -> list[ScalePoint]:
    """A fixed tree, and the best chain for each factor, with a better or a worse draft."""
    cost = CostModel(hardware, batch_size)
    seconds = cost.tree_seconds(tree)
    lengths = np.arange(max_depth + 1)
    # Each pass of a chain is one token wide, and there are as many as it drafts.
    chain_seconds = cost.seconds(lengths + 1, np.tri(max_depth + 1, max_depth, -1, dtype=int))
    points = []
    for factor in factors:
        moved = scaled(acceptance, factor)
        expected = expected_tokens(tree, moved)
        chains = cost.speedup(_chain_tokens(moved, max_depth), chain_seconds)
        points.append(
            ScalePoint(factor, float(cost.speedup(expected, seconds)), float(chains.max()))
        )
    return points


def _chain_tokens(acceptance: AcceptanceVector, max_depth: int) -> np.ndarray:
    """Expected tokens of the chains of 0 .. max_depth drafted tokens."""
    first = np.array([acceptance.at_depth(depth)[0] for depth in range(max_depth)])
    return np.cumsum(np.concatenate([[1.0], np.cumprod(first)]))


def _most_within(members: Members, max_budget: int) -> np.ndarray:
    """Most expected tokens of a member with at most n nodes, float64 [max_budget + 1]."""
    best = np.ones(max_budget + 1)
    np.maximum.at(best, members.sizes, members.expected_tokens)
    return np.maximum.accumulate(best)
