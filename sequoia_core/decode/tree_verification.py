"""The verification rules at all nodes of a tree at once, in tensor operations alone.

`verification` has the same rules at one node, lazily: nothing is computed that the walk does not
ask for, and each answer decides what is asked next. A GPU would be waited for at every answer.
Here every node is verified as if the walk came by, in shapes that the tree alone decides, and the
host waits for nothing. Nodes have places: those with the most children come first, so that the ones
that have a k-th child are the first few rows.

Sequoia, arXiv 2402.12374v3, algorithm 2; SpecInfer, arXiv 2305.09781.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from sequoia_core.decode.randomness import Randomness

TRIED = -1.0


@dataclass(frozen=True, slots=True)
class Siblings:
    """The children of all parents. tokens: int64 [parents, most], in draw order.

    exist: bool, the same shape; some parents have fewer children than most. counts: by rank, how
    many parents have a child of that rank.
    """

    tokens: Tensor
    exist: Tensor
    counts: list[int]


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What every node says, should the walk come by.

    ranks: int64 [parents], that of the accepted child; the number of columns where there is none.
    rest: [n, vocab], the distribution of the bonus token. tokens: int64 [n], that token where it
    is drawn already; None where it is to be drawn from `rest`.
    """

    ranks: Tensor
    rest: Tensor
    tokens: Tensor | None = None


def verify_all_drawn(
    target_probs: Tensor,
    draft_probs: Tensor,
    siblings: Siblings,
    random: Randomness,
    *,
    replacement: bool = False,
) -> Verdicts:
    """`verification.verify_drawn` at every node.

    target_probs: [n, vocab], overwritten; parents first. draft_probs: [parents, vocab],
    overwritten.
    """
    rest, draft, left = target_probs, draft_probs, draft_probs.clone()
    chances = torch.zeros(siblings.tokens.shape, dtype=torch.float64, device=rest.device)
    for rank, count in enumerate(siblings.counts):
        token = siblings.tokens[:count, rank : rank + 1]
        rows, drawn = rest[:count], draft[:count]
        chances[:count, rank] = _acceptance(rows.gather(1, token), drawn.gather(1, token))[:, 0]
        rows.copy_(_residual(rows, drawn))
        if not replacement and rank + 1 < len(siblings.counts):
            count = siblings.counts[rank + 1]
            rows = left[:count]
            rows.scatter_(1, token[:count], TRIED)
            draft[:count].copy_(_untried(rows))
    return Verdicts(first_true(random.coins(chances) & siblings.exist), rest)


def verify_all_samples(target_probs: Tensor, siblings: Siblings, random: Randomness) -> Verdicts:
    """`verification.verify_sample` at every node. target_probs: [n, vocab], parents first."""
    return said(target_probs, siblings, random.tokens(target_probs))


def said(target_probs: Tensor, siblings: Siblings, tokens: Tensor) -> Verdicts:
    """Verdicts where each node's token is known, int64 [n]: a child is accepted if it is that."""
    hits = siblings.tokens == tokens[: len(siblings.tokens), None]
    return Verdicts(first_true(hits & siblings.exist), target_probs, tokens)


def first_true(flags: Tensor) -> Tensor:
    """Column of each row's first True, the number of columns where there is none; int64 [rows]."""
    columns = torch.arange(flags.shape[1], device=flags.device)
    return torch.where(flags, columns, flags.shape[1]).amin(1)


def _acceptance(residual_probs: Tensor, draft_probs: Tensor) -> Tensor:
    """min(1, R / D); 0 where R has no mass."""
    return (residual_probs / draft_probs).nan_to_num_(nan=0.0).clamp_(max=1.0)


def _residual(rest: Tensor, draft: Tensor) -> Tensor:
    """norm(max(R - D, 0)) a row; R itself where nothing is left."""
    remains = (rest - draft).clamp_(min=0)
    mass = remains.sum(-1, keepdim=True)
    return torch.where(mass > 0, remains / mass, rest)


def _untried(draft: Tensor) -> Tensor:
    """The draft's distribution over what is not TRIED; uniform there without any mass left."""
    remains = draft.clamp(min=0)
    mass = remains.sum(-1, keepdim=True)
    remains = torch.where(mass > 0, remains, (draft != TRIED).to(draft.dtype))
    return remains / remains.sum(-1, keepdim=True)
