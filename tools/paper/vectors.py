"""Acceptance vectors with two parameters, for settings whose own vector is not published."""

import numpy as np

from sequoia_core.plan.acceptance import AcceptanceVector


def power_law(first: float, fall: float, ranks: int, rule: str) -> AcceptanceVector:
    """k children are all rejected with chance (1 - first) / k^fall.

    The paper's definition 3.5 and figure 3 (r_k about 1 / k^b), scaled so that a single child is
    accepted with chance `first`.
    """
    rejected = (1 - first) * np.arange(1, ranks + 1) ** -fall
    return AcceptanceVector(rule, -np.diff(np.concatenate([[1.0], rejected])))
