"""The target's layers in main memory, streamed to the device while it computes.

A layer's weights lie one behind the other in main memory. On the device there are two or three
buffers of the largest layer's size; a layer's parameters are views into the buffer that is its own,
for good, so a pass changes nothing but the buffers' contents. Hooks around each layer have its
weights there in time (`streams.Rotation`). What is not a layer, such as embeddings and output, and
parameters that layers share, live on the device.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from sequoia_core.decode.streams import (
    CudaStreams,
    HostStreams,
    Pieces,
    Rotation,
    Streams,
    buffer_of_layers,
)
from sequoia_core.errors import ModelError

# Where torch begins an allocation on a GPU: kernels find a weight aligned as they would without.
ALIGNMENT = 512
# torch rounds pinned memory up to a power of two, up to twice what a layer needs. Pieces that are
# powers of two waste none, and a copy of this many bytes is long enough to be worth its launch.
SMALLEST_PIECE = 2**20


@dataclass(frozen=True, slots=True)
class Place:
    """Where a parameter lies among its layer's bytes. owners: its modules, and its name in each."""

    start: int
    shape: torch.Size
    dtype: torch.dtype
    owners: tuple[tuple[nn.Module, str], ...]

    @property
    def bytes(self) -> int:
        """Of the values, without the gap that follows."""
        return self.shape.numel() * self.dtype.itemsize

    def view(self, layer: Tensor) -> Tensor:
        """The parameter's values in a layer's bytes, or in a buffer that holds them."""
        return layer[self.start : self.start + self.bytes].view(self.dtype).view(self.shape)

    def take_over(self, layer: Tensor, buffer: Tensor) -> None:
        """Bring the values into the layer's bytes; the model sees the buffer from now on."""
        module, name = self.owners[0]
        self.view(layer).copy_(getattr(module, name).detach())
        parameter = nn.Parameter(self.view(buffer), requires_grad=False)
        for module, name in self.owners:
            setattr(module, name, parameter)


class Offload:
    """A model's layers in main memory. Takes the model over: its layers' parameters become views.

    Raises ModelError where the model has no list of layers, or its weights cannot be pinned.
    """

    @torch.inference_mode(False)
    def __init__(self, model: nn.Module, device: torch.device):
        """model: on the CPU, its weights never packed. device: where it is to run."""
        layers = decoder_layers(model)
        self.device = device
        self._places = [layer_places(layer, model) for layer in layers]
        sizes = [places_bytes(places) for places in self._places]
        buffers = buffer_of_layers(len(layers))
        self._buffers = [
            torch.zeros(max(sizes), dtype=torch.uint8, device=device)
            for _ in range(max(buffers) + 1)
        ]
        self._pieces: list[Pieces] = []
        for places, size, buffer in zip(self._places, sizes, buffers, strict=True):
            self._pieces.append(_taken_over(places, size, self._buffers[buffer]))
        model.to(device)
        self._layers = layers
        self.use(CudaStreams if device.type == "cuda" else HostStreams)
        for index, layer in enumerate(layers):
            layer.register_forward_pre_hook(partial(self._enter, index))
            layer.register_forward_hook(partial(self._leave, index), always_call=True)

    def use(self, streams: type) -> Streams:
        """Copy by these streams from now on, as if nothing had been copied before."""
        made = streams(self._pieces, self._buffers)
        self._rotation = Rotation(len(self._layers), made)
        return made

    def _enter(self, layer: int, *_hooked) -> None:
        self._rotation.enter(layer)

    def _leave(self, layer: int, *_hooked) -> None:
        self._rotation.leave(layer)

    @property
    def host_bytes(self) -> int:
        """Main memory of the layers."""
        return sum(map(_pieces_bytes, self._pieces))

    @property
    def buffer_bytes(self) -> int:
        """Memory of the buffers on the device."""
        return sum(len(buffer) for buffer in self._buffers)

    @property
    def streamed_bytes(self) -> int:
        """Copied to the device in every pass."""
        return sum(_pieces_bytes(self._pieces[layer]) for layer in self._rotation.streamed)

    @property
    def weight_bytes(self) -> int:
        """The layers' parameters, without the gaps between them."""
        return sum(place.bytes for places in self._places for place in places)

    def weights(self, model: nn.Module) -> Iterator[Tensor]:
        """Values of every parameter of the model; those of a layer's own show the buffer only."""
        streamed = {id(getattr(*place.owners[0])) for places in self._places for place in places}
        yield from (each for each in model.parameters() if id(each) not in streamed)
        for places, pieces in zip(self._places, self._pieces, strict=True):
            layer = torch.cat(list(pieces))
            yield from (place.view(layer) for place in places)

    def copy_streamed(self) -> None:
        """Copy what one pass copies, and compute nothing."""
        self._rotation.copy_streamed()


def decoder_layers(model: nn.Module) -> list[nn.Module]:
    """The model's layers in the order of a pass: its outermost list with most of the weights.

    Raises ModelError for a model without one of the length that its configuration says.
    """
    count = model.config.get_text_config().num_hidden_layers
    lists = [module for module in _outermost_lists(model) if len(module) == count > 0]
    if not lists:
        raise ModelError(
            f"No list of {count:,} layers was found in this {model.config.model_type} model, so "
            "they cannot be streamed; leave --offload out, or choose another model."
        )
    return list(max(lists, key=lambda module: sum(_bytes(p) for p in module.parameters())))


def _outermost_lists(module: nn.Module) -> Iterator[nn.ModuleList]:
    for child in module.children():
        if isinstance(child, nn.ModuleList):
            yield child
        else:
            yield from _outermost_lists(child)


def layer_places(layer: nn.Module, model: nn.Module) -> list[Place]:
    """Where each of a layer's own parameters lies; one that other modules use too has no place."""
    inside = set(layer.modules())
    outside = {id(p) for each in model.modules() if each not in inside for p in _own(each).values()}
    owners: dict[nn.Parameter, list[tuple[nn.Module, str]]] = {}
    for module in layer.modules():
        for name, parameter in _own(module).items():
            if id(parameter) not in outside:
                owners.setdefault(parameter, []).append((module, name))
    places, start = [], 0
    for parameter, where in owners.items():
        places.append(Place(start, parameter.shape, parameter.dtype, tuple(where)))
        start += _aligned(places[-1].bytes)
    return places


def _own(module: nn.Module) -> dict[str, nn.Parameter]:
    return dict(module.named_parameters(recurse=False, remove_duplicate=False))


def places_bytes(places: list[Place]) -> int:
    """Bytes of a layer as it is copied, the gaps between its parameters included."""
    return sum(_aligned(place.bytes) for place in places)


def _taken_over(places: list[Place], size: int, buffer: Tensor) -> Pieces:
    """A layer's weights as one run of bytes in main memory."""
    layer = torch.zeros(size, dtype=torch.uint8)
    for place in places:
        place.take_over(layer, buffer)
    return [layer] if buffer.device.type == "cpu" else _pinned(layer)


def _pinned(layer: Tensor) -> Pieces:
    try:
        return [piece.pin_memory() for piece in layer.split(piece_sizes(len(layer)))]
    except RuntimeError as error:
        reason = (str(error).strip().splitlines() or ["no reason given"])[0].rstrip(".")
        raise ModelError(
            f"The system pins no {len(layer):,} bytes of main memory more for a layer's weights "
            f"({reason}); choose a smaller dtype or a smaller model."
        ) from error


def piece_sizes(size: int) -> list[int]:
    """Powers of two that add up to `size`, falling, but for the last, which has what is left.

    >>> [piece // 2**20 for piece in piece_sizes(405 * 2**20)]
    [256, 128, 16, 4, 1]
    """
    sizes = []
    while size >= SMALLEST_PIECE:
        sizes.append(1 << (size.bit_length() - 1))
        size -= sizes[-1]
    return [*sizes, size] if size else sizes


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def _bytes(values: Tensor) -> int:
    return values.numel() * values.element_size()


def _pieces_bytes(pieces: Pieces) -> int:
    return sum(len(piece) for piece in pieces)
