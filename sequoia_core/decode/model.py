"""A causal language model with an engine-owned cache and tree-shaped forward passes."""

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import wraps

import torch
from torch import Tensor

from sequoia_core.decode.cache import TreeCache
from sequoia_core.decode.capture import Capture
from sequoia_core.decode.masks import FULL, AttentionKinds, additive_mask
from sequoia_core.decode.memory import exhausted
from sequoia_core.decode.offload import Offload
from sequoia_core.decode.packing import pack_linears
from sequoia_core.decode.static_passes import BUCKET, StaticPasses
from sequoia_core.decode.transfer import to_device
from sequoia_core.errors import InputError

PREFILL_CHUNK = 512
# Tokens that a draft has missed since its last step, at most, but for a tree of unusual depth.
FEW = 32


def _inference(method: Callable) -> Callable:
    """torch.inference_mode for callers outside it: to enter it takes many times as long as to ask,
    and a step would enter it ten times. Where a GPU has no memory left, ModelError says so.
    """
    entering = torch.inference_mode()(method)

    @wraps(method)
    def run(self, *args, **kwargs):
        inside = torch.is_inference_mode_enabled()
        try:
            return method(self, *args, **kwargs) if inside else entering(self, *args, **kwargs)
        except torch.OutOfMemoryError as error:
            raise exhausted(self.device, self.name) from error

    return run


class TreeModel:
    """One of the pair's two models. Not thread-safe: one run at a time.

    Tokens are first forwarded into pending cache slots, then committed or forgotten.
    parameters: number of weights, shared ones once. context_length: most tokens it was made for.
    devices: how many its weights are spread over.
    offload: what streams the model's layers from main memory; None where all are on the device.
    static: passes of fixed shape that are captured and repeated, None where all are dynamic.
    """

    def __init__(self, model, name: str, offload: Offload | None = None):
        self.model = model.eval()
        self.name = name
        self.offload = offload
        self.config = model.config.get_text_config()
        self.kinds = AttentionKinds.of(self.config)
        self.device = model.device
        self.dtype = model.dtype
        self.context_length = _context_length(self.config)
        self.parameters = sum(p.numel() for p in model.parameters())
        self.devices = 1
        if self.device.type == "cuda":
            _attend_without_plans()
        self._takes_rows = "logits_to_keep" in inspect.signature(model.forward).parameters
        self._looks_everywhere = self.kinds.kinds == (FULL,)
        self.static: StaticPasses | None = None
        self.cache = TreeCache(0)
        self._allocate(0)

    @property
    def streams_weights(self) -> bool:
        """Every pass copies weights to the device, in a stream of its own."""
        return self.offload is not None

    @property
    def capturable(self) -> bool:
        """A pass is nothing but kernels of this device, in one stream."""
        return not self.streams_weights

    def pack(self) -> None:
        """Lay the weights out for this CPU's kernels, where that is possible.

        Streamed weights stay as they are: their layout has no plain bytes to copy.
        """
        if not self.streams_weights:
            pack_linears(self.model)

    def weights(self) -> Iterator[Tensor]:
        """Every parameter's values, wherever they are; shared ones once."""
        return self.offload.weights(self.model) if self.offload else self.model.parameters()

    def use_static_passes(self, capture: Capture | None) -> None:
        """Capture passes that recur by this means; None makes all of them dynamic.

        So does a model that is not capturable.
        """
        made = capture if self.capturable else None
        self.static = made and StaticPasses(self._call, self.kinds, self.dtype, made)
        if self.cache.capacity:
            self._attach()

    @contextmanager
    def dynamically(self) -> Iterator[None]:
        """Capture nothing in here: for passes whose shapes are gone before a capture pays."""
        static, self.static = self.static, None
        try:
            yield
        finally:
            self.static = static

    @property
    def vocab(self) -> int:
        """Width of the logits."""
        return self.model.get_output_embeddings().weight.shape[0]

    @property
    def memory_bytes(self) -> int:
        """Bytes of weights, or of the buffers they are streamed into, and cache on the device."""
        weights = sum(p.numel() * p.element_size() for p in self.model.parameters())
        if self.offload:
            weights += self.offload.buffer_bytes - self.offload.weight_bytes
        return weights + self.cache.bytes

    @property
    def host_bytes(self) -> int:
        """Bytes of weights that are streamed from main memory."""
        return self.offload.host_bytes if self.offload else 0

    @property
    def length(self) -> int:
        """Committed tokens in the cache."""
        return self.cache.length

    @_inference
    def reset(self, capacity: int) -> None:
        """Empty the cache and make sure it holds `capacity` tokens; reallocates only to grow."""
        if capacity > self.cache.capacity:
            self._drop()
            try:
                self._build(-(-capacity // BUCKET) * BUCKET)
            except BaseException:
                # A cache made by half would pass for a whole one in the next run.
                self._drop()
                raise
        self.cache.clear()

    def _drop(self) -> None:
        """Give the cache's memory back, and what was captured on it."""
        if self.static is not None:
            self.static.detach()
        self.cache = TreeCache(0)
        self._allocate(0)

    def _build(self, capacity: int) -> None:
        """A cache with all its buffers in place."""
        self.cache = TreeCache(capacity)
        self._allocate(capacity)
        self._touch()

    def _allocate(self, capacity: int) -> None:
        """Positions of the slots, and the mask of a single token that sees every slot.

        Beside them what every step takes a piece of.
        """
        self._numbers = torch.arange(capacity, device=self.device)
        most = self._causal(FEW)
        self._few_seen = [most[:count, :count] for count in range(1, FEW + 1)]
        self._positions = torch.zeros(capacity, dtype=torch.long, device=self.device)
        self._open_mask = torch.zeros(1, 1, 1, capacity, dtype=self.dtype, device=self.device)

    def _touch(self) -> None:
        """One throw-away token, so that every layer's buffer exists before decoding."""
        self._dynamic(*(to_device([0], self.device) for _ in range(2)), self._seen(1))
        self.cache.consolidate()
        self._attach()

    def _attach(self) -> None:
        """Give the static passes this cache."""
        if self.static is not None:
            self.static.attach(self.cache, None if self._looks_everywhere else self._positions)

    def _seen(self, count: int) -> Tensor:
        """Causal visibility among `count` new tokens, bool [count, count]."""
        return self._few_seen[count - 1] if count <= FEW else self._causal(count)

    def _causal(self, count: int) -> Tensor:
        return torch.ones(count, count, dtype=torch.bool, device=self.device).tril_()

    @_inference
    def forward(
        self, token_ids: Tensor, positions: Tensor, visible: Tensor, rows: int = 0
    ) -> Tensor:
        """Logits of new tokens, which take the next pending slots.

        token_ids, positions: int64 [queries]. visible: bool [queries, pending + queries], which
        uncommitted slots each token sees, itself included; all committed tokens are seen.
        rows: only the last `rows` logits, 0 for all. Returns [queries or rows, vocab].
        """
        if self.static is None:
            return self._dynamic(token_ids, positions, visible, rows)
        return self.static.forward(self._dynamic, token_ids, positions, visible, rows)

    def _dynamic(
        self, token_ids: Tensor, positions: Tensor, visible: Tensor, rows: int = 0
    ) -> Tensor:
        """A pass over as many slots as there are tokens."""
        return self._call(token_ids, positions, self._mask(positions, visible), self.cache, rows)

    def _call(self, token_ids: Tensor, positions: Tensor, mask, cache, rows: int) -> Tensor:
        """The Hugging Face model's forward pass."""
        extra = {"logits_to_keep": rows} if rows and self._takes_rows else {}
        output = self.model(
            input_ids=token_ids[None],
            attention_mask=mask,
            position_ids=positions[None],
            past_key_values=cache,
            use_cache=True,
            **extra,
        )
        logits = output.logits[0]
        return logits[-rows:] if rows else logits

    def _mask(self, positions: Tensor, visible: Tensor) -> Tensor | dict[str, Tensor]:
        start = self.cache.used
        end = start + len(positions)
        if self._looks_everywhere and visible.numel() == 1:
            # A token sees itself: nothing is hidden, and no mask needs to be made.
            return self._open_mask[..., :end]
        if not self._looks_everywhere:
            self._positions[start:end] = positions
        return additive_mask(
            visible, self.cache.length, self._positions[:end], self.kinds, self.dtype
        )

    @_inference
    def plain_logits(self, token_ids: Tensor) -> Tensor:
        """Without cache and mask: ids [texts, tokens] to logits [texts, tokens, vocab]."""
        return self.model(input_ids=token_ids, use_cache=False).logits

    @_inference
    def append(self, token_ids: Sequence[int], *, recurring: bool = False) -> Tensor:
        """Forward tokens that are certain and commit them. Returns the last one's logits [vocab].

        Long inputs go in chunks, so that no mask is larger than a chunk times the context.
        recurring: so many tokens come often, as at the start of a draft; a prompt's come once, and
        its passes are dynamic.
        """
        if not token_ids:
            raise InputError("There is no token to continue from; give at least one.")
        with nullcontext() if recurring else self.dynamically():
            for start in range(0, len(token_ids), PREFILL_CHUNK):
                logits = self._append_chunk(token_ids[start : start + PREFILL_CHUNK])
        return logits[-1]

    def _append_chunk(self, token_ids: Sequence[int]) -> Tensor:
        chunk = to_device(token_ids, self.device)
        positions = self._numbers[self.length : self.length + len(chunk)]
        logits = self.forward(chunk, positions, self._seen(len(chunk)), rows=1)
        self.commit(range(len(chunk)))
        return logits

    @_inference
    def commit(self, slots: Sequence[int]) -> None:
        """Keep these pending slots in ascending order, forget the others."""
        if self._looks_everywhere or list(slots) == list(range(len(slots))):
            self.cache.commit(slots)
            return
        kept = self._positions[to_device(slots, self.device) + self.length]
        self._positions[self.length : self.length + len(slots)] = kept
        self.cache.commit(slots)


def _attend_without_plans() -> None:
    """Leave cuDNN's attention out, for all of the process.

    torch 2.11 prefers it on some GPUs (compute capability 9.0, 10.0 and 10.3, with cuDNN after
    9.15). It builds a plan for every number of queries and keys that it has not met, which is
    reported to take nearly half a second (github.com/modelscope/FunASR/issues/3704), and with every
    token there is another number of keys: for dynamic passes here, and in Hugging Face's `generate`
    on the same models.
    """
    torch.backends.cuda.enable_cudnn_sdp(False)


def _context_length(config) -> int:
    """Most tokens the model was made for; 2,048 where its configuration does not say."""
    for field in ("max_position_embeddings", "n_positions", "n_ctx"):
        if getattr(config, field, None):
            return int(getattr(config, field))
    return 2048
