"""How much each stage may measure: limits of time, since machines differ by factors of 1,000."""

from dataclasses import dataclass

from sequoia_core.measure.profiler import REPEATS


@dataclass(frozen=True, slots=True)
class Amounts:
    """The most seconds of each stage, and what is enough before they are over.

    A stage ends early once it has everything: profile_repeats passes of every size up to
    max_tokens, all calibration prompts, `rounds` rounds over all benchmark prompts. What is in hand
    when the time is over is finished first, so a stage can take a little longer.
    """

    profile_seconds: float = 120.0
    calibration_seconds: float = 180.0
    benchmark_seconds: float = 180.0
    profile_repeats: int = REPEATS
    max_tokens: int = 1024
    rounds: int = 5


DEFAULT = Amounts()
QUICK = Amounts(
    profile_seconds=12.0,
    calibration_seconds=15.0,
    benchmark_seconds=18.0,
    profile_repeats=4,
    max_tokens=256,
    rounds=3,
)
