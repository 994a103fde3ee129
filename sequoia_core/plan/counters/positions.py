"""Tests and acceptances of a drafted chain by position, and the rates they come to."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sequoia_core.errors import InputError
from sequoia_core.plan.acceptance import MAX_ROWS

# A vector's last row is for what lies beyond.
MAX_POSITIONS = MAX_ROWS - 1
MOST_TRIED = 1000


@dataclass(frozen=True, slots=True)
class Positions:
    """How often a chain's tokens were tested and accepted.

    steps: target passes that had drafted tokens to test. drafted: tokens drafted in them.
    slots: tokens that would have been drafted had every draft been as long as its counters; more
        than `drafted` where short drafts are counted as if their missing tokens were rejected.
    tested: by position, the steps in which the token stood and all before it were accepted.
    accepted: by position, how many of those were accepted.
    Engines accept a prefix: a token counts only if all before it do. So accepted[j] / tested[j] is
    the conditional rate at depth j, and for drafts of one length tested[j] is accepted[j - 1].
    """

    steps: float
    tested: tuple[float, ...]
    accepted: tuple[float, ...]
    drafted: float
    slots: float

    @property
    def mean_accepted(self) -> float:
        """Drafted tokens accepted in a step, the bonus token not counted."""
        return sum(self.accepted) / self.steps

    @property
    def mean_drafted(self) -> float:
        """Tokens drafted in a step."""
        return self.drafted / self.steps

    @property
    def rates(self) -> list[float]:
        """Conditional acceptance by depth, up to the last position that was tested at all."""
        return [accepted / tested for tested, accepted in self._counted]

    @property
    def standard_errors(self) -> list[float]:
        """Binomial errors of the rates, at (accepted + 1) / (tested + 2).

        The plain estimate would call three of three a certainty. Too small where acceptance
        comes in bursts, since the tests of one text depend on each other.
        """
        return [_error(tested, accepted) for tested, accepted in self._counted]

    @property
    def beyond(self) -> tuple[float, float]:
        """Rate and error assumed below the last position that was tested.

        The lower of the last rate and of all positions together: the last position has the fewest
        tests, and three accepted of three must not promise chains without end.
        """
        tests, hits = (sum(column) for column in zip(*self._counted, strict=True))
        tested, accepted = min(self._counted[-1], (tests, hits), key=lambda pair: pair[1] / pair[0])
        return accepted / tested, _error(tested, accepted)

    @property
    def _counted(self) -> list[tuple[float, float]]:
        pairs = zip(self.tested[:MAX_POSITIONS], self.accepted[:MAX_POSITIONS], strict=True)
        return [(tested, accepted) for tested, accepted in pairs if tested > 0]


def from_survivors(
    steps: float, survivors: Sequence[float], *, drafted: float | None = None
) -> Positions:
    """Counters of one draft length: `survivors[j]` steps accepted position j and all before it.

    drafted: tokens drafted, if that is stated; else every draft is taken to be of full length.
    Raises InputError if nothing was drafted, or if the counters rise from one position to the
    next, as no chain's can.
    """
    if steps <= 0:
        raise InputError(
            "No draft was counted (0 drafts): speculative decoding was off, or nothing was "
            "generated between the scrapes."
        )
    if not survivors:
        raise InputError("No position of the drafts was counted.")
    before = (float(steps), *map(float, survivors[:-1]))
    for position, (reached, accepted) in enumerate(zip(before, survivors, strict=True)):
        if accepted > reached:
            place = "drafts" if position == 0 else f"at position {position - 1}"
            raise InputError(
                f"Position {position} was accepted {accepted:g} times after {reached:g} {place}: "
                "a chain's counters cannot rise, so these are of several runs or of a tree."
            )
    slots = float(steps * len(survivors))
    drafted = slots if drafted is None else float(drafted)
    return Positions(float(steps), before, tuple(map(float, survivors)), drafted, slots)


def from_histograms(histograms: Mapping[int, Sequence[float]]) -> Positions:
    """Steps by draft length k and accepted tokens: `histograms[k][j]` steps accepted j of k.

    Drafts of several lengths are told apart: a position counts as tested only in the drafts that
    had it. Raises InputError if nothing was drafted or a draft accepted more than it had.
    """
    longest = max((length for length, counts in histograms.items() if sum(counts)), default=0)
    tested, accepted = [0.0] * longest, [0.0] * longest
    steps = drafted = 0.0
    for length, counts in histograms.items():
        if any(counts[length + 1 :]):
            raise InputError(f"A draft of {length} tokens cannot have {len(counts) - 1} accepted.")
        if length == 0:
            continue
        steps += sum(counts)
        drafted += length * sum(counts)
        for position in range(min(length, longest)):
            tested[position] += sum(counts[position:])
            accepted[position] += sum(counts[position + 1 :])
    if steps <= 0:
        raise InputError("No draft was counted: every histogram is empty.")
    return Positions(steps, tuple(tested), tuple(accepted), drafted, drafted)


def total(parts: Iterable[Positions]) -> Positions:
    """The sum of counts taken apart: by requests, by intervals of a log."""
    parts = list(parts)
    longest = max(len(part.accepted) for part in parts)
    return Positions(
        sum(part.steps for part in parts),
        _sum_columns((part.tested for part in parts), longest),
        _sum_columns((part.accepted for part in parts), longest),
        sum(part.drafted for part in parts),
        sum(part.slots for part in parts),
    )


def from_rates(rates: Sequence[float], accepted: int, drafted: int) -> Positions:
    """Counts behind one log line: unconditional rates, rounded, with tokens accepted and drafted.

    Raises InputError as from_survivors does.
    """
    steps = _steps(rates, accepted, drafted)
    return from_survivors(steps, [round(rate * steps) for rate in rates], drafted=drafted)


def _steps(rates: Sequence[float], accepted: int, drafted: int) -> int:
    """The steps whose counts, rounded to these rates, add up to the tokens accepted.

    No step drafts more than there are positions, which is a lower limit and mostly the answer.
    """
    lowest = -(-drafted // max(len(rates), 1))
    if not accepted or not sum(rates):
        return lowest
    estimate = accepted / sum(rates)
    # Three digits leave each rate half a thousandth of doubt.
    doubt = 0.0005 * len(rates) / sum(rates) * estimate
    first = max(lowest, math.floor(estimate - doubt))
    last = min(math.ceil(estimate + doubt), first + MOST_TRIED)
    fitting = (n for n in range(first, last + 1) if sum(round(p * n) for p in rates) == accepted)
    return next(fitting, max(lowest, round(estimate - doubt)))


def _error(tested: float, accepted: float) -> float:
    centre = (accepted + 1) / (tested + 2)
    return math.sqrt(centre * (1 - centre) / tested)


def rates_in(text: str) -> list[float]:
    """The numbers of a list such as "0.805, 0.632", as log lines print rates by position."""
    return [float(rate) for rate in re.findall(r"\d{1,3}(?:\.\d{1,9})?", text)]


def _sum_columns(rows: Iterable[Sequence[float]], width: int) -> tuple[float, ...]:
    sums = [0.0] * width
    for row in rows:
        for position, value in enumerate(row):
            sums[position] += value
    return tuple(sums)
