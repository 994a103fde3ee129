"""The exact dynamic program over tree sizes and depths, for any acceptance vector.

E_b[n] is the greatest expected tokens of a tree with n nodes whose root has exactly b children,
at most d levels below it: E_b[n] = max over m of E_{b-1}[n - m] + p[b] * best[m, d - 1], where
best = max over b (Sequoia, arXiv 2402.12374v3, algorithm 1 and its depth-limited variant).
A child exists only after its elder siblings, which is why b counts exactly.
"""

from dataclasses import dataclass, replace

import numpy as np

from sequoia_core.plan.acceptance import AcceptanceVector
from sequoia_core.plan.bounds import SubtreeBounds
from sequoia_core.plan.forests import Forests
from sequoia_core.plan.table import INFEASIBLE, PlanTable
from sequoia_core.tree.token_tree import TokenTree

# How far above the likely sizes of deep subtrees to look, until a proof succeeds.
SLACKS = (0.03, 0.15, 0.6)
# Work goes with the square of the sizes: above this share of it, limits are not worth a failure.
WORTH_LIMITING = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class _Choices:
    """Back-pointers of one subtree depth: how the best tree of each size is put together.

    branch: int16 [N + 1], children of the root; last: int16 [ranks + 1, N + 1], nodes in the
    last child's subtree when the root has b children; first: trees smaller than this are those
    of one level less.
    """

    branch: np.ndarray
    last: np.ndarray
    first: int


@dataclass(frozen=True, slots=True, eq=False)
class DynamicProgramTable(PlanTable):
    """Trees as back-pointers: choices[row][r] for roots at depth `row` with r levels below."""

    choices: tuple[tuple[_Choices, ...], ...]

    def tree(self, budget: int, depth: int) -> TokenTree:
        """See PlanTable.tree."""
        self.check(budget, depth)
        parents, level, size = [-1], [(0, budget, depth)], 1
        for above in range(depth):
            row = self.choices[min(above, len(self.choices) - 1)]
            level = [
                (node, share, remaining)
                for node, total, levels in level
                for share, remaining in _shares(row, total, levels)
            ]
            parents += [node for node, _, _ in level]
            level = [(size + index, *entry[1:]) for index, entry in enumerate(level)]
            size += len(level)
        return TokenTree(parents)


def dynamic_program_table(
    acceptance: AcceptanceVector, max_budget: int, max_depth: int, max_branch: int
) -> DynamicProgramTable:
    """Optimal trees for all n <= max_budget, d <= max_depth and at most max_branch children."""
    ranks = min(max_branch, acceptance.ranks, max(1, max_budget - 1))
    rows = acceptance.rows[: max(1, max_depth), :ranks]
    solver = _solve(rows, max_budget, max_depth)
    choices = tuple(tuple(row) for row in solver.choices)
    expected = np.stack(solver.values[0], axis=1)
    return DynamicProgramTable(expected, _widths(choices, max_depth), choices)


def _solve(rows: np.ndarray, max_budget: int, max_depth: int) -> "_Solver":
    """All budgets and depths for row 0, and what they need of the rows below it.

    Deep rows are solved for small subtrees only. If it cannot be proven that larger ones would
    gain nothing, the limits are raised.
    """
    if len(rows) > 1:
        bounds = SubtreeBounds(rows, max_depth)
        for slack in SLACKS:
            limits = bounds.likely_sizes(max_budget, slack)
            if np.square(limits).mean() < WORTH_LIMITING * max_budget**2:
                solver = _Solver(rows, limits, max_depth, bounds)
                if solver.run():
                    return solver
    # A node at depth `row` has at least that many above it.
    limits = [max(1, max_budget - row) for row in range(len(rows))]
    solver = _Solver(rows, limits, max_depth)
    solver.run()
    return solver


class _Solver:
    """One run of the recurrence, for subtrees of at most limits[row] nodes at depth `row`.

    Below the last row every depth is alike, so the last row's subtrees feed themselves.
    values[row][r]: best expected tokens of subtrees with r levels below their root, float64
    [limit + 1]; choices: how they are made; exact: up to which size the values are right.
    """

    def __init__(
        self,
        rows: np.ndarray,
        limits: list[int],
        max_depth: int,
        bounds: SubtreeBounds | None = None,
    ) -> None:
        self.limits, self.max_depth, self.bounds = limits, max_depth, bounds
        self.roots = [_Roots(row, limit) for row, limit in zip(rows, limits, strict=True)]
        self.values = [[_leaf(limit)] for limit in limits]
        self.choices = [[_no_choice(limit)] for limit in limits]
        self.exact = [[limit] for limit in limits]
        # Nodes of the full tree: nothing larger needs a proof that it does not help.
        self.full = [1]
        for _ in range(max_depth):
            self.full.append(min(limits[0], 1 + rows.shape[1] * self.full[-1]))

    def run(self) -> bool:
        """Solve all rows, deepest levels first; False once row 0 is in doubt."""
        for remaining in range(1, self.max_depth + 1):
            for row in range(min(len(self.limits), self.max_depth - remaining + 1) - 1, -1, -1):
                self._deepen(row, remaining)
            if self.exact[0][-1] < self.limits[0]:
                return False
        return True

    def _deepen(self, row: int, remaining: int) -> None:
        """One level more for the subtrees rooted at depth `row`."""
        limit, choice, best = self.limits[row], self.choices[row][-1], self.values[row][-1]
        below = self._below(row, remaining - 1)
        first = 2
        if remaining > 1:
            first = _first_change(below, self._below(row, remaining - 2))
        if first > limit:
            choice = replace(choice, first=first)
        else:
            best, branch = best.copy(), choice.branch.copy()
            best[first:], branch[first:] = self.roots[row].deepen(below, first)
            choice = _Choices(branch, self.roots[row].forests.last.copy(), first)
        self.values[row].append(best)
        self.choices[row].append(choice)
        self.exact[row].append(self._exact(row, remaining))

    def _below(self, row: int, remaining: int) -> np.ndarray:
        """What subtrees one level down are worth, as far as that is known; [limits[row] + 1]."""
        under = min(row + 1, len(self.limits) - 1)
        known = min(self.exact[under][remaining], self.limits[row])
        below = np.full(self.limits[row] + 1, INFEASIBLE)
        below[: known + 1] = self.values[under][remaining][: known + 1]
        return below

    def _exact(self, row: int, remaining: int) -> int:
        """Up to which size the newest values are right."""
        limit = self.limits[row]
        known = self.exact[min(row + 1, len(self.limits) - 1)][remaining - 1]
        if self.bounds is None or known >= min(limit - 1, self.full[remaining - 1]):
            return limit
        reach = min(limit, self.full[remaining])
        proven = self.bounds.proven(row, remaining, known, self.values[row][-1][: reach + 1])
        return limit if proven == reach else proven


def _leaf(limit: int) -> np.ndarray:
    """Worth of trees without a level left, by size: a node alone."""
    values = np.full(limit + 1, INFEASIBLE)
    values[1] = 1.0
    return values


def _no_choice(limit: int) -> _Choices:
    return _Choices(np.zeros(limit + 1, np.int16), np.zeros((1, limit + 1), np.int16), limit + 1)


def _first_change(deepest: np.ndarray, before: np.ndarray) -> int:
    """The smallest tree that may differ when its subtrees are `deepest` instead of `before`.

    A tree of n nodes has subtrees of at most n - 1, so sizes up to the first that differs, and
    with them all forests of these sizes, stay as they are.
    """
    same = deepest == before
    return len(same) if same.all() else int(same.argmin()) + 1


class _Roots:
    """Roots with one row of chances, and the forests under them, level after level."""

    def __init__(self, row: np.ndarray, max_budget: int) -> None:
        self.row = row[: max(1, max_budget - 1)]
        # Swapping two siblings' subtrees so that the likelier has the larger one never loses, so
        # a child's subtree need be no larger than those of elders at least as likely.
        self.shares = [int(np.sum(row[:k] >= row[k])) + 1 for k in range(len(self.row))]
        self.forests = Forests.bare(len(self.row), max_budget)

    def deepen(self, below: np.ndarray, first: int) -> tuple[np.ndarray, np.ndarray]:
        """Best values and child counts of sizes from `first` on, when `below` is one level down."""
        feasible = below > INFEASIBLE
        gains = np.multiply.outer(self.row, np.where(feasible, below, 0.0))
        gains[:, ~feasible] = INFEASIBLE
        largest = int(np.flatnonzero(feasible)[-1])
        for child, (gain, share) in enumerate(zip(gains, self.shares, strict=True), start=1):
            self.forests.grow(child, gain, first=first, share=share, largest=largest)
        return self.forests.best(first)


def _shares(row: tuple[_Choices, ...], total: int, remaining: int) -> list[tuple[int, int]]:
    """(nodes, levels left) of the children's subtrees, in draw order, of the best tree."""
    while total < row[remaining].first and remaining:
        remaining -= 1
    choices, shares = row[remaining], []
    for branch in range(int(choices.branch[total]), 0, -1):
        shares.append((int(choices.last[branch, total]), remaining - 1))
        total -= shares[-1][0]
    return shares[::-1]


def _widths(choices: tuple[tuple[_Choices, ...], ...], max_depth: int) -> np.ndarray:
    """Draft pass widths of every (n, d): the children's, one level down, added up; [n, d, l]."""
    last = len(choices) - 1
    widths = [np.zeros((max_depth + 1, len(row[0].branch), max_depth), np.int16) for row in choices]
    for row, remaining, takes in reversed(_takes_in_use(choices, max_depth)):
        below = widths[min(row + 1, last)][remaining - 1]
        out = widths[row][remaining]
        out[: takes.first] = widths[row][remaining - 1, : takes.first]
        out[takes.sizes, 0] = 1
        for sizes, shares in takes.children:
            out[sizes, 1:remaining] += below[shares, : remaining - 1]
    return np.ascontiguousarray(widths[0].transpose(1, 0, 2))


@dataclass(frozen=True, slots=True, eq=False)
class _Takes:
    """What the children of some best trees take: pairs (sizes, shares), one for each child.

    first: smaller trees are those of one level less; sizes: the trees from `first` on in use.
    """

    first: int
    sizes: np.ndarray
    children: list[tuple[np.ndarray, np.ndarray]]


def _takes_in_use(
    choices: tuple[tuple[_Choices, ...], ...], max_depth: int
) -> list[tuple[int, int, _Takes]]:
    """(row, remaining, takes) for the subtrees that the trees of row 0 are made of, top down.

    Deep in a tree only small subtrees occur, so most sizes need no widths there.
    """
    last = len(choices) - 1
    used = [np.zeros((max_depth + 1, len(row[0].branch)), bool) for row in choices]
    used[0][:] = True
    found = []
    for remaining in range(max_depth, 0, -1):
        for row in range(min(last, max_depth - remaining) + 1):
            choice, wanted = choices[row][remaining], used[row][remaining]
            first = choice.first
            used[row][remaining - 1, :first] |= wanted[:first]
            takes = _takes(choice, first, first + np.flatnonzero(wanted[first:]))
            for _, shares in takes.children:
                used[min(row + 1, last)][remaining - 1, shares] = True
            found.append((row, remaining, takes))
    return found


def _takes(choice: _Choices, first: int, sizes: np.ndarray) -> _Takes:
    """What each child takes of trees of these sizes, the youngest child first."""
    branch = choice.branch[sizes]
    # With the most children first, those that have another child are always the first ones.
    order = np.argsort(-branch, kind="stable")[: np.count_nonzero(branch)]
    sizes, branch = sizes[order], branch[order]
    total, children = sizes.copy(), []
    for child in range(int(branch.max(initial=0)), 0, -1):
        active = np.searchsorted(-branch, -child, side="right")
        shares = choice.last[child, total[:active]]
        children.append((sizes[:active], shares))
        total[:active] -= shares
    return _Takes(first, sizes, children)
