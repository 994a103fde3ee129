"""The exact dynamic program over tree sizes and depths, for any acceptance vector.

E_b[n] is the greatest expected tokens of a tree with n nodes whose root has exactly b children,
at most d levels below it: E_b[n] = max over m of E_{b-1}[n - m] + p[b] * best[m, d - 1], where
best = max over b (Sequoia, arXiv 2402.12374v3, algorithm 1 and its depth-limited variant).
A child exists only after its elder siblings, which is why b counts exactly.
"""

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from sequoia_core.plan.acceptance import AcceptanceVector
from sequoia_core.plan.table import INFEASIBLE, PlanTable
from sequoia_core.tree.token_tree import TokenTree

BLOCK = 128


@dataclass(frozen=True, slots=True, eq=False)
class _Choices:
    """Back-pointers of one subtree depth: how the best tree of each size is put together.

    branch: int16 [N + 1], children of the root; last: int16 [ranks + 1, N + 1], nodes in the
    last child's subtree when the root has b children.
    """

    branch: np.ndarray
    last: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class DynamicProgramTable(PlanTable):
    """Trees as back-pointers: choices[row][r] for roots at depth `row` with r levels below."""

    choices: tuple[tuple[_Choices, ...], ...]

    def tree(self, budget: int, depth: int) -> TokenTree:
        """See PlanTable.tree."""
        self.check(budget, depth)
        parents, level, size = [-1], [(0, budget)], 1
        for above in range(depth):
            choices = self.choices[min(above, len(self.choices) - 1)][depth - above]
            level = [(node, share) for node, total in level for share in _shares(choices, total)]
            parents += [node for node, _ in level]
            level = [(size + index, share) for index, (_, share) in enumerate(level)]
            size += len(level)
        return TokenTree(parents)


def dynamic_program_table(
    acceptance: AcceptanceVector, max_budget: int, max_depth: int, max_branch: int
) -> DynamicProgramTable:
    """Optimal trees for all n <= max_budget, d <= max_depth and at most max_branch children."""
    ranks = min(max_branch, acceptance.ranks, max(1, max_budget - 1))
    rows = acceptance.rows[: max(1, max_depth), :ranks]
    values, choices = _solve(rows, max_budget, max_depth)
    return DynamicProgramTable(
        np.stack(values[0], axis=1), _widths(choices, max_budget, max_depth), choices
    )


def _solve(
    rows: np.ndarray, max_budget: int, max_depth: int
) -> tuple[list[list[np.ndarray]], tuple[tuple[_Choices, ...], ...]]:
    """values[row][r]: best expected tokens [N + 1] of subtrees rooted at depth `row`, r deep.

    Below the last row every depth is alike, so the last row's subtrees feed themselves.
    """
    last = len(rows) - 1
    leaf = np.full(max_budget + 1, INFEASIBLE)
    leaf[1] = 1.0
    no_choice = _Choices(
        np.zeros(max_budget + 1, np.int16), np.zeros((1, max_budget + 1), np.int16)
    )
    values = [[leaf] for _ in rows]
    choices = [[no_choice] for _ in rows]
    pruned = [_earlier_as_likely(row) for row in rows]
    for remaining in range(1, max_depth + 1):
        for row in range(min(last, max_depth - remaining), -1, -1):
            below = values[min(row + 1, last)][remaining - 1]
            best, choice = _best_roots(rows[row], pruned[row], below)
            values[row].append(best)
            choices[row].append(choice)
    return values, tuple(tuple(row) for row in choices)


def _earlier_as_likely(row: np.ndarray) -> np.ndarray:
    """For each child, how many elder siblings are at least as likely; int [ranks]."""
    return np.array([int(np.sum(row[:k] >= row[k])) for k in range(len(row))])


def _best_roots(
    row: np.ndarray, elders: np.ndarray, below: np.ndarray
) -> tuple[np.ndarray, _Choices]:
    """One level more: best [N + 1] over the root's child counts, and how it is reached.

    Swapping two siblings' subtrees so that the likelier has the larger one never loses, so child
    b's subtree need be no larger than those of the elder siblings at least as likely as b.
    """
    size = len(below)
    grown = np.full(size, INFEASIBLE)
    grown[1] = 1.0
    best, branch = grown, np.zeros(size, np.int16)
    last = np.zeros((len(row) + 1, size), np.int16)
    largest = int(np.flatnonzero(below > INFEASIBLE)[-1])
    for child, (chance, equals) in enumerate(zip(row, elders, strict=True)):
        gains = np.where(below > INFEASIBLE, 0.0, INFEASIBLE)
        np.multiply(below, chance, out=gains, where=below > INFEASIBLE)
        grown, last[child + 1] = max_plus(grown, gains, share=int(equals) + 1, largest=largest)
        better = grown > best
        best = np.where(better, grown, best)
        branch[better] = child + 1
    return best, _Choices(branch, last)


def max_plus(
    grown: np.ndarray, gains: np.ndarray, *, share: int = 1, largest: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """out[n] = max of grown[n - m] + gains[m] over 1 <= m <= min(largest, (n - 1) / share).

    Returns the maxima, float64 [N + 1], and their m, int16 [N + 1].
    """
    size = len(grown)
    largest = size - 1 if largest is None else largest
    out = np.full(size, INFEASIBLE)
    chosen = np.zeros(size, np.int16)
    # Small blocks waste few sums on sizes that do not exist; few blocks cost few calls.
    block = BLOCK * share
    for start in range(1, size, block):
        stop = min(start + block, size)
        most = min(largest, (stop - 2) // share)
        if most < 1:
            continue
        # Windows hold grown[n - most .. n - 1]; gains run backwards to meet them.
        padded = np.concatenate([np.full(most, INFEASIBLE), grown[:stop]])
        windows = sliding_window_view(padded[start : stop + most - 1], most)
        sums = windows + gains[most:0:-1]
        pick = sums.argmax(axis=1)
        out[start:stop] = sums[np.arange(stop - start), pick]
        chosen[start:stop] = most - pick
    return out, chosen


def _shares(choices: _Choices, total: int) -> list[int]:
    """Sizes of the children's subtrees, in draw order, of the best tree with `total` nodes."""
    shares = []
    for branch in range(int(choices.branch[total]), 0, -1):
        shares.append(int(choices.last[branch, total]))
        total -= shares[-1]
    return shares[::-1]


def _widths(
    choices: tuple[tuple[_Choices, ...], ...], max_budget: int, max_depth: int
) -> np.ndarray:
    """Draft pass widths of every (n, d): the children's, one level down, added up; [n, d, l]."""
    shape = (max_budget + 1, max_depth + 1, max_depth)
    last = len(choices) - 1
    widths = [np.zeros(shape, np.int16) for _ in choices]
    for remaining in range(1, max_depth + 1):
        for row in range(min(last, max_depth - remaining), -1, -1):
            below = widths[min(row + 1, last)][:, remaining - 1, :-1]
            choice = choices[row][remaining]
            total = np.arange(max_budget + 1)
            out = widths[row][:, remaining]
            out[:, 0] = choice.branch > 0
            for branch in range(int(choice.branch.max(initial=0)), 0, -1):
                active = np.flatnonzero(choice.branch >= branch)
                share = choice.last[branch, total[active]]
                out[active, 1:] += below[share]
                total[active] -= share
    return widths[0]
