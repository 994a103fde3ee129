"""The ranks of a finished text's tokens: one teacher-forced pass of each model over it."""

from collections.abc import Collection, Sequence

import torch
from torch import Tensor

from sequoia_core.decode.model import TreeModel
from sequoia_core.decode.pair import ModelPair
from sequoia_core.decode.sampling import distribution, draft_distribution
from sequoia_core.decode.settings import GenerationSettings
from sequoia_core.errors import InputError
from sequoia_core.measure import ranks
from sequoia_core.measure.ranks import RankedText
from sequoia_core.measure.texts import Text
from sequoia_core.plan.acceptance import RULES
from sequoia_core.plan.paths import PathStatistics

WIDTH = 32
# Probabilities worked on at once: small enough for a processor's cache.
CHUNK = 2**19


def rank_run(
    pair: ModelPair,
    prompt_ids: Sequence[int],
    token_ids: Sequence[int],
    settings: GenerationSettings,
    *,
    width: int = WIDTH,
) -> PathStatistics:
    """The rank sequence of one finished run's text for the rule sequoia, ready for `plan.replay`.

    prompt_ids, token_ids: what the run read and wrote, by whatever method: all are lossless.
    settings: the run's; of them temperature, top-p and seed matter. width: children imagined at
    every position. At temperature 0 replaying any tree gives the very steps it takes on this text;
    above 0 the ranks are drawn from their law given the text, so steps are those of another run
    that happened to write the same. Takes over the pair's caches, as a run does. Raises
    InputError for an empty prompt or text, for tokens outside the vocabulary, and for a text
    longer than the context.
    """
    _check_text(pair, prompt_ids, token_ids)
    width, text = min(width, pair.vocab), Text(list(prompt_ids), list(token_ids))
    ranked = rank_text(pair, text, settings, width, rules=("sequoia",))
    return PathStatistics(width, [ranked["sequoia"].ranks.numpy()])


@torch.inference_mode()
def rank_text(
    pair: ModelPair,
    text: Text,
    settings: GenerationSettings,
    width: int,
    rules: Collection[str] = RULES,
) -> dict[str, RankedText]:
    """What each rule would have done at every position that the target wrote at.

    settings: those of the run that wrote the text. Their seed makes the draws here too, other ones
    than the run's, so that a text is ranked alike wherever and after whatever it is.
    """
    generator = torch.Generator(pair.device).manual_seed(_ranking_seed(settings.seed))
    tokens = torch.tensor(text.token_ids, device=pair.device)
    # At temperature 0 the text is the target's choice, and nothing else of the target is asked.
    models = [pair.draft] if settings.temperature == 0 else [pair.draft, pair.target]
    logits = [_teacher_forced(model, text)[:, : pair.vocab] for model in models]
    rows = max(1, CHUNK // pair.vocab)
    chunks = zip(tokens.split(rows), *(part.split(rows) for part in logits), strict=True)
    parts = [_ranked(own, ids, settings, width, generator, rules) for ids, *own in chunks]
    return {rule: _joined([part[rule] for part in parts]) for rule in rules}


def _ranking_seed(seed: int) -> int:
    """A seed for each of a run's, whose numbers have nothing to do with those that wrote the text.

    An odd factor keeps different seeds apart in the low bits too, of which a CPU's generator takes
    32. This one is 2^64 over the golden ratio: it takes neighbours far from each other.
    """
    return (seed + 1) * 0x9E3779B97F4A7C15 % 2**64


def _teacher_forced(model: TreeModel, text: Text) -> Tensor:
    """Logits from which each token of a continuation was to be predicted, [tokens, vocab]."""
    model.reset(len(text.prompt_ids) + len(text.token_ids))
    if len(text.prompt_ids) > 1:
        model.append(text.prompt_ids[:-1])
    ids = torch.tensor([text.prompt_ids[-1], *text.token_ids[:-1]], device=model.device)
    positions = model.length + torch.arange(len(ids), device=model.device)
    causal = torch.ones(len(ids), len(ids), dtype=torch.bool, device=model.device).tril_()
    return model.forward(ids, positions, causal)


def _ranked(
    logits: Sequence[Tensor],
    tokens: Tensor,
    settings: GenerationSettings,
    width: int,
    generator: torch.Generator,
    rules: Collection[str],
) -> dict[str, RankedText]:
    """The rules at some positions; logits: the draft's and, above temperature 0, the target's."""
    if settings.temperature == 0:
        return dict.fromkeys(rules, ranks.greedy(logits[0], tokens, width))
    draft = draft_distribution(logits[0], settings.temperature, settings.top_p)
    target = distribution(logits[1], settings.temperature, settings.top_p)
    measured = {
        "sequoia": lambda: ranks.sequoia(target, draft, tokens, width, generator),
        "specinfer": lambda: ranks.specinfer(target, draft, tokens, width, generator),
        "topk": lambda: ranks.topk(target, logits[0], tokens, width),
    }
    return {rule: measured[rule]() for rule in rules}


def _joined(parts: list[RankedText]) -> RankedText:
    return RankedText(
        torch.cat([part.acceptance for part in parts]), torch.cat([part.ranks for part in parts])
    )


def _check_text(pair: ModelPair, prompt_ids: Sequence[int], token_ids: Sequence[int]) -> None:
    for name, ids in (("prompt", prompt_ids), ("text", token_ids)):
        if not ids:
            raise InputError(f"The run's {name} is empty, so there is nothing to rank.")
        outside = [token for token in ids if not 0 <= token < pair.vocab]
        if outside:
            raise InputError(
                f"The run's {name} holds token {outside[0]}, outside the vocabulary of "
                f"{pair.vocab}: rank a run with the pair that wrote it."
            )
    total = len(prompt_ids) + len(token_ids)
    if total > pair.context_length:
        raise InputError(
            f"The run's prompt and text have {total:,} tokens, more than the context of "
            f"{pair.context_length:,}: rank a run with the pair that wrote it."
        )
