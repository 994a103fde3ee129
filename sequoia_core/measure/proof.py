"""Is decoding lossless for this pair? Greedy text against Hugging Face's, samples against a law."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from transformers import GenerationConfig

from sequoia_core.decode.drafting import StaticTree
from sequoia_core.decode.engine import Engine, GenerationSettings
from sequoia_core.decode.growing import GrownTree
from sequoia_core.decode.methods import (
    AUTOREGRESSIVE,
    GROWN_RULES,
    NAMES,
    Method,
    grown_method,
    plain_method,
    static_method,
)
from sequoia_core.decode.pair import ModelPair
from sequoia_core.decode.rounding import tolerance
from sequoia_core.decode.sampling import distribution
from sequoia_core.decode.steering import Steering
from sequoia_core.measure.lookup import remembered
from sequoia_core.measure.switching import EveryStep
from sequoia_core.tree.families import chain, chains
from sequoia_core.tree.token_tree import TokenTree

Progress = Callable[[float, str], None]

# All methods; `auto` stands for its changes of method, made in every step.
PROVED = (*NAMES, EveryStep.name)
GREEDY_TREE = TokenTree([-1, 0, 0, 0, 0, 1, 1, 1, 2, 2, 5, 5, 6, 8, 10, 10])
# Two tokens of text reach no deeper than two levels.
SAMPLED_TREE = TokenTree([-1, 0, 0, 0, 1, 1, 2])
SAMPLED_TOKENS = 2
# A correct method falls below this once in 10,000 trials.
LEVEL = 1e-4
LEAST_EXPECTED = 5.0


@dataclass(frozen=True, slots=True)
class Parting:
    """Where a greedy text first leaves Hugging Face's; -1 is a token of a text that has ended.

    gap: difference of the two tokens' logits in a plain forward pass, in standard deviations of
    the logits there, None where a text has ended. near_tie: no more than rounding in the pair's
    dtype explains.
    """

    prompt: int
    position: int
    ours: int
    theirs: int
    gap: float | None
    near_tie: bool


@dataclass(frozen=True, slots=True)
class GreedyRow:
    """A method's greedy texts: how many prompts, how many of them token for token the same."""

    method: str
    prompts: int
    identical: int
    partings: list[Parting]

    @property
    def passed(self) -> bool:
        """Every text is the same, or parts at a near-tie."""
        return all(parting.near_tie for parting in self.partings)


@dataclass(frozen=True, slots=True)
class SampledRow:
    """A method's first two tokens over many runs: chi-square against the target's own law."""

    method: str
    temperature: float
    top_p: float
    runs: int
    bins: int
    p_value: float

    @property
    def passed(self) -> bool:
        """The difference is one that chance makes."""
        return self.p_value > LEVEL


def method_with(name: str, tree: TokenTree) -> Method | Steering:
    """The method of that name, on this tree or on one of its depth and size."""
    if name == EveryStep.name:
        return EveryStep(tree)
    if name == AUTOREGRESSIVE:
        return plain_method()
    if name in GROWN_RULES:
        return grown_method(name, tree.size, tree.depth)
    shapes = {"chain": chain(tree.depth), "kchains": chains(3, tree.depth)}
    return static_method(name, shapes.get(name, tree))


def greedy_rows(
    pair: ModelPair,
    names: Sequence[str],
    prompts: Sequence[str],
    new_tokens: int,
    progress: Progress = lambda fraction, text: None,
) -> list[GreedyRow]:
    """Compare every method's text at temperature 0 with that of Hugging Face's `generate`."""
    engine = Engine(pair)
    settings = GenerationSettings(max_new_tokens=new_tokens)
    partings: dict[str, list[Parting]] = {name: [] for name in names}
    for index, prompt in enumerate(prompts):
        progress(index / len(prompts), f"Greedy text, prompt {index + 1} of {len(prompts)}")
        prompt_ids = pair.encode(prompt)
        theirs = _reference(pair, prompt_ids, new_tokens)
        texts: dict[StaticTree | GrownTree | str, list[int]] = {}
        for name in names:
            method = method_with(name, GREEDY_TREE)
            # At temperature 0 the rules are one, so that methods with equal trees are one run.
            kind = method.shape if isinstance(method, Method) else method.name
            if kind not in texts:
                run = engine.run(prompt_ids, settings, method, trace=False)
                texts[kind] = [token for step in run for token in step.committed]
            ours = texts[kind]
            if ours != theirs:
                partings[name].append(parting(pair, index, prompt_ids, ours, theirs))
    return [
        GreedyRow(name, len(prompts), len(prompts) - len(found), found)
        for name, found in partings.items()
    ]


@torch.inference_mode()
def _reference(pair: ModelPair, prompt_ids: list[int], new_tokens: int) -> list[int]:
    """Hugging Face's greedy text, without what a model's own generation settings would change."""
    ends = sorted(pair.end_tokens) or None
    config = GenerationConfig(
        max_new_tokens=new_tokens,
        do_sample=False,
        eos_token_id=ends,
        pad_token_id=ends[0] if ends else 0,
    )
    ids = torch.tensor([prompt_ids], device=pair.device)
    model = pair.target.model
    kept, model.generation_config = model.generation_config, config
    try:
        output = model.generate(ids, attention_mask=torch.ones_like(ids))
    finally:
        model.generation_config = kept
    return output[0, len(prompt_ids) :].tolist()


@torch.inference_mode()
def parting(
    pair: ModelPair, prompt: int, prompt_ids: list[int], ours: list[int], theirs: list[int]
) -> Parting:
    """Where two greedy texts that differ part. prompt: its number, prompt_ids: its tokens."""
    shorter = min(len(ours), len(theirs))
    position = next((i for i in range(shorter) if ours[i] != theirs[i]), shorter)
    if position == shorter:
        ended = ours[position] if len(ours) > shorter else -1
        other = theirs[position] if len(theirs) > shorter else -1
        return Parting(prompt, position, ended, other, None, False)
    ids = torch.tensor([prompt_ids + ours[:position]], device=pair.device)
    logits = pair.target.plain_logits(ids)[0, -1].float()
    gap = float((logits[ours[position]] - logits[theirs[position]]).abs() / logits.std())
    near_tie = gap <= tolerance(pair.target.dtype)
    return Parting(prompt, position, ours[position], theirs[position], gap, near_tie)


def sampled_rows(
    pair: ModelPair,
    names: Sequence[str],
    prompt_ids: list[int],
    samplings: Sequence[tuple[float, float]],
    *,
    runs: int,
    seed: int = 0,
    progress: Progress = lambda fraction, text: None,
) -> list[SampledRow]:
    """Compare the first two tokens of many runs from one prompt with the target's own law.

    samplings: (temperature, top-p) pairs. Run i has the seed `seed` + i. The models' logits are
    computed once for every text that occurs, by plain forward passes; all else is the engine's.
    """
    longest = len(prompt_ids) + SAMPLED_TOKENS - 1
    quick = replace(
        pair,
        target=remembered(pair.target, pair.vocab, longest),
        draft=remembered(pair.draft, pair.vocab, longest),
    )
    cells = [(name, *sampling) for sampling in samplings for name in names]
    rows = []
    for index, (name, temperature, top_p) in enumerate(cells):
        progress(index / len(cells), f"{name} at temperature {temperature:g}, top-p {top_p:g}")
        settings = GenerationSettings(
            temperature=temperature, top_p=top_p, max_new_tokens=SAMPLED_TOKENS
        )
        seen = _texts(quick, prompt_ids, settings, method_with(name, SAMPLED_TREE), runs, seed)
        law = _law(quick, prompt_ids, settings, LEAST_EXPECTED / runs)
        bins, p_value = chi_square(seen, law, runs)
        if not all(_possible(quick, prompt_ids, settings, text) for text in seen):
            p_value = 0.0
        rows.append(SampledRow(name, temperature, top_p, runs, bins, p_value))
    return rows


def _texts(
    pair: ModelPair,
    prompt_ids: list[int],
    settings: GenerationSettings,
    method: Method | Steering,
    runs: int,
    seed: int,
) -> Counter[tuple[int, ...]]:
    engine, seen = Engine(pair), Counter()
    for index in range(runs):
        run = engine.run(prompt_ids, replace(settings, seed=seed + index), method, trace=False)
        for _ in run:
            pass
        seen[tuple(run.token_ids)] += 1
    return seen


def _probs(
    pair: ModelPair, prompt_ids: list[int], settings: GenerationSettings, text: tuple[int, ...]
) -> torch.Tensor:
    """The target's law of the next token after a text, float64 [vocab]."""
    logits = pair.target.model.logits_after([(*prompt_ids, *text)])[0]
    return distribution(logits, settings.temperature, settings.top_p).double()


def _possible(
    pair: ModelPair, prompt_ids: list[int], settings: GenerationSettings, text: tuple[int, ...]
) -> bool:
    """Whether the target can write this text: top-p rules tokens out, whatever their number."""
    return all(
        _probs(pair, prompt_ids, settings, text[:place])[token] > 0
        for place, token in enumerate(text)
    )


def _law(
    pair: ModelPair, prompt_ids: list[int], settings: GenerationSettings, least: float
) -> dict[tuple[int, ...], float]:
    """The target's own chance of each text of two tokens that has at least the chance `least`."""

    def likely(text: tuple[int, ...], least: float) -> list[tuple[int, float]]:
        probs = _probs(pair, prompt_ids, settings, text)
        tokens = torch.nonzero(probs >= least).flatten().tolist()
        return [(token, float(probs[token])) for token in tokens]

    law = {}
    for first, chance in likely((), least):
        if first in pair.end_tokens:
            law[first,] = chance
            continue
        law |= {(first, second): chance * c for second, c in likely((first,), least / chance)}
    return law


def chi_square(
    seen: Mapping[tuple[int, ...], int], law: Mapping[tuple[int, ...], float], runs: int
) -> tuple[int, float]:
    """Bins and p-value: the texts of the law, and all others together where that is enough.

    seen: how often each text occurred in `runs` runs. law: chances of the texts counted apart.
    """
    expected = np.array([*law.values(), max(0.0, 1 - sum(law.values()))]) * runs
    observed = np.array([seen.get(text, 0) for text in law], dtype=float)
    observed = np.append(observed, runs - observed.sum())
    if expected[-1] < LEAST_EXPECTED and len(expected) > 1:
        # Rounding may leave less than nothing for the rest; it joins the rarest text.
        rarest = int(expected[:-1].argmin())
        expected[rarest] += expected[-1]
        observed[rarest] += observed[-1]
        expected, observed = expected[:-1], observed[:-1]
    if len(expected) == 1:
        return 1, 1.0
    statistic = float(((observed - expected) ** 2 / expected).sum())
    half = torch.tensor([(len(expected) - 1) / 2, statistic / 2], dtype=torch.float64)
    return len(expected), float(torch.special.gammaincc(half[0], half[1]))
