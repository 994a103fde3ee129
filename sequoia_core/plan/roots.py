"""Roots with one row of chances: their children, grown level after level of the dynamic program.

Most of what a level needs was there before: this keeps track of what has changed since a child's
forests were grown, and leaves out children that cannot pay.
"""

from dataclasses import dataclass

import numpy as np

from sequoia_core.plan.forests import Forests
from sequoia_core.plan.table import INFEASIBLE

# Children are tried if they pay at the price of the largest tree's last nodes made cheaper by this.
CHEAPER = 0.8


@dataclass(slots=True)
class _Stale:
    """What has changed since a child's forests were grown.

    first: smaller forests than this are as the newest level makes them; moved: elders smaller than
    this have not changed since; worse: whether some subtrees have got worse.
    """

    first: int
    moved: int = 1
    worse: bool = True


class Roots:
    """All trees of one row's roots, as forests under them."""

    def __init__(self, row: np.ndarray, max_budget: int) -> None:
        self.row = row[: max(1, max_budget - 1)]
        # Swapping two siblings' subtrees so that the likelier has the larger one never loses, so
        # a child's subtree need be no larger than those of elders at least as likely.
        self.shares = [int(np.sum(row[:k] >= row[k])) + 1 for k in range(len(self.row))]
        self.forests = Forests.bare(len(self.row), max_budget)
        self.stale = [_Stale(2) for _ in self.row]
        self.below = np.full(max_budget + 1, INFEASIBLE)

    def deepen(
        self, below: np.ndarray, first: int, before: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Best values and child counts of sizes from `first` on, when `below` is one level down.

        before: the best values with one level less. From them the number of children that pay is
            guessed; all are tried unless that is proven right.
        Also returns what the last child takes, int16 [children tried + 1, N + 1].
        """
        self._mark(below, first)
        largest = int(np.flatnonzero(below > INFEASIBLE)[-1])
        gains, price = self._gains(below), self._price(before)
        costs = price * self.forests.counts[1 : largest + 1]
        nets = (gains[:, 1 : largest + 1] - costs).max(axis=1)
        children = 1 + int(np.cumsum(nets).argmax())
        self._grow(gains[:children], largest)
        values, branch = self.forests.best(first, children)
        if children < len(gains):
            more = float(np.cumsum(nets[children:]).max())
            if np.any(values < self.forests.extended(children, price, more)[first:]):
                children = len(gains)
                self._grow(gains, largest)
                values, branch = self.forests.best(first, children)
        return values, branch, self.forests.last[: children + 1].copy()

    def _mark(self, below: np.ndarray, first: int) -> None:
        """Take note of what `below` makes stale: forests from `first` nodes on."""
        worse = bool(np.any(below < self.below))
        for stale in self.stale:
            stale.first, stale.worse = min(stale.first, first), stale.worse or worse
        self.below = below

    def _gains(self, below: np.ndarray) -> np.ndarray:
        """What each child adds by the size of its subtree, [ranks, N + 1]; -inf if none has it."""
        feasible = below > INFEASIBLE
        gains = np.multiply.outer(self.row, np.where(feasible, below, 0.0))
        gains[:, ~feasible] = INFEASIBLE
        return gains

    def _price(self, before: np.ndarray) -> float:
        """Less than what the last nodes of the largest tree are worth; zero if there is none."""
        span = max(1, (len(before) - 1) // 8)
        if before[-1 - span] == INFEASIBLE or before[-1] == INFEASIBLE:
            return 0.0
        return CHEAPER * float(before[-1] - before[-1 - span]) / span

    def _grow(self, gains: np.ndarray, largest: int) -> None:
        """As many children as there are gains, where their forests are stale."""
        unchanged = self.forests.max_budget + 1
        for child, gain in enumerate(gains, start=1):
            stale, share = self.stale[child - 1], self.shares[child - 1]
            known = None if stale.worse else stale.moved
            moved = self.forests.grow(
                child, gain, first=stale.first, share=share, largest=largest, moved=known
            )
            self.stale[child - 1] = _Stale(unchanged, unchanged, worse=False)
            if child < len(self.stale):
                self.stale[child].moved = min(self.stale[child].moved, moved)
