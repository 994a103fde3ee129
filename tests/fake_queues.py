"""Streams, events and graphs of a GPU that is none; see `fake_cuda`."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch.utils._pytree import tree_leaves


@dataclass
class Stream:
    """A queue of work. clock: of each stream, how much of it is known to be over."""

    gpu: object
    name: str
    done: int = 0
    clock: dict[str, int] = field(default_factory=dict)

    def advance(self) -> None:
        """One more operation, after all that its stream and the host know of."""
        self.gpu.merge(self.clock, self.gpu.host)
        self.done += 1
        self.clock[self.name] = self.done

    def wait_stream(self, other: "Stream") -> None:
        self.gpu.merge(self.clock, other.clock)

    def wait_event(self, event: "Event") -> None:
        self.gpu.merge(self.clock, event.clock)

    def record_event(self, event: "Event") -> None:
        event.record(self)

    def synchronize(self) -> None:
        self.gpu.wait("stream", self)


class Event:
    """A mark in a stream. It has a time only where it was made to have one."""

    def __init__(self, gpu, enable_timing: bool = False):
        self.gpu, self.timed = gpu, enable_timing
        self.clock: dict[str, int] = {}
        self.time: int | None = None

    def record(self, stream: Stream | None = None) -> None:
        stream = stream or self.gpu.stream
        self.gpu.no_capture("an event with a time")
        self.clock, self.time = dict(stream.clock), self.gpu.operations

    def synchronize(self) -> None:
        self.gpu.wait("event")

    def elapsed_time(self, later: "Event") -> float:
        assert self.timed and later.timed, "both events must be made with enable_timing=True"
        assert None not in (self.time, later.time), "both events must be recorded"
        return float(later.time - self.time)


@dataclass
class Operation:
    """One in a graph, on memory that stays. made: tensors that are its own."""

    run: Callable[[], object]
    read: list[torch.Tensor]
    written: list[torch.Tensor]
    made: list[torch.Tensor]

    def again(self) -> None:
        found = self.run()
        for old, new in zip(self.made, tree_leaves(found) if self.made else [], strict=True):
            old.copy_(new)


class Graph:
    """A CUDA graph: operations on memory, without the Python that asked for them."""

    def __init__(self, gpu):
        self.gpu = gpu
        self.operations: list[Operation] = []
        self.captured = False
        self.replays = 0

    def replay(self) -> None:
        assert self.captured, "replayed without a successful capture"
        self.gpu.no_capture("a replay")
        self.replays += 1
        read, written = [], []
        for operation in self.operations:
            operation.again()
            read += operation.read
            written += operation.written
        for operation in self.operations:
            self._spoil(operation.made)
        self.gpu.ran("graph", read, written)

    @staticmethod
    def _spoil(made) -> None:
        """The next graph's pass uses the same memory."""
        for values in made:
            if values.is_floating_point():
                values.fill_(float("nan"))
            elif values.dtype != torch.bool:
                values.fill_(-1)
