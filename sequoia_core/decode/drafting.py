"""Static trees: the shape is given, and the draft model fills it with tokens, level by level."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sequoia_core.decode.model import TreeModel
from sequoia_core.decode.pair import ModelPair
from sequoia_core.decode.randomness import Randomness
from sequoia_core.decode.rules import Rule
from sequoia_core.decode.settings import GenerationSettings
from sequoia_core.decode.timing import EventWatch, Stopwatch
from sequoia_core.decode.transfer import to_device
from sequoia_core.decode.vocabulary import within
from sequoia_core.tree.token_tree import TokenTree


@dataclass(frozen=True, slots=True)
class Level:
    """One draft pass: the level's nodes that have children.

    nodes: int64 [width], their places in the level, ascending; whole: they are all of it.
    visible: bool [width, expanded nodes so far], the root left out, since it is committed before.
    source: for each child the place of its draw among the pass's [width * most_children], None
    where all draws are taken.
    """

    nodes: Tensor
    whole: bool
    visible: Tensor
    source: Tensor | None
    most_children: int

    def parents(self, tokens: Tensor) -> Tensor:
        """The nodes' tokens among those of their level, int64 [level]."""
        return tokens if self.whole else tokens.index_select(0, self.nodes)

    def taken(self, drawn: Tensor) -> Tensor:
        """The children's tokens. drawn: int64 [width, most_children]."""
        flat = drawn.flatten()
        return flat if self.source is None else flat.index_select(0, self.source)


@dataclass(frozen=True, slots=True)
class TreePlan:
    """A tree's index tensors. levels: its draft passes, none for a tree that has grown already.

    row: for each node that the draft was asked to continue its row among the draft distributions,
    -1 for the others; all nodes with children have one. Its pending slot in the draft's cache is
    its row - 1. below: int64, the depths of the nodes of all draft passes after the first, and
    widths: how many each of these passes has.
    """

    tree: TokenTree
    levels: list[Level]
    depths: Tensor
    visible: Tensor
    row: list[int]
    below: Tensor
    widths: list[int]

    @classmethod
    def of(cls, tree: TokenTree, device: torch.device) -> "TreePlan":
        """All index tensors of a tree, on the device."""
        expanded = np.flatnonzero(tree.child_counts > 0)
        row = np.full(tree.size, -1)
        row[expanded] = np.arange(len(expanded))
        levels = [_level(tree, expanded, depth, device) for depth in range(tree.depth)]
        return cls._with(tree, levels, row.tolist(), device)

    @classmethod
    def grown(cls, tree: TokenTree, row: list[int], device: torch.device) -> "TreePlan":
        """The tensors that verifying a tree needs once it is drafted."""
        return cls._with(tree, [], row, device)

    @classmethod
    def _with(
        cls, tree: TokenTree, levels: list[Level], row: list[int], device: torch.device
    ) -> "TreePlan":
        widths = [len(level.nodes) for level in levels[1:]]
        below = np.repeat(np.arange(1, len(widths) + 1), widths)
        return cls(
            tree,
            levels,
            to_device(tree.depths, device),
            to_device(tree.visible, device),
            row,
            to_device(below, device),
            widths,
        )

    def positions(self, root: int) -> Sequence[Tensor]:
        """Of the nodes of each draft pass after the first, int64 [width]; `root`: the root's."""
        return (self.below + root).split(self.widths) if self.widths else ()


def _level(tree: TokenTree, expanded: np.ndarray, depth: int, device: torch.device) -> Level:
    nodes = expanded[tree.depths[expanded] == depth]
    so_far = expanded[(tree.depths[expanded] <= depth) & (expanded > 0)]
    children = np.flatnonzero(tree.depths == depth + 1)
    level = np.flatnonzero(tree.depths == depth)
    most = int(tree.child_counts[nodes].max())
    source = np.searchsorted(nodes, tree.parents[children]) * most + tree.ranks[children]
    return Level(
        to_device(nodes - level[0], device),
        len(nodes) == len(level),
        to_device(tree.visible[np.ix_(nodes, so_far)], device),
        None if len(source) == len(nodes) * most else to_device(source, device),
        most,
    )


@dataclass(frozen=True, slots=True)
class DraftedTree:
    """A tree with its tokens, ready to be verified.

    token_ids: int64 [n] on the device. passes: of each draft pass what was drawn from, [width,
    vocab], and the draft's own logits.
    """

    plan: TreePlan
    token_ids: Tensor
    passes: Sequence[tuple[Tensor, Tensor]]

    def probs(self) -> Tensor:
        """What all draws were made from, float32 [rows, vocab]; joined when asked for."""
        return self._joined(0)

    def rows(self) -> list[Tensor]:
        """The rows of `probs`, [vocab] each, without joining them."""
        return [row for drawn_from, _ in self.passes for row in drawn_from]

    def logits(self) -> Tensor:
        """The draft's own, [rows, vocab], for traces."""
        return self._joined(1)

    def _joined(self, index: int) -> Tensor:
        parts = [each[index] for each in self.passes]
        return torch.cat(parts) if parts else torch.zeros(0, 1, device=self.token_ids.device)


@dataclass(frozen=True, slots=True)
class Drafting:
    """What every way to draft works with during one run."""

    draft: TreeModel
    vocab: int
    rule: Rule
    settings: GenerationSettings
    random: Randomness
    watch: Stopwatch | EventWatch


# (committed tokens the draft has not seen yet, most levels there is room for) -> the drafted tree.
# The last of the tokens is the root.
Drafter = Callable[[list[int], int], DraftedTree]


@dataclass(frozen=True, slots=True)
class StaticTree:
    """The same tree in every step, planned beforehand."""

    tree: TokenTree

    @property
    def budget(self) -> int:
        """Most tokens in one target pass, the root included."""
        return self.tree.size

    @property
    def depth(self) -> int:
        """Most draft passes in a step."""
        return self.tree.depth

    @property
    def slots(self) -> int:
        """Most uncommitted tokens that either cache holds."""
        return self.tree.size

    def check(self, pair: ModelPair) -> None:
        """Raise ModelError or InputError for a tree that the pair cannot be drafted with."""
        pair.check_tree(self.tree)

    def drafter(self, drafting: Drafting) -> Drafter:
        """Fills this tree, cut off at the levels there is room for; tensors are made once a run."""
        device = drafting.draft.device
        plans: dict[int, TreePlan] = {}

        def draft(missing: list[int], room: int) -> DraftedTree:
            depth = min(self.depth, room)
            if depth not in plans:
                plans[depth] = TreePlan.of(self.tree.truncate(depth), device)
            return draft_tree(drafting, plans[depth], missing)

        return draft


def draft_tree(drafting: Drafting, plan: TreePlan, missing: list[int]) -> DraftedTree:
    """Tokens for every node of a static tree. `missing`: committed tokens the draft has not seen.

    The last of `missing` is the root. Leaves are never forwarded: the draft passes are the
    tree's depth (the paper's cost model, section 3.3, counts levels).
    """
    draft, vocab, watch = drafting.draft, drafting.vocab, drafting.watch
    levels = [torch.full((1,), missing[-1], dtype=torch.long, device=draft.device)]
    passes = []
    positions = plan.positions(draft.length + len(missing) - 1)
    for depth, level in enumerate(plan.levels):
        with watch.part("draft"):
            if depth == 0:
                logits = draft.append(missing, recurring=True)[None]
            else:
                tokens = level.parents(levels[-1])
                logits = draft.forward(tokens, positions[depth - 1], level.visible)
            logits = within(logits, vocab)
        with watch.part("sample"):
            drawn, level_probs = drafting.rule.draw(
                logits, level.most_children, drafting.settings, drafting.random
            )
            levels.append(level.taken(drawn))
        passes.append((level_probs, logits))
    return DraftedTree(plan, torch.cat(levels) if passes else levels[0], passes)
