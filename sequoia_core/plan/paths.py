"""Path statistics: the ranks a text was accepted at, position by position, and their trie."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from sequoia_core.errors import InputError
from sequoia_core.files import check_integer, check_list, check_object, field_of

MAX_WIDTH = 1024
MAX_SEQUENCES = 10_000
MAX_POSITIONS = 100_000
# Longer runs of ranks than this are not told apart: it bounds the trie by 9 nodes a position.
ORDER = 8


@dataclass(frozen=True, slots=True, eq=False)
class PathStatistics:
    """Rank sequences: one text each, one entry a token, the rank of the child that it was.

    width: children that were tried at every position. sequences: int16 [positions] each, entries
    0 .. width - 1, or -1 where the token was none of the children. Read-only.
    Raises InputError that names the field.
    """

    width: int
    sequences: tuple[np.ndarray, ...]

    def __post_init__(self) -> None:
        check_integer(self.width, "paths.width", low=1, high=MAX_WIDTH)
        listed = check_list(self.sequences, "paths.sequences", low=1, high=MAX_SEQUENCES)
        sequences = tuple(
            _ranks(entry, self.width, f"paths.sequences[{index}]")
            for index, entry in enumerate(listed)
        )
        object.__setattr__(self, "sequences", sequences)
        if self.positions > MAX_POSITIONS:
            raise InputError(
                f"paths.sequences must hold at most {MAX_POSITIONS:,} ranks, "
                f"got {self.positions:,}."
            )

    @property
    def positions(self) -> int:
        """Tokens of all texts."""
        return sum(map(len, self.sequences))

    @property
    def key(self) -> tuple[int, tuple[bytes, ...]]:
        """The whole content, hashable: equal for equal statistics."""
        return self.width, tuple(sequence.tobytes() for sequence in self.sequences)

    def to_dict(self) -> dict[str, Any]:
        """The field `paths` of a `sequoia-acceptance` file."""
        return {"width": self.width, "sequences": [ranks.tolist() for ranks in self.sequences]}


def paths_from_dict(content: Any) -> PathStatistics:
    """The statistics of a file's field `paths`; InputError names a missing or bad field."""
    check_object(content, "paths")
    return PathStatistics(*(field_of(content, name, "paths.") for name in ("width", "sequences")))


def paths_from_key(key: tuple[int, tuple[bytes, ...]]) -> PathStatistics:
    """The statistics with this `PathStatistics.key`."""
    width, parts = key
    return PathStatistics(width, [np.frombuffer(part, np.int16) for part in parts])


def _ranks(values: Any, width: int, name: str) -> np.ndarray:
    """A read-only int16 array of ranks, every one checked."""
    values = values.tolist() if isinstance(values, np.ndarray) else values
    entries = check_list(values, name, low=1, high=MAX_POSITIONS)
    for place, entry in enumerate(entries):
        check_integer(entry, f"{name}[{place}]", low=-1, high=width - 1)
    ranks = np.array(entries, dtype=np.int16)
    ranks.setflags(write=False)
    return ranks


class PathTrie:
    """How often each run of accepted ranks occurs, wherever in the texts it starts.

    Node 0 is the empty run. parents, ranks: [nodes], breadth-first, so children are contiguous.
    counts: occurrences. followed: occurrences that another token follows: at the end of a text
    nothing is known about the next one, and behind more than `order` ranks nothing is counted.
    suffixes: the node of the same run without its first rank, which has occurred wherever the
    run has.
    """

    def __init__(
        self,
        sequences: Sequence[np.ndarray],
        width: int,
        order: int = ORDER,
        starts: np.ndarray | None = None,
    ):
        """starts: where runs may start, positions in the joined texts; None for everywhere.

        With starts given there are no suffixes: a run's ending may have started nowhere.
        """
        flat = np.concatenate(sequences).astype(np.int64)
        # left[t]: tokens of t's own text from t on, so no run crosses into the next text.
        left = np.concatenate([np.arange(len(ranks), 0, -1) for ranks in sequences])
        everywhere = starts is None
        starts = np.arange(len(flat)) if everywhere else starts
        nodes = np.zeros(len(flat), dtype=np.int64)
        parts = [(np.array([-1]), np.array([-1]), np.array([len(starts)]), np.array([0]))]
        self.followed = np.array([len(starts)])
        size = 1
        for length in range(1, order + 2):
            starts = starts[left[starts] >= length]
            starts = starts[flat[starts + length - 1] >= 0]
            if not len(starts):
                break
            keys = nodes[starts] * width + flat[starts + length - 1]
            found, first, index, counts = np.unique(
                keys, return_index=True, return_inverse=True, return_counts=True
            )
            suffixes = np.zeros(len(found), np.int64)
            if everywhere and length > 1:
                suffixes = nodes[starts[first] + 1]
            parts.append((found // width, found % width, counts, suffixes))
            nodes = np.full(len(flat), -1)
            nodes[starts] = size + index
            # The longest runs are only what follows those of `order` ranks.
            more = (left[starts] > length) & (length <= order)
            followed = np.bincount(index[more], minlength=len(found))
            self.followed = np.concatenate([self.followed, followed])
            size += len(found)
        self.width, self.order = width, order
        self.parents, self.ranks, self.counts, self.suffixes = map(
            np.concatenate, zip(*parts, strict=True)
        )

    @cached_property
    def _children(self) -> dict[tuple[int, int], int]:
        pairs = zip(self.parents.tolist(), self.ranks.tolist(), strict=True)
        return {pair: node for node, pair in enumerate(pairs)}

    def next_counts(self, node: int) -> np.ndarray:
        """How often each rank followed the run, float64 [width]."""
        first, last = np.searchsorted(self.parents, (node, node + 1))
        counts = np.zeros(self.width)
        counts[self.ranks[first:last]] = self.counts[first:last]
        return counts

    def child(self, node: int, rank: int) -> int | None:
        """The node of the run `node` followed by `rank`; None if that has not occurred."""
        return self._children.get((node, rank))

    def step(self, node: int, rank: int) -> int:
        """The node of the longest known ending of the run `node` followed by `rank`."""
        while (child := self.child(node, rank)) is None and node:
            node = int(self.suffixes[node])
        return child or 0
