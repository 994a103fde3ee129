"""Where a step's time goes, taken with the device synchronised."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from sequoia_core.decode.trace import Seconds

PARTS = ("draft", "verify", "sample", "commit")


def now(device: torch.device) -> float:
    """Seconds of a monotonic clock, once all work queued on the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


class Stopwatch:
    """Adds up seconds by part of a step."""

    def __init__(self, device: torch.device):
        self.device = device
        self.spent = dict.fromkeys(PARTS, 0.0)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Count the enclosed work as this part."""
        started = now(self.device)
        yield
        self.spent[name] += now(self.device) - started

    def take(self) -> Seconds:
        """The step's seconds; the watch starts again from zero."""
        seconds = Seconds(**self.spent)
        self.spent = dict.fromkeys(PARTS, 0.0)
        return seconds
