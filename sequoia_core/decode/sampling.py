"""From logits to distributions, and from distributions to draws; in float32 or better."""

import torch
from torch import Tensor

# Draft probabilities below this count as zero, in the draws and in the verification alike, so
# that exponential / probability stays far inside float32's range.
SMALLEST_DRAFT_PROBABILITY = 1e-12
# Tokens without mass race as if they had this much: behind all others, in uniform order.
NO_MASS = 1e-30
# How far a uniform number stays below 1, in float64: its product with any mass is less than that.
BELOW_ONE = 2**-52
# The nucleus is looked for among so many tokens before all are sorted.
NUCLEUS_CANDIDATES = 256


def distribution(logits: Tensor, temperature: float, top_p: float) -> Tensor:
    """Probabilities after temperature, then top-p; [..., vocab], float32 unless given float64.

    Temperature 0 puts all mass on the largest logit (the first of equals). Top-p keeps the
    smallest set of most probable tokens whose mass reaches top_p, as Hugging Face's does.
    """
    if logits.dtype.itemsize < 4:
        logits = logits.float()
    if temperature == 0:
        best = logits.argmax(-1, keepdim=True)
        return torch.zeros_like(logits).scatter_(-1, best, 1.0)
    probs = (logits / temperature).softmax(-1)
    return probs if top_p >= 1 else nucleus(probs, top_p)


def nucleus(probs: Tensor, top_p: float) -> Tensor:
    """The smallest set of most probable tokens that holds at least top_p, renormalised."""
    ordered, index = _most_probable_first(probs, top_p)
    before = torch.nn.functional.pad(ordered.cumsum(-1)[..., :-1], (1, 0))
    kept = torch.where(before < top_p, ordered, 0.0)
    kept[..., 0] = ordered[..., 0]
    kept /= kept.sum(-1, keepdim=True)
    return torch.zeros_like(probs).scatter_(-1, index, kept)


def _most_probable_first(probs: Tensor, top_p: float) -> tuple[Tensor, Tensor]:
    """Probabilities and tokens in falling order, as many as hold top_p in every row."""
    # Asking whether a few suffice would halt a GPU, where sorting is cheap.
    if not probs.is_cuda:
        ordered, index = probs.topk(min(NUCLEUS_CANDIDATES, probs.shape[-1]), dim=-1)
        if bool((ordered.sum(-1) >= top_p).all()):
            return ordered, index
    return probs.sort(dim=-1, descending=True, stable=True)


def most_probable(logits: Tensor, count: int) -> Tensor:
    """The tokens of the `count` largest logits a row, in order; int64 [..., count]."""
    # In float32, which a CPU searches several times as fast as bfloat16.
    logits = logits.float()
    if count == 1:
        return logits.argmax(-1, keepdim=True)
    return logits.topk(count, dim=-1).indices


def draft_distribution(logits: Tensor, temperature: float, top_p: float) -> Tensor:
    """As `distribution`, with probabilities too small to draw from set to exactly zero.

    What is cut off is less than the rounding of the sum, so that it is not made up for.
    """
    probs = distribution(logits, temperature, top_p)
    return torch.threshold(probs, SMALLEST_DRAFT_PROBABILITY, 0.0)


def race_times(rows: int, vocab: int, generator: torch.Generator) -> Tensor:
    """Minus E ~ Exp(1) for every token of every row, float32 [rows, vocab], on the device."""
    # In float64 until small: float32's uniform numbers have too few values near 0, where races are
    # won. `exponential_` would take several times as long on a CPU.
    shape, device = (rows, vocab), generator.device
    uniform = torch.rand(shape, generator=generator, device=device, dtype=torch.float64)
    return uniform.to(torch.float32).neg_().log1p_()


def draw_without_replacement(probs: Tensor, count: int, times: Tensor) -> Tensor:
    """`count` different tokens a row, in the order drawn; int64 [..., count].

    The exponential race: the order of E / probability, E ~ Exp(1), is that of drawing one by one
    and renormalising. When the mass is used up the rest are drawn uniformly, as the verification
    assumes (Sequoia, arXiv 2402.12374v3, algorithm 2). times: `race_times` that no other draw has
    seen, the shape of probs.
    """
    return (times / probs.clamp(min=NO_MASS)).topk(count, dim=-1, sorted=True).indices


def draw_by_inversion(probs: Tensor, uniform: Tensor) -> Tensor:
    """Independent tokens for uniform numbers in [0, 1 - BELOW_ONE]; int64 [rows, count].

    probs: [rows, vocab]. uniform: float64 [rows, count]. `torch.multinomial` would halt a GPU to
    look at the probabilities.
    """
    mass = probs.cumsum(-1, dtype=torch.float64)
    # To the right of equals: a token without mass is never chosen.
    return torch.searchsorted(mass, uniform * mass[:, -1:], right=True)
