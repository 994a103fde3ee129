"""What a comparison would run and how long it would take, before any model is touched."""

from collections.abc import Sequence
from dataclasses import dataclass

from sequoia_core.errors import InputError
from sequoia_core.measure.comparison import (
    ASSISTANT_TOKENS,
    BASELINE,
    HF_TUNED,
    TUNING_REPEATS,
    Entry,
    planned_entry,
)
from sequoia_core.plan.acceptance import AcceptanceVector
from sequoia_core.plan.hardware import HardwareProfile
from sequoia_core.plan.methods import AUTO, METHODS, plan_for, rule_fits
from sequoia_core.plan.plan import Plan


@dataclass(frozen=True, slots=True, eq=False)
class Proposal:
    """An entry with what it is made of. plan, acceptance: None where nothing is planned.

    seconds_per_token: expected from the profile; methods without a plan count as plain decoding.
    """

    entry: Entry
    hardware: HardwareProfile
    seconds_per_token: float
    plan: Plan | None = None
    acceptance: AcceptanceVector | None = None


def propose(
    method: str,
    temperature: float,
    acceptance: AcceptanceVector | None,
    hardware: HardwareProfile,
    *,
    budget: int | None = None,
    depth: int | None = None,
) -> Proposal:
    """The method with the best tree of its family, or with one of the wished budget and depth.

    `auto` chooses both itself whatever is wished. Raises InputError where no tree meets the wishes,
    and for `auto` where the vector is not of its rule.
    """
    plain = hardware.target(1) + hardware.plain_overhead_seconds
    if method == BASELINE:
        return Proposal(planned_entry(method, temperature), hardware, plain)
    if method not in METHODS:
        return Proposal(Entry(method, temperature), hardware, plain)
    if method == AUTO:
        budget = depth = None
        if not rule_fits(AUTO, acceptance):
            raise InputError(
                f"The method auto verifies by the rule sequoia, and {acceptance.name} holds for "
                f"{acceptance.rule}: choose a vector of the rule sequoia, or leave auto out."
            )
    plan = plan_for(method, acceptance, hardware, budget=budget, depth=depth)
    entry = planned_entry(
        method,
        temperature,
        plan,
        acceptance,
        depth=depth,
        hardware_target=hardware.target_model,
    )
    return Proposal(entry, hardware, plan.step_seconds / plan.expected_tokens, plan, acceptance)


@dataclass(frozen=True, slots=True)
class Effort:
    """Runs that are measured, that warm up and that tune assisted generation; seconds for all."""

    measured: int
    warm_up: int
    tuning: int
    seconds: float


def effort(
    proposals: Sequence[Proposal], prompts: int, repeats: int, new_tokens: int, tuning_prompts: int
) -> Effort:
    """How many runs these are, and how long they take if every text has all its new tokens."""
    tries = len(ASSISTANT_TOKENS) * TUNING_REPEATS * tuning_prompts + 1
    each = prompts * repeats
    seconds, tuning = 0.0, 0
    for proposal in proposals:
        tuned = tries if proposal.entry.method in HF_TUNED else 0
        tuning += tuned
        seconds += (each + 1 + tuned) * new_tokens * proposal.seconds_per_token
    return Effort(len(proposals) * each, len(proposals), tuning, seconds)


def duration(seconds: float) -> str:
    """About how long, as people say it.

    >>> duration(3.2), duration(95), duration(4000)
    ('about 3 s', 'about 2 min', 'about 1 h 7 min')
    """
    if seconds < 60:
        return f"about {max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    hours, rest = divmod(minutes, 60)
    return f"about {hours} h {rest} min" if hours else f"about {minutes} min"
