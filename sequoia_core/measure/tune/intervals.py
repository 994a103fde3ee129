"""How sure a tuning's ratios are, as its report says it."""

from sequoia_core.measure.paired import PROMPTS, Interval
from sequoia_core.report.measured import Ratio


def ratio_of(interval: Interval) -> Ratio:
    """The median with its interval over prompts, where that holds in 95 % of cases or more.

    Fewer than six prompts have none, nor have the repeats of a single one.
    """
    if not interval.sure or interval.over != PROMPTS:
        return Ratio(interval.median, None, None)
    return Ratio(interval.median, interval.low, interval.high)
