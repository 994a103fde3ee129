"""From acceptance at single positions to rates with standard errors, and rates by depth."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

# Rates by depth end where fewer positions than this are reached: they would be noise.
FEWEST_POSITIONS = 100
MOST_ROWS = 16


def ratio_estimate(samples: Sequence[Tensor]) -> tuple[list[float], list[float]]:
    """Mean over all positions and its standard error with prompts as the independent units.

    samples: for each prompt the acceptance by rank, float64 [positions, ranks].
    """
    lengths = torch.tensor([len(sample) for sample in samples], dtype=torch.float64)
    sums = torch.stack([sample.sum(0) for sample in samples])
    mean = sums.sum(0) / lengths.sum()
    count = len(samples)
    spread = (sums - lengths[:, None] * mean).square().sum(0) / (count - 1)
    errors = (spread * count).sqrt() / lengths.sum()
    return _at_most_one(mean).tolist(), errors.tolist()


def by_depth(acceptance: Sequence[Tensor], ranks: Sequence[Tensor]) -> list[list[float]]:
    """Mean acceptance where the j tokens before were all some child's, for j = 0, 1, ...

    acceptance: [positions, W] a prompt; ranks: [positions] a prompt, -1 for none. Row j is what a
    node at depth j of a tree with W children everywhere sees; row 0 is the mean over everything.
    """
    rows = []
    for depth in range(MOST_ROWS):
        reached = torch.cat(
            [sample[_after(own, depth)] for sample, own in zip(acceptance, ranks, strict=True)]
        )
        if depth and len(reached) < FEWEST_POSITIONS:
            break
        rows.append(_at_most_one(reached.mean(0)).tolist())
    return rows


def _after(ranks: Tensor, depth: int) -> Tensor:
    """Positions whose `depth` predecessors all have a rank, bool [positions]."""
    found = torch.zeros(len(ranks), dtype=torch.bool)
    if depth == 0:
        return ~found
    if len(ranks) > depth:
        found[depth:] = (ranks >= 0).unfold(0, depth, 1)[:-1].all(-1)
    return found


def _at_most_one(probabilities: Tensor) -> Tensor:
    """Rounding may lift the sum a hair above 1."""
    total = float(probabilities.sum())
    return probabilities / math.nextafter(total, math.inf) if total > 1 else probabilities
