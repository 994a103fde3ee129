"""How far apart two computations of the same logits may be."""

import torch
from torch import Tensor

# Largest difference, in standard deviations of the logits, that rounding explains.
TOLERANCE = {torch.float32: 2e-3, torch.bfloat16: 0.15, torch.float16: 0.05}


def tolerance(dtype: torch.dtype) -> float:
    """The largest difference for a model in this dtype."""
    return TOLERANCE.get(dtype, max(TOLERANCE.values()))


def difference(ours: Tensor, plain: Tensor) -> float:
    """Greatest difference of two sets of logits, in standard deviations of the plain ones."""
    greatest = (ours.float() - plain.float()).abs().max()
    # Where all logits are equal there is nothing to divide by, and equal is equal.
    return float(greatest / plain.float().std()) if greatest else 0.0
