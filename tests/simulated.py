"""A machine and a pair that exist as numbers only: steps of any tree, drawn and timed by a seed."""

from collections.abc import Callable

import numpy as np

from sequoia_core.decode.trace import LEAF, Bonus, Decision, Seconds, StepTrace
from sequoia_core.measure.auto import Auto
from sequoia_core.plan.acceptance import AcceptanceVector
from sequoia_core.plan.hardware import HardwareProfile
from sequoia_core.tree.token_tree import TokenTree


def vector(first: float) -> AcceptanceVector:
    """First children accepted so often, and of the rest each next child half of what is left."""
    left = (1 - first) * 0.8
    return AcceptanceVector("sequoia", [first, *(left * 0.5**k for k in range(1, 12))], name="a")


def machine(per_token: float, *, fixed: float = 0.01, draft: float = 0.001) -> HardwareProfile:
    """Target passes of `fixed` seconds and `per_token` more for each token beyond the first."""
    sizes = (1, 2, 4, 8, 16, 32, 64, 128, 256)
    return HardwareProfile(
        "simulated",
        tuple((n, fixed + per_token * (n - 1)) for n in sizes),
        tuple((n, draft * (1 + n / 64)) for n in sizes),
        overhead_seconds=0.0005,
        plain_overhead_seconds=0.0002,
        name="h",
    )


class World:
    """The truth behind a run of `auto`: acceptance and machine by step, noise in every second.

    noise: spread of the logarithm of seconds; one in twenty passes takes three times as long.
    """

    def __init__(
        self,
        acceptance: Callable[[int], AcceptanceVector],
        hardware: Callable[[int], HardwareProfile],
        *,
        seed: int = 0,
        noise: float = 0.1,
    ):
        self._acceptance, self._hardware = acceptance, hardware
        self._random, self._noise = np.random.default_rng(seed), noise
        self.trees: list[TokenTree] = []
        self.tokens: list[int] = []
        self.seconds: list[float] = []
        self.decisions: list[Decision] = []

    def run(self, auto: Auto, steps: int) -> "World":
        """Let `auto` steer so many steps."""
        last = tree = None
        for index in range(steps):
            method, decision = auto.next(last, tree)
            self.decisions += [decision] * (decision is not None)
            tree = method.shape.tree
            last = self._step(index, tree)
        return self

    def _step(self, index: int, tree: TokenTree) -> StepTrace:
        accepted = self._walk(tree, self._acceptance(index))
        seconds, captured = self._time(tree, self._hardware(index)), self._captured(tree)
        self.trees.append(tree)
        self.tokens.append(len(accepted) + 1)
        self.seconds.append(seconds.total)
        bonus = Bonus(0, "", LEAF, 1.0)
        committed = [0] * (len(accepted) + 1)
        return StepTrace(index, 0, accepted, bonus, committed, seconds, captured=captured)

    def _captured(self, tree: TokenTree) -> bool:
        """Whether this step captures passes: on a CPU none does."""
        return False

    def _walk(self, tree: TokenTree, acceptance: AcceptanceVector) -> list[int]:
        node, accepted = 0, []
        while True:
            children = tree.children(node)
            ends = np.cumsum(acceptance.at_depth(len(accepted))[: len(children)])
            rank = int(np.searchsorted(ends, self._random.random(), side="right"))
            if rank >= len(children):
                return accepted
            node = children[rank]
            accepted.append(node)

    def _time(self, tree: TokenTree, hardware: HardwareProfile) -> Seconds:
        widths = np.array(tree.expanded_level_sizes, int)
        plain = tree.size == 1
        overhead = hardware.plain_overhead_seconds if plain else hardware.overhead_seconds
        draft = 0.0 if plain else self._noisy(float(hardware.draft(widths).sum()))
        verify, sample = self._noisy(hardware.target(tree.size)), self._noisy(overhead)
        return Seconds(draft, verify, sample, 0.0)

    def _noisy(self, seconds: float) -> float:
        stall = 3.0 if self._random.random() < 0.05 else 1.0
        return seconds * stall * float(np.exp(self._noise * self._random.normal()))
