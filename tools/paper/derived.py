"""Hardware constants that the paper's tables imply; the paper prints none of them.

Tokens per step over speedup is the cost of a step in plain tokens: t(n) + levels * c by the
paper's formula (section 4.1). Rows of one block share n, so t and c are a straight line's
intercept and slope. Whatever else a step costs (sampling, verification) is inside t: these are
ceilings on the target's own time.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sequoia_core.plan.cost import CostModel
from sequoia_core.plan.hardware import HardwareProfile
from tools.paper.published import Result


@dataclass(frozen=True, slots=True)
class Costs:
    """t: target pass of `size` tokens, c: one draft pass, both in plain tokens' time.

    t_bound, c_bound: how far rounding of the printed digits alone can move them.
    """

    size: int
    t: float
    c: float
    t_bound: float
    c_bound: float

    def profile(self) -> HardwareProfile:
        """The constants as a profile, in units of a plain token's time.

        The reference drafts once per level, leaves included, and so does the line that was
        fitted; the cost model drafts levels - 1 times. The pass between them is overhead here.
        """
        return HardwareProfile(
            device="derived from the paper's tables",
            target_seconds=((1, 1.0), (self.size, self.t)),
            draft_seconds=((1, self.c),),
            overhead_seconds=self.c,
            origin="derived",
            basis="least squares of tokens / speedup on levels, arXiv 2402.12374v3",
        )

    def speedup(self, tokens: float, size: int, levels: int) -> float:
        """Speedup of a step of `tokens` with `levels` levels, by the project's cost model."""
        cost = CostModel(self.profile())
        seconds = cost.seconds(np.array(size), np.ones(levels - 1, dtype=int))
        return float(cost.speedup(np.array(tokens), seconds))


def fit_costs(rows: Sequence[Result]) -> Costs:
    """Least squares of tokens / speedup on levels; the rows must differ in levels."""
    levels = np.array([row.levels for row in rows], dtype=float)
    costs = np.array([row.cost for row in rows])
    away = levels - levels.mean()
    slope = away / np.sum(away**2)
    intercept = 1 / len(rows) - levels.mean() * slope
    rounding = np.array([_rounding(row.cost, row.tokens, row.speedup, row) for row in rows])
    return Costs(
        size=rows[0].size,
        t=float(intercept @ costs),
        c=float(slope @ costs),
        t_bound=float(np.abs(intercept) @ rounding),
        c_bound=float(np.abs(slope) @ rounding),
    )


def offload_costs(row: Result, rival_levels: int) -> Costs:
    """t and c of an offload row, from Sequoia's step and SpecInfer's; both verify 768 tokens.

    Two numbers from two: nothing is left over to check them, and both methods are taken to have
    the same overhead.
    """
    apart = rival_levels - row.levels
    c = (row.rival_cost - row.cost) / apart
    own = _rounding(row.cost, row.tokens, row.speedup, row)
    rival = _rounding(row.rival_cost, row.rival_tokens, row.rival_speedup, row)
    return Costs(
        size=row.size,
        t=row.cost - row.levels * c,
        c=c,
        t_bound=(own * rival_levels + rival * row.levels) / apart,
        c_bound=(own + rival) / apart,
    )


def baseline_milliseconds(rows: Sequence[Result]) -> float | None:
    """Plain decoding's milliseconds a token, time between tokens * speedup; None if unprinted."""
    products = [row.milliseconds * row.speedup for row in rows if row.milliseconds]
    return float(np.mean(products)) if products else None


def _rounding(cost: float, tokens: float, speedup: float, row: Result) -> float:
    """How far printing rounded digits can have moved tokens / speedup."""
    return cost * (0.005 / tokens + row.half_step / speedup)
