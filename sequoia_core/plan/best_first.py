"""The best trees of every budget and depth for acceptance that falls from sibling to sibling.

The value of a node is fixed by its path of ranks: the product of the path's acceptances. Where
later siblings are never likelier, values fall along paths and among siblings, so the n most
valuable nodes of depth <= d form a tree, and no tree of n nodes is better. That is what popping
nodes from a best-first heap yields; here whole levels are sorted at once instead of single nodes.
"""

from dataclasses import dataclass

import numpy as np

from sequoia_core.plan.acceptance import AcceptanceVector
from sequoia_core.plan.table import INFEASIBLE, PlanTable
from sequoia_core.tree.token_tree import TokenTree


@dataclass(frozen=True, slots=True, eq=False)
class Level:
    """The most valuable nodes of one level, best first; ties stand in breadth-first order.

    values: [m]; parents: [m] positions in the level above; ranks: [m].
    """

    values: np.ndarray
    parents: np.ndarray
    ranks: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class BestFirstTable(PlanTable):
    """Trees as prefixes: the best tree takes the first counts[n, d, l] nodes of each level l."""

    levels: tuple[Level, ...]
    counts: np.ndarray

    def tree(self, budget: int, depth: int) -> TokenTree:
        """See PlanTable.tree."""
        self.check(budget, depth)
        places = np.zeros(1, dtype=np.int64)
        parents, size = [np.array([-1])], 1
        for level, count in zip(self.levels[1:], self.counts[budget, depth, 1:], strict=False):
            if not count:
                break
            of_parent = places[level.parents[:count]]
            order = np.argsort(of_parent, kind="stable")
            parents.append(of_parent[order])
            places = np.empty(count, dtype=np.int64)
            places[order] = np.arange(size, size + count)
            size += count
        return TokenTree(np.concatenate(parents))


def best_first_table(
    acceptance: AcceptanceVector, max_budget: int, max_depth: int, max_branch: int
) -> BestFirstTable:
    """Optimal trees for all n <= max_budget, d <= max_depth; `acceptance.is_monotone` must hold."""
    return table_from_levels(
        _levels(acceptance, max_budget, max_depth, max_branch), max_budget, max_depth
    )


def table_from_levels(levels: tuple[Level, ...], max_budget: int, max_depth: int) -> BestFirstTable:
    """The table over nodes whose values fall along paths and among siblings.

    levels: the root's first; at least all nodes that a tree of max_budget nodes may need.
    """
    shape = (max_budget + 1, max_depth + 1)
    expected = np.full(shape, INFEASIBLE)
    counts = np.zeros((*shape, max_depth + 1), dtype=np.int16)
    values, labels = levels[0].values, np.zeros(1, dtype=np.int64)
    for depth in range(max_depth + 1):
        if depth < len(levels):
            values, labels = _merge(values, labels, levels, depth, max_budget)
            size = len(values) + 1
            within = np.cumsum(labels[:, None] == np.arange(depth + 1), axis=0)
        expected[1:size, depth] = np.cumsum(values)
        counts[1:size, depth, : within.shape[1]] = within
    return BestFirstTable(expected, _widths(levels, counts), levels, counts)


def _levels(
    acceptance: AcceptanceVector, max_budget: int, max_depth: int, max_branch: int
) -> tuple[Level, ...]:
    """The best max_budget nodes of each level, until a level has none that could be chosen."""
    levels = [Level(np.ones(1), np.full(1, -1), np.zeros(1, dtype=np.int64))]
    ranks = min(max_branch, acceptance.ranks)
    for depth in range(min(max_depth, max_budget - 1)):
        above = levels[-1].values
        parents, kinds = _candidates(len(above), ranks, max_budget)
        values = above[parents] * acceptance.at_depth(depth)[kinds]
        best = np.argsort(-values, kind="stable")[:max_budget]
        levels.append(Level(values[best], parents[best], kinds[best]))
    return tuple(levels)


def _candidates(above: int, ranks: int, max_budget: int) -> tuple[np.ndarray, np.ndarray]:
    """(parent, rank) pairs, in breadth-first order, that can be among the best max_budget.

    Child k of the i-th best parent has (i + 1)(k + 1) - 1 others at least as good before it.
    """
    per_parent = np.minimum(ranks, max_budget // np.arange(1, above + 1))
    parents = np.repeat(np.arange(above), per_parent)
    starts = np.cumsum(per_parent) - per_parent
    return parents, np.arange(len(parents)) - starts[parents]


def _merge(
    values: np.ndarray,
    labels: np.ndarray,
    levels: tuple[Level, ...],
    depth: int,
    max_budget: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Best nodes down to `depth`, best first; on ties the upper level wins, so parents do."""
    if depth == 0:
        return values, labels
    below = levels[depth].values
    joined = np.concatenate([values, below])
    origin = np.concatenate([labels, np.full(len(below), depth)])
    best = np.argsort(-joined, kind="stable")[:max_budget]
    return joined[best], origin[best]


def _widths(levels: tuple[Level, ...], counts: np.ndarray) -> np.ndarray:
    """Nodes with children on each level, [n, d, l]: as many as there are first children below."""
    widths = np.zeros((*counts.shape[:2], counts.shape[2] - 1), dtype=np.int16)
    for depth, level in enumerate(levels[1:]):
        firsts = np.concatenate([[0], np.cumsum(level.ranks == 0)])
        widths[:, :, depth] = firsts[counts[:, :, depth + 1]]
    return widths
