"""A better or a worse draft than the one measured, for asking what would change."""

from dataclasses import replace

import numpy as np

from sequoia_core.files import check_number
from sequoia_core.plan.acceptance import AcceptanceVector

HIGHEST = 0.99


def scaled(acceptance: AcceptanceVector, factor: float) -> AcceptanceVector:
    """The vector of a draft whose first child is accepted `factor` times as often, at most 0.99.

    The chance r_k that the first k children are all rejected becomes r_k to one power, the same
    for every k, which keeps a power law a power law (Sequoia, arXiv 2402.12374v3, section 3.1) and
    every row a distribution. Standard errors keep their share of each rate; rates by depth and
    rank sequences are left out, since they were counted as they are. Raises InputError for a
    factor out of range.
    """
    check_number(factor, "The factor", low=0.01, high=100)
    if factor == 1:
        return acceptance
    rows = np.stack([_scaled_row(row, factor) for row in acceptance.rows])
    errors = acceptance.standard_errors
    if errors is not None:
        share = np.divide(rows, acceptance.rows, out=np.ones_like(rows), where=acceptance.rows > 0)
        errors = (np.atleast_2d(errors) * share).clip(max=1).reshape(errors.shape)
    return replace(
        acceptance,
        probabilities=rows.reshape(acceptance.probabilities.shape),
        standard_errors=errors,
        origin=f"{acceptance.origin}; first child accepted {factor:g} times as often".lstrip("; "),
        name=f"{acceptance.name} × {factor:g}",
        by_depth=None,
        paths=None,
    )


def _scaled_row(row: np.ndarray, factor: float) -> np.ndarray:
    """One row with its first entry multiplied, the others moved along with it."""
    first = row[0]
    wanted = min(factor * first, max(HIGHEST, first))
    if first in (0.0, 1.0) or wanted == first:
        return row
    power = np.log1p(-wanted) / np.log1p(-first)
    rejected = np.concatenate([[1.0], 1.0 - np.cumsum(row)]).clip(min=0.0)
    return -np.diff(rejected**power)
