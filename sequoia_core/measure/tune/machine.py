"""Words about the machine that a report was made on."""

import os
import platform

import torch
import transformers

from sequoia_core.measure.profiler import device_name

GIB = 2**30


def machine_words(device: torch.device, count: int = 1) -> dict[str, str]:
    """Device, memory, system and versions, each by its name; count: devices of a spread target."""
    words = {
        "device": device_name(device, count),
        "memory": _memory(device),
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "cores": str(os.cpu_count() or "unknown"),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }
    if device.type == "cuda":
        major, minor = torch.cuda.get_device_capability(device)
        words |= {"CUDA": str(torch.version.cuda), "compute capability": f"{major}.{minor}"}
    return words


def _memory(device: torch.device) -> str:
    """What the device has in all."""
    if device.type == "cuda":
        total = torch.cuda.get_device_properties(device).total_memory
    else:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return f"{total / GIB:.1f} GiB"
