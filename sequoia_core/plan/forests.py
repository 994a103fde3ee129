"""Forests under one root, grown child by child: the max-plus step of the dynamic program.

Adding a child to forests of all sizes is out[n] = max over m of elders[n - m] + gains[m]. Windows
over the elders' values make it sums and maxima of whole blocks; the range of m is cut where a
straight line over the rest proves that nothing beyond can win.
"""

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from sequoia_core.plan.table import INFEASIBLE

# Sums in a block: few enough for a core's own cache, many enough to pay for the call.
BLOCK_SUMS, BLOCK_SIZES = 65536, 32
# Sums that must be saved before a cut range is tried: what trying and proving it costs.
WORTH_CUTTING = 100000
# Nodes over which slopes are taken, so that single steps do not mislead the guess.
SPAN = 8


@dataclass(frozen=True, slots=True, eq=False)
class Forests:
    """The best forests with exactly b children under the root, for all b and all sizes.

    values: float64 [ranks + 1, 2N + 1]; values[b, N - n] is the greatest expected tokens of n
        nodes, the root among them, -inf if there is no such forest. Sizes run backwards and -inf
        follows, so the window from N - n + 1 on holds what the elders are worth when the last
        child takes 1, 2, 3 ... of n nodes.
    windows: all windows of N entries, [ranks + 1, N + 2, N]; a view.
    last: int16 [ranks + 1, N + 1], nodes in the last child's subtree.
    sums: room for a block's sums; made once, since fresh memory costs more than the sums.
    counts: 0 to N.
    """

    values: np.ndarray
    windows: np.ndarray
    last: np.ndarray
    sums: np.ndarray
    counts: np.ndarray

    @classmethod
    def bare(cls, ranks: int, max_budget: int) -> "Forests":
        """The root alone; forests with children are still to be grown."""
        values = np.full((ranks + 1, 2 * max_budget + 1), INFEASIBLE)
        values[0, max_budget - 1] = 1.0
        windows = sliding_window_view(values, max_budget, axis=1)
        last = np.zeros((ranks + 1, max_budget + 1), np.int16)
        sums = np.empty(max(BLOCK_SUMS, BLOCK_SIZES * max_budget))
        return cls(values, windows, last, sums, np.arange(max_budget + 1))

    @property
    def max_budget(self) -> int:
        return self.last.shape[1] - 1

    def grow(self, child: int, gains: np.ndarray, *, first: int, share: int, largest: int) -> None:
        """Give the forests of size `first` and more their child number `child`, from 1 on.

        gains: float64 [N + 1], what the child adds by the size of its subtree, -inf if none has
            that size; none does beyond `largest`.
        share: the child takes at most (n - 1) / share of n nodes.
        Smaller forests keep what they have; the elders must be grown already.
        """
        first = max(first, child + 1)
        if first > self.max_budget:
            return
        most = min(largest, (self.max_budget - 1) // share)
        enough = self._guess(child, gains, most, self.max_budget + 1 - first)
        self._scan(child, gains, (first, self.max_budget + 1), share, enough)
        if enough < most:
            doubtful = self._unproven(child, gains, max(first, enough + 2), enough, most)
            self._scan(child, gains, doubtful, share, most)

    def best(self, first: int) -> tuple[np.ndarray, np.ndarray]:
        """Over the child counts, for sizes from `first` on: what is best, and its child count."""
        values = self.values[:, : self.max_budget - first + 1]
        branch = values.argmax(axis=0)
        return values[branch, np.arange(values.shape[1])][::-1], branch[::-1]

    def _scan(
        self, child: int, gains: np.ndarray, sizes: tuple[int, int], share: int, most: int
    ) -> None:
        """Try all m <= min(most, (n - 1) / share) for the sizes from sizes[0] to before sizes[1].

        Of equal sums the one with the smallest m is taken.
        """
        windows, budget = self.windows[child - 1], self.max_budget
        start, end = sizes
        while start < end:
            # A block scans what its largest size may take, so blocks of early children are short.
            longest = min(end - start, 4 * BLOCK_SIZES * share)
            widest = max(1, min(most, (start + longest - 2) // share))
            stop = min(end, start + max(BLOCK_SIZES, min(longest, BLOCK_SUMS // widest)))
            width = min(most, (stop - 2) // share)
            if width > 0:
                rows = stop - start
                sums = self.sums[: rows * width].reshape(rows, width)
                elders = windows[budget - stop + 2 : budget - start + 2, :width]
                np.add(elders, gains[1 : width + 1], out=sums)
                pick = sums.argmax(axis=1)
                best = self.sums[pick + self.counts[:rows] * width]
                self.values[child, budget - stop + 1 : budget - start + 1] = best
                self.last[child, start:stop] = pick[::-1] + 1
            start = stop

    def _guess(self, child: int, gains: np.ndarray, most: int, sizes: int) -> int:
        """How large a subtree is likely to be of use: where it grows slower than its elders would.

        Returns `most` if a cut would not save enough. A child that is never accepted needs one.
        """
        if gains[1] == gains[most]:
            return 1
        if most * sizes < WORTH_CUTTING or most <= SPAN:
            return most
        elders = self.values[child - 1]
        near, far = slice(SPAN + 1, most + 1), slice(2 * SPAN + 1, most + SPAN + 1)
        with np.errstate(invalid="ignore"):
            grows = gains[near] - gains[1 : most + 1 - SPAN] >= elders[near] - elders[far]
        enough = most - int(grows[::-1].argmax())
        enough += enough // 8 + SPAN
        return enough if (most - enough) * sizes >= WORTH_CUTTING else most

    def _unproven(
        self, child: int, gains: np.ndarray, first: int, enough: int, most: int
    ) -> tuple[int, int]:
        """Sizes from `first` on that enough < m <= most might still improve, as a range.

        With any slope s, elders[n - m] + gains[m] <= s n + max over x < n - enough of
        (elders[x] - s x) + max over m > enough of (gains[m] - s m). With the slope of the largest
        forests that is below what has been found, unless the guess was wrong.
        """
        budget = self.max_budget
        found, elders = self.values[child, : budget - first + 1], self.values[child - 1]
        span = min(32, len(found) - 1)
        with np.errstate(invalid="ignore"):
            slope = (found[0] - found[span]) / max(span, 1)
        if not np.isfinite(slope):
            return first, budget + 1
        steps = slope * self.counts
        left = elders[enough + 1 : budget] + steps[enough + 1 : budget]
        left = np.maximum.accumulate(left[::-1])[::-1][: len(found)]
        rest = (gains[enough + 1 : most + 1] - steps[enough + 1 : most + 1]).max()
        doubtful = found < left - steps[: len(found)] + rest
        if not doubtful.any():
            return first, first
        doubtful = np.flatnonzero(doubtful)
        return budget - int(doubtful[-1]), budget - int(doubtful[0]) + 1
