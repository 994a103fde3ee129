"""Where a step's time goes, taken with the device synchronised."""

import time

import torch

from sequoia_core.decode.trace import Seconds

PARTS = ("draft", "verify", "sample", "commit")


def now(device: torch.device) -> float:
    """Seconds of a monotonic clock, once all computing queued on the device is done.

    Weights that are copied ahead for the next pass (`streams`) belong to that pass.
    """
    if device.type == "cuda":
        torch.cuda.current_stream(device).synchronize()
    return time.perf_counter()


class Stopwatch:
    """Adds up seconds by part of a step."""

    def __init__(self, device: torch.device):
        self.device = device
        self.spent = dict.fromkeys(PARTS, 0.0)
        self._parts = {name: Part(self, name) for name in PARTS}

    def part(self, name: str) -> "Part":
        """Count the enclosed work as this part."""
        return self._parts[name]

    def take(self) -> Seconds:
        """The step's seconds; the watch starts again from zero."""
        seconds = Seconds(**self.spent)
        self.spent = dict.fromkeys(PARTS, 0.0)
        return seconds


class Part:
    """A context that adds the time spent in it to its part; made once, entered in every step."""

    __slots__ = ("_name", "_started", "_watch")

    def __init__(self, watch: Stopwatch, name: str):
        self._watch, self._name, self._started = watch, name, 0.0

    def __enter__(self) -> None:
        self._started = now(self._watch.device)

    def __exit__(self, *_exception) -> None:
        self._watch.spent[self._name] += now(self._watch.device) - self._started
