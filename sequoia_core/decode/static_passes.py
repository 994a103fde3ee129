"""Forward passes whose shapes and addresses never change, so that they can be captured.

The dynamic pass reads as many keys as there are tokens, so every pass has another shape. A static
pass reads a whole bucket of slots, the unused rest of it hidden by the mask, and is repeated for
every text length that falls into the bucket. It writes its keys and values at slots that it is
told in a tensor. What changes from pass to pass is written into tensors that stay in place.

A shape is captured when it is met for the second time: one that comes once is not worth it. What
was captured must then give the logits that the dynamic pass has just given, or no more is captured.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from sequoia_core.decode.cache import TreeCache
from sequoia_core.decode.capture import Capture, Pass
from sequoia_core.decode.masks import AttentionKinds, StaticMask
from sequoia_core.decode.rounding import difference, tolerance

# Slots by which a pass's reach grows; capacities are multiples of it.
BUCKET = 256
# Passes kept; beyond, the one not used for longest goes.
MOST_PASSES = 128
# What a model's own code may raise where it does not go with static shapes.
FAILURES = (RuntimeError, ValueError, TypeError, IndexError, AttributeError)

# (token ids, positions, mask or masks, cache, rows) -> logits: a model's own forward pass.
Call = Callable[..., Tensor]
# (queries, rows, buckets)
Shape = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Step:
    """What one pass is given: see `TreeModel.forward`. prefix: committed tokens; start: slots in
    use before the pass.
    """

    token_ids: Tensor
    positions: Tensor
    visible: Tensor
    prefix: int
    start: int


@dataclass(frozen=True, slots=True)
class Buffers:
    """Inputs and output of all passes over so many tokens, whatever the length of the text.

    token_ids, positions, slots: int64 [queries]. logits: [rows kept, vocab], of memory that other
    passes write too.
    """

    token_ids: Tensor
    positions: Tensor
    slots: Tensor
    logits: Tensor

    @classmethod
    def like(cls, token_ids: Tensor, logits: Tensor) -> "Buffers":
        """For passes of this shape. logits: taken as they are."""
        numbers = (torch.zeros_like(token_ids) for _ in range(3))
        return cls(*numbers, logits)


class StaticPass:
    """One shape of pass on one cache."""

    def __init__(self, run: Pass, buffers: Buffers, mask: StaticMask, key_positions: Tensor | None):
        self._run, self._buffers, self._mask = run, buffers, mask
        self._key_positions = key_positions

    def __call__(self, step: Step) -> Tensor:
        """Logits of the new tokens, in a tensor of the caller's own."""
        self.fill(step)
        self._run()
        return self._buffers.logits.clone()

    def fill(self, step: Step) -> None:
        """Write what the pass reads."""
        end = step.start + len(step.token_ids)
        buffers = self._buffers
        buffers.token_ids.copy_(step.token_ids)
        buffers.positions.copy_(step.positions)
        torch.arange(step.start, end, out=buffers.slots)
        if self._key_positions is not None:
            self._key_positions[step.start : end].copy_(step.positions)
        self._mask.fill(step.visible, step.prefix, step.positions, self._key_positions)

    def capture(self, capture: Capture) -> None:
        """Have the pass repeated by what `capture` makes of it."""
        self._run = capture(self._run)


class StaticPasses:
    """A model's static passes. They belong to one cache, from `attach` to `detach`.

    refused: why no further shapes are captured, in words; empty while they are. captures: how often
    a capture was tried so far, which takes far longer than a pass.
    """

    def __init__(self, call: Call, kinds: AttentionKinds, dtype: torch.dtype, capture: Capture):
        self.refused = ""
        self.captures = 0
        self._call, self._kinds, self._dtype, self._capture = call, kinds, dtype, capture
        self.detach()

    def __len__(self) -> int:
        """Shapes captured for the present cache."""
        return len(self._passes)

    def attach(self, cache: TreeCache, key_positions: Tensor | None) -> None:
        """Take over a cache with its buffers in place.

        key_positions: int64 [capacity], of the tokens in the slots; None where no layer asks.
        """
        self._cache, self._key_positions = cache, key_positions

    def detach(self) -> None:
        """Drop what was captured, and with it the cache: its memory may be wanted for the next."""
        self._cache: TreeCache | None = None
        self._key_positions: Tensor | None = None
        self._passes: dict[Shape, StaticPass] = {}
        self._buffers: dict[tuple[int, int], Buffers] = {}
        self._output: Tensor | None = None
        self._met: set[Shape] = set()

    def forward(
        self, dynamic: Call, token_ids: Tensor, positions: Tensor, visible: Tensor, rows: int
    ) -> Tensor:
        """As `TreeModel.forward`, which with `dynamic` says how else the pass can be made."""
        cache, queries = self._cache, len(token_ids)
        start = cache.used
        shape = (queries, rows, -(-(start + queries) // BUCKET))
        known = self._passes.get(shape)
        if known is None and (self.refused or shape not in self._met):
            self._met.add(shape)
            return dynamic(token_ids, positions, visible, rows)
        step = Step(token_ids, positions, visible, cache.length, start)
        if known is None:
            logits = dynamic(token_ids, positions, visible, rows)
            self._keep(shape, step, logits)
            return logits
        self._passes[shape] = self._passes.pop(shape)
        logits = known(step)
        cache.advance(queries)
        return logits

    def _keep(self, shape: Shape, step: Step, logits: Tensor) -> None:
        """Capture a pass that has just been made dynamically, with these logits, and compare."""
        self.captures += 1
        try:
            made = self._make(shape, step, logits)
            made.fill(step)
            made.capture(self._capture)
            apart = difference(made(step), logits)
        except FAILURES as error:
            words = str(error).strip().splitlines() or [type(error).__name__]
            self.refused = f"a pass over {shape[0]} tokens cannot be captured: {words[0]}"
            return
        if apart <= tolerance(self._dtype):
            # The comparison has waited for the device: no pass that goes is still at work.
            if len(self._passes) == MOST_PASSES:
                del self._passes[next(iter(self._passes))]
            self._passes[shape] = made
        else:
            self.refused = (
                f"a pass of fixed shape over {shape[0]} tokens has other logits than a plain one "
                f"(by {apart:.3g} standard deviations)"
            )

    def _room(self, logits: Tensor) -> Tensor:
        """Where passes with logits of this shape leave them, until the next pass: all the same.

        A room for each would take more memory than the model, where sizes and vocabulary are many.
        """
        if self._output is None or len(self._output) < len(logits):
            self._output = torch.zeros_like(logits)
        return self._output[: len(logits)]

    def _make(self, shape: Shape, step: Step, logits: Tensor) -> StaticPass:
        queries, rows, buckets = shape
        width = buckets * BUCKET
        if (queries, rows) not in self._buffers:
            self._buffers[queries, rows] = Buffers.like(step.token_ids, self._room(logits))
        buffers = self._buffers[queries, rows]
        mask = StaticMask(queries, width, self._kinds, self._dtype, logits.device)
        view = self._cache.view(buffers.slots, width)
        call = self._call

        def run() -> None:
            buffers.logits.copy_(call(buffers.token_ids, buffers.positions, mask.masks, view, rows))

        return StaticPass(run, buffers, mask, self._key_positions)
