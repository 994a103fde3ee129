"""The target's own text for many prompts: plain decoding, several prompts in one pass."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sequoia_core.decode.engine import Engine, GenerationSettings, Run
from sequoia_core.decode.pair import ModelPair, Prompt
from sequoia_core.decode.randomness import Randomness
from sequoia_core.decode.sampling import distribution
from sequoia_core.tree.token_tree import TokenTree

PLAIN = TokenTree([-1])
# Cache slots of prompts decoded together. A pass costs little more for many tokens than for one,
# until attention over the other prompts' slots, all masked, weighs as much as the layers.
SLOTS = 2048
# Prompts decoded together at most, so that several processes have enough groups to share out.
TOGETHER = 8


@dataclass(frozen=True, slots=True)
class Text:
    """A prompt and what the target wrote after it."""

    prompt_ids: list[int]
    token_ids: list[int]


def side_by_side(
    pair: ModelPair, prompts: Sequence[Prompt], settings: GenerationSettings
) -> list[range]:
    """Which prompts, by index, are decoded together: neighbours, as many as fit.

    Which process decodes a group changes nothing about its texts, not even by rounding. Raises
    InputError for a prompt that the engine refuses.
    """
    groups, used = [], SLOTS
    for index in range(len(prompts)):
        run = _run(pair, prompts, settings, index)
        need = len(run.prompt_ids) + settings.max_new_tokens
        if used + need > SLOTS or len(groups[-1]) == TOGETHER:
            groups.append(range(index, index))
            used = 0
        groups[-1] = range(groups[-1].start, index + 1)
        used += need
    return groups


def _run(
    pair: ModelPair, prompts: Sequence[Prompt], settings: GenerationSettings, index: int
) -> Run:
    """A plain run of one prompt.

    Another seed for every prompt, or equal prompts would give equal texts.
    """
    own = replace(settings, seed=settings.seed + index)
    return Engine(pair).run(prompts[index], own, PLAIN, trace=False)


@torch.inference_mode()
def write_texts(
    pair: ModelPair,
    prompts: Sequence[Prompt],
    settings: GenerationSettings,
    progress: Callable[[int], None] = lambda tokens: None,
    *,
    groups: Sequence[range] | None = None,
) -> list[Text]:
    """Continue prompts with the target alone; prompt i is seeded with settings.seed + i.

    groups: those of `side_by_side` to continue, all by default; the texts are theirs in order.
    The texts are those of plain runs with these seeds. Prompts are side by side in the cache, each
    token seeing its own prompt's slots, where the target takes such masks; else one after another.
    progress: called with the count of new tokens. Raises InputError for a prompt that the engine
    refuses.
    """
    texts = []
    for group in side_by_side(pair, prompts, settings) if groups is None else groups:
        runs = [_run(pair, prompts, settings, index) for index in group]
        if len(runs) > 1 and pair.shape_support.trees:
            texts += _together(pair, runs, progress)
        else:
            texts += [_alone(run, progress) for run in runs]
    return texts


def _alone(run: Run, progress: Callable[[int], None]) -> Text:
    for step in run:
        progress(len(step.committed))
    return Text(run.prompt_ids, run.token_ids)


def _together(pair: ModelPair, runs: list[Run], progress: Callable[[int], None]) -> list[Text]:
    """All prompts a token further with every pass, until each has ended."""
    settings = runs[0].settings
    texts = [Text(run.prompt_ids, []) for run in runs]
    random = [Randomness.seeded(run.settings.seed, pair.device) for run in runs]
    slots = _Slots(pair, sum(len(text.prompt_ids) for text in texts), len(runs), settings)
    going = list(range(len(runs)))
    rows = torch.stack([slots.read(index, texts[index].prompt_ids) for index in going])
    while going:
        probs = distribution(rows, settings.temperature, settings.top_p)
        for index, row in zip(going, probs, strict=True):
            texts[index].token_ids.append(random[index].token(row))
        progress(len(going))
        going = [i for i in going if not _ended(pair, texts[i], settings.max_new_tokens)]
        if going:
            rows = slots.extend(going, [texts[index] for index in going])
    return texts


class _Slots:
    """Several prompts in the target's cache, none committed; each sees its own slots alone."""

    def __init__(self, pair: ModelPair, tokens: int, prompts: int, settings: GenerationSettings):
        self._target, self._vocab = pair.target, pair.vocab
        self._target.reset(tokens + prompts * settings.max_new_tokens)
        self._owners = torch.zeros(0, dtype=torch.long, device=pair.device)

    def read(self, owner: int, token_ids: list[int]) -> Tensor:
        """Forward a prompt; returns its last token's logits, [vocab]."""
        ids = torch.tensor(token_ids, device=self._owners.device)
        positions = torch.arange(len(ids), device=ids.device)
        own = torch.ones(len(ids), len(ids), dtype=torch.bool, device=ids.device).tril_()
        visible = torch.nn.functional.pad(own, (len(self._owners), 0), value=False)
        self._owners = torch.cat([self._owners, torch.full_like(ids, owner)])
        with self._target.dynamically():
            return self._target.forward(ids, positions, visible, rows=1)[-1, : self._vocab]

    def extend(self, owners: list[int], texts: list[Text]) -> Tensor:
        """Forward each text's last token; returns the logits, [texts, vocab]."""
        device = self._owners.device
        ids = torch.tensor([text.token_ids[-1] for text in texts], device=device)
        lengths = [len(text.prompt_ids) + len(text.token_ids) for text in texts]
        positions = torch.tensor(lengths, device=device) - 1
        own = torch.tensor(owners, device=device)
        self._owners = torch.cat([self._owners, own])
        visible = self._owners == own[:, None]
        # Prompts come to their ends, so that few passes have the same shape.
        with self._target.dynamically():
            return self._target.forward(ids, positions, visible)[:, : self._vocab]


def _ended(pair: ModelPair, text: Text, most: int) -> bool:
    return text.token_ids[-1] in pair.end_tokens or len(text.token_ids) >= most
