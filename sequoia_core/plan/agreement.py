"""How far two hardware profiles are apart: a model from a measurement, or one measurement from
another of the same machine.
"""

from dataclasses import dataclass
from statistics import median

from sequoia_core.plan.hardware import HardwareProfile, interpolate
from sequoia_core.plan.measurement import MODELS, NOISE_LIMIT


@dataclass(frozen=True, slots=True)
class Difference:
    """How far the other profile's passes are from one's, at the sizes that one has.

    Errors are other / one - 1. median: of their sizes without sign. worst: the one farthest from
    0, at worst_tokens. sizes: how many were compared.
    """

    model: str
    median: float
    worst: float
    worst_tokens: int
    sizes: int

    @property
    def words(self) -> str:
        """One clause: "target 12 % at the median, at worst -41 % (1,024 tokens)"."""
        return (
            f"{self.model} {self.median:.0%} at the median, at worst {self.worst:+.0%} "
            f"({self.worst_tokens:,} token{'s' * (self.worst_tokens > 1)})"
        )


def difference(one: HardwareProfile, other: HardwareProfile, model: str) -> Difference:
    """The `model`'s passes of `other` against those of `one`, where both know them.

    Sizes are those that `one` was measured at, up to the other's last; its first where that leaves
    none.
    """
    curve, rival = (getattr(profile, f"{model}_seconds") for profile in (one, other))
    shared = [point for point in curve if point[0] <= rival[-1][0]] or [curve[0]]
    errors = {n: interpolate(rival, n) / seconds - 1 for n, seconds in shared}
    worst = max(errors, key=lambda n: abs(errors[n]))
    return Difference(model, median(map(abs, errors.values())), errors[worst], worst, len(errors))


@dataclass(frozen=True, slots=True)
class Agreement:
    """Two measurements of one machine: by how much target and draft differ."""

    target: Difference
    draft: Difference

    @property
    def agrees(self) -> bool:
        """Within what repeated measurements may differ by, for both models."""
        return max(self.target.median, self.draft.median) <= NOISE_LIMIT

    @property
    def words(self) -> str:
        """A sentence or two: by how much, and what that means."""
        both = f"{self.target.words}; {self.draft.words}"
        if self.agrees:
            return f"Both were measured on the same machine with the same pair, and agree: {both}."
        return (
            f"Both were measured on the same machine with the same pair, but do not agree: {both}. "
            "One of them was disturbed, or the machine has changed: measure again."
        )


def agreement(one: HardwareProfile, other: HardwareProfile) -> Agreement | None:
    """How well two measurements of the same machine agree; None where they are not that.

    The same are device, dtype, models and context length.
    """
    facts = ("origin", "device", "dtype", "target_model", "draft_model", "context_length")
    same = all(getattr(one, fact) == getattr(other, fact) for fact in facts)
    if not same or one.origin != "measured":
        return None
    return Agreement(*(difference(one, other, model) for model in MODELS))
