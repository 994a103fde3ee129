"""The verification rules at one node, in pure functions that tests can enumerate.

`tree_verification` has them for all nodes of a tree at once.

Sequoia, arXiv 2402.12374v3, algorithm 2; SpecInfer, arXiv 2305.09781, multi-step speculative
sampling. R starts as the target's distribution P, D as the draft's Q. After each rejection R loses
what D could have given; Sequoia's D loses the rejected token, SpecInfer's stays.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sequoia_core.decode.randomness import Randomness


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one node commits: `rank` is that of the accepted child, or None for a bonus token.

    token: the committed token. prob: the bonus token's in the distribution that it was drawn from,
    1 for a child.
    """

    rank: int | None
    token: int
    prob: float = 1.0


def acceptance_probability(residual_probs: Tensor, draft_probs: Tensor, token: int) -> float:
    """min(1, R[s] / D[s]); 0 where R has no mass."""
    mass, drawn = residual_probs[token].item(), draft_probs[token].item()
    return min(1.0, mass / drawn) if drawn > 0 else float(mass > 0)


def residual(target_probs: Tensor, draft_probs: Tensor) -> Tensor:
    """Distribution left after rejecting a draft token: norm(max(P - Q, 0)).

    target_probs, draft_probs: [vocab], each sums to 1; not modified. Where P equals Q there is no
    mass left: the rejection had probability zero but for rounding, and P itself is returned.
    """
    rest = (target_probs - draft_probs).clamp_(min=0)
    mass = rest.sum()
    return rest.div_(mass) if mass > 0 else target_probs


def without(draft_probs: Tensor, tried: Sequence[int]) -> Tensor:
    """The draft's distribution once the tokens tried so far are out; [vocab].

    Without any mass left: uniform over all tokens not tried.
    """
    index = torch.as_tensor(tried, device=draft_probs.device)
    rest = draft_probs.index_fill(0, index, 0.0)
    mass = rest.sum()
    if mass > 0:
        return rest.div_(mass)
    rest = torch.ones_like(rest).index_fill_(0, index, 0.0)
    return rest.div_(rest.sum())


def verify_drawn(
    target_probs: Tensor,
    draft_probs: Tensor,
    tokens: Sequence[int],
    random: Randomness,
    *,
    replacement: bool = False,
) -> Verdict:
    """Try children that were drawn from the draft, one after the other.

    tokens: the children in draw order. All rejected: the bonus token is drawn from the residual.
    """
    rest, draft = target_probs, draft_probs

    def chances() -> Iterator[float]:
        """Each child's chance; what a rejection changes is computed when the next one is asked."""
        nonlocal rest, draft
        for tried, token in enumerate(tokens, start=1):
            yield acceptance_probability(rest, draft, token)
            rest = residual(rest, draft)
            if tried < len(tokens) and not replacement:
                draft = without(draft_probs, tokens[:tried])

    rank = random.first_accepted(chances())
    if rank is not None:
        return Verdict(rank, tokens[rank])
    token = random.token(rest)
    return Verdict(None, token, float(rest[token]))


def verify_sample(target_probs: Tensor, tokens: Sequence[int], random: Randomness) -> Verdict:
    """Sample the target once; that token is committed, as a child if it is one of `tokens`.

    The children must have been chosen without regard to chance that the target shares, such as
    the draft's most probable tokens.
    """
    token = random.token(target_probs)
    if token in tokens:
        return Verdict(tokens.index(token), token)
    return Verdict(None, token, float(target_probs[token]))
