"""Where a step's time goes."""

import time
from collections.abc import Callable

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


def stopwatch(device: torch.device) -> "Stopwatch | EventWatch":
    """The watch for a run on this device."""
    if device.type == "cuda":
        return EventWatch(lambda: DeviceEvent(device))
    return Stopwatch()


class Stopwatch:
    """Adds up seconds by part of a step, by the host's clock: for a CPU, which does all at once."""

    def __init__(self):
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
        self._started = time.perf_counter()

    def __exit__(self, *_exception) -> None:
        self._watch.spent[self._name] += time.perf_counter() - self._started


class Laps:
    """Seconds of works that follow one another as in a step, by the host's clock."""

    def __init__(self):
        self._seconds: list[float] = []

    def time(self, work: Callable[[], object]) -> None:
        """Do the work, and keep what it takes."""
        started = time.perf_counter()
        work()
        self._seconds.append(time.perf_counter() - started)

    def take(self) -> list[float]:
        """Seconds of each work."""
        return self._seconds


class DeviceLaps:
    """The same by events on the device's own clock, which is waited for once, after all of them.

    The host runs ahead of the device, as it does in a step: what it takes to launch a work counts
    only where the device has nothing else to do meanwhile.
    event: makes an event.
    """

    def __init__(self, event: "Callable[[], DeviceEvent]"):
        self._event = event
        self._events: list[tuple[DeviceEvent, DeviceEvent]] = []

    def time(self, work: Callable[[], object]) -> None:
        """Queue the work between two marks."""
        before, after = self._event(), self._event()
        before.record()
        work()
        after.record()
        self._events.append((before, after))

    def take(self) -> list[float]:
        """Seconds of each work, once the device has done all of them."""
        self._events[-1][1].synchronize()
        return [before.elapsed_time(after) / 1e3 for before, after in self._events]


def laps(device: torch.device) -> Laps | DeviceLaps:
    """For works on this device, which has done all that was queued before."""
    if device.type == "cuda":
        now(device)
        return DeviceLaps(lambda: DeviceEvent(device))
    return Laps()


class DeviceEvent:
    """A mark in the queue of a GPU that need not be torch's current one."""

    __slots__ = ("_device", "event")

    def __init__(self, device: torch.device):
        self._device = device
        self.event = torch.cuda.Event(enable_timing=True)

    def record(self) -> None:
        """Put the mark after all work queued until now."""
        self.event.record(torch.cuda.current_stream(self._device))

    def synchronize(self) -> None:
        """Wait until the device has come to the mark."""
        self.event.synchronize()

    def elapsed_time(self, later: "DeviceEvent") -> float:
        """Milliseconds on the device from this mark to a later one."""
        return self.event.elapsed_time(later.event)


class EventWatch:
    """The same by events on the device's own clock, so that the host runs ahead of the device.

    A part lasts until the next one begins: where the device waits for the host between two parts,
    the part before is the one that did not give it enough to do. The step's last part ends when
    `take` is called, which waits for the device once.
    event: makes an event; they are used again in every step.
    """

    def __init__(self, event: Callable[[], DeviceEvent]):
        self._event = event
        self._events: list[DeviceEvent] = []
        self._begun: list[str] = []
        self._parts = {name: EventPart(self, name) for name in PARTS}

    def part(self, name: str) -> "EventPart":
        """Count what follows as this part."""
        return self._parts[name]

    def begin(self, name: str) -> None:
        """Mark the beginning of a part in the device's queue of work."""
        self._begun.append(name)
        if len(self._events) < len(self._begun):
            self._events.append(self._event())
        self._events[len(self._begun) - 1].record()

    def take(self) -> Seconds:
        """The step's seconds, once the device has done all of it; the watch starts again."""
        self.begin("end")
        *names, _ = self._begun
        self._events[len(names)].synchronize()
        spent = dict.fromkeys(PARTS, 0.0)
        for index, name in enumerate(names):
            milliseconds = self._events[index].elapsed_time(self._events[index + 1])
            spent[name] += milliseconds / 1e3
        self._begun.clear()
        return Seconds(**spent)


class EventPart:
    """A context that marks where a part begins; it ends with the next one."""

    __slots__ = ("_name", "_watch")

    def __init__(self, watch: EventWatch, name: str):
        self._watch, self._name = watch, name

    def __enter__(self) -> None:
        self._watch.begin(self._name)

    def __exit__(self, *_exception) -> None:
        pass
