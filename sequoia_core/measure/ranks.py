"""Which child a text's own tokens would have been, for every rule, at many positions at once.

The target has written a text; at each of its positions W children are imagined, and the token
that stands there is the child of some rank or none of them. Drawing children for a token that is
already there must follow the rule's joint law of draws and committed token, and it can, exactly.
In a round with residual R and draft D, the rule commits token c through the drawn child with
probability min(R[c], D[c]); what it commits at all has distribution R. So given c the round
accepts with probability min(1, D[c] / R[c]). If it does not, the rejected child has distribution
norm(max(D - R, 0)), the next residual is norm(max(R - D, 0)), and neither depends on c.
The text is the target's own sampling, as it would be were it written by the rule: verification is
lossless (Sequoia, arXiv 2402.12374v3, section 3.2). One text therefore serves all rules.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

NONE = -1


@dataclass(frozen=True, slots=True)
class RankedText:
    """What a rule would have done at each position of a text.

    acceptance: float64 [positions, W], the chance of each rank given the models alone, with the
        committed token summed out. ranks: int64 [positions], the rank of the child that is the
        text's token, -1 for none. Both on the CPU.
    """

    acceptance: Tensor
    ranks: Tensor


def most_probable(draft_logits: Tensor, tokens: Tensor, width: int) -> Tensor:
    """Rank of each position's token among the draft's `width` most probable, -1 if below.

    draft_logits: [positions, vocab]; tokens: int64 [positions]. Returns int64 [positions].
    """
    hits = draft_logits.topk(width, dim=-1).indices == tokens[:, None]
    return torch.where(hits.any(-1), hits.int().argmax(-1), NONE)


def greedy(draft_logits: Tensor, tokens: Tensor, width: int) -> RankedText:
    """Temperature 0, where all rules are one: children are the draft's most probable tokens."""
    ranks = most_probable(draft_logits, tokens, width).cpu()
    return RankedText((ranks[:, None] == torch.arange(width)).double(), ranks)


def topk(target_probs: Tensor, draft_logits: Tensor, tokens: Tensor, width: int) -> RankedText:
    """Rule `topk`: the k-th child is the draft's k-th token, accepted if the target says it.

    Its chance is the target's probability of that token. Nothing is drawn.
    """
    children = draft_logits.topk(width, dim=-1).indices
    ranks = most_probable(draft_logits, tokens, width)
    return RankedText(target_probs.gather(-1, children).double().cpu(), ranks.cpu())


def specinfer(
    target_probs: Tensor,
    draft_probs: Tensor,
    tokens: Tensor,
    width: int,
    generator: torch.Generator,
) -> RankedText:
    """Rule `specinfer`: children drawn with replacement, so D stays and R is known in advance."""
    rounds = _Rounds(target_probs, tokens, width, generator)
    for rank in range(width):
        rounds.play(rank, draft_probs)
    return rounds.result()


def sequoia(
    target_probs: Tensor,
    draft_probs: Tensor,
    tokens: Tensor,
    width: int,
    generator: torch.Generator,
) -> RankedText:
    """Rule `sequoia`: children drawn without replacement; each rejected one leaves D.

    target_probs, draft_probs: [positions, vocab], not modified. Rejected children are drawn from
    their exact distribution; only they, never the coin flips, add noise to `acceptance`.
    """
    rounds = _Rounds(target_probs, tokens, width, generator)
    draft = draft_probs
    tried = torch.zeros(len(tokens), 0, dtype=torch.long, device=tokens.device)
    for rank in range(width):
        surplus = rounds.play(rank, draft)
        if rank < width - 1:
            # A round that cannot reject goes nowhere; any token with mass keeps it well defined.
            surplus = torch.where(surplus.sum(-1, keepdim=True) > 0, surplus, draft)
            tried = torch.cat([tried, _draw(surplus, generator)[:, None]], dim=1)
            draft = without_tried(draft, tried)
    return rounds.result()


class _Rounds:
    """The rounds of all positions side by side: residuals, chances so far, ranks found."""

    def __init__(
        self, target_probs: Tensor, tokens: Tensor, width: int, generator: torch.Generator
    ):
        positions = len(tokens)
        self._rest, self._tokens, self._generator = target_probs, tokens[:, None], generator
        self._reached = torch.ones(positions, dtype=torch.float64, device=tokens.device)
        self._acceptance = self._reached.new_zeros(positions, width)
        self._ranks = torch.full_like(tokens, NONE)

    def play(self, rank: int, draft: Tensor) -> Tensor:
        """One round for all; returns max(D - R, 0) [positions, vocab], the law of rejections."""
        overlap = torch.minimum(self._rest, draft)
        chance = overlap.sum(-1).double().clamp_(max=1)
        self._acceptance[:, rank] = self._reached * chance
        self._reached *= 1 - chance
        drawn, wanted = (probs.gather(-1, self._tokens)[:, 0] for probs in (draft, self._rest))
        uniforms = torch.rand(len(chance), generator=self._generator, device=draft.device)
        fits = (uniforms < (drawn / wanted).nan_to_num_(nan=0.0)) & (self._ranks == NONE)
        self._ranks[fits] = rank
        self._rest = _normalised(self._rest - overlap, self._rest)
        return draft - overlap

    def result(self) -> RankedText:
        return RankedText(self._acceptance.cpu(), self._ranks.cpu())


def residuals(target_probs: Tensor, draft_probs: Tensor) -> Tensor:
    """`decode.verification.residual` of many positions at once, [positions, vocab]."""
    return _normalised(target_probs - torch.minimum(target_probs, draft_probs), target_probs)


def without_tried(draft_probs: Tensor, tried: Tensor) -> Tensor:
    """`decode.verification.without` of many positions at once; tried: int64 [positions, tried]."""
    rest = draft_probs.scatter(-1, tried, 0.0)
    mass = rest.sum(-1, keepdim=True)
    used_up = (mass[:, 0] <= 0).nonzero()[:, 0]
    if len(used_up):
        rest[used_up] = torch.ones_like(rest[used_up]).scatter_(-1, tried[used_up], 0.0)
        mass = rest.sum(-1, keepdim=True)
    return rest.div_(mass)


def _normalised(rest: Tensor, otherwise: Tensor) -> Tensor:
    """Rows over their sums; a row without mass is replaced by that of `otherwise`."""
    mass = rest.sum(-1, keepdim=True)
    if bool((mass > 0).all()):
        return rest.div_(mass)
    return torch.where(mass > 0, rest / mass, otherwise)


def _draw(weights: Tensor, generator: torch.Generator) -> Tensor:
    """One token a row with probability proportional to its weight; int64 [positions].

    By the cumulative sum: a token without weight is never where the sum first exceeds the draw.
    """
    sums = weights.cumsum(-1)
    uniforms = torch.rand(len(weights), 1, generator=generator, device=weights.device)
    # Strictly below the total, so that rounding cannot point beyond the last token with weight.
    goal = torch.minimum(uniforms * sums[:, -1:], sums[:, -1:].nextafter(sums.new_zeros(())))
    return torch.searchsorted(sums, goal, right=True)[:, 0]
