"""Timing passes of many sizes: interleaved rounds, then refinement where the curve jumps.

Knows no model: `measure` times passes, `clock` says how late it is.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from statistics import median, quantiles

from sequoia_core.plan.hardware import Curve, interpolate
from sequoia_core.plan.measurement import MODELS, NOISE_LIMIT, Gap, Noise, Quartiles

Progress = Callable[[float, str], None]
# Of a model, target or draft, over so many tokens.
Pass = tuple[str, int]
Timings = dict[Pass, list[float]]

DRAFT_PASSES = 4
# Neighbours that differ by more are looked between.
TOLERANCE = 0.10
# Gaps split at a time: few, so that the widest come first, but enough to interleave.
WAVE = 6
# A noisy curve asks for ever more points.
MOST_ADDED = 128
FEWEST_ROUNDS = 3
# A shape's first passes make its kernels ready; where passes are captured, the second does that.
WARM_UPS = 2
# Halves of one pass each would tell chance, not noise.
FEWEST_FOR_HALVES = 4
BASE_SHARE = 0.6


class Sweep:
    """Seconds of passes of target and draft, by size; `seconds` has every pass, in time order.

    measure: seconds of passes that follow one another as in a step, each a model, target or draft,
    and its tokens. until: when by `clock` no more work may begin; the first rounds go on beyond it
    until every size has three passes.
    """

    def __init__(
        self,
        measure: Callable[[Sequence[Pass]], Sequence[float]],
        sizes: Mapping[str, Sequence[int]],
        *,
        clock: Callable[[], float],
        until: float,
        progress: Progress = lambda fraction, text: None,
    ):
        self.seconds: Timings = {(model, n): [] for model in MODELS for n in sizes[model]}
        self.rounds = 0
        self.added = 0
        self._measure, self._clock, self._until = measure, clock, until
        self._progress, self._fraction = progress, 0.0
        self._order = random.Random(0)
        self._started = clock()

    def sizes(self, model: str) -> list[int]:
        """Sizes with passes, ascending."""
        return sorted(n for owner, n in self.seconds if owner == model)

    def curve(self, model: str) -> Curve:
        """(tokens, seconds) with the quartile that other work on the machine disturbs least."""
        return tuple((n, undisturbed(self.seconds[model, n])) for n in self.sizes(model))

    def quartiles(self, model: str) -> Quartiles:
        """(tokens, first quartile, median, third quartile, passes) of every size."""
        return tuple((n, *_quartiles(self.seconds[model, n])) for n in self.sizes(model))

    def run(self, repeats: int) -> None:
        """`repeats` passes of every size, twice as many where those were noisy and there is time;
        and then passes of sizes in between where the curve jumps.
        """
        wanted = {model: self.sizes(model) for model in MODELS}
        for round_ in range(1 - WARM_UPS, repeats + 1):
            if self.rounds >= FEWEST_ROUNDS and self._clock() >= self._until:
                break
            self._fraction = BASE_SHARE * (round_ + WARM_UPS - 1) / (repeats + WARM_UPS)
            words = f"Round {round_} of {repeats}" if round_ > 0 else "Warming up"
            self._round(wanted, words)
            if round_ <= 0:
                self.seconds = {key: [] for key in self.seconds}
            self.rounds = max(round_, 0)
        self._settle(wanted, repeats)
        while gaps := self._next_gaps(repeats):
            self._split(gaps, repeats)

    def _settle(self, wanted: Mapping[str, Sequence[int]], most: int) -> None:
        """Further rounds while halves of those so far differ, in half of the time left.

        A lower quartile of more passes is less disturbed, and refinement goes by it.
        """
        begun = self._clock()
        half = begun + (self._until - begun) / 2
        for extra in range(most):
            noise = judge_noise([self.seconds])
            spent = begun - self._started
            late = self._clock() + spent / (most + WARM_UPS)
            if noise is None or not noise.noisy or late > half:
                break
            self._round(wanted, f"Noisy, so a further round: {extra + 1} of at most {most}")
            self.rounds += 1

    def gaps(self) -> list[Gap]:
        """Neighbours further apart than the tolerance, with sizes between them; the likeliest
        cliffs first, then from small passes to large ones.
        """
        found = [gap for model in MODELS for gap in gaps_of(model, self.curve(model))]
        return sorted(found, key=lambda gap: (-max(gap.surprise, 1 + TOLERANCE), gap.high))

    def _next_gaps(self, repeats: int) -> list[Gap]:
        """The first of the gaps that can be split in the time left, a few."""
        left, chosen = self._until - self._clock(), []
        curves = {model: self.curve(model) for model in MODELS}
        for gap in self.gaps():
            seconds = (repeats + WARM_UPS) * _round_seconds(gap, curves)
            if seconds <= left and self.added + len(chosen) < MOST_ADDED:
                chosen.append(gap)
                left -= seconds
            if len(chosen) == WAVE:
                break
        return chosen

    def _split(self, gaps: list[Gap], repeats: int) -> None:
        """Time the middle of each gap beside its two ends, and keep it relative to them.

        A machine that is slower now than in the first rounds would make the middle look like a
        cliff. The ends, timed in both, say how much slower it is.
        """
        middles = {(gap.model, gap.middle): gap for gap in gaps}
        new = {model: [n for owner, n in middles if owner == model] for model in MODELS}
        both = {
            model: sorted({n for gap in gaps if gap.model == model for n in gap.sizes})
            for model in MODELS
        }
        # Draft passes come after the target's, so there is always one.
        both["target"] = both["target"] or [self._usual_target()]
        earlier = self.seconds
        self.added += len(middles)
        more = f" and {len(gaps) - 1} more" if len(gaps) > 1 else ""
        for round_ in range(1 - WARM_UPS, repeats + 1):
            if round_ > FEWEST_ROUNDS and self._clock() >= self._until:
                break
            if round_ <= 1:
                # What warmed up is not kept.
                self.seconds = {key: [] for key in earlier | middles}
            late = (self._clock() - self._started) / max(self._until - self._started, 1e-9)
            self._fraction = max(self._fraction, min(late, 1.0))
            self._round(both if round_ > 0 else new, f"Refining the {gaps[0].words}{more}")
        beside, self.seconds = self.seconds, earlier
        for (model, n), gap in middles.items():
            ends = [(model, gap.low), (model, gap.high)]
            slower = [undisturbed(beside[end]) / undisturbed(earlier[end]) for end in ends]
            pace = (slower[0] * slower[1]) ** 0.5
            self.seconds[model, n] = [seconds / pace for seconds in beside[model, n]]

    def _usual_target(self) -> int:
        small = [n for n in self.sizes("target") if n <= 16]
        return small[-1] if small else self.sizes("target")[0]

    def _round(self, sizes: Mapping[str, Sequence[int]], words: str) -> None:
        """Every size once, in a new order, as decoding meets them."""
        drafts = self._endless(sizes["draft"] or self.sizes("draft"))
        before = {n: len(self.seconds["draft", n]) for n in sizes["draft"]}
        for n in self._order.sample(list(sizes["target"]), len(sizes["target"])):
            self._progress(self._fraction, words)
            if n == 1:
                # A plain pass comes after another one, in a step of its own.
                self._measure([("target", 1)])
                self._time([("target", 1)])
            else:
                drafted = [("draft", next(drafts)) for _ in range(DRAFT_PASSES)]
                self._time([*drafted, ("target", n)])
        for n in sizes["draft"]:
            # Few target sizes are too few steps for all widths.
            if len(self.seconds["draft", n]) == before[n]:
                self._time([("draft", n)])

    def _time(self, passes: Sequence[Pass]) -> None:
        for each, seconds in zip(passes, self._measure(passes), strict=True):
            self.seconds[each].append(seconds)

    def _endless(self, sizes: Sequence[int]) -> Iterator[int]:
        """All sizes in a random order, again and again."""
        while True:
            yield from self._order.sample(list(sizes), len(sizes))


def _round_seconds(gap: Gap, curves: Mapping[str, Curve]) -> float:
    """About the seconds of one round's passes for a gap: its ends, its middle, their drafts."""
    own = sum(interpolate(curves[gap.model], n) for n in gap.sizes)
    drafts = curves["draft"][len(curves["draft"]) // 2][1]
    return own + len(gap.sizes) * DRAFT_PASSES * drafts


def gaps_of(model: str, curve: Curve, tolerance: float = TOLERANCE) -> Iterator[Gap]:
    """Neighbours of a curve that differ by more than `tolerance` and leave sizes between them."""
    for (low, before), (high, after) in pairwise(curve):
        difference = max(before, after) / min(before, after) - 1
        if difference > tolerance and high - low > 1:
            yield Gap(model, low, high, difference, after < before)


def undisturbed(times: Sequence[float]) -> float:
    """The lower quartile. Other work on the machine only ever adds time, and more often to a long
    pass than to a short one, so that medians would make large trees look dearer than they are.
    """
    return sorted(times)[len(times) // 4]


def judge_noise(sweeps: Sequence[Timings]) -> Noise | None:
    """How far halves of the measurement are apart, each half read as a profile of its own.

    Two ways of halving: the earlier against the later passes of each size, which a slow change of
    the machine shows in, and every other pass, which chance alone shows in. The larger of the two
    medians over all sizes counts. None where no size has four passes.
    """
    kept = [
        times for timings in sweeps for times in timings.values() if len(times) >= FEWEST_FOR_HALVES
    ]
    if not kept:
        return None
    halves = {
        "earlier and later": [(t[: len(t) // 2], t[len(t) // 2 :]) for t in kept],
        "alternate": [(t[::2], t[1::2]) for t in kept],
    }
    return max(
        (_noise(pairs, words) for words, pairs in halves.items()),
        key=lambda noise: noise.median_difference,
    )


def _noise(pairs: Sequence[tuple[Sequence[float], Sequence[float]]], halves: str) -> Noise:
    differences = []
    for pair in pairs:
        one, other = map(undisturbed, pair)
        differences.append(max(one, other) / min(one, other) - 1)
    beyond = sum(difference > NOISE_LIMIT for difference in differences)
    return Noise(median(differences), beyond / len(differences), halves)


def _quartiles(times: Sequence[float]) -> tuple[float, float, float, int]:
    low, middle, high = quantiles(times, n=4) if len(times) > 1 else [*times] * 3
    # Of two passes the outer quartiles are extrapolated, and may leave what was seen.
    return max(low, min(times)), middle, min(high, max(times)), len(times)
