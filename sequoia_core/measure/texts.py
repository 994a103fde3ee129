"""The target's own text for many prompts: plain decoding, several prompts in one pass."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sequoia_core.decode.engine import Engine, GenerationSettings, Run
from sequoia_core.decode.pair import ModelPair, Prompt
from sequoia_core.decode.sampling import distribution, draw
from sequoia_core.tree.token_tree import TokenTree

PLAIN = TokenTree([-1])
# Cache slots of prompts decoded together. A pass costs little more for many tokens than for one,
# until attention over the other prompts' slots, all masked, weighs as much as the layers.
SLOTS = 2048


@dataclass(frozen=True, slots=True)
class Text:
    """A prompt and what the target wrote after it."""

    prompt_ids: list[int]
    token_ids: list[int]


@torch.inference_mode()
def write_texts(
    pair: ModelPair,
    prompts: Sequence[Prompt],
    settings: GenerationSettings,
    progress: Callable[[int], None] = lambda tokens: None,
) -> list[Text]:
    """Continue every prompt with the target alone; prompt i is seeded with settings.seed + i.

    The texts are those of plain runs with these seeds. Prompts are side by side in the cache, each
    token seeing its own prompt's slots, where the target takes such masks; else one after another.
    progress: called with the count of new tokens. Raises InputError for a prompt that the engine
    refuses.
    """
    # Another seed for every prompt, or equal prompts would give equal texts.
    seeds = [replace(settings, seed=settings.seed + index) for index in range(len(prompts))]
    runs = [
        Engine(pair).run(prompt, own, PLAIN, trace=False)
        for prompt, own in zip(prompts, seeds, strict=True)
    ]
    texts = []
    for group in _groups(runs):
        if len(group) > 1 and pair.shape_support.trees:
            texts += _together(pair, group, progress)
        else:
            texts += [_alone(run, progress) for run in group]
    return texts


def _groups(runs: list[Run]) -> Iterator[list[Run]]:
    """Neighbours that fit the slots together; what is too long for them is alone."""
    group, used = [], 0
    for run in runs:
        need = len(run.prompt_ids) + run.settings.max_new_tokens
        if group and used + need > SLOTS:
            yield group
            group, used = [], 0
        group.append(run)
        used += need
    if group:
        yield group


def _alone(run: Run, progress: Callable[[int], None]) -> Text:
    for step in run:
        progress(len(step.committed))
    return Text(run.prompt_ids, run.token_ids)


def _together(pair: ModelPair, runs: list[Run], progress: Callable[[int], None]) -> list[Text]:
    """All prompts a token further with every pass, until each has ended."""
    settings = runs[0].settings
    texts = [Text(run.prompt_ids, []) for run in runs]
    generators = [torch.Generator(pair.device).manual_seed(run.settings.seed) for run in runs]
    slots = _Slots(pair, sum(len(text.prompt_ids) for text in texts), len(runs), settings)
    going = list(range(len(runs)))
    rows = torch.stack([slots.read(index, texts[index].prompt_ids) for index in going])
    while going:
        probs = distribution(rows, settings.temperature, settings.top_p)
        for index, row in zip(going, probs, strict=True):
            texts[index].token_ids.append(draw(row, generators[index]))
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
