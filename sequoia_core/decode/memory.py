"""How much memory a device has left, what is said when that is not enough, and what was used."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from sequoia_core.errors import ModelError

HOST = torch.device("cpu")
# A container's limit, what it uses, and the file that says how much of that are cached files.
CONTROL_GROUPS = (
    (
        "/sys/fs/cgroup/memory.max",
        "/sys/fs/cgroup/memory.current",
        "/sys/fs/cgroup/memory.stat",
    ),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
        "/sys/fs/cgroup/memory/memory.stat",
    ),
)
# Names of both generations of control groups; of the older one those with its children's.
CACHED_FILES = ("active_file", "inactive_file")
UNITS = (("GB", 1e9), ("MB", 1e6), ("kB", 1e3))


def available_bytes(device: torch.device) -> int:
    """Bytes that can still be allocated; of a CPU also within its container's limit.

    Files that the system caches count as free, since it gives them up: a model that has just been
    downloaded would else be in its own way. Where the system does not say what is free, all of its
    memory counts.
    """
    if device.type == "cuda":
        # What torch keeps of memory that was freed is free for torch.
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + kept
    free = [_free_memory()]
    for limit, used, statistics in CONTROL_GROUPS:
        most, now = _number(limit), _number(used)
        if most is not None and now is not None:
            free.append(max(most - now + _cached_files(statistics), 0))
    return min(free)


def check_fits(needed: int, what: str, device: torch.device, ways: Sequence[str] = ()) -> None:
    """Raise ModelError, with what is needed, free and missing, where the device has too little.

    ways: what would help beside a smaller model.
    """
    available = available_bytes(device)
    if needed > available:
        raise shortage(needed, available, what, device, ways)


def shortage(
    needed: int, available: int, what: str, device: torch.device, ways: Sequence[str] = ()
) -> ModelError:
    """The error for what does not fit; see `check_fits`."""
    missing = needed - available
    where = "main memory" if device.type == "cpu" else f"memory on {device}"
    choices = f"{', '.join(ways)} or a smaller model" if ways else "a smaller model"
    return ModelError(
        f"{what} needs {readable(needed)} of {where} and {readable(available)} are free: "
        f"{readable(missing)} ({missing:,} bytes) are missing; choose {choices}."
    )


def exhausted(device: torch.device, name: str) -> ModelError:
    """The error for memory that ran out while a model decoded, by what no check can foresee."""
    return ModelError(
        f"{device} ran out of memory while {name} was at work; choose a shorter text, a smaller "
        "tree, model or dtype, or free memory that others use."
    )


def readable(size: int) -> str:
    """Bytes in a unit for people.

    >>> readable(13_476_839_424), readable(512_000), readable(17)
    ('13.5 GB', '512.0 kB', '17 bytes')
    """
    for unit, bytes_ in UNITS:
        if size >= bytes_:
            return f"{size / bytes_:,.1f} {unit}"
    return f"{size:,} bytes"


def peak_memory(device: torch.device) -> dict[str, int]:
    """Most bytes in use at once since the program began, by where: the device, main memory.

    On a GPU what torch has allocated; in main memory all of the program that was resident. Main
    memory is left out where the system does not tell.
    """
    peaks = {}
    if device.type == "cuda":
        peaks[str(device)] = torch.cuda.max_memory_allocated(device)
    resident = _peak_resident()
    return peaks | ({} if resident is None else {"main memory": resident})


def describe_peak(peaks: Mapping[str, int]) -> str:
    """`peak_memory` in one line."""
    parts = [f"{readable(size)} of {where}" for where, size in peaks.items()]
    return f"peak memory: {', '.join(parts) or 'not told by this system'}"


def _peak_resident() -> int | None:
    try:
        import resource
    except ImportError:
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


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


def _cached_files(path: str) -> int:
    """Bytes of a group's memory that are copies of files."""
    try:
        lines = Path(path).read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return 0
    sizes = dict(line.split() for line in lines if len(line.split()) == 2)
    return sum(int(sizes.get(f"total_{name}", sizes.get(name, 0))) for name in CACHED_FILES)
