"""The knee of a profile: up to how many tokens a pass costs about what one token costs."""

from dataclasses import dataclass

from sequoia_core.plan.hardware import HardwareProfile

LARGEST = 1024


@dataclass(frozen=True, slots=True)
class Knee:
    """tokens: where the level of one token meets the line of the largest passes; None if nowhere.

    seconds_per_token: that line's slope. words: one clause for people.
    """

    tokens: int | None
    seconds_per_token: float
    words: str


def knee(profile: HardwareProfile) -> Knee:
    """Where the target's curve turns from level to rising, read from the curve alone.

    The rise is that between the half and the whole of the largest pass known, at most 1,024
    tokens. A curve of two points has no shape to read it from.
    """
    points = profile.target_seconds
    last = min(points[-1][0], LARGEST)
    level = profile.target(1)
    slope = (profile.target(last) - profile.target(last / 2)) / max(last / 2, 1)
    if len(points) < 3:
        known = " and ".join(str(tokens) for tokens, _ in points)
        return Knee(None, slope, f"knee not known: only passes of {known} tokens are")
    if slope <= 0 or level / slope >= last:
        words = (
            f"no knee up to {last:,} tokens: such a pass takes {profile.target(last) / level:.2f}"
        )
        return Knee(None, slope, f"{words} times one token's")
    tokens = max(1, round(level / slope))
    turn = "compute-bound from there on:" if profile.origin == "modelled" else "then"
    rise = f"{_milliseconds(slope)} more a token"
    return Knee(tokens, slope, f"nearly flat up to about {tokens:,} tokens, {turn} {rise}")


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:.2f} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.0f} µs"
