"""Every random choice of a run, in one place."""

from collections.abc import Iterable

import torch
from torch import Tensor

from sequoia_core.decode.sampling import draw, draw_with_replacement, draw_without_replacement


class Randomness:
    """Draws and coins of one run from one seeded generator; every answer uses fresh noise.

    The engine has no other source of chance. So a test can put another object in its place that
    takes every possible outcome in turn, with its probability, and add up what the engine emits.
    """

    def __init__(self, generator: torch.Generator):
        self._generator = generator

    @classmethod
    def seeded(cls, seed: int, device: torch.device) -> "Randomness":
        """The source of a run with this seed on this device."""
        return cls(torch.Generator(device).manual_seed(seed))

    def without_replacement(self, probs: Tensor, count: int) -> Tensor:
        """`count` different tokens for each row of probs [rows, vocab], in draw order."""
        return draw_without_replacement(probs, count, self._generator)

    def with_replacement(self, probs: Tensor, count: int) -> Tensor:
        """`count` independent tokens for each row of probs [rows, vocab]; tokens may repeat."""
        return draw_with_replacement(probs, count, self._generator)

    def token(self, probs: Tensor) -> int:
        """One token of a [vocab] distribution."""
        return draw(probs, self._generator)

    def first_accepted(self, chances: Iterable[Tensor]) -> int | None:
        """Index of the first coin that falls on accept, or None. chances: 0-d tensors, in order.

        Chances may be computed as they are asked for, each on the rejection of the one before, and
        the last rejection when the end is asked for. On a CPU none beyond the accepted one is; on a
        GPU all are, to be read at once.
        """
        if self._generator.device.type == "cuda":
            chances = torch.stack(list(chances))
            uniforms = torch.rand(
                len(chances), generator=self._generator, device=chances.device, dtype=chances.dtype
            )
            accepted = (uniforms < chances).tolist()
            return accepted.index(True) if True in accepted else None
        for index, chance in enumerate(chances):
            if torch.rand((), generator=self._generator) < chance:
                return index
        return None
