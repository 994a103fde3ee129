"""Models whose every distribution is a table, and a source of chance that takes every outcome.

The models speak Hugging Face's interface (`measure.lookup`), so the engine's own cache, masks and
forward passes are what is tested.
"""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
from fakes import word_tokenizer
from torch import Tensor

from sequoia_core.decode.model import TreeModel
from sequoia_core.decode.pair import ModelPair
from sequoia_core.decode.self_test import SelfTest
from sequoia_core.decode.verification import without
from sequoia_core.measure.lookup import LookupModel

# Branches less likely than this come from rounding; all of them together stay far below 1e-9.
NEGLIGIBLE = 1e-15

Table = Callable[[tuple[int, ...]], np.ndarray]


def random_table(vocab: int, seed: int, *, spread: float = 1.2, step: float = 0.0) -> Table:
    """Independent normal logits for every context; `step` rounds them, which makes ties."""

    def table(context: tuple[int, ...]) -> np.ndarray:
        logits = np.random.default_rng((seed, *context)).normal(size=vocab) * spread
        return np.round(logits / step) * step if step else logits

    return table


def tabular_pair(vocab: int, target: Table, draft: Table) -> ModelPair:
    """A pair of tabular models in float64; no token ends a text."""
    return ModelPair(
        TreeModel(_tabular(vocab, target), "tabular target"),
        TreeModel(_tabular(vocab, draft), "tabular draft"),
        word_tokenizer(vocab),
        vocab,
        frozenset(),
        False,
        SelfTest(True),
    )


def _tabular(vocab: int, table: Table) -> LookupModel:
    def logits_of(contexts: list[tuple[int, ...]]) -> Tensor:
        return torch.from_numpy(np.stack([table(context) for context in contexts])).double()

    return LookupModel(vocab, logits_of)


def logits_after(model: TreeModel, context: tuple[int, ...]) -> Tensor:
    """A tabular model's logits, float64 [vocab]."""
    return model.model.logits_after([context])[0]


class Branch:
    """Stands in for Randomness: follows a script of choices, then always the first possible one.

    chance: probability of all choices so far. taken: (choice, number of possible ones) of each.
    """

    def __init__(self, script: list[int]):
        self._script = script
        self.taken: list[tuple[int, int]] = []
        self.chance = 1.0

    def _choose(self, chances: list[float]) -> int:
        possible = [index for index, chance in enumerate(chances) if chance > NEGLIGIBLE]
        place = len(self.taken)
        choice = self._script[place] if place < len(self._script) else 0
        self.taken.append((choice, len(possible)))
        self.chance *= chances[possible[choice]]
        return possible[choice]

    def without_replacement(self, probs: Tensor, count: int) -> Tensor:
        return torch.tensor([self._order(row, count) for row in probs])

    def _order(self, probs: Tensor, count: int) -> list[int]:
        drawn: list[int] = []
        while len(drawn) < count:
            left = without(probs, drawn) if drawn else probs
            drawn.append(self._choose(left.tolist()))
        return drawn

    def with_replacement(self, probs: Tensor, count: int) -> Tensor:
        return torch.tensor([[self._choose(row) for _ in range(count)] for row in probs.tolist()])

    def token(self, probs: Tensor) -> int:
        return self._choose(probs.tolist())

    def tokens(self, probs: Tensor) -> Tensor:
        return torch.tensor([self._choose(row) for row in probs.tolist()])

    def coins(self, chances: Tensor) -> Tensor:
        accepted = [self._choose([c, 1 - c]) == 0 for c in chances.flatten().tolist()]
        return torch.tensor(accepted, dtype=torch.bool).view(chances.shape)

    def first_accepted(self, chances: Iterable[Tensor]) -> int | None:
        for index, chance in enumerate(chances):
            if self._choose([float(chance), 1 - float(chance)]) == 0:
                return index
        return None

    def next_script(self, fixed: int = 0) -> list[int] | None:
        """The script of the next branch in order, None after the last.

        The first `fixed` choices stay as they are.
        """
        taken = list(self.taken)
        while len(taken) > fixed and taken[-1][0] + 1 == taken[-1][1]:
            taken.pop()
        if len(taken) <= fixed:
            return None
        return [choice for choice, _ in taken[:-1]] + [taken[-1][0] + 1]


def branches(
    follow: Callable[[Branch], object], start: list[int] = (), kind: type[Branch] = Branch
) -> Iterator[tuple[Branch, object]]:
    """Call `follow` with every possible course of chance; yields each with what it returned.

    start: choices that all courses begin with. kind: the class of the source.
    """
    script: list[int] | None = list(start)
    while script is not None:
        branch = kind(script)
        result = follow(branch)
        yield branch, result
        script = branch.next_script(len(start))
