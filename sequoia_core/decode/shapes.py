"""Shapes of published models: the sizes that say what a pass costs, without any weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sequoia_core.assets import asset
from sequoia_core.errors import InputError, ModelError
from sequoia_core.files import naming, read_json
from sequoia_core.model_config import find_config, model_name, read_config, size_of

# Families whose layers an enlargement can keep the function of. Norms on queries and keys, fused
# or shared experts and scaled embeddings change what a padded model computes.
KINDS = ("llama", "mistral", "qwen2")


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of a Llama-like model; names as in its config.json, but shorter.

    kind: the Hugging Face model type. tied: input and output embeddings are one matrix.
    attention_bias: biases on q, k, v and o; qwen2 has them on q, k and v always.
    """

    name: str
    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab: int
    tied: bool = False
    kind: str = "llama"
    attention_bias: bool = False

    @property
    def layer_parameters(self) -> int:
        """Number of weights of one layer."""
        queries, keys = self.heads * self.head_dim, self.kv_heads * self.head_dim
        matrices = 2 * self.hidden * (queries + keys) + 3 * self.hidden * self.intermediate
        biases = queries + 2 * keys if self.attention_bias or self.kind == "qwen2" else 0
        biases += self.hidden if self.attention_bias and self.kind == "llama" else 0
        return matrices + biases + 2 * self.hidden

    @property
    def parameters(self) -> int:
        """Number of weights, shared ones once."""
        embeddings = self.vocab * self.hidden * (1 if self.tied else 2)
        return self.layers * self.layer_parameters + embeddings + self.hidden

    @property
    def cache_values(self) -> int:
        """Numbers that a token has in the cache: its keys and values in all layers."""
        return 2 * self.layers * self.kv_heads * self.head_dim


def _from_config(content: Mapping[str, Any], name: str) -> Shape:
    size = partial(size_of, content)
    hidden, heads = size("hidden_size"), size("num_attention_heads")
    kv_heads = size("num_key_value_heads", heads)
    head_dim = size("head_dim", max(hidden // heads, 1))
    if heads % kv_heads or hidden % heads or head_dim % 2:
        raise InputError(
            f"{hidden} columns, {heads} heads, {kv_heads} key-value heads and {head_dim} "
            "dimensions a head do not divide evenly."
        )
    return Shape(
        name,
        size("num_hidden_layers"),
        hidden,
        size("intermediate_size"),
        heads,
        kv_heads,
        head_dim,
        size("vocab_size"),
        bool(content.get("tie_word_embeddings", False)),
        content["model_type"],
        bool(content.get("attention_bias", False)),
    )


def _published() -> list[Shape]:
    """The bundled configurations, with their sources, of models that can be stood in for."""
    models = read_json(asset("roofline/models.json"), "model-shapes")["models"]
    configs = {name: entry["config"] for name, entry in models.items()}
    return [
        _from_config(config, name)
        for name, config in configs.items()
        if config["model_type"] in KINDS
    ]


# demo-300m is nobody's model: it is made for machines without a GPU, with the bundled pair's own
# vocabulary.
SHAPES = {
    shape.name: shape
    for shape in (
        Shape("demo-300m", 24, 1024, 2688, 16, 16, 64, 4096, tied=True),
        *_published(),
        Shape("llama-160m", 12, 768, 3072, 12, 12, 64, 32000),
    )
}
# What these targets are drafted for with: in the Sequoia paper, or of their own family.
DRAFTS = {
    "llama-2-7b": "llama-68m",
    "llama-2-13b": "llama-68m",
    "llama-3-8b": "llama-3.2-1b",
    "vicuna-33b": "sheared-llama-1.3b",
    "llama-2-70b": "llama-2-7b",
}
TARGETS = ("demo-300m", *DRAFTS)
AS_IT_IS = "bundled"


def find_shape(name_or_path: str) -> Shape:
    """A named shape, or that of a config.json (or of the folder it is in).

    Raises InputError for another name, FileFormatError or ModelError for a file without such a
    shape.
    """
    text = name_or_path.strip()
    if text in SHAPES:
        return SHAPES[text]
    if path := find_config(text):
        return _read(path)
    raise InputError(
        f"There is no shape or config.json called {text!r}; shapes are: {', '.join(SHAPES)}."
    )


def draft_shape(target: Shape, wanted: str | None) -> Shape | None:
    """The draft's shape beside a target's: the one asked for, or the one that goes with it.

    None leaves the bundled draft as it is, which `wanted` = "bundled" asks for.
    """
    name = wanted or DRAFTS.get(target.name, AS_IT_IS)
    return None if name == AS_IT_IS else find_shape(name)


def _read(path: Path) -> Shape:
    content = read_config(path)
    kind = content.get("model_type")
    if kind not in KINDS or content.get("mlp_bias") or content.get("hidden_act", "silu") != "silu":
        raise ModelError(
            f"{path} is of a {kind!r:.60} model with layers that no enlargement of the bundled "
            f"model has; give one of a plain {', '.join(KINDS[:-1])} or {KINDS[-1]} model."
        )
    with naming(path):
        return _from_config(content, model_name(path))
