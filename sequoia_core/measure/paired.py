"""Statistics of interleaved runs: ratios within a prompt's repeats, medians and their intervals.

A ratio compares two runs of the same prompt in the same repeat, made within seconds of each other,
so whatever slows the machine for longer than that hits both. The interval of a median is that of
the sign test: between two of the values themselves, exact for any distribution, and it says how
often it holds. Independent values are those of different prompts; the repeats of a prompt are
joined by their median first, and stand alone only where there is one prompt.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb
from statistics import median

from sequoia_core.measure.comparison import BASELINE, Comparison, Entry

LEVEL = 0.95
PROMPTS, REPEATS = "prompts", "repeats"


@dataclass(frozen=True, slots=True)
class Interval:
    """A median of `count` values over prompts or repeats, and its interval.

    coverage: chance that such an interval holds the median of all prompts there could be; 0 for a
    single value.
    """

    median: float
    low: float
    high: float
    coverage: float
    count: int
    over: str

    @property
    def sure(self) -> bool:
        """Whether it holds as often as a claim should."""
        return self.coverage >= LEVEL

    def holds(self, value: float) -> bool:
        return self.low <= value <= self.high


def coverage(count: int, trimmed: int = 0) -> float:
    """Chance that a median lies between the lowest and the highest of `count` independent values.

    trimmed: so many are left out at either end. 1 - 2 P(Binomial(count, 1/2) <= trimmed).

    >>> coverage(6), coverage(3)
    (0.96875, 0.75)
    """
    return max(0.0, 1 - 2 * sum(comb(count, k) for k in range(trimmed + 1)) / 2**count)


def median_interval(values: Sequence[float], over: str) -> Interval:
    """The median, and the narrowest interval of the sign test that holds in 95 % of all cases.

    Of fewer than six values it is the whole range, and holds less often.
    """
    ordered, count = sorted(values), len(values)
    trimmed = 0
    while coverage(count, trimmed + 1) >= LEVEL:
        trimmed += 1
    low, high = ordered[trimmed], ordered[count - 1 - trimmed]
    return Interval(median(ordered), low, high, coverage(count, trimmed), count, over)


def ratio_interval(
    comparison: Comparison, temperature: float, method: str, against: str = BASELINE
) -> Interval | None:
    """Tokens per second of whole calls over those of `against`; None where no round is done."""
    return _interval(_ratios(comparison, temperature, method, against, lambda run: run.rate))


def decode_ratio_interval(
    comparison: Comparison, temperature: float, method: str, against: str = BASELINE
) -> Interval | None:
    """The same without the reading of the prompt; None where a method does not tell."""
    return _interval(_ratios(comparison, temperature, method, against, lambda run: run.decode_rate))


def _ratios(comparison, temperature, method, against, rate) -> dict[int, list[float]]:
    """Ratios by prompt, one for each repeat in which both are known."""
    others = {(run.prompt, run.repeat): rate(run) for run in comparison.of(against, temperature)}
    ratios: dict[int, list[float]] = {}
    for run in comparison.of(method, temperature):
        own, other = rate(run), others.get((run.prompt, run.repeat))
        if own is not None and other is not None:
            ratios.setdefault(run.prompt, []).append(own / other)
    return ratios


def _interval(ratios: dict[int, list[float]]) -> Interval | None:
    if not ratios:
        return None
    if len(ratios) == 1:
        return median_interval(next(iter(ratios.values())), REPEATS)
    return median_interval([median(repeats) for repeats in ratios.values()], PROMPTS)


def speedups(comparison: Comparison) -> list[float]:
    """For every run its tokens per second over plain decoding's in its own round."""
    plain = {
        (run.temperature, run.prompt, run.repeat): run.rate
        for run in comparison.runs
        if run.method == BASELINE
    }
    return [run.rate / plain[run.temperature, run.prompt, run.repeat] for run in comparison.runs]


def speedups_by_prompt(comparison: Comparison, entry: Entry) -> dict[int, float]:
    """An entry's speedup on every prompt that it has runs of, the median of the repeats."""
    ratios = _ratios(comparison, entry.temperature, entry.method, BASELINE, lambda run: run.rate)
    return {prompt: median(repeats) for prompt, repeats in ratios.items()}
