"""Sequoia's rule as the paper states it, round by round, to compare the engine with."""

from collections.abc import Iterator, Sequence

from torch import Tensor

from sequoia_core.decode.verification import acceptance_probability, residual, without


def rounds(
    target_probs: Tensor, draft_probs: Tensor, tokens: Sequence[int], *, replacement: bool = False
) -> Iterator[tuple[Tensor, Tensor]]:
    """For each child in draw order: its chance of acceptance, and R should it be rejected."""
    rest, draft = target_probs, draft_probs
    for count, token in enumerate(tokens, start=1):
        chance = acceptance_probability(rest, draft, token)
        rest = residual(rest, draft)
        yield chance, rest
        if count < len(tokens) and not replacement:
            draft = without(draft_probs, tokens[:count])
