"""Additive attention masks for trees, one for each kind of attention layer a model has."""

from dataclasses import dataclass

import torch
from torch import Tensor

from sequoia_core.errors import ModelError

FULL, SLIDING, CHUNKED = "full_attention", "sliding_attention", "chunked_attention"


@dataclass(frozen=True, slots=True)
class AttentionKinds:
    """How a model's layers look back.

    kinds: the layer types; `by_layer_type` says that the model takes a dict of masks, one a type.
    window, chunk: tokens, or None.
    """

    kinds: tuple[str, ...]
    by_layer_type: bool
    window: int | None
    chunk: int | None

    @classmethod
    def of(cls, config) -> "AttentionKinds":
        """Read a Hugging Face text configuration.

        Raises ModelError for recurrent or convolutional layers: their state cannot be rolled back
        to an accepted path.
        """
        types = set(getattr(config, "layer_types", None) or [])
        foreign = types - {FULL, SLIDING, CHUNKED}
        if foreign:
            raise ModelError(
                f"This {config.model_type} model has {', '.join(sorted(foreign))} layers, whose "
                "state cannot return to an accepted path; choose a model with attention only."
            )
        window = getattr(config, "sliding_window", None)
        if getattr(config, "use_sliding_window", True) is False:
            window = None
        if not types:
            kind = SLIDING if window else FULL
            return cls((kind,), False, window, None)
        chunk = getattr(config, "attention_chunk_size", None)
        return cls(tuple(sorted(types)), types != {FULL}, window, chunk)

    def reach(self, kind: str) -> int | None:
        """Tokens that layers of this kind look back, or a chunk's; None is everywhere."""
        return {FULL: None, SLIDING: self.window, CHUNKED: self.chunk}[kind]


def additive_mask(
    visible: Tensor, prefix: int, positions: Tensor, kinds: AttentionKinds, dtype: torch.dtype
) -> Tensor | dict[str, Tensor]:
    """The mask a model takes: 0 where a query may look, the dtype's lowest value elsewhere.

    visible: bool [queries, slots], which of the uncommitted slots each query sees; the `prefix`
    committed tokens are seen by all. positions: [prefix + slots], the token positions of all keys;
    the queries are the last of them. Float, because eager attention adds bool masks as 0 and 1.
    Returns [1, 1, queries, prefix + slots], or a dict of them by layer type.
    """
    width = prefix + visible.shape[1]
    full = torch.zeros(visible.shape[0], width, dtype=dtype, device=visible.device)
    full[:, prefix:].masked_fill_(~visible, torch.finfo(dtype).min)
    masks = {kind: _restrict(full, kind, positions, kinds)[None, None] for kind in kinds.kinds}
    return masks if kinds.by_layer_type else masks[kinds.kinds[0]]


def _restrict(full: Tensor, kind: str, positions: Tensor, kinds: AttentionKinds) -> Tensor:
    """The mask of one kind; `full` itself while the text is shorter than a window or chunk."""
    reach = kinds.reach(kind)
    if reach is None or full.shape[1] <= reach:
        return full
    hidden = _out_of_reach(kind, reach, positions[-full.shape[0] :], positions)
    return full.masked_fill(hidden, torch.finfo(full.dtype).min)


def _out_of_reach(kind: str, reach: int, queries: Tensor, keys: Tensor) -> Tensor:
    """Which keys lie outside a query's window or chunk, by their positions; [queries, keys]."""
    if kind == SLIDING:
        return queries[:, None] - keys >= reach
    return queries[:, None] // reach != keys // reach


class StaticMask:
    """The masks of `additive_mask` over a fixed number of slots, refilled in place for each pass.

    masks: what the model takes, [1, 1, queries, width] or a dict of them.
    """

    def __init__(
        self,
        queries: int,
        width: int,
        kinds: AttentionKinds,
        dtype: torch.dtype,
        device: torch.device,
    ):
        self._full = torch.zeros(1, 1, queries, width, dtype=dtype, device=device)
        self._lowest = torch.finfo(dtype).min
        reaches = {kind: kinds.reach(kind) for kind in kinds.kinds}
        # Kinds that reach over the whole width are all the same mask.
        self._restricted = {
            kind: (reach, torch.zeros_like(self._full))
            for kind, reach in reaches.items()
            if reach is not None and reach < width
        }
        masks = dict.fromkeys(kinds.kinds, self._full)
        masks |= {kind: mask for kind, (_, mask) in self._restricted.items()}
        self.masks = masks if kinds.by_layer_type else masks[kinds.kinds[0]]

    def fill(self, visible: Tensor, prefix: int, queries: Tensor, keys: Tensor | None) -> None:
        """Show the `prefix` committed slots and of those after them what is visible, no others.

        visible: bool [queries, slots]. queries, keys: positions of the tokens, and of the cache's
        slots from the first on, int64; those of unused slots are of no account, and with full
        attention alone there need be none.
        """
        full = self._full[0, 0]
        full.fill_(self._lowest)
        full.narrow(1, 0, prefix).zero_()
        full.narrow(1, prefix, visible.shape[1]).masked_fill_(visible, 0.0)
        for kind, (reach, mask) in self._restricted.items():
            hidden = _out_of_reach(kind, reach, queries, keys[: full.shape[1]])
            mask[0, 0].copy_(full).masked_fill_(hidden, self._lowest)
