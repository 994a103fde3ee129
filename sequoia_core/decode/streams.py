"""In which order layers are copied into a few buffers on the device, and what waits for what.

While a layer computes, the next one is copied beside it. Copies run in a queue of their own, so two
orders have to be kept: a layer computes after its copy is done, and a buffer is written after the
layer that used it has been computed. `Rotation` keeps them, in terms of four operations that
`Streams` carries out.
"""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor


class Streams(Protocol):
    """Two queues of work, one that computes and one that copies, and marks between them."""

    def await_release(self, buffer: int) -> None:
        """Later copies wait until the last use of the buffer that was released is over."""

    def copy(self, layer: int, buffer: int) -> None:
        """Copy a layer's weights into the buffer, after all copies before."""

    def await_copy(self, buffer: int) -> None:
        """Later computing waits for the last copy into the buffer."""

    def release(self, buffer: int) -> None:
        """What has been given to compute until now is the last use of the buffer's weights."""


def buffer_of_layers(layers: int) -> list[int]:
    """The buffer of each layer, such that neighbours never share one, nor the last and the first.

    The layer after the last is the first, of the next pass. Two buffers do for an even number of
    layers, an odd one takes a third.

    >>> buffer_of_layers(4), buffer_of_layers(5)
    ([0, 1, 0, 1], [0, 1, 0, 1, 2])
    """
    buffers = [layer % 2 for layer in range(layers)]
    if layers > 1 and layers % 2:
        buffers[-1] = 2
    return buffers


class Rotation:
    """Has each layer in its buffer in time, whatever pass breaks off or begins anew.

    A layer that shares its buffer with no other is copied once and stays.
    """

    def __init__(self, layers: int, streams: Streams):
        self.buffers = buffer_of_layers(layers)
        self._streams = streams
        self._held: dict[int, int] = {}

    @property
    def streamed(self) -> list[int]:
        """Layers that every pass copies."""
        return [layer for layer, own in enumerate(self.buffers) if self.buffers.count(own) > 1]

    def enter(self, layer: int) -> None:
        """Call before a layer computes: its weights will be there, and the next one's after it."""
        self._fetch(layer)
        self._streams.await_copy(self.buffers[layer])
        self._fetch((layer + 1) % len(self.buffers))

    def leave(self, layer: int) -> None:
        """Call once all of a layer's computing has been queued."""
        self._streams.release(self.buffers[layer])

    def copy_streamed(self) -> None:
        """Copy what every pass copies, and compute nothing: no pass can take less time."""
        for layer in self.streamed:
            self._copy(layer)
        for buffer in {self.buffers[layer] for layer in self.streamed}:
            self._streams.await_copy(buffer)

    def _fetch(self, layer: int) -> None:
        if self._held.get(self.buffers[layer]) != layer:
            self._copy(layer)

    def _copy(self, layer: int) -> None:
        buffer = self.buffers[layer]
        self._streams.await_release(buffer)
        self._streams.copy(layer, buffer)
        self._held[buffer] = layer


# A layer's bytes in main memory, in pieces; on a CPU there is one.
Pieces = Sequence[Tensor]


class HostStreams:
    """On a CPU everything is done in the order it is asked for, so nothing has to wait."""

    def __init__(self, layers: Sequence[Pieces], buffers: Sequence[Tensor]):
        self._layers, self._buffers = layers, buffers

    def await_release(self, buffer: int) -> None:
        """Nothing: whatever used the buffer has been computed."""

    def copy(self, layer: int, buffer: int) -> None:
        """Copy now."""
        copy_pieces(self._layers[layer], self._buffers[buffer])

    def await_copy(self, buffer: int) -> None:
        """Nothing: the copy is done."""

    def release(self, buffer: int) -> None:
        """Nothing: see `await_release`."""


class CudaStreams:
    """A stream that copies beside the one that computes, and an event for either order."""

    def __init__(self, layers: Sequence[Pieces], buffers: Sequence[Tensor]):
        self._layers, self._buffers = layers, buffers
        self._device = buffers[0].device
        self._copies = torch.cuda.Stream(self._device)
        self._copied = [torch.cuda.Event() for _ in buffers]
        self._released = [torch.cuda.Event() for _ in buffers]
        # The memory of a new buffer may still be in use by work that was queued before.
        self._copies.wait_stream(self._computing)
        for buffer in buffers:
            # Once the model is gone, torch must not give the memory away under a last copy.
            buffer.record_stream(self._copies)

    @property
    def _computing(self) -> torch.cuda.Stream:
        return torch.cuda.current_stream(self._device)

    def await_release(self, buffer: int) -> None:
        """An event that was never recorded keeps nobody waiting."""
        self._copies.wait_event(self._released[buffer])

    def copy(self, layer: int, buffer: int) -> None:
        """Queue the copies; the host goes on at once, since the pieces are pinned."""
        with torch.cuda.stream(self._copies):
            copy_pieces(self._layers[layer], self._buffers[buffer])
        self._copied[buffer].record(self._copies)

    def await_copy(self, buffer: int) -> None:
        """The computing stream waits; the host does not."""
        self._computing.wait_event(self._copied[buffer])

    def release(self, buffer: int) -> None:
        """Mark this place in the computing stream."""
        self._released[buffer].record(self._computing)


def copy_pieces(pieces: Pieces, buffer: Tensor) -> None:
    """Write a layer's bytes to the beginning of a buffer, uint8 [bytes] that is long enough."""
    start = 0
    for piece in pieces:
        buffer[start : start + len(piece)].copy_(piece, non_blocking=True)
        start += len(piece)
