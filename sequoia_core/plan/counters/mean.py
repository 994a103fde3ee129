"""A constant acceptance rate where an engine tells only means."""

import math

from sequoia_core.errors import InputError

HALVINGS = 60


def accepted_at(rate: float, length: float) -> float:
    """Mean tokens accepted of `length` drafted at a constant rate: r + r^2 + ... + r^length.

    A length between whole numbers is a mixture of the two: the last term counts in part.
    """
    whole = math.floor(length)
    terms = sum(rate**j for j in range(1, whole + 1))
    return terms + (length - whole) * rate ** (whole + 1)


def constant_rate(accepted: float, length: float) -> float:
    """The rate r at which `length` drafted tokens have `accepted` accepted on average.

    Raises InputError if more were accepted than drafted, or if nothing was drafted.
    """
    if length <= 0:
        raise InputError("No drafted token was counted: speculative decoding was off.")
    if not 0 <= accepted <= length * (1 + 1e-9):
        raise InputError(
            f"{accepted:.4g} accepted of {length:.4g} drafted tokens a step is impossible: the "
            "draft was longer, or the numbers are of something else."
        )
    low, high = 0.0, 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if accepted_at(middle, length) < accepted else (low, middle)
    return high


def rate_error(rate: float, length: float, steps: float) -> float:
    """Standard error of a constant rate from `steps` independent steps (delta method).

    Too small where acceptance comes in bursts, since the steps of one text depend on each other.
    """
    # Kept off 0 and 1, where a few steps would look like certainty.
    rate = (rate * steps + 1) / (steps + 2)
    mean = accepted_at(rate, length)
    square = sum((2 * j - 1) * _reach(rate, length, j) for j in range(1, math.ceil(length) + 1))
    width = 1e-6
    slope = (accepted_at(rate + width, length) - accepted_at(rate - width, length)) / (2 * width)
    return math.sqrt(max(square - mean**2, 0.0) / steps) / slope


def _reach(rate: float, length: float, tokens: int) -> float:
    """Chance that at least `tokens` are accepted."""
    share = min(1.0, length - tokens + 1)
    return share * rate**tokens
