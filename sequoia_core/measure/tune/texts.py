"""Which prompts calibrate and which are kept to measure with: a plan is judged on other texts."""

from collections.abc import Sequence

KEPT_SHARE, MOST_KEPT = 4, 10


def hold_out(prompts: Sequence[str]) -> tuple[list[str], list[str]]:
    """Prompts to calibrate on, and a quarter of them, at most 10, spread evenly, to measure with.

    Equal prompts count once, or one could be on both sides.

    >>> hold_out(["a", "b", "a", "c"])
    (['a', 'b'], ['c'])
    """
    different = list(dict.fromkeys(prompts))
    kept = min(MOST_KEPT, max(1, len(different) // KEPT_SHARE))
    places = {(place + 1) * len(different) // kept - 1 for place in range(kept)}
    calibration = [prompt for index, prompt in enumerate(different) if index not in places]
    return calibration, [different[index] for index in sorted(places)] if different else []
