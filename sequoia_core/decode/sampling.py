"""From logits to distributions, and from distributions to draws; in float32 or better."""

import torch
from torch import Tensor

# Draft probabilities below this count as zero, in the draws and in the verification alike, so
# that exponential / probability stays far inside float32's range.
SMALLEST_DRAFT_PROBABILITY = 1e-12


def distribution(logits: Tensor, temperature: float, top_p: float) -> Tensor:
    """Probabilities after temperature, then top-p; [..., vocab], float32 unless given float64.

    Temperature 0 puts all mass on the largest logit (the first of equals). Top-p keeps the
    smallest set of most probable tokens whose mass reaches top_p, as Hugging Face's does.
    """
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    if temperature == 0:
        best = logits.argmax(-1, keepdim=True)
        return torch.zeros_like(logits).scatter_(-1, best, 1.0)
    probs = (logits / temperature).softmax(-1)
    return probs if top_p >= 1 else nucleus(probs, top_p)


def nucleus(probs: Tensor, top_p: float) -> Tensor:
    """The smallest set of most probable tokens that holds at least top_p, renormalised."""
    ordered, index = probs.sort(dim=-1, descending=True, stable=True)
    before = torch.nn.functional.pad(ordered.cumsum(-1)[..., :-1], (1, 0))
    kept = torch.where(before < top_p, ordered, 0.0)
    kept[..., 0] = ordered[..., 0]
    kept /= kept.sum(-1, keepdim=True)
    return torch.zeros_like(probs).scatter_(-1, index, kept)


def draft_distribution(logits: Tensor, temperature: float, top_p: float) -> Tensor:
    """As `distribution`, with probabilities too small to draw from set to exactly zero."""
    probs = distribution(logits, temperature, top_p)
    probs[probs < SMALLEST_DRAFT_PROBABILITY] = 0
    return probs / probs.sum(-1, keepdim=True)


def draw_without_replacement(probs: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """`count` different tokens a row, in the order drawn; int64 [..., count].

    The exponential race: the order of E / probability, E ~ Exp(1), is that of drawing one by one
    and renormalising. When the mass is used up the rest are drawn uniformly, as the verification
    assumes (Sequoia, arXiv 2402.12374v3, algorithm 2).
    """
    race = torch.empty_like(probs).exponential_(generator=generator)
    # The factor puts tokens without mass behind all others and leaves them in uniform order.
    times = torch.where(probs > 0, race / probs, race * 1e30)
    return times.topk(count, dim=-1, largest=False, sorted=True).indices


def draw_with_replacement(probs: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """`count` independent tokens a row of probs [rows, vocab]; int64 [rows, count]."""
    return torch.multinomial(probs, count, replacement=True, generator=generator)


def draw(probs: Tensor, generator: torch.Generator) -> int:
    """One token of a [vocab] distribution."""
    return int(torch.multinomial(probs, 1, generator=generator))
