"""Keys and values of one model in buffers that the engine owns and never reallocates."""

from collections import defaultdict
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicLayer

from sequoia_core.decode.transfer import to_device


class SlotLayer(DynamicLayer):
    """One layer's keys and values, [1, heads, capacity, head_dim], filled from the left."""

    def __init__(self, capacity: int):
        super().__init__()
        self.capacity = capacity
        self.used = 0

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Allocate for the shapes of the first tokens seen."""
        self.dtype, self.device = key_states.dtype, key_states.device
        self.keys = self._buffer(key_states)
        self.values = self._buffer(value_states)
        self.is_initialized = True

    def _buffer(self, states: Tensor) -> Tensor:
        batch, heads, _, head_dim = states.shape
        return states.new_zeros(batch, heads, self.capacity, head_dim)

    def update(
        self, key_states: Tensor, value_states: Tensor, *_args, **_kwargs
    ) -> tuple[Tensor, Tensor]:
        """Write the new rows into the next slots; return everything up to them as views."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        start, count = self.used, key_states.shape[-2]
        self.keys.narrow(2, start, count).copy_(key_states)
        self.values.narrow(2, start, count).copy_(value_states)
        self.used = end = start + count
        return self.keys.narrow(2, 0, end), self.values.narrow(2, 0, end)

    def get_seq_length(self) -> int:
        """Slots in use, uncommitted ones included."""
        return self.used


class FixedLayer(DynamicLayer):
    """The first `width` slots of a layer, written at slots that a tensor names.

    Shapes and addresses are the same in every pass, which CUDA graphs ask for.
    """

    def __init__(self, layer: SlotLayer, slots: Tensor, width: int):
        super().__init__()
        self.dtype, self.device = layer.dtype, layer.device
        self.keys, self.values = layer.keys[:, :, :width], layer.values[:, :, :width]
        self.is_initialized = True
        self._slots = slots

    def update(
        self, key_states: Tensor, value_states: Tensor, *_args, **_kwargs
    ) -> tuple[Tensor, Tensor]:
        """Write the new rows at the slots; return all of the width."""
        self.keys.index_copy_(2, self._slots, key_states)
        self.values.index_copy_(2, self._slots, value_states)
        return self.keys, self.values


def _kind(buffer: Tensor) -> tuple[torch.Size, torch.dtype, torch.device]:
    return buffer.shape, buffer.dtype, buffer.device


class TreeCache(Cache):
    """Committed tokens first, then the slots of the tree being tried.

    `length` counts committed tokens, `pending` the slots after them. A commit moves the accepted
    slots of all layers down in one gather, since layers of equal shape share one buffer.
    """

    def __init__(self, capacity: int):
        super().__init__(layer_class_to_replicate=partial(SlotLayer, capacity))
        self.capacity = capacity
        self.length = 0
        self.storage: list[Tensor] = []

    @property
    def used(self) -> int:
        """Slots in use in every layer."""
        return self.layers[0].used if self.layers else 0

    @property
    def pending(self) -> int:
        """Uncommitted slots."""
        return self.used - self.length

    @property
    def bytes(self) -> int:
        """Memory of all buffers."""
        return sum(x.numel() * x.element_size() for x in self.storage)

    def consolidate(self) -> None:
        """Give layers of equal shape one common buffer. Call after a first forward pass, whose
        keys and values are lost: the cache is never in memory twice.
        """
        groups = defaultdict(list)
        for layer in self.layers:
            for name in ("keys", "values"):
                groups[_kind(getattr(layer, name))].append((layer, name))
                setattr(layer, name, None)
        self.storage = []
        for (shape, dtype, device), members in groups.items():
            common = torch.zeros(len(members), *shape, dtype=dtype, device=device)
            for view, (layer, name) in zip(common, members, strict=True):
                setattr(layer, name, view)
            self.storage.append(common)

    def view(self, slots: Tensor, width: int) -> Cache:
        """The first `width` slots of all layers, which a pass writes at `slots`, int64 [queries].

        Call once the buffers are where they stay. Such a pass does not count: see `advance`.
        """
        return Cache(layers=[FixedLayer(layer, slots, width) for layer in self.layers])

    def advance(self, count: int) -> None:
        """Count slots that a pass through a view has written as pending."""
        self._set_used(self.used + count)

    def commit(self, slots: Sequence[int]) -> None:
        """Keep these pending slots, given by offset and ascending, and forget the others."""
        # Slots at the front are where they belong; only those from the first gap on move down.
        stay = next((place for place, slot in enumerate(slots) if place != slot), len(slots))
        if moving := [self.length + slot for slot in slots[stay:]]:
            for buffer in self.storage:
                kept = buffer.index_select(-2, to_device(moving, buffer.device))
                buffer.narrow(-2, self.length + stay, len(moving)).copy_(kept)
        self._set_length(self.length + len(slots))

    def clear(self) -> None:
        """Forget every token; buffers stay."""
        self._set_length(0)

    def _set_length(self, length: int) -> None:
        self.length = length
        self._set_used(length)

    def _set_used(self, used: int) -> None:
        for layer in self.layers:
            layer.used = used
