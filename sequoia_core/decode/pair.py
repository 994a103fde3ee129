"""Two models that speak the same tokens, ready to decode."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sequoia_core.assets import asset
from sequoia_core.decode.capture import default_capture
from sequoia_core.decode.chat import Turn, chat_ids
from sequoia_core.decode.footprint import Wanted, check_memory, offloaded_name
from sequoia_core.decode.loading import load_model, load_tokenizer, resolve_device, resolve_dtype
from sequoia_core.decode.memory import HOST
from sequoia_core.decode.model import TreeModel
from sequoia_core.decode.offload import Offload
from sequoia_core.decode.self_test import SelfTest, self_test
from sequoia_core.decode.shapes import Shape, draft_shape, find_shape
from sequoia_core.decode.sharding import Leader
from sequoia_core.decode.stand_in import stand_in
from sequoia_core.decode.vocabulary import check_tokenizers, common_vocab, end_tokens
from sequoia_core.errors import InputError, ModelError
from sequoia_core.tree.token_tree import TokenTree

BUNDLED_TARGET, BUNDLED_DRAFT = "stories-27m", "stories-1m"
# The bundled pair's context: room for a prompt and a tree, where nobody says how much is needed.
CACHED_TOKENS = 512

Progress = Callable[[float, str], None]
# Text, or its token ids.
Prompt = str | Sequence[int]


@dataclass(frozen=True, slots=True)
class PairSpec:
    """Which models to load and how.

    target, draft: a folder or a Hugging Face name; both None means the bundled pair.
    device: auto, cpu, cuda or cuda:N. dtype: auto, float32, bfloat16 or float16.
    target_cost: a shape's name or a config.json; the bundled target then is a stand-in of that
    cost. draft_cost: the same for the draft; None is the draft that goes with the target's shape,
    bundled leaves it as it is.
    offload: keep the target's layers in main memory and stream them to the device.
    tokens: of text and tree that there must be memory for.
    graphs: on CUDA, capture passes that recur in CUDA graphs.
    """

    target: str | None = None
    draft: str | None = None
    device: str = "auto"
    dtype: str = "auto"
    target_cost: str | None = None
    draft_cost: str | None = None
    offload: bool = False
    tokens: int = CACHED_TOKENS
    graphs: bool = True

    def __post_init__(self) -> None:
        if bool(self.target) != bool(self.draft):
            missing = "draft" if self.target else "target"
            raise InputError(f"A pair needs both models; name the {missing} as well.")
        if self.target and (self.target_cost or self.draft_cost):
            raise InputError(
                "A stand-in is made from the bundled pair; name no other models with it, or leave "
                "the target's cost out."
            )
        if self.draft_cost and not self.target_cost:
            raise InputError("A draft's cost goes with a target's; name the target's cost as well.")

    @property
    def bundled(self) -> bool:
        """No models named: the pair that comes with the project."""
        return not self.target

    @property
    def shapes(self) -> tuple[Shape | None, Shape | None]:
        """Shapes of target and draft as stand-ins; None for a model as it is.

        Raises InputError, FileFormatError or ModelError for a shape that is none.
        """
        if not self.target_cost:
            return None, None
        target = find_shape(self.target_cost)
        return target, draft_shape(target, self.draft_cost)


@dataclass(slots=True)
class ModelPair:
    """A loaded pair. Its caches belong to one run at a time.

    voices: names of the models whose text these write. A stand-in's differs from its own name,
    and what was calibrated for the one holds for the other.
    """

    target: TreeModel
    draft: TreeModel
    tokenizer: object
    vocab: int
    end_tokens: frozenset[int]
    bundled: bool
    shape_support: SelfTest
    voices: tuple[str, str] = ("", "")
    _pieces: dict[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not any(self.voices):
            self.voices = (self.target.name, self.draft.name)

    @property
    def target_name(self) -> str:
        """The target's name as the user gave it, and whether it is offloaded."""
        return offloaded_name(self.target.name) if self.offloaded else self.target.name

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
        """Bytes of both models' weights and caches on the device."""
        return self.target.memory_bytes + self.draft.memory_bytes

    @property
    def offloaded(self) -> bool:
        """The target's layers are in main memory."""
        return self.target.streams_weights

    def use_graphs(self, on: bool = True) -> None:
        """Capture both models' recurring passes in CUDA graphs, or launch each anew.

        What was captured is dropped. Nothing changes on a CPU, where all passes are dynamic.
        """
        capture = default_capture(self.device) if on else None
        for model in (self.target, self.draft):
            model.use_static_passes(capture)

    @property
    def captures(self) -> int:
        """How often a pass of either model was captured so far; see `StaticPasses`."""
        statics = (self.target.static, self.draft.static)
        return sum(static.captures for static in statics if static is not None)

    def encode(self, prompt: Prompt) -> list[int]:
        """Token ids of a prompt. Raises InputError when there is nothing in it, or no text."""
        if not isinstance(prompt, str):
            return list(prompt)
        if not prompt.strip():
            raise InputError("The prompt is empty; write a few words to continue from.")
        try:
            prompt.encode()
        except UnicodeEncodeError as error:
            raise InputError(
                f"The prompt is no text in UTF-8: it holds half a character, {error.object!r:.40}."
            ) from error
        return list(self.tokenizer(prompt)["input_ids"])

    def encode_chat(self, turns: Sequence[Turn]) -> list[int]:
        """Token ids of a conversation in the target's chat template, its answer about to begin."""
        return chat_ids(self.tokenizer, turns, self.target_name)

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


def load_pair(
    spec: PairSpec,
    progress: Progress = lambda fraction, text: None,
    leader: Leader | None = None,
) -> ModelPair:
    """Load both models and test that they can be drafted for with trees.

    progress: called with a fraction 0..1 and what is being done. leader: spreads the target over
    its processes; the draft is this one's own. Raises ModelError where a model is not found, does
    not load, or does not fit the other one.
    """
    if leader and (spec.target_cost or spec.offload):
        raise InputError(
            "Stand-ins and offloaded targets are in one process; leave out --tensor-parallel."
        )
    device = leader.device if leader else resolve_device(spec.device)
    dtype = resolve_dtype(spec.dtype, device)
    wanted = _wanted(spec, leader.parts if leader else 1)
    names = [(each.source, each.name) for each in wanted]
    check_memory(*wanted, device, dtype, spec.tokens)
    progress(0.0, f"Reading the tokenizer of {names[0][1]}")
    tokenizers = [load_tokenizer(*name) for name in names]
    check_tokenizers(*tokenizers, names)
    progress(0.05, f"Loading the target {wanted[0].display_name}")
    if leader:
        target = leader.load(*names[0], dtype)
        target_vocab = target.vocab
    else:
        target, target_vocab = _tree_model(wanted[0], device, dtype)
    progress(0.7, f"Loading the draft {wanted[1].display_name}")
    draft, draft_vocab = _tree_model(wanted[1], device, dtype)
    vocab = common_vocab((target_vocab, draft_vocab), tokenizers, names)
    target.pack()
    draft.pack()
    progress(0.85, "Checking tree attention against plain decoding")
    support = self_test(target, vocab).both(self_test(draft, vocab))
    pair = ModelPair(
        target,
        draft,
        tokenizers[0],
        vocab,
        end_tokens(target.model, tokenizers[0]),
        spec.bundled,
        support,
        (names[0][1], names[1][1]),
    )
    pair.use_graphs(spec.graphs)
    progress(1.0, "Ready")
    return pair


def _wanted(spec: PairSpec, parts: int) -> list[Wanted]:
    """Target and draft; the target alone is ever offloaded, or in parts."""
    target, draft = zip(_names(spec), spec.shapes, strict=True)
    return [Wanted(*target[0], target[1], spec.offload, parts), Wanted(*draft[0], draft[1])]


def _tree_model(wanted: Wanted, device: torch.device, dtype: torch.dtype) -> tuple[TreeModel, int]:
    """A model, enlarged where a shape is given, and how many of its logits are real.

    One to be offloaded is never on the device as a whole.
    """
    try:
        model, vocab = _model(wanted, HOST if wanted.offload else device, dtype)
        offload = Offload(model, device) if wanted.offload else None
    except torch.OutOfMemoryError as error:
        raise ModelError(
            f"{device} ran out of memory while {wanted.display_name} was loaded; choose a smaller "
            "model or dtype, or free memory that others use."
        ) from error
    loaded = TreeModel(model, wanted.label, offload)
    return loaded, vocab or loaded.vocab


def _model(wanted: Wanted, device: torch.device, dtype: torch.dtype) -> tuple[Any, int | None]:
    """The Hugging Face model, and how many tokens a stand-in's source has."""
    if wanted.shape is None:
        return load_model(wanted.source, wanted.name, device, dtype), None
    small = load_model(wanted.source, wanted.name, HOST, torch.float32)
    return stand_in(small, wanted.shape, device, dtype), small.config.vocab_size


def _names(spec: PairSpec) -> list[tuple[str, str]]:
    """Source and display name of target and draft."""
    if not spec.bundled:
        return [(spec.target, spec.target), (spec.draft, spec.draft)]
    folder = asset("models")
    return [(str(folder / name), name) for name in (BUNDLED_TARGET, BUNDLED_DRAFT)]


def bundled_models_present() -> bool:
    """Both bundled models are where they belong."""
    folder: Path = asset("models")
    return all((folder / name / "config.json").exists() for name in (BUNDLED_TARGET, BUNDLED_DRAFT))
