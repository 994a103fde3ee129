"""How much faster, and how sure that is: ratios within a round of a prompt, and their median.

A ratio compares two runs of one prompt made within seconds of each other, so what slows the machine
for longer than that hits both. Medians leave out what it does to single runs. Prompts are the
independent units: their rounds are joined by a median first.
"""

from collections.abc import Sequence
from math import comb
from statistics import median

from sequoia_core.report.measured import Ratio

LEVEL = 0.95
# The range of so many values holds the median in at least 95 % of all cases.
FEWEST_FOR_INTERVAL = 6


def ratios_by_prompt(
    own: Sequence[Sequence[float]], base: Sequence[Sequence[float]]
) -> list[float]:
    """Each prompt's rate over another one's, the median of its rounds.

    own, base: rates of every round, by prompt in the same order.
    """
    return [
        median(rate / other for rate, other in zip(rates, others, strict=True))
        for rates, others in zip(zip(*own, strict=True), zip(*base, strict=True), strict=True)
    ]


def median_ratio(ratios: Sequence[float]) -> Ratio:
    """The median over prompts, and the interval of the sign test: exact for any distribution.

    It lies between two of the ratios themselves, the narrowest such that holds the median of all
    prompts there could be in 95 % of cases or more. Fewer than six prompts have none.

    >>> median_ratio([1, 2, 3, 4, 5, 6, 7, 8, 9])
    Ratio(value=5, low=2, high=8)
    """
    ordered, count = sorted(ratios), len(ratios)
    if count < FEWEST_FOR_INTERVAL:
        return Ratio(median(ordered), None, None)
    left_out = 0
    while _coverage(count, left_out + 1) >= LEVEL:
        left_out += 1
    return Ratio(median(ordered), ordered[left_out], ordered[count - 1 - left_out])


def _coverage(count: int, left_out: int) -> float:
    """Chance that the median lies between the values left when so many go at either end."""
    return 1 - 2 * sum(comb(count, k) for k in range(left_out + 1)) / 2**count
