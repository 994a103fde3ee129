"""What a model will need of memory, known before anything of it is loaded."""

from dataclasses import dataclass

import torch
from transformers import AutoModelForCausalLM

from sequoia_core.decode.loading import load_config
from sequoia_core.decode.memory import HOST, check_fits
from sequoia_core.decode.offload import decoder_layers, layer_places, places_bytes
from sequoia_core.decode.shapes import Shape
from sequoia_core.decode.streams import buffer_of_layers


@dataclass(frozen=True, slots=True)
class Footprint:
    """Bytes of a model: of each layer, of all other weights, and of keys and values.

    layers: only needed where they are to be streamed; else they may count with the rest.
    by_host: the weights are read into main memory before they go to a device.
    """

    layers: tuple[int, ...]
    rest: int
    cache: int
    by_host: bool = True

    @property
    def weights(self) -> int:
        """All of them."""
        return sum(self.layers) + self.rest

    def on_device(self, offload: bool) -> int:
        """What has to be on the device while it decodes."""
        if not offload:
            return self.weights + self.cache
        buffers = len(set(buffer_of_layers(len(self.layers))))
        return self.rest + buffers * max(self.layers) + self.cache

    def part(self, parts: int) -> "Footprint":
        """What one of so many processes holds, each of which reads its own part to its device."""
        if parts == 1:
            return self
        layers = tuple(size // parts for size in self.layers)
        return Footprint(layers, self.rest // parts, self.cache // parts, by_host=False)

    def on_host(self, offload: bool) -> int:
        """What stays in main memory beside that."""
        return sum(self.layers) if offload else 0


@dataclass(frozen=True, slots=True)
class Wanted:
    """A model to load. shape: of the stand-in to make of it, None for the model as it is.

    parts: how many processes share it.
    """

    source: str
    name: str
    shape: Shape | None
    offload: bool = False
    parts: int = 1

    @property
    def label(self) -> str:
        """The model's name, and of a stand-in whose cost it has."""
        return f"{self.name} as {self.shape.name}" if self.shape else self.name

    @property
    def display_name(self) -> str:
        """The label, and where the layers are."""
        label = f"{self.label} (a part of {self.parts})" if self.parts > 1 else self.label
        return offloaded_name(label) if self.offload else label


def offloaded_name(label: str) -> str:
    """How a model is called whose layers are in main memory: it takes another time for a pass."""
    return f"{label} (offloaded)"


def check_memory(
    target: Wanted, draft: Wanted, device: torch.device, dtype: torch.dtype, tokens: int
) -> None:
    """Raise ModelError, with the bytes missing, where a pair does not fit; nothing is loaded.

    tokens: committed and pending ones that both caches must hold. The check is a lower bound:
    what passes compute with comes on top. A model of which nothing is known is let through.
    """
    sizes = [footprint(each, dtype, tokens) for each in (target, draft)]
    if None in sizes:
        return
    what = f"{target.display_name} with {draft.display_name}"
    smaller = ["a smaller dtype"] if dtype.itemsize > 2 else []
    streaming = ["layers in main memory (--offload)"] if target.parts == 1 else ["more processes"]
    streaming = [] if target.offload else streaming
    for where, needed in memory_needed(*sizes, target.offload, device).items():
        check_fits(needed, what, where, smaller + ([] if where.type == "cpu" else streaming))


def memory_needed(
    target: Footprint, draft: Footprint, offload: bool, device: torch.device
) -> dict[torch.device, int]:
    """Bytes on the device, and in main memory where that is another place."""
    kept = target.on_host(offload)
    on_device = target.on_device(offload) + draft.on_device(False)
    if device.type == "cpu":
        return {device: on_device + kept}
    passing = [model.weights if model.by_host else 0 for model in (target, draft)]
    return {device: on_device, HOST: max(passing[0], kept + passing[1])}


def footprint(wanted: Wanted, dtype: torch.dtype, tokens: int) -> Footprint | None:
    """Bytes of a model with its caches; None where its configuration does not say.

    Raises ModelError for a model that is not there.
    """
    if wanted.shape:
        return _of_shape(wanted.shape, dtype, tokens, wanted.offload)
    config = load_config(wanted.source, wanted.name)
    whole = of_config(config, dtype, tokens, offload=wanted.offload)
    return whole.part(wanted.parts) if whole else None


def _of_shape(shape: Shape, dtype: torch.dtype, tokens: int, offload: bool) -> Footprint:
    """A stand-in's, which is built where its weights are to be."""
    layer = shape.layer_parameters
    rest = shape.parameters - shape.layers * layer
    cache = tokens * shape.cache_values * dtype.itemsize
    layers = (layer * dtype.itemsize,) * shape.layers
    return Footprint(layers, rest * dtype.itemsize, cache, by_host=offload)


def of_config(
    config, dtype: torch.dtype, tokens: int, *, offload: bool = False
) -> Footprint | None:
    """A model's, from an instance that has shapes and no memory.

    None for quantised weights, whose size is not that of their dtype, and where transformers
    cannot build the model: to load it will say why. Raises ModelError where layers are to be
    streamed and none are found.
    """
    if getattr(config, "quantization_config", None):
        return None
    try:
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config, dtype=dtype)
        cache = tokens * _cache_values(config.get_text_config()) * dtype.itemsize
    except (ValueError, KeyError, TypeError, AttributeError, ImportError, RuntimeError):
        return None
    weights = sum(each.numel() * each.element_size() for each in model.parameters())
    if not offload:
        return Footprint((), weights, cache)
    layers = [layer_places(each, model) for each in decoder_layers(model)]
    rest = weights - sum(place.bytes for places in layers for place in places)
    return Footprint(tuple(map(places_bytes, layers)), rest, cache)


def _cache_values(config) -> int:
    """Numbers of a token in the cache, for layers that are all alike."""
    heads = config.num_attention_heads
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // heads
    kv_heads = getattr(config, "num_key_value_heads", None) or heads
    return 2 * config.num_hidden_layers * kv_heads * head_dim
