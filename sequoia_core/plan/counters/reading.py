"""What a serving engine's text says about a pair's acceptance."""

from dataclasses import dataclass, field
from typing import Any

from sequoia_core.errors import InputError
from sequoia_core.plan.acceptance import AcceptanceVector
from sequoia_core.plan.counters.mean import constant_rate, rate_error
from sequoia_core.plan.counters.positions import Positions

RULE = "topk"
CHAIN_ONLY = (
    "A tree cannot be planned from chain counters: they say how often the draft's first choice is "
    "accepted and nothing of its second, so every plan from this vector is a chain."
)
OPTIMISTIC = "The errors are binomial and optimistic: positions of one text are not independent."
NO_ERRORS = "The text does not say how many steps its mean is over, so there are no errors."
SHORT_SHARE = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Acceptance by depth as an engine counted it.

    engine: vllm, sglang or llama.cpp. source: which of its texts was read.
    rates: conditional acceptance of the draft's first choice by depth; one if it is a constant.
    standard_errors: of the rates, None if the number of steps is unknown.
    positional: False if only a mean was told and the rate is a constant solved from it.
    beyond: rate and error assumed below the last depth measured; None for a constant.
    steps: target passes with drafted tokens, None if unknown. mean_drafted, mean_accepted: tokens
        a step, the bonus token not counted. requests: texts counted one by one, else 0.
    target: the served model's name, if the text tells it. notes: one sentence each.
    """

    engine: str
    source: str
    rates: tuple[float, ...]
    standard_errors: tuple[float, ...] | None
    positional: bool
    steps: float | None
    mean_drafted: float
    mean_accepted: float
    beyond: tuple[float, float] | None = None
    requests: int = 0
    target: str = ""
    notes: tuple[str, ...] = field(default=())

    @property
    def origin(self) -> str:
        """Where the numbers come from, in one line, for the vector."""
        steps = "steps not stated" if self.steps is None else f"{self.steps:.0f} steps"
        what = "rates by position" if self.positional else "a constant rate solved from the mean"
        return (
            f"{self.source} of {self.engine}: {steps}, {self.mean_accepted:.3f} of "
            f"{self.mean_drafted:.3f} drafted tokens accepted; {what}, first child only"
        )

    def vector(self, *, name: str = "") -> AcceptanceVector:
        """An acceptance vector of one rank and rule topk: by depth, or constant.

        By depth, its last row is the rate assumed below the depths that were measured.
        """
        rates: Any = list(self.rates)
        errors: Any = self.standard_errors and list(self.standard_errors)
        if self.beyond is not None:
            rates = [[rate] for rate in (*rates, self.beyond[0])]
            errors = [[error] for error in (*errors, self.beyond[1])]
        return AcceptanceVector(
            RULE,
            rates,
            standard_errors=errors,
            target=self.target,
            prompts=self.requests,
            origin=self.origin,
            name=name or self.engine,
        )

    def to_dict(self) -> dict[str, Any]:
        """The counts as JSON values, to stand beside the vector in its file."""
        return {
            "engine": self.engine,
            "source": self.source,
            "positional": self.positional,
            "measured_depth": len(self.rates) if self.positional else None,
            "steps": self.steps,
            "mean_drafted": self.mean_drafted,
            "mean_accepted": self.mean_accepted,
            "notes": list(self.notes),
        }


def by_position(engine: str, source: str, counts: Positions, **more: Any) -> Reading:
    """A reading of counts by position; keywords are Reading's: requests, target, notes."""
    depth = len(counts.rates)
    notes = [CHAIN_ONLY, OPTIMISTIC, *_length_notes(counts), *more.pop("notes", ())]
    notes.append(
        f"Below depth {depth} nothing was measured: longer chains are planned at "
        f"{counts.beyond[0]:.4f}, the lower of the last rate and of all positions together; limit "
        f"the plan's depth to {depth} to leave them out."
    )
    return Reading(
        engine=engine,
        source=source,
        rates=tuple(counts.rates),
        standard_errors=tuple(counts.standard_errors),
        positional=True,
        steps=counts.steps,
        mean_drafted=counts.mean_drafted,
        mean_accepted=counts.mean_accepted,
        beyond=counts.beyond,
        notes=tuple(notes),
        **more,
    )


def by_mean(
    engine: str, source: str, accepted: float, drafted: float, steps: float | None, **more: Any
) -> Reading:
    """A reading of means alone: tokens accepted and drafted in a step, over `steps` steps or None.

    Raises InputError if the means contradict each other.
    """
    if steps is not None and steps <= 0:
        raise InputError("No draft was counted (0 drafts): speculative decoding was off.")
    rate = constant_rate(accepted, drafted)
    constant = (
        f"The text tells no positions: {rate:.4f} is the constant rate at which {drafted:.3g} "
        f"drafted tokens have {accepted:.4g} accepted. Acceptance by depth is unknown."
    )
    notes = [CHAIN_ONLY, constant, NO_ERRORS if steps is None else OPTIMISTIC]
    return Reading(
        engine=engine,
        source=source,
        rates=(rate,),
        standard_errors=None if steps is None else (rate_error(rate, drafted, steps),),
        positional=False,
        steps=steps,
        mean_drafted=drafted,
        mean_accepted=accepted,
        notes=(*notes, *more.pop("notes", ())),
        **more,
    )


def _length_notes(counts: Positions) -> list[str]:
    """Say so when short drafts are counted as if their missing tokens had been rejected."""
    # Drafts cut by the end of a text are few; more than that is drafting by varying length.
    if counts.drafted >= (1 - SHORT_SHARE) * counts.slots:
        return []
    return [
        f"Drafts had {counts.mean_drafted:.2f} tokens on average, not "
        f"{counts.slots / counts.steps:.3g}: positions that were not drafted count as rejected, "
        "so the rates of deep positions are too low."
    ]
