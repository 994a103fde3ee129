"""A pair with known bursts: two hidden states, easy and hard, each with rates of its own.

Everything about a tree is exact here: what its steps start in, what they commit, and which tree
somebody plans who knows the parameters.
"""

import numpy as np

from sequoia_core.plan.acceptance import AcceptanceVector
from sequoia_core.plan.empirical import falling
from sequoia_core.plan.paths import PathStatistics
from sequoia_core.tree.token_tree import TokenTree


class TwoStates:
    """rates: [2, width], acceptance by rank in either state; stay: chance to stay a token more."""

    def __init__(self, easy: list[float], hard: list[float], stay: float):
        self.rates = np.array([easy, hard])
        self.moves = np.array([[stay, 1 - stay], [1 - stay, stay]])

    @property
    def width(self) -> int:
        return self.rates.shape[1]

    @property
    def mean(self) -> np.ndarray:
        """Acceptance by rank over all positions: what calibration measures, [width]."""
        return self.rates.mean(0)

    def texts(self, count: int, length: int, seed: int) -> AcceptanceVector:
        """A calibration on so many texts."""
        rng = np.random.default_rng(seed)
        states = rng.integers(2, size=count)
        outcomes = np.empty((count, length), dtype=np.int16)
        below = self.rates.cumsum(1)
        for position in range(length):
            ranks = (rng.random(count)[:, None] > below[states]).sum(1)
            outcomes[:, position] = np.where(ranks < self.width, ranks, -1)
            states = np.where(rng.random(count) < self.moves[0, 0], states, 1 - states)
        rates = [float((outcomes == rank).mean()) for rank in range(self.width)]
        paths = PathStatistics(self.width, list(outcomes))
        return AcceptanceVector("sequoia", rates, paths=paths, name="two states")

    def run(self, tree: TokenTree) -> tuple[float, np.ndarray]:
        """Tokens per step of a long run, and the chance of either state where its steps start."""
        tokens, following = np.zeros(2), np.zeros((2, 2))
        for start in range(2):
            reached = np.zeros((tree.size, 2))
            reached[0, start] = 1
            for node in range(1, tree.size):
                rates = self.rates[:, tree.ranks[node]]
                reached[node] = (reached[tree.parents[node]] * rates) @ self.moves
            accepted = np.array([self.rates[:, :count].sum(1) for count in tree.child_counts])
            tokens[start] = reached.sum()
            following[start] = (reached * (1 - accepted)).sum(0) @ self.moves
        starts = np.full(2, 0.5)
        for _ in range(500):
            starts = starts @ following
        return float(starts @ tokens), starts


class KnownModel:
    """A path model that knows the parameters: its states are chances of easy and hard."""

    def __init__(self, pair: TwoStates, starts: np.ndarray):
        self.pair, self.trie = pair, pair  # of the trie the planner asks the width alone
        self.root = tuple(starts)

    def step(self, state: tuple, rank: int) -> tuple:
        belief = (np.array(state) * self.pair.rates[:, rank]) @ self.pair.moves
        return tuple(belief / belief.sum())

    def chances(self, state: tuple) -> np.ndarray:
        return falling(np.array(state) @ self.pair.rates)
