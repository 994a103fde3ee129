"""How much memory a device has left, and what is said when that is not enough."""

import os
from pathlib import Path

import torch

from sequoia_core.errors import ModelError

CONTROL_GROUPS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
    ),
)


def available_bytes(device: torch.device) -> int:
    """Bytes that can still be allocated; of a CPU also within its container's limit.

    Where the system does not say what is free, all of its memory counts.
    """
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    free = [_free_memory()]
    for limit, used in CONTROL_GROUPS:
        most, now = _number(limit), _number(used)
        if most is not None and now is not None:
            free.append(max(most - now, 0))
    return min(free)


def check_fits(needed: int, what: str, device: torch.device) -> None:
    """Raise ModelError, with both numbers of bytes, where the device has too little left."""
    available = available_bytes(device)
    if needed > available:
        raise ModelError(
            f"{what} needs {needed:,} bytes and {device} has {available:,} left, "
            f"{needed - available:,} too few; choose a smaller one, a smaller dtype or another "
            "device."
        )


def _free_memory() -> int:
    info = Path("/proc/meminfo")
    if info.exists():
        for line in info.read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _number(path: str) -> int | None:
    """The number in a file of the control group; None without a file, or for `max`."""
    try:
        return int(Path(path).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
