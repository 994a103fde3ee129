"""Replay: what any static tree would have done on texts whose rank sequences are known."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sequoia_core.errors import InputError
from sequoia_core.plan.paths import MAX_WIDTH, PathStatistics
from sequoia_core.tree.token_tree import TokenTree


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """A tree's steps over all texts.

    standard_error: of tokens_per_step, with texts as the independent units; None for one text.
    """

    tokens_per_step: float
    steps: int
    tokens: int
    standard_error: float | None


def replay(tree: TokenTree, sequences: PathStatistics | Sequence[Sequence[int]]) -> ReplayResult:
    """Walk every text with the tree: tokens per step.

    A step follows the text's ranks down the tree while the child exists and commits those tokens
    and the next one, the bonus token; the next step starts behind it. At temperature 0 this is
    the very run; above 0 a run of the same distribution, since rejecting the first b of W
    children leaves the residual that a node with b children has. The last step ends with its
    text. Raises InputError for a tree wider than the statistics, and for bad sequences.
    """
    paths = _checked(tree, sequences)
    steps = np.array([len(step_starts(tree, ranks)) for ranks in paths.sequences])
    tokens = np.array([len(ranks) for ranks in paths.sequences])
    return ratio_over_texts(tokens, steps)


def replay_everywhere(
    tree: TokenTree, sequences: PathStatistics | Sequence[Sequence[int]]
) -> ReplayResult:
    """As `replay`, but with a step from every position of the texts: more steps, less noise.

    Steps of a run start where the one before ended, often at a token the draft missed, so this
    mean is not a run's; it is what path frequencies estimate.
    """
    paths = _checked(tree, sequences)
    walks = [walk_lengths(tree, ranks) for ranks in paths.sequences]
    # At the end of a text the bonus token of a fully accepted path was not written.
    tokens = [int(np.minimum(w + 1, np.arange(len(w), 0, -1)).sum()) for w in walks]
    return ratio_over_texts(np.array(tokens), np.array([len(walk) for walk in walks]))


def walk_lengths(tree: TokenTree, ranks: np.ndarray) -> np.ndarray:
    """Children accepted by a step that starts at each position of one text, int64 [positions]."""
    ranks = np.asarray(ranks, dtype=np.int64)
    lengths = np.zeros(len(ranks), dtype=np.int64)
    starts, nodes = np.arange(len(ranks)), np.zeros(len(ranks), dtype=np.int64)
    for depth in range(tree.depth):
        inside = starts + depth < len(ranks)
        starts, nodes = starts[inside], nodes[inside]
        rank = ranks[starts + depth]
        exists = (rank >= 0) & (rank < tree.child_counts[nodes])
        starts, nodes = starts[exists], (tree.first_children[nodes] + rank)[exists]
        lengths[starts] += 1
    return lengths


def step_starts(tree: TokenTree, ranks: np.ndarray) -> np.ndarray:
    """Where the steps of a run through one text start, each behind the bonus token before it."""
    lengths = walk_lengths(tree, ranks).tolist()
    position, starts = 0, []
    while position < len(lengths):
        starts.append(position)
        position += lengths[position] + 1
    return np.array(starts, dtype=np.int64)


def _checked(
    tree: TokenTree, sequences: PathStatistics | Sequence[Sequence[int]]
) -> PathStatistics:
    if not isinstance(sequences, PathStatistics):
        return PathStatistics(MAX_WIDTH, sequences)
    widest = int(tree.child_counts.max())
    if widest > sequences.width:
        raise InputError(
            f"A node of the tree has {widest} children, but the rank sequences were recorded with "
            f"{sequences.width} a position; choose a narrower tree or calibrate with more."
        )
    return sequences


def ratio_over_texts(tokens: np.ndarray, steps: np.ndarray) -> ReplayResult:
    """Tokens over steps, and its standard error over texts (linearised)."""
    ratio, count = tokens.sum() / steps.sum(), len(steps)
    error = None
    if count > 1:
        spread = np.sum((tokens - ratio * steps) ** 2) / (count - 1)
        error = float(np.sqrt(spread * count) / steps.sum())
    return ReplayResult(float(ratio), int(steps.sum()), int(tokens.sum()), error)
