"""The best tree on a modelled machine, and how far the assumptions can move its speedup."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from sequoia_core.plan.acceptance import AcceptanceVector
from sequoia_core.plan.cost import CostModel
from sequoia_core.plan.gpu import Efficiency, efficiency
from sequoia_core.plan.hardware import HardwareProfile
from sequoia_core.plan.modelled import Modelled, profile_with, relevant_parts
from sequoia_core.plan.optimizer import make_plan
from sequoia_core.plan.plan import Plan

ENDS = ("best", "worst")


@dataclass(frozen=True, slots=True, eq=False)
class PlanRange:
    """The plan for the typical profile, and its tree's speedup at every corner of the ranges.

    low, high: the extremes over all ways of putting each assumed part at one of its two ends.
    Parts are free of each other there, so this is wider than the profile's own best and worst,
    which move target and draft together and leave their ratio almost alone.
    """

    plan: Plan
    low: float
    high: float

    def to_dict(self) -> dict[str, Any]:
        """What a command prints: the tree's sizes, its speedup, and between what it lies."""
        chain = self.plan.best_chain
        return {
            "budget": self.plan.budget,
            "depth": self.plan.depth,
            "speedup": self.plan.speedup,
            "speedup_low": self.low,
            "speedup_high": self.high,
            "chain_speedup": chain.speedup if chain else None,
            "verdict": self.plan.verdict.to_dict(),
        }


def plan_range(
    modelled: Modelled, acceptance: AcceptanceVector, *, batch_size: int = 1, **limits: Any
) -> PlanRange:
    """Plan for the typical profile, then price that tree on every corner.

    limits: as make_plan takes them. Raises InputError as make_plan does.
    """
    plan = make_plan(acceptance, modelled.profile, batch_size=batch_size, **limits)
    speedups = [plan.speedup]
    for profile in _corners(modelled):
        cost = CostModel(profile, batch_size)
        speedups.append(float(cost.speedup(plan.expected_tokens, cost.tree_seconds(plan.tree))))
    return PlanRange(plan, min(speedups), max(speedups))


def _corners(modelled: Modelled) -> Iterator[HardwareProfile]:
    """The pair's profile with every part that matters at one end or the other."""
    ends = [efficiency(case) for case in ENDS]
    matter = relevant_parts(modelled.target, modelled.draft, modelled.machine)
    parts = [part for part in matter if part not in modelled.assumed]
    for chosen in itertools.product(ends, repeat=len(parts)):
        values = {part: getattr(end, part) for part, end in zip(parts, chosen, strict=True)}
        reached: Efficiency = replace(modelled.machine.efficiency, **values)
        yield profile_with(modelled, reached)
