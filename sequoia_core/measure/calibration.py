"""Measuring the acceptance vector of a pair, on text that the target writes itself."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from sequoia_core.decode.engine import Engine, GenerationSettings
from sequoia_core.decode.pair import ModelPair
from sequoia_core.decode.sampling import (
    distribution,
    draft_distribution,
    draw_without_replacement,
)
from sequoia_core.decode.verification import rounds
from sequoia_core.errors import InputError
from sequoia_core.plan.acceptance import AcceptanceVector
from sequoia_core.tree.token_tree import TokenTree

Progress = Callable[[float, str], None]

WIDTH = 32


def calibrate(
    pair: ModelPair,
    prompts: Sequence[str],
    settings: GenerationSettings,
    *,
    width: int = WIDTH,
    progress: Progress = lambda fraction, text: None,
) -> AcceptanceVector:
    """Acceptance of each child in draw order under Sequoia's rule, with standard errors.

    The target continues every prompt by itself; at each position `width` children are drawn from
    the draft and the chance that each of them is the accepted one is taken in closed form, given
    both distributions and the draws (Sequoia, arXiv 2402.12374v3, section 3.1 and appendix E
    count outcomes instead). Standard errors are over prompts, since a text's positions are
    not independent. Raises InputError for fewer than two prompts.
    """
    if len(prompts) < 2:
        raise InputError(
            f"Calibration needs at least 2 prompts for its standard errors, got {len(prompts)}."
        )
    width = min(width, pair.vocab)
    generator = torch.Generator(pair.device).manual_seed(settings.seed)
    samples = [
        # Another seed for every prompt, or equal prompts would give equal texts.
        _sample(pair, prompt, replace(settings, seed=settings.seed + index), width, generator)
        for index, prompt in enumerate(_reported(prompts, progress))
    ]
    probabilities, errors = _ratio_estimate(samples)
    return AcceptanceVector(
        rule="sequoia",
        probabilities=probabilities,
        standard_errors=errors,
        temperature=settings.temperature,
        top_p=settings.top_p,
        target=pair.target_name,
        draft=pair.draft_name,
        prompts=len(prompts),
        origin=f"measured on {sum(map(len, samples)):,} positions of the target's own text",
    )


def _reported(prompts: Sequence[str], progress: Progress) -> Iterable[str]:
    for index, prompt in enumerate(prompts):
        progress(index / len(prompts), f"Prompt {index + 1} of {len(prompts)}")
        yield prompt
    progress(1.0, "Done")


@torch.inference_mode()
def _sample(
    pair: ModelPair,
    prompt: str,
    settings: GenerationSettings,
    width: int,
    generator: torch.Generator,
) -> Tensor:
    """Acceptance by child at every position the target wrote at, float64 [positions, width]."""
    run = Engine(pair).run(prompt, settings, TokenTree([-1]), trace=False)
    for _ in run:
        pass
    text = run.prompt_ids + run.token_ids
    first = len(run.prompt_ids) - 1
    target, draft = (
        _teacher_forced(model, text)[first:-1, : pair.vocab] for model in (pair.target, pair.draft)
    )
    pairs = zip(target, draft, strict=True)
    return torch.stack([_acceptance_at(p, q, settings, width, generator) for p, q in pairs])


def _teacher_forced(model, token_ids: list[int]) -> Tensor:
    """Logits after every token of a text, [tokens, vocab]."""
    ids = torch.tensor(token_ids, device=model.device)
    model.reset(len(ids))
    positions = torch.arange(len(ids), device=model.device)
    causal = torch.ones(len(ids), len(ids), dtype=torch.bool, device=model.device).tril_()
    return model.forward(ids, positions, causal)


def _acceptance_at(
    target_logits: Tensor,
    draft_logits: Tensor,
    settings: GenerationSettings,
    width: int,
    generator: torch.Generator,
) -> Tensor:
    """Chance that each child in draw order is the accepted one at one position, [width]."""
    if settings.temperature == 0:
        best = draft_logits.topk(width).indices
        return (best == target_logits.argmax()).double().cpu()
    target = distribution(target_logits, settings.temperature, settings.top_p)
    draft = draft_distribution(draft_logits, settings.temperature, settings.top_p)
    tokens = draw_without_replacement(draft, width, generator).tolist()
    chances = torch.stack([chance for chance, _ in rounds(target, draft, tokens)]).double().cpu()
    reached = torch.cat([chances.new_ones(1), (1 - chances).cumprod(0)[:-1]])
    return reached * chances


def _ratio_estimate(samples: list[Tensor]) -> tuple[list[float], list[float]]:
    """Mean over all positions and its standard error with prompts as the independent units."""
    lengths = torch.tensor([len(sample) for sample in samples], dtype=torch.float64)
    sums = torch.stack([sample.sum(0) for sample in samples])
    mean = sums.sum(0) / lengths.sum()
    count = len(samples)
    spread = (sums - lengths[:, None] * mean).square().sum(0) / (count - 1)
    errors = (spread * count).sqrt() / lengths.sum()
    return _at_most_one(mean).tolist(), errors.tolist()


def _at_most_one(probabilities: Tensor) -> Tensor:
    """Rounding may lift the sum a hair above 1."""
    total = float(probabilities.sum())
    return probabilities / math.nextafter(total, math.inf) if total > 1 else probabilities
