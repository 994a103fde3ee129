"""How often a run accepted the k-th child: the calibration's question, asked of the trace alone."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sequoia_core.decode.trace import StepTrace
from sequoia_core.errors import InputError
from sequoia_core.tree.token_tree import TokenTree


@dataclass(frozen=True, slots=True)
class Rates:
    """Shares of accepted among offered children, unconditional over siblings.

    accepted, offered: int64 [entries]: nodes on the walk that accepted such a child, and that had
    one. Entries that were never offered have a rate and an error of nan.
    """

    accepted: np.ndarray
    offered: np.ndarray

    @property
    def rates(self) -> np.ndarray:
        """accepted / offered, float64 [entries]."""
        return _ratio(self.accepted, self.offered)

    @property
    def standard_errors(self) -> np.ndarray:
        """Binomial, sqrt(q (1 - q) / offered), float64 [entries].

        q = (accepted + 1) / (offered + 2), the rate itself but for small counts, where a rate of 0
        or 1 would claim no error at all. Nodes are taken as independent, which text is not quite,
        so the true errors are somewhat larger.
        """
        shrunk = (self.accepted + 1) / (self.offered + 2)
        return np.sqrt(_ratio(shrunk * (1 - shrunk), self.offered))


@dataclass(frozen=True, slots=True)
class TraceAcceptance:
    """A run's acceptance. counts, offers: int64 [depths, ranks], by the parent's depth and rank.

    nodes: int64 [depths], the nodes on the walk that had children.
    """

    counts: np.ndarray
    offers: np.ndarray
    nodes: np.ndarray

    @property
    def by_rank(self) -> Rates:
        """p[k] over all depths: entry k is the child of rank k, from 0."""
        return Rates(self.counts.sum(0), self.offers.sum(0))

    @property
    def by_depth(self) -> Rates:
        """The first child, by the depth of its parent."""
        return Rates(self.counts[:, 0], self.offers[:, 0])


def trace_acceptance(steps: Sequence[StepTrace]) -> TraceAcceptance:
    """Count over every node on the walk of every step: root and accepted nodes with children.

    Rank k's share of the nodes that had a k-th child is an estimate of the acceptance vector's
    p[k] (Sequoia, arXiv 2402.12374v3, section 3), wherever a tree's shape does not depend on its
    tokens. A step that the token limit cut short counts in full, as it was walked. steps: traced
    ones. Raises InputError where no node had a child, as in plain decoding.
    """
    seen = [_walked(step) for step in steps]
    width = max((counts.max(initial=0) for counts, _ in seen), default=0)
    if not width:
        raise InputError("No step of this run drafted anything, so nothing could be accepted.")
    depths = max(len(counts) for counts, _ in seen)
    accepted, offered = np.zeros((2, depths, width), dtype=np.int64)
    nodes = np.zeros(depths, dtype=np.int64)
    for counts, ranks in seen:
        for depth, (count, rank) in enumerate(zip(counts.tolist(), ranks, strict=True)):
            offered[depth, :count] += 1
            nodes[depth] += 1
            if rank is not None:
                accepted[depth, rank] += 1
    return TraceAcceptance(accepted, offered, nodes)


def _walked(step: StepTrace) -> tuple[np.ndarray, list[int | None]]:
    """Children of each node on the walk that has any, and the rank accepted there, from the root.

    Only the walk's last node accepts none.
    """
    tree = TokenTree(step.nodes.parent)
    counts = tree.child_counts[[0, *step.accepted]]
    ranks = [int(tree.ranks[node]) for node in step.accepted]
    if counts[-1] == 0:
        return counts[:-1], ranks
    return counts, [*ranks, None]


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)
