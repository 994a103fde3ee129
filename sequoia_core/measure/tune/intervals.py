"""How much faster, and how sure that is: ratios within a round of a prompt, and their median.

A ratio compares two runs of one prompt made within seconds of each other, so what slows the machine
for longer than that hits both. Medians leave out what it does to single runs. Prompts are the
independent units: their rounds are joined by a median first.
"""

from collections.abc import Sequence
from statistics import median

from sequoia_core.measure.paired import PROMPTS, median_interval
from sequoia_core.report.measured import Ratio


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
    """The median over prompts, and the interval of the sign test (`measure.paired`).

    It holds the median of all prompts there could be in 95 % of cases or more. Fewer than six
    prompts have none.

    >>> median_ratio([1, 2, 3, 4, 5, 6, 7, 8, 9])
    Ratio(value=5, low=2, high=8)
    """
    interval = median_interval(ratios, PROMPTS)
    if not interval.sure:
        return Ratio(interval.median, None, None)
    return Ratio(interval.median, interval.low, interval.high)
