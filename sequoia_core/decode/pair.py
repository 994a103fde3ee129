"""Two models that speak the same tokens, ready to decode."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from sequoia_core.assets import asset
from sequoia_core.decode.loading import load_model, load_tokenizer, resolve_device, resolve_dtype
from sequoia_core.decode.model import TreeModel
from sequoia_core.decode.self_test import SelfTest, self_test
from sequoia_core.errors import InputError, ModelError
from sequoia_core.tree.token_tree import TokenTree

BUNDLED_TARGET, BUNDLED_DRAFT = "stories-27m", "stories-1m"

Progress = Callable[[float, str], None]


@dataclass(frozen=True, slots=True)
class PairSpec:
    """Which models to load and how.

    target, draft: a folder or a Hugging Face name; both None means the bundled pair.
    device: auto, cpu, cuda or cuda:N. dtype: auto, float32, bfloat16 or float16.
    """

    target: str | None = None
    draft: str | None = None
    device: str = "auto"
    dtype: str = "auto"

    def __post_init__(self) -> None:
        if bool(self.target) != bool(self.draft):
            missing = "draft" if self.target else "target"
            raise InputError(f"A pair needs both models; name the {missing} as well.")

    @property
    def bundled(self) -> bool:
        """No models named: the pair that comes with the project."""
        return not self.target


@dataclass(slots=True)
class ModelPair:
    """A loaded pair. Its caches belong to one run at a time."""

    target: TreeModel
    draft: TreeModel
    tokenizer: object
    vocab: int
    end_tokens: frozenset[int]
    bundled: bool
    shape_support: SelfTest
    _pieces: dict[int, str] = field(default_factory=dict)

    @property
    def target_name(self) -> str:
        """The target's name as the user gave it."""
        return self.target.name

    @property
    def draft_name(self) -> str:
        """The draft's name as the user gave it."""
        return self.draft.name

    @property
    def device(self) -> torch.device:
        """Where both models run."""
        return self.target.device

    @property
    def dtype(self) -> str:
        """The weights' type, as in float32."""
        return str(self.target.dtype).removeprefix("torch.")

    @property
    def context_length(self) -> int:
        """Tokens that both models can take."""
        return min(self.target.context_length, self.draft.context_length)

    @property
    def parameters(self) -> tuple[int, int]:
        """Weights of target and draft."""
        return self.target.parameters, self.draft.parameters

    @property
    def memory_bytes(self) -> int:
        """Bytes of both models' weights and caches."""
        return self.target.memory_bytes + self.draft.memory_bytes

    def encode(self, text: str) -> list[int]:
        """Token ids of a prompt. Raises InputError when there is nothing in it."""
        if not text.strip():
            raise InputError("The prompt is empty; write a few words to continue from.")
        return list(self.tokenizer(text)["input_ids"])

    def decode(self, token_ids: Sequence[int]) -> str:
        """Text of generated tokens, end-of-text marks left out."""
        return self.tokenizer.decode(list(token_ids), skip_special_tokens=True)

    def piece(self, token_id: int) -> str:
        """One token as text for display, with the space it begins with."""
        if token_id not in self._pieces:
            self._pieces[token_id] = self._piece(token_id)
        return self._pieces[token_id]

    def _piece(self, token_id: int) -> str:
        raw = self.tokenizer.convert_ids_to_tokens(token_id)
        if raw is None:
            return f"<{token_id}>"
        # SentencePiece marks spaces so, and decoding a single token would drop them.
        return raw.replace("▁", " ") if "▁" in raw else self.tokenizer.decode([token_id])

    def check_branching(self) -> None:
        """Raise ModelError, with the reason, for a pair that takes chains only."""
        if not self.shape_support.trees:
            raise ModelError(
                f"{self.shape_support.reason} Choose a tree with one child per node (a chain)."
            )

    def check_tree(self, tree: TokenTree) -> None:
        """Raise ModelError, with the reason, for a tree that this pair cannot be drafted with."""
        if np.any(tree.child_counts > 1):
            self.check_branching()
        if tree.size > 1 and int(tree.child_counts.max()) > self.vocab:
            raise InputError(
                f"A node has {int(tree.child_counts.max())} children but the vocabulary only "
                f"{self.vocab} tokens; choose a narrower tree."
            )


def load_pair(spec: PairSpec, progress: Progress = lambda fraction, text: None) -> ModelPair:
    """Load both models and test that they can be drafted for with trees.

    progress: called with a fraction 0..1 and what is being done. Raises ModelError where a model
    is not found, does not load, or does not fit the other one.
    """
    device = resolve_device(spec.device)
    dtype = resolve_dtype(spec.dtype, device)
    names = _names(spec)
    progress(0.0, f"Reading the tokenizer of {names[0][1]}")
    tokenizer = load_tokenizer(*names[0])
    _check_tokenizers(tokenizer, load_tokenizer(*names[1]), names)
    progress(0.05, f"Loading the target {names[0][1]}")
    target = TreeModel(load_model(*names[0], device, dtype), names[0][1])
    progress(0.7, f"Loading the draft {names[1][1]}")
    draft = TreeModel(load_model(*names[1], device, dtype), names[1][1])
    vocab = _common_vocab(target, draft, tokenizer)
    target.pack()
    draft.pack()
    progress(0.85, "Checking tree attention against plain decoding")
    support = self_test(target).both(self_test(draft))
    progress(1.0, "Ready")
    return ModelPair(
        target, draft, tokenizer, vocab, _end_tokens(target, tokenizer), spec.bundled, support
    )


def _names(spec: PairSpec) -> list[tuple[str, str]]:
    """Source and display name of target and draft."""
    if not spec.bundled:
        return [(spec.target, spec.target), (spec.draft, spec.draft)]
    folder = asset("models")
    return [(str(folder / name), name) for name in (BUNDLED_TARGET, BUNDLED_DRAFT)]


def _check_tokenizers(target, draft, names: list[tuple[str, str]]) -> None:
    """The same ids must mean the same tokens in both models."""
    ours, theirs = target.get_vocab(), draft.get_vocab()
    if ours != theirs:
        same = sum(theirs.get(token) == index for token, index in ours.items())
        raise ModelError(
            f"{names[0][1]} and {names[1][1]} do not share a vocabulary ({len(ours):,} and "
            f"{len(theirs):,} tokens, {same:,} of them equal); choose a draft of the same family."
        )
    if target.eos_token_id != draft.eos_token_id:
        raise ModelError(
            f"{names[0][1]} ends a text with token {target.eos_token_id} and {names[1][1]} with "
            f"{draft.eos_token_id}; choose a draft of the same family."
        )


def _common_vocab(target: TreeModel, draft: TreeModel, tokenizer) -> int:
    """Logits used of both models; rows beyond it are padding of the embedding matrix."""
    vocab = min(target.vocab, draft.vocab)
    highest = max(tokenizer.get_vocab().values())
    if highest >= vocab:
        raise ModelError(
            f"The tokenizer has token {highest:,} but the models' outputs end at {vocab - 1:,}; "
            "the tokenizer does not belong to these models."
        )
    return vocab


def _end_tokens(target: TreeModel, tokenizer) -> frozenset[int]:
    """Tokens that end a text: the target's own list, else the tokenizer's."""
    listed = getattr(target.model.generation_config, "eos_token_id", None)
    if listed is None:
        listed = tokenizer.eos_token_id
    if listed is None:
        return frozenset()
    return frozenset(listed if isinstance(listed, list) else [listed])


def bundled_models_present() -> bool:
    """Both bundled models are where they belong."""
    folder: Path = asset("models")
    return all((folder / name / "config.json").exists() for name in (BUNDLED_TARGET, BUNDLED_DRAFT))
