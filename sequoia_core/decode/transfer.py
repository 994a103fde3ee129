"""Index tensors to the device without waiting for it, and answers back in one wait."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def to_device(values: Sequence | np.ndarray, device: torch.device) -> Tensor:
    """A tensor of these numbers; int64, or bool for a bool array.

    A GPU copies it from pinned memory when it comes to it: a copy from ordinary memory would make
    the host wait for all work queued before.
    """
    flags = isinstance(values, np.ndarray) and values.dtype.kind == "b"
    dtype = torch.bool if flags else torch.long
    if device.type != "cuda":
        return torch.tensor(values, dtype=dtype, device=device)
    return torch.tensor(values, dtype=dtype, pin_memory=True).to(device, non_blocking=True)


def to_host(*parts: Tensor) -> list[np.ndarray]:
    """Numbers of tensors of one device, each in its shape; from a GPU in one copy, as float64.

    A copy waits for all work queued before it. Tokens are exact in float64.
    """
    if parts[0].device.type != "cuda":
        return [part.numpy(force=True) for part in parts]
    numbers = torch.cat([part.flatten().double() for part in parts]).numpy(force=True)
    ends = np.cumsum([part.numel() for part in parts])[:-1]
    pieces = np.split(numbers, ends)
    return [piece.reshape(part.shape) for piece, part in zip(pieces, parts, strict=True)]
