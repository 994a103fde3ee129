"""Sequoia's verification rule at one node, in pure functions that tests can enumerate.

Sequoia, arXiv 2402.12374v3, algorithm 2. R starts as the target's distribution P, D as the
draft's Q; after each rejection R loses what D could have given and D loses the rejected token.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor


def acceptance_probability(residual_probs: Tensor, draft_probs: Tensor, token: int) -> Tensor:
    """min(1, R[s] / D[s]), a 0-d tensor; 0 where R has no mass."""
    return (residual_probs[token] / draft_probs[token]).nan_to_num_(nan=0.0).clamp_(max=1.0)


def residual(target_probs: Tensor, draft_probs: Tensor) -> Tensor:
    """Distribution left after rejecting a draft token: norm(max(P - Q, 0)).

    target_probs, draft_probs: [vocab], each sums to 1; not modified. Where P equals Q there is no
    mass left: the rejection had probability zero but for rounding, and P itself is returned.
    """
    rest = (target_probs - draft_probs).clamp_(min=0)
    mass = rest.sum()
    return torch.where(mass > 0, rest / mass, target_probs)


def without(draft_probs: Tensor, tried: Sequence[int]) -> Tensor:
    """The draft's distribution once the tokens tried so far are out; [vocab].

    Without any mass left: uniform over all tokens not tried.
    """
    index = torch.as_tensor(tried, device=draft_probs.device)
    rest = draft_probs.index_fill(0, index, 0.0)
    mass = rest.sum()
    if not rest.is_cuda and mass > 0:
        return rest.div_(mass)
    others = torch.ones_like(rest).index_fill_(0, index, 0.0)
    rest = torch.where(mass > 0, rest, others)
    return rest / rest.sum()


def rounds(
    target_probs: Tensor, draft_probs: Tensor, tokens: Sequence[int]
) -> Iterator[tuple[Tensor, Tensor]]:
    """For each child in draw order: its chance of acceptance, and R should it be rejected.

    target_probs, draft_probs: [vocab]. Lazy, so that a caller may stop at the accepted child.
    """
    rest, draft = target_probs, draft_probs
    for count, token in enumerate(tokens, start=1):
        chance = acceptance_probability(rest, draft, token)
        rest = residual(rest, draft)
        yield chance, rest
        if count < len(tokens):
            draft = without(draft, tokens[:count])


def verify_children(
    target_probs: Tensor, draft_probs: Tensor, tokens: Sequence[int], uniforms: Tensor
) -> tuple[int | None, Tensor]:
    """The rank of the accepted child, or None, and the distribution the bonus comes from.

    tokens: children in draw order; uniforms: [children] in [0, 1), fresh for every node. On a
    GPU all rounds are computed and read in one synchronisation; on a CPU it stops at acceptance.
    """
    if target_probs.is_cuda:
        return _verify_in_one_read(target_probs, draft_probs, tokens, uniforms)
    rest = target_probs
    for rank, (chance, after) in enumerate(rounds(target_probs, draft_probs, tokens)):
        if uniforms[rank] < chance:
            return rank, rest
        rest = after
    return None, rest


def _verify_in_one_read(
    target_probs: Tensor, draft_probs: Tensor, tokens: Sequence[int], uniforms: Tensor
) -> tuple[int | None, Tensor]:
    chances, residuals = zip(*rounds(target_probs, draft_probs, tokens), strict=True)
    accepted = (uniforms < torch.stack(chances)).tolist()
    rank = accepted.index(True) if True in accepted else None
    return rank, residuals[-1] if rank is None else target_probs
