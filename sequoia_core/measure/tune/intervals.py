"""A speedup with its interval: prompts are the independent units, rounds repeat them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from sequoia_core.report.measured import Ratio

# Student's t for 95 %, by degrees of freedom 1 to 30; beyond, the normal distribution is near.
STUDENT_95 = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160,
    2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056,
    2.052, 2.048, 2.045, 2.042,
)  # fmt: skip
NORMAL_95 = 1.96


@dataclass(frozen=True, slots=True)
class Totals:
    """One prompt's tokens and seconds by one method, over all rounds."""

    tokens: float
    seconds: float


def speedup(method: Sequence[Totals], base: Sequence[Totals]) -> Ratio:
    """Tokens per second of a method over another's, over the same prompts in order.

    The interval is the delta method's on the logarithm: how much each prompt's tokens and seconds
    pull the two rates, with Student's t for few prompts. So it says how far another choice of
    prompts may lead.
    """
    value, count = _rate(method) / _rate(base), len(method)
    if count < 2:
        return Ratio(value, None, None)
    pulls = [a - b for a, b in zip(_pulls(method), _pulls(base), strict=True)]
    error = math.sqrt(count / (count - 1) * sum(pull * pull for pull in pulls))
    t = STUDENT_95[count - 2] if count - 2 < len(STUDENT_95) else NORMAL_95
    factor = math.exp(t * error)
    return Ratio(value, value / factor, value * factor)


def _rate(totals: Sequence[Totals]) -> float:
    return sum(each.tokens for each in totals) / sum(each.seconds for each in totals)


def _pulls(totals: Sequence[Totals]) -> list[float]:
    """What each prompt adds to the logarithm of the rate, to first order; they sum to 0."""
    tokens, seconds = sum(each.tokens for each in totals), sum(each.seconds for each in totals)
    return [each.tokens / tokens - each.seconds / seconds for each in totals]
