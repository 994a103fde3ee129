"""Seconds of passes as a run shows them, starting from the hardware profile."""

from collections import deque
from dataclasses import replace
from statistics import median

import numpy as np

from sequoia_core.decode.trace import Seconds
from sequoia_core.plan.hardware import Curve, HardwareProfile, interpolate
from sequoia_core.tree.token_tree import TokenTree

# Passes of one size that its factor remembers, and passes of any size that the pace does. The
# first is much the longer, or noise would move from one to the other and never come back.
MEMORY, PACE_MEMORY = 24, 7
# Standard errors of a factor's logarithm: per doubling of tokens away from the nearest size seen,
# of sizes never compared with any, and of the first pass seen of a size (halved by a second one).
PER_DOUBLING, UNSEEN, FIRST = 0.03, 0.1, 0.1
LEAST_SPREAD = 0.05
MEDIAN_ERROR, MAD_TO_SPREAD = 1.25, 1.4826


class Pace:
    """How slow the machine is of late, as the logarithm of a factor on all passes."""

    def __init__(self) -> None:
        self._late: deque[float] = deque(maxlen=PACE_MEMORY)

    @property
    def log(self) -> float:
        return median(self._late) if self._late else 0.0

    def observe(self, log: float) -> None:
        """What one pass says of it."""
        self._late.append(log)


class CurveEstimate:
    """By what factor passes of a size differ from the profile: its own, times the machine's pace.

    A machine that is slow for a while is slow for all, so the pace follows the last few passes of
    any kind, and a size keeps its own factor relative to the pace. Sizes that were never seen take
    the factor between those of the nearest sizes that were. All are medians of logarithms: single
    disturbances do not move them.
    """

    def __init__(self, curve: Curve, pace: Pace):
        self.curve = curve
        self._pace = pace
        self._own: dict[int, deque[float]] = {}

    def observe(self, tokens: int, seconds: float, expected: float) -> None:
        """A pass of this size, and the profile's seconds for it."""
        ratio = float(np.log(max(seconds, 1e-9) / expected))
        own = self._own.setdefault(tokens, deque(maxlen=MEMORY))
        own.append(ratio - self._pace.log)
        self._pace.observe(ratio - median(own))

    def factor(self, tokens: np.ndarray) -> np.ndarray:
        """Seconds over the profile's at these sizes."""
        if not self._own:
            return np.full(len(tokens), np.exp(self._pace.log))
        sizes = sorted(self._own)
        own = [median(self._own[size]) for size in sizes]
        return np.exp(np.interp(np.log(tokens), np.log(sizes), own) + self._pace.log)

    def seconds(self) -> Curve:
        """The profile's curve with the factors in it, at its own sizes and at those seen."""
        sizes = np.array(sorted({point[0] for point in self.curve} | set(self._own)))
        seconds = interpolate(self.curve, sizes) * self.factor(sizes)
        return tuple(zip(sizes.tolist(), seconds.tolist(), strict=True))

    def error(self, tokens: int) -> float:
        """Standard error of the logarithm of a size's own factor."""
        if not self._own:
            return UNSEEN
        return float(np.hypot(self._seen_error(self._nearest(tokens)), self._far(tokens)))

    def error_between(self, one: int, other: int) -> float:
        """Of the ratio of two sizes' factors; sizes next to the same one seen share its error."""
        far = np.hypot(self._far(one), self._far(other)) if self._own else UNSEEN
        if not self._own or self._nearest(one) == self._nearest(other):
            return float(far)
        errors = [self._seen_error(self._nearest(size)) for size in (one, other)]
        return float(np.hypot(far, np.hypot(*errors)))

    def _nearest(self, tokens: int) -> int:
        return min(self._own, key=lambda size: abs(np.log(size / tokens)))

    def _far(self, tokens: int) -> float:
        return PER_DOUBLING * abs(np.log2(self._nearest(tokens) / tokens))

    def _seen_error(self, size: int) -> float:
        count = len(self._own[size])
        # Each pass stands relative to the pace at its time, which was no better known than this.
        spread = self._spread() * np.sqrt(1 + 1 / PACE_MEMORY)
        return float(MEDIAN_ERROR * spread / np.sqrt(count) + FIRST / count)

    def _spread(self) -> float:
        """Of single passes around their size's own factor, all sizes together."""
        off = [abs(value - median(own)) for own in self._own.values() for value in own]
        return max(MAD_TO_SPREAD * median(off), LEAST_SPREAD)


class SecondsEstimate:
    """A hardware profile that follows what steps take."""

    def __init__(self, hardware: HardwareProfile):
        self.profile = hardware
        pace = Pace()
        self.target = CurveEstimate(hardware.target_seconds, pace)
        self.draft = CurveEstimate(hardware.draft_seconds, pace)
        self._overheads = {
            True: deque([hardware.overhead_seconds], maxlen=MEMORY),
            False: deque([hardware.plain_overhead_seconds], maxlen=MEMORY),
        }
        self._profiled: dict[TokenTree, tuple[float, float, int]] = {}

    def observe(self, tree: TokenTree, seconds: Seconds) -> None:
        """One step with this tree."""
        self._overheads[tree.size > 1].append(seconds.sample + seconds.commit)
        target, draft, width = self._expected(tree)
        self.target.observe(tree.size, seconds.verify, target)
        if tree.size > 1:
            self.draft.observe(width, seconds.draft, draft)

    def _expected(self, tree: TokenTree) -> tuple[float, float, int]:
        """The profile's seconds of target and draft, and the mean width; kept by tree."""
        if tree not in self._profiled:
            widths = np.array(tree.expanded_level_sizes, int)
            draft, width = float(self.profile.draft(widths).sum()), mean_width(tree)
            self._profiled[tree] = self.profile.target(tree.size), draft, width
        return self._profiled[tree]

    def hardware(self) -> HardwareProfile:
        """The profile as it seems to be now."""
        return replace(
            self.profile,
            target_seconds=self.target.seconds(),
            draft_seconds=self.draft.seconds(),
            overhead_seconds=median(self._overheads[True]),
            plain_overhead_seconds=median(self._overheads[False]),
        )

    def error(self, one: TokenTree, other: TokenTree, hardware: HardwareProfile) -> float:
        """Standard error of the logarithm of the ratio of two trees' step seconds."""
        shares = np.array([_shares(tree, hardware) for tree in (one, other)])
        target, draft = shares.max(axis=0)
        drafting = [tree for tree in (one, other) if tree.size > 1]
        widths = [mean_width(tree) for tree in drafting]
        apart = self.draft.error_between(*widths) if len(widths) == 2 else 0.0
        alone = self.draft.error(widths[0]) if len(widths) == 1 else 0.0
        between = self.target.error_between(one.size, other.size)
        return float(np.hypot(target * between, draft * (apart + alone)))


def _shares(tree: TokenTree, hardware: HardwareProfile) -> tuple[float, float]:
    """Of a step's seconds: the target pass's, and the draft passes'."""
    target = hardware.target(tree.size)
    if tree.size == 1:
        return target / (target + hardware.plain_overhead_seconds), 0.0
    draft = float(hardware.draft(np.array(tree.expanded_level_sizes)).sum())
    total = target + draft + hardware.overhead_seconds
    return target / total, draft / total


def mean_width(tree: TokenTree) -> int:
    """The size that a tree's draft passes are counted under; 1 where there are none."""
    return max(1, round(float(np.mean(tree.expanded_level_sizes or [1]))))
