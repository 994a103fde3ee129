"""Index tensors from the host to the device, without waiting for the device."""

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
