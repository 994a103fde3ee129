"""SpecInfer's grid (tables 5 and 6): what two fitted numbers explain of its 30 speedups.

A child is accepted with chance a where it is the only one; of w children none is with chance
(1 - a) / w^b, the power law of the paper's definition 3.5 scaled to begin at 1 - a. That fixes
the expected tokens of w chains of depth d; the time of a step comes from table 1's derived
constants, with t(n) drawn straight from n = 1 to n = 128. Only a and b are fitted to the grid.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sequoia_core.plan.acceptance import AcceptanceVector
from sequoia_core.plan.expected import expected_tokens
from sequoia_core.tree.families import chains
from tools.paper.derived import Costs
from tools.paper.published import Cell
from tools.paper.vectors import power_law

FIRST = np.arange(0.30, 0.95, 0.005)
FALL = np.arange(0.05, 2.0, 0.005)
WIDEST = 128


@dataclass(frozen=True, slots=True)
class GridModel:
    """first: a, a single child's acceptance. fall: b. error: root mean square, relative."""

    costs: Costs
    first: float
    fall: float
    error: float

    def acceptance(self) -> AcceptanceVector:
        """The fitted vector, 128 ranks."""
        return power_law(self.first, self.fall, WIDEST, "specinfer")

    def tokens(self, width: int, depth: int) -> float:
        """Expected tokens of `width` chains, by the project's own tree and sum."""
        return expected_tokens(chains(width, depth), self.acceptance())

    def speedup(self, width: int, depth: int) -> float:
        """Speedup of `width` chains of `depth`, by the project's cost model."""
        size = 1 + width * depth
        return self.costs.speedup(self.tokens(width, depth), size, depth + 1)


def fit_grid(cells: Sequence[Cell], costs: Costs) -> GridModel:
    """The pair (a, b) with the least mean square relative error, on a fine lattice."""
    width = np.array([cell.width for cell in cells], dtype=float)
    depth = np.array([cell.depth for cell in cells], dtype=float)
    speedup = np.array([cell.speedup for cell in cells])
    seconds = 1 + (costs.t - 1) * width * depth / (costs.size - 1) + costs.c * (depth + 1)
    a, b = FIRST[:, None, None], FALL[None, :, None]
    tokens = 1 + (1 - (1 - a) * width**-b) * (1 - a**depth) / (1 - a)
    errors = np.mean((tokens / (seconds * speedup) - 1) ** 2, axis=-1)
    row, column = np.unravel_index(errors.argmin(), errors.shape)
    return GridModel(
        costs, float(FIRST[row]), float(FALL[column]), float(np.sqrt(errors[row, column]))
    )
