"""How large subtrees can get in the best trees: proofs from the dual of the dynamic program.

With a price s per node instead of a budget, children do not compete for nodes, and the recursion
is a plain sum: dual(s) = 1 - s + max(0, max over b of sum over k < b of p[k] dual_below(s / p[k])).
Then E[n] <= dual(s) + s n for every size n and price s. Deep in a tree of a given budget only
small subtrees pay; these bounds say how small, and prove it.
"""

import numpy as np

# Prices fall by a constant factor, so that s / p[k] lies equally far from its neighbours for all
# s; a dual is convex, so chords between prices lie above it. The last price is zero.
FACTOR, STEPS = 1.12, 144
PRICES = np.append(FACTOR ** -np.arange(float(STEPS)), 0.0)


class SubtreeBounds:
    """Duals of subtrees with r levels rooted at depth `row`, as [row, r, price].

    rows: float64 [rows, ranks], children's chances by the parent's depth; the last row goes on.
    """

    def __init__(self, rows: np.ndarray, max_depth: int) -> None:
        self.rows = rows
        with np.errstate(divide="ignore"):
            ahead = np.minimum(-np.log(rows) / np.log(FACTOR), STEPS)
        place = np.arange(STEPS) - ahead[:, :, None]
        # Above a price of one per node nothing but the root pays.
        self._dear = place < 0
        self._upper = np.clip(np.floor(place), 0, STEPS - 1).astype(np.intp)
        self._weight = (FACTOR ** -(place - np.floor(place)) - 1 / FACTOR) / (1 - 1 / FACTOR)
        self.duals = np.zeros((len(rows), max_depth + 1, STEPS + 1))
        self.duals[:, 0] = 1 - PRICES
        for remaining in range(1, max_depth + 1):
            reached = np.arange(min(len(rows), max_depth - remaining + 1))
            worth = np.cumsum(self._children(reached, remaining), axis=1).max(axis=1)
            self.duals[reached, remaining] = 1 - PRICES + np.maximum(worth, 0)

    def likely_sizes(self, max_budget: int, slack: float) -> list[int]:
        """For each row, how large subtrees there may get: a guess, `slack` shares above its mean.

        From row to row, the price of the largest tree goes over to its likeliest child.
        """
        sizes = [max_budget]
        levels = self.duals.shape[1]
        for row in range(len(self.rows) - 1):
            likeliest = self.rows[row].max()
            largest = 1.0
            for remaining in range(1, levels - row):
                price = PRICES[np.argmin(self.duals[row, remaining] + PRICES * sizes[-1])]
                if price < likeliest:
                    size = self._size(row + 1, remaining - 1, price / likeliest)
                    largest = max(largest, size)
            sizes.append(min(max_budget, int(largest * (1 + slack) + 80 * slack) + 8))
        return sizes

    def proven(self, row: int, remaining: int, known: int, values: np.ndarray) -> int:
        """The size up to which `values` are right though they miss all larger subtrees.

        values: float64 [N + 1], the best of trees whose root's subtrees have at most `known`
            nodes. Any other tree of n nodes is worth at most s n + the sum of its children's
            duals, one of which is replaced by the bound on subtrees of more than `known` nodes.
        """
        reached = np.array([row])
        duals = self._children(reached, remaining)[0]
        below = self.duals[min(row + 1, len(self.rows) - 1), remaining - 1]
        tangent = np.argmin(below + PRICES * (known + 1))
        chances = self.rows[row][:, None]
        smallest = chances * (below[tangent] + PRICES[tangent] * (known + 1)) - PRICES * (known + 1)
        # Where a node costs less than the tangent gives, still larger subtrees may pay.
        large = np.where(chances * PRICES[tangent] <= PRICES, smallest, duals)
        lost = np.maximum.accumulate(np.minimum(large - duals, 0), axis=0)
        most = 1 - PRICES + (np.cumsum(duals, axis=0) + lost).max(axis=0)
        sizes = np.arange(known + 2, len(values))
        bounds = (most + np.multiply.outer(sizes, PRICES)).min(axis=1)
        doubtful = np.flatnonzero(values[known + 2 :] < bounds)
        return int(sizes[doubtful[0]]) - 1 if len(doubtful) else len(values) - 1

    def _children(self, rows: np.ndarray, remaining: int) -> np.ndarray:
        """p[k] dual_below(s / p[k]) for roots at these depths, [rows, ranks, prices]."""
        below = self.duals[np.minimum(rows + 1, len(self.rows) - 1), remaining - 1]
        chances, upper, weight = self.rows[rows], self._upper[rows], self._weight[rows]
        root = np.arange(len(rows))[:, None, None]
        chord = weight * below[root, upper] + (1 - weight) * below[root, upper + 1]
        alone = chances[:, :, None] - PRICES[:-1]
        duals = np.where(self._dear[rows], alone, chances[:, :, None] * chord)
        return np.concatenate([duals, chances[:, :, None] * below[:, None, -1:]], axis=2)

    def _size(self, row: int, remaining: int, price: float) -> float:
        """Nodes of the best tree at a price per node: how fast the dual falls there."""
        place = min(STEPS, int(np.searchsorted(-PRICES, -price, side="right"))) - 1
        dual = self.duals[row, remaining]
        return float((dual[place + 1] - dual[place]) / (PRICES[place] - PRICES[place + 1]))
