"""Acceptance vectors that planning is timed on, from the easiest to the hardest known."""

import numpy as np

from sequoia_core.plan.acceptance import AcceptanceVector, load_acceptance

RANKS, ROWS = 32, 32


def cases() -> dict[str, AcceptanceVector]:
    """Names and vectors; those by depth have 32 rows of 32 children, made with fixed seeds."""
    return {
        "falling, 1-D": power_law(0.65, 0.05),
        "bundled-t0, 1-D": load_acceptance("bundled-t0"),
        "paper-appendix-e, 1-D": load_acceptance("paper-appendix-e"),
        "nearly falling, by depth": jittered(power_law(0.5, 0.12), 0.3, seed=0),
        "likely first child, by depth": jittered(power_law(0.75, 0.05), 0.3, seed=1),
        "random, by depth": random_rows(seed=2),
        "long spine, by depth": jittered(power_law(0.95, 0.01), 0.05, seed=3),
        "likely last child, by depth": jittered(last_child(0.9), 0.1, seed=4),
    }


def power_law(first: float, second: float) -> AcceptanceVector:
    """p[0] = first, p[k] = second / k ** 1.5."""
    later = second / np.arange(1, RANKS) ** 1.5
    return AcceptanceVector("sequoia", np.concatenate([[first], later]))


def last_child(chance: float) -> AcceptanceVector:
    """All children unlikely but the last."""
    return AcceptanceVector("sequoia", np.concatenate([np.full(RANKS - 1, 0.003), [chance]]))


def jittered(acceptance: AcceptanceVector, share: float, *, seed: int) -> AcceptanceVector:
    """One row a depth, each entry off by up to `share`: falls no longer from child to child."""
    generator = np.random.default_rng(seed)
    rows = acceptance.rows * generator.uniform(1 - share, 1 + share, (ROWS, acceptance.ranks))
    return AcceptanceVector("sequoia", rows / np.maximum(1, rows.sum(axis=1, keepdims=True)))


def random_rows(*, seed: int) -> AcceptanceVector:
    """Rows without any order that sum to 0.95."""
    rows = np.random.default_rng(seed).random((ROWS, RANKS))
    return AcceptanceVector("sequoia", 0.95 * rows / rows.sum(axis=1, keepdims=True))
