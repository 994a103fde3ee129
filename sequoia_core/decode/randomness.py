"""Every random choice of a run, in one place."""

from collections.abc import Iterable

import torch
from torch import Tensor

from sequoia_core.decode.sampling import (
    BELOW_ONE,
    draw_by_inversion,
    draw_without_replacement,
    race_times,
)

# Uniform numbers are drawn ahead, since few at a time take as long as a hundred; and so are races,
# as many as have so many numbers in all.
AHEAD, RACES_AHEAD = 64, 2**15


class Randomness:
    """Draws and coins of one run from one seeded generator; every answer uses fresh noise.

    The engine has no other source of chance. So a test can put another object in its place that
    takes every possible outcome in turn, with its probability, and add up what the engine emits.
    """

    def __init__(self, generator: torch.Generator):
        self._generator = generator
        self._coins: list[float] = []
        self._singles: list[Tensor] = []
        self._races = torch.zeros(0, 0)

    @classmethod
    def seeded(cls, seed: int, device: torch.device) -> "Randomness":
        """The source of a run with this seed on this device."""
        return cls(torch.Generator(device).manual_seed(seed))

    def without_replacement(self, probs: Tensor, count: int) -> Tensor:
        """`count` different tokens for each row of probs [rows, vocab], in draw order."""
        if count == 1:
            return self.with_replacement(probs, 1)
        return draw_without_replacement(probs, count, self._times(*probs.shape))

    def with_replacement(self, probs: Tensor, count: int) -> Tensor:
        """`count` independent tokens for each row of probs [rows, vocab]; tokens may repeat."""
        shape = len(probs), count
        uniform = self._single() if shape == (1, 1) else self._uniforms(*shape)
        return draw_by_inversion(probs, uniform)

    def token(self, probs: Tensor) -> int:
        """One token of a [vocab] distribution."""
        return int(self.with_replacement(probs[None], 1))

    def tokens(self, probs: Tensor) -> Tensor:
        """One token for each row of probs [rows, vocab]; int64 [rows], on the device."""
        return self.with_replacement(probs, 1)[:, 0]

    def coins(self, chances: Tensor) -> Tensor:
        """A coin for each chance, all at once: whether it falls on accept; bool, on the device."""
        return self._uniforms(*chances.shape) < chances

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
        """A number in [0, 1), on the host."""
        if not self._coins:
            self._coins = self._uniforms(AHEAD).tolist()
        return self._coins.pop()

    def _single(self) -> Tensor:
        """One of `_uniforms`, [1, 1]."""
        if not self._singles:
            self._singles = list(self._uniforms(AHEAD, 1, 1))
        return self._singles.pop()

    def _times(self, rows: int, vocab: int) -> Tensor:
        """Races for so many rows, that no draw has seen."""
        if len(self._races) < rows or self._races.shape[1] != vocab:
            self._races = race_times(max(rows, RACES_AHEAD // vocab), vocab, self._generator)
        times, self._races = self._races[:rows], self._races[rows:]
        return times

    def _uniforms(self, *shape: int) -> Tensor:
        """Numbers in [0, 1 - BELOW_ONE], float64, on the device."""
        generator = self._generator
        drawn = torch.rand(shape, generator=generator, device=generator.device, dtype=torch.float64)
        return drawn.clamp_(max=1 - BELOW_ONE)
