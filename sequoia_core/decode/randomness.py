"""Every random choice of a run, in one place."""

from collections.abc import Iterable

import torch
from torch import Tensor

from sequoia_core.decode.sampling import draw, draw_with_replacement, draw_without_replacement

COINS_AHEAD = 64


class Randomness:
    """Draws and coins of one run from one seeded generator; every answer uses fresh noise.

    The engine has no other source of chance. So a test can put another object in its place that
    takes every possible outcome in turn, with its probability, and add up what the engine emits.
    """

    def __init__(self, generator: torch.Generator):
        self._generator = generator
        self._uniforms: list[float] = []

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

    def tokens(self, probs: Tensor) -> Tensor:
        """One token for each row of probs [rows, vocab]; int64 [rows], on the device."""
        return draw_with_replacement(probs, 1, self._generator)[:, 0]

    def coins(self, chances: Tensor) -> Tensor:
        """A coin for each chance, all at once: whether it falls on accept; bool, on the device."""
        drawn = torch.rand(
            chances.shape, generator=self._generator, device=chances.device, dtype=torch.float64
        )
        return drawn < chances

    def first_accepted(self, chances: Iterable[float]) -> int | None:
        """Index of the first coin that falls on accept, or None; one throw after the other.

        Chances may be computed as they are asked for, each on the rejection of the one before, and
        the last rejection when the end is asked for. None beyond the accepted one is asked for.
        """
        for index, chance in enumerate(chances):
            if self._uniform() < chance:
                return index
        return None

    def _uniform(self) -> float:
        """A number in [0, 1); drawn ahead, since one at a time takes as long as a hundred."""
        if not self._uniforms:
            device = self._generator.device
            drawn = torch.rand(
                COINS_AHEAD, generator=self._generator, device=device, dtype=torch.float64
            )
            self._uniforms = drawn.tolist()
        return self._uniforms.pop()
