"""What bursts are worth: pairs with two hidden states, easy and hard, whose every figure is known.

Everything about a tree is exact here: what its steps start in, what they commit, and which tree
somebody plans who knows the parameters. Prints a Markdown table: what a positional prediction is
off, what the planners gain over the positional tree, and what knowing the parameters would gain.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from sequoia_core.plan.acceptance import AcceptanceVector
from sequoia_core.plan.empirical import empirical_table, falling, model_table, path_model
from sequoia_core.plan.expected import plan_table
from sequoia_core.plan.paths import PathStatistics
from sequoia_core.plan.table import PlanTable
from sequoia_core.tree.token_tree import TokenTree

BUDGETS, MAX_DEPTH = (16, 64, 256), 24
TEXTS, LENGTH, SEEDS = 60, 256, 5
ROUNDS = 6
HEAD = (
    "| correlation | n | tokens per step | positional prediction | everywhere: gain | promise "
    "| settled: gain | promise | gain with known parameters |"
)


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

    @property
    def correlation(self) -> float:
        """Of neighbouring tokens' being first children."""
        first = self.rates[:, 0]
        steady = 2 * self.moves[0, 0] - 1
        return float(first.var() / (first.mean() * (1 - first.mean())) * steady)

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


def best_tree(table: PlanTable, budget: int) -> TokenTree:
    """The table's tree of this budget with the most expected tokens."""
    return table.tree(budget, int(np.nanargmax(table.expected_tokens[budget])))


def known_tree(pair: TwoStates, tree: TokenTree, max_depth: int) -> TokenTree:
    """What somebody plans who knows the parameters, settled on the steps of that very tree."""
    for _ in range(ROUNDS):
        model = KnownModel(pair, pair.run(tree)[1])
        before, table = tree, model_table(model, tree.size, max_depth, pair.width)
        tree = best_tree(table, tree.size)
        if tree == before:
            break
    return tree


def main() -> None:
    print(f"{HEAD}\n{'|---' * 9}|")
    for pair in PAIRS:
        for budget in BUDGETS:
            print(f"| {' | '.join(row(pair, budget))} |", flush=True)


def row(pair: TwoStates, budget: int) -> Iterator[str]:
    """One pair and budget; planners as mean and standard deviation over calibrations."""
    depth = min(MAX_DEPTH, budget - 1)
    limits = {"max_budget": budget, "max_depth": depth, "max_branch": pair.width}
    table = plan_table(AcceptanceVector("sequoia", pair.mean), **limits)
    tree = best_tree(table, budget)
    tokens = pair.run(tree)[0]
    yield from (f"{pair.correlation:.2f}", str(budget), f"{tokens:.2f}")
    yield f"{table.expected_tokens[budget].max() / tokens - 1:+.1%}"
    found = [calibrated(pair, seed, budget, limits) for seed in range(SEEDS)]
    for values in np.transpose(found):
        yield f"{values.mean():+.1%} ± {100 * values.std(ddof=1):.1f}"
    settled = best_tree(empirical_table(pair.texts(TEXTS, LENGTH, 0), **limits), budget)
    yield f"{pair.run(known_tree(pair, settled, depth))[0] / tokens - 1:+.1%}"


def calibrated(pair: TwoStates, seed: int, budget: int, limits: dict[str, int]) -> list[float]:
    """Gain over the positional tree and excess of the promise, from everywhere and settled."""
    seen = pair.texts(TEXTS, LENGTH, seed)
    positional = pair.run(best_tree(plan_table(seen, **limits), budget))[0]
    values = []
    for table in (
        model_table(path_model(seen), *limits.values()),
        empirical_table(seen, **limits),
    ):
        tokens = pair.run(best_tree(table, budget))[0]
        values += [tokens / positional - 1, table.expected_tokens[budget].max() / tokens - 1]
    return values


# Weak as in the bundled pair at 0.6; strong, in stretches of 10 and of 33 tokens.
PAIRS = (
    TwoStates([0.85, 0.07, 0.03, 0.02], [0.65, 0.13, 0.07, 0.05], 0.9),
    TwoStates([0.95, 0.03, 0.01, 0.0], [0.3, 0.21, 0.15, 0.1], 0.9),
    TwoStates([0.95, 0.03, 0.01, 0.0], [0.3, 0.21, 0.15, 0.1], 0.97),
)

if __name__ == "__main__":
    main()
