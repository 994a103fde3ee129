"""The path model and its planner: trees for the ranks that really follow each other.

Where acceptance comes in bursts, a rank's chance depends on the ranks accepted before it in the
step, and on steps starting behind a miss; Sequoia's positional assumption (arXiv 2402.12374v3,
definition 3.2) takes the mean rate everywhere. The path model counts both in texts.
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from sequoia_core.errors import InputError
from sequoia_core.plan.acceptance import AcceptanceVector
from sequoia_core.plan.best_first import BestFirstTable, Level, table_from_levels
from sequoia_core.plan.paths import PathTrie, paths_from_key
from sequoia_core.plan.replay import step_starts
from sequoia_core.plan.shrinkage import choose_strength
from sequoia_core.tree.token_tree import TokenTree

ROUNDS = 6
# Where ranks depend on those before them, estimates from everywhere are not those of steps, so
# they weigh as this many observations, however few the counts from where steps start.
START_STRENGTH = 10.0

# Where a walk is: the node of its run among the runs that steps start with, None where that is not
# known, and the node of its longest known ending among runs from everywhere.
State = tuple[int | None, int]


class PathModel:
    """Chance of each next rank after a run of accepted ranks.

    A run's own counts are blended with the estimate for the same run without its first rank, as
    if that had been observed `strength` times; the empty run's is `positional`, so an infinite
    strength is the positional assumption. Estimates are then made to fall from sibling to sibling
    (least squares): a tree that has a child has its elder siblings too, and with falling values
    the best tree is found by taking the best nodes.

    trie: counts from every position. positional: float64 [width], acceptance of a child whatever
    came before. starts: counts from the positions where steps start alone, blended with the
    estimate from everywhere as if that had been observed `START_STRENGTH` times; None to take
    every position for a possible start.
    """

    def __init__(
        self,
        trie: PathTrie,
        positional: np.ndarray,
        strength: float,
        starts: PathTrie | None = None,
    ):
        self.trie, self.starts, self.strength = trie, starts, strength
        self._known = {0: np.asarray(positional, dtype=np.float64)}
        self._falling: dict[State, np.ndarray] = {}

    @property
    def root(self) -> State:
        """Before any rank is accepted."""
        return (None if self.starts is None else 0), 0

    def step(self, state: State, rank: int) -> State:
        """After one more accepted rank."""
        own, known = state
        if own is not None:
            own = self.starts.child(own, rank)
        return own, self.trie.step(known, rank)

    def chances(self, state: State) -> np.ndarray:
        """Chance of each next rank, falling; [width]."""
        if state not in self._falling:
            own, known = state
            estimate = self._estimate(known)
            if own is not None:
                estimate = _blend(self.starts, own, estimate, START_STRENGTH)
            self._falling[state] = falling(estimate)
        return self._falling[state]

    def _estimate(self, run: int) -> np.ndarray:
        """From every position, by backing off to ever shorter endings of the run."""
        if run not in self._known:
            prior = self._estimate(int(self.trie.suffixes[run]))
            self._known[run] = _blend(self.trie, run, prior, self.strength)
        return self._known[run]

    def path_values(self, tree: TokenTree) -> np.ndarray:
        """Chance that a step's walk reaches each node, float64 [n]; InputError if too wide."""
        if tree.size > 1 and tree.child_counts.max() > self.trie.width:
            raise InputError(
                f"A node of the tree has {tree.child_counts.max()} children, but the path "
                f"statistics know {self.trie.width}; calibrate with a larger width."
            )
        values, states = np.ones(tree.size), [self.root] * tree.size
        for node in range(1, tree.size):
            parent, rank = int(tree.parents[node]), int(tree.ranks[node])
            values[node] = values[parent] * self.chances(states[parent])[rank]
            states[node] = self.step(states[parent], rank)
        return values

    def expected_tokens(self, tree: TokenTree) -> float:
        """Mean tokens a step commits with this tree, the bonus token included."""
        return float(self.path_values(tree).sum())


def _blend(trie: PathTrie, run: int, prior: np.ndarray, strength: float) -> np.ndarray:
    """A run's own rates, and `prior` as if observed `strength` times."""
    seen = trie.followed[run]
    weight = seen / (seen + strength) if seen else 0.0
    return weight * trie.next_counts(run) / max(seen, 1) + (1 - weight) * prior


def path_model(acceptance: AcceptanceVector) -> PathModel:
    """The model that counts from every position, its strength chosen on texts held out.

    Raises InputError for a vector without path statistics.
    """
    if acceptance.paths is None:
        raise InputError(
            f"The acceptance vector {acceptance.name!r} has no path statistics, which the family "
            "empirical needs; measure one with the command calibrate."
        )
    return _cached_model(acceptance.paths.key, acceptance.rows[0].tobytes())


@lru_cache(maxsize=8)
def _cached_model(key: tuple, positional: bytes) -> PathModel:
    paths = paths_from_key(key)
    trie = PathTrie(paths.sequences, paths.width)
    return PathModel(trie, np.frombuffer(positional), choose_strength(paths))


def model_at(acceptance: AcceptanceVector, tree: TokenTree) -> PathModel:
    """The model of the steps that this tree takes: runs are counted where they start.

    Steps start behind the tokens a tree has missed, so runs from every position promise too much
    where misses come in bursts. Where texts held out show no dependence on what came before, this
    is `path_model` itself, the positional assumption. Raises as `path_model`.
    """
    model = path_model(acceptance)
    if np.isinf(model.strength):
        return model
    return _cached_model_at(acceptance.paths.key, acceptance.rows[0].tobytes(), tree)


@lru_cache(maxsize=64)
def _cached_model_at(key: tuple, positional: bytes, tree: TokenTree) -> PathModel:
    model, paths = _cached_model(key, positional), paths_from_key(key)
    offsets = np.cumsum([0, *map(len, paths.sequences)])
    parts = [step_starts(tree, ranks) for ranks in paths.sequences]
    starts = np.concatenate([o + part for o, part in zip(offsets, parts, strict=False)])
    counted = PathTrie(paths.sequences, paths.width, starts=starts)
    return PathModel(model.trie, np.frombuffer(positional), model.strength, counted)


def settle(acceptance: AcceptanceVector, choose: Callable[[PathModel], TokenTree]) -> PathModel:
    """The model of the steps of the very tree that is chosen by it.

    choose: a model's favourite tree. Choose, count where that tree's steps start, and choose
    again, until the tree stays or `ROUNDS` are over. Raises as `path_model`.
    """
    model = path_model(acceptance)
    if np.isinf(model.strength):
        return model
    tree = choose(model)
    for _ in range(ROUNDS):
        model = model_at(acceptance, tree)
        before, tree = tree, choose(model)
        if tree == before:
            break
    return model


def empirical_table(
    acceptance: AcceptanceVector,
    *,
    max_budget: int,
    max_depth: int,
    max_branch: int,
    pick: Callable[[BestFirstTable], tuple[int, int]] | None = None,
) -> BestFirstTable:
    """The best trees of all n <= max_budget, d <= max_depth under the path model; cached.

    pick: the (n, d) that is wanted of a table. The model is settled on the steps of that tree;
    for other trees, whose steps start elsewhere, it is the nearer the more alike they are. By
    default the tree with the most expected tokens.
    """
    limits, pick = (max_budget, max_depth, max_branch), pick or _most_tokens

    def choose(model: PathModel) -> TokenTree:
        table = _cached_table(model, *limits)
        return table.tree(*pick(table))

    return _cached_table(settle(acceptance, choose), *limits)


def _most_tokens(table: BestFirstTable) -> tuple[int, int]:
    tokens = np.where(table.feasible, table.expected_tokens, -np.inf)
    budget, depth = np.unravel_index(tokens.argmax(), tokens.shape)
    return int(budget), int(depth)


@lru_cache(maxsize=16)
def _cached_table(
    model: PathModel, max_budget: int, max_depth: int, max_branch: int
) -> BestFirstTable:
    return model_table(model, max_budget, max_depth, max_branch)


def model_table(
    model: PathModel, max_budget: int, max_depth: int, max_branch: int
) -> BestFirstTable:
    """The best trees of all n <= max_budget, d <= max_depth under any path model."""
    branch = min(max_branch, model.trie.width)
    levels = [Level(np.ones(1), np.full(1, -1), np.zeros(1, dtype=np.int64))]
    states, best = [model.root], np.ones(1)
    for _ in range(min(max_depth, max_budget - 1)):
        chances = np.stack([model.chances(state)[:branch] for state in states])
        values = (levels[-1].values[:, None] * chances).ravel()
        # What is no better than max_budget nodes further up is in no tree.
        floor = best[-1] if len(best) == max_budget else -1.0
        places = np.flatnonzero(values > floor)
        places = places[np.argsort(-values[places], kind="stable")][:max_budget]
        if not len(places):
            break
        parents, kinds = places // branch, places % branch
        levels.append(Level(values[places], parents, kinds))
        pairs = zip(parents.tolist(), kinds.tolist(), strict=True)
        states = [model.step(states[parent], kind) for parent, kind in pairs]
        best = -np.sort(-np.concatenate([best, levels[-1].values]))[:max_budget]
    return table_from_levels(tuple(levels), max_budget, max_depth)


def falling(values: np.ndarray) -> np.ndarray:
    """The nearest non-increasing sequence, in squares; its sum is that of `values`.

    Neighbours that rise are pooled at their mean until none do.

    >>> falling(np.array([0.5, 0.1, 0.3])).tolist()
    [0.5, 0.2, 0.2]
    """
    if np.all(np.diff(values) <= 0):
        return values
    pools: list[tuple[float, int]] = []
    for value in values.tolist():
        total, count = value, 1
        while pools and pools[-1][0] * count < total * pools[-1][1]:
            above, members = pools.pop()
            total, count = total + above, count + members
        pools.append((total, count))
    return np.concatenate([np.full(count, total / count) for total, count in pools])
