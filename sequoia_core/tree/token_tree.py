"""The topology of a token tree: who is whose parent, nothing about tokens."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from sequoia_core.errors import InputError

MAX_NODES = 4096


class TokenTree:
    """A rooted, ordered tree in breadth-first order; node 0 is the root.

    parents: [n] ints, parents[0] = -1, parents[i] < i and non-decreasing, so levels are
    contiguous and the children of a node are contiguous, in draw order. Immutable.
    The root stands for the last committed token: a tree of n nodes drafts n - 1 tokens
    (Sequoia, arXiv 2402.12374v3, section 3).

    >>> tree = TokenTree([-1, 0, 0, 1])
    >>> tree.size, tree.depth, tree.level_sizes, tree.ranks.tolist()
    (4, 2, [1, 2, 1], [0, 0, 1, 0])
    """

    def __init__(self, parents: Sequence[int] | np.ndarray):
        array = np.asarray(parents)
        _check(array)
        self.parents = array.astype(np.int32)
        self.parents.setflags(write=False)

    @property
    def size(self) -> int:
        """Nodes, the root included: tokens in one target pass."""
        return len(self.parents)

    @property
    def depth(self) -> int:
        """Edges from the root to the deepest node: draft passes in one step."""
        return int(self.depths[-1])

    @cached_property
    def depths(self) -> np.ndarray:
        """Edges from the root to each node, int32 [n]."""
        depths = np.zeros(self.size, dtype=np.int32)
        for node in range(1, self.size):
            depths[node] = depths[self.parents[node]] + 1
        return depths

    @cached_property
    def ranks(self) -> np.ndarray:
        """Position of each node among its siblings in draw order, int32 [n]; the root's is 0."""
        ranks = np.zeros(self.size, dtype=np.int32)
        siblings = self.parents[1:-1] == self.parents[2:]
        for offset in np.flatnonzero(siblings):
            ranks[offset + 2] = ranks[offset + 1] + 1
        return ranks

    @cached_property
    def child_counts(self) -> np.ndarray:
        """Children of each node, int32 [n]."""
        return np.bincount(self.parents[1:], minlength=self.size).astype(np.int32)

    @cached_property
    def first_children(self) -> np.ndarray:
        """First child of each node, int32 [n]; meaningless where child_counts is 0."""
        return (1 + np.cumsum(self.child_counts) - self.child_counts).astype(np.int32)

    def children(self, node: int) -> range:
        """Ids of a node's children in draw order."""
        first = int(self.first_children[node])
        return range(first, first + int(self.child_counts[node]))

    @cached_property
    def level_sizes(self) -> list[int]:
        """Nodes on each level, the root's level first."""
        return np.bincount(self.depths).tolist()

    @cached_property
    def expanded_level_sizes(self) -> list[int]:
        """Nodes with children on levels 0 .. depth - 1: the width of each draft pass."""
        expanded = self.depths[self.child_counts > 0]
        return np.bincount(expanded, minlength=self.depth).tolist() if self.depth else []

    @cached_property
    def visible(self) -> np.ndarray:
        """visible[i, j]: node j is i or an ancestor of i; bool [n, n]."""
        visible = np.eye(self.size, dtype=bool)
        for node in range(1, self.size):
            visible[node] |= visible[self.parents[node]]
        return visible

    def path(self, node: int) -> list[int]:
        """Nodes from the root to `node`, both included."""
        path = [node]
        while path[-1] > 0:
            path.append(int(self.parents[path[-1]]))
        return path[::-1]

    def truncate(self, depth: int) -> "TokenTree":
        """The part of the tree at most `depth` edges below the root."""
        return TokenTree(self.parents[self.depths <= depth])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TokenTree) and np.array_equal(self.parents, other.parents)

    def __hash__(self) -> int:
        return hash(self.parents.tobytes())

    def __repr__(self) -> str:
        return f"TokenTree(size={self.size}, depth={self.depth}, levels={self.level_sizes})"


def _check(parents: np.ndarray) -> None:
    """Refuse everything that is not a breadth-first parent list, naming the first bad entry."""
    if parents.ndim != 1 or not 1 <= len(parents) <= MAX_NODES:
        raise InputError(
            f"A tree needs 1 to {MAX_NODES} nodes in a flat list of parents, got shape "
            f"{parents.shape}."
        )
    if parents.dtype.kind not in "iu":
        raise InputError(f"Parents must be whole numbers, got {parents.dtype}.")
    if parents[0] != -1:
        raise InputError(f"Node 0 is the root, so parents[0] must be -1, got {parents[0]}.")
    ids = np.arange(len(parents))
    wrong = np.flatnonzero((parents[1:] < 0) | (parents[1:] >= ids[1:]))
    if len(wrong):
        node = int(wrong[0]) + 1
        raise InputError(f"parents[{node}] must be between 0 and {node - 1}, got {parents[node]}.")
    unsorted = np.flatnonzero(np.diff(parents[1:]) < 0)
    if len(unsorted):
        node = int(unsorted[0]) + 2
        raise InputError(
            f"Nodes must stand in breadth-first order: parents[{node}] = {parents[node]} comes "
            f"after {parents[node - 1]}."
        )
