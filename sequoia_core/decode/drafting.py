"""Filling a tree's nodes with tokens, level by level, from the draft model."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sequoia_core.decode.model import TreeModel
from sequoia_core.decode.sampling import draft_distribution, draw_without_replacement
from sequoia_core.decode.settings import GenerationSettings
from sequoia_core.decode.timing import Stopwatch
from sequoia_core.tree.token_tree import TokenTree


@dataclass(frozen=True, slots=True)
class Level:
    """One draft pass: the level's nodes that have children.

    nodes: [width] ids, ascending. visible: bool [width, expanded nodes so far], the root left out,
    since it is committed before. children: the next level's nodes; source: for each of them the
    row of its parent in this pass and its rank, [2, children].
    """

    nodes: Tensor
    visible: Tensor
    children: Tensor
    source: Tensor
    most_children: int


@dataclass(frozen=True, slots=True)
class TreePlan:
    """A tree's index tensors, made once per run.

    row: for each expanded node its row among the draft distributions, -1 for leaves; the draft's
    pending slot of an expanded node is its row - 1.
    """

    tree: TokenTree
    levels: list[Level]
    depths: Tensor
    visible: Tensor
    row: list[int]

    @classmethod
    def of(cls, tree: TokenTree, device: torch.device) -> "TreePlan":
        """All index tensors of a tree, on the device."""
        expanded = np.flatnonzero(tree.child_counts > 0)
        row = np.full(tree.size, -1)
        row[expanded] = np.arange(len(expanded))
        return cls(
            tree,
            [_level(tree, expanded, depth, device) for depth in range(tree.depth)],
            torch.from_numpy(tree.depths).long().to(device),
            torch.from_numpy(tree.visible).to(device),
            row.tolist(),
        )


def _level(tree: TokenTree, expanded: np.ndarray, depth: int, device: torch.device) -> Level:
    nodes = expanded[tree.depths[expanded] == depth]
    so_far = expanded[(tree.depths[expanded] <= depth) & (expanded > 0)]
    children = np.flatnonzero(tree.depths == depth + 1)
    source = np.stack([np.searchsorted(nodes, tree.parents[children]), tree.ranks[children]])

    def tensor(array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(device)

    return Level(
        tensor(nodes),
        tensor(tree.visible[np.ix_(nodes, so_far)]),
        tensor(children),
        tensor(source.astype(np.int64)),
        int(tree.child_counts[nodes].max()),
    )


@dataclass(frozen=True, slots=True)
class DraftedTree:
    """token_ids: int64 [n] on the device; probs: float32 [expanded, vocab], what was drawn from.

    logits: the draft's own [expanded, vocab], for traces.
    """

    token_ids: Tensor
    probs: Tensor
    logits: Tensor


def draft_tree(
    draft: TreeModel,
    plan: TreePlan,
    missing: list[int],
    vocab: int,
    settings: GenerationSettings,
    generator: torch.Generator,
    watch: Stopwatch,
) -> DraftedTree:
    """Tokens for every node of the tree. `missing`: committed tokens the draft has not seen yet.

    The last of `missing` is the root. Leaves are never forwarded: the draft passes are the
    tree's depth (the paper's cost model, section 3.3, counts levels).
    """
    size = plan.tree.size
    token_ids = torch.full((size,), missing[-1], dtype=torch.long, device=draft.device)
    rows, probs = [], []
    start = draft.length + len(missing) - 1
    for depth, level in enumerate(plan.levels):
        with watch.part("draft"):
            if depth == 0:
                logits = draft.append(missing)[None, :vocab]
            else:
                positions = torch.full_like(level.nodes, start + depth)
                logits = draft.forward(token_ids[level.nodes], positions, level.visible)[:, :vocab]
        with watch.part("sample"):
            drawn, level_probs = _draw_children(logits, level.most_children, settings, generator)
            token_ids[level.children] = drawn[level.source[0], level.source[1]]
        rows.append(logits)
        probs.append(level_probs)
    if not rows:
        empty = torch.zeros(0, vocab, device=draft.device)
        return DraftedTree(token_ids, empty, empty)
    return DraftedTree(token_ids, torch.cat(probs), torch.cat(rows))


def _draw_children(
    logits: Tensor, count: int, settings: GenerationSettings, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Children in draw order, [width, count], and what they were drawn from.

    At temperature 0 they are the draft's most probable tokens and nothing needs the distribution.
    """
    if settings.temperature == 0:
        logits = logits.float()
        best = logits.argmax(-1, keepdim=True) if count == 1 else logits.topk(count).indices
        return best, logits
    probs = draft_distribution(logits, settings.temperature, settings.top_p)
    return draw_without_replacement(probs, count, generator), probs
