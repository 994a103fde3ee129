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
    reach = {FULL: None, SLIDING: kinds.window, CHUNKED: kinds.chunk}[kind]
    if reach is None or full.shape[1] <= reach:
        return full
    queries = positions[-full.shape[0] :, None]
    if kind == SLIDING:
        hidden = queries - positions >= reach
    else:
        hidden = queries // reach != positions // reach
    return full.masked_fill(hidden, torch.finfo(full.dtype).min)
