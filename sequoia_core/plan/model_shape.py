"""A model's shape: the sizes that decide how much a pass reads and computes.

Read from a Hugging Face config.json, or bundled for well-known models. Weights are not needed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from sequoia_core.assets import asset
from sequoia_core.errors import InputError
from sequoia_core.files import (
    check_choice,
    check_flag,
    check_integer,
    check_list,
    check_number,
    check_object,
    naming,
    read_json,
    shown,
)
from sequoia_core.model_config import MAX_SIZE, find_config, model_name, read_config, size_of

SHAPES = "roofline/models.json"
DTYPE_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}
# Decoders of one plan: grouped-query attention, then a gated MLP or a mixture of them.
DENSE_TYPES = ("llama", "mistral", "phi3", "qwen2", "qwen3")
EXPERT_TYPES = ("mixtral", "qwen3_moe")
MODEL_TYPES = (*DENSE_TYPES, *EXPERT_TYPES)
MIN_BITS, MAX_BITS = 1.0, 32.0


@dataclass(frozen=True, slots=True)
class ModelShape:
    """Sizes of a decoder-only transformer.

    intermediate: width of a dense MLP. experts, experts_per_token, expert_intermediate: of a
    mixture; `dense_layers` of its layers have a dense MLP instead. layer_vectors: norms and biases
    of one layer. weight_bits: bits a weight of the layers takes, scales included; embedding and
    output head are stored in `dtype`.
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
    experts: int = 0
    experts_per_token: int = 0
    expert_intermediate: int = 0
    dense_layers: int = 0
    layer_vectors: int = 0
    dtype: str = "bfloat16"
    weight_bits: float = 16.0
    source: str = ""

    @property
    def dtype_bytes(self) -> int:
        """Bytes of an activation, and of a weight that is not quantised."""
        return DTYPE_BYTES[self.dtype]

    @property
    def quantised(self) -> bool:
        """Whether the layers' weights take fewer bits than the dtype's."""
        return self.weight_bits < 8 * self.dtype_bytes

    @property
    def attention_parameters(self) -> int:
        """Query, key, value and output projections of one layer."""
        return self.hidden * self.head_dim * 2 * (self.heads + self.kv_heads)

    @property
    def mlp_parameters(self) -> int:
        """Gate, up and down projections of one dense MLP."""
        return 3 * self.hidden * self.intermediate

    @property
    def expert_parameters(self) -> int:
        """Gate, up and down projections of one expert."""
        return 3 * self.hidden * self.expert_intermediate

    @property
    def router_parameters(self) -> int:
        """Scores of one layer's experts."""
        return self.hidden * self.experts

    @property
    def expert_layers(self) -> int:
        """Layers whose MLP is a mixture."""
        return self.layers - self.dense_layers if self.experts else 0

    @property
    def head_parameters(self) -> int:
        """The output head, which is the embedding too where they are tied."""
        return self.hidden * self.vocab

    @property
    def layer_parameters(self) -> int:
        """All layers' matrices."""
        dense = (self.layers - self.expert_layers) * self.mlp_parameters
        mixture = self.experts * self.expert_parameters + self.router_parameters
        return self.layers * self.attention_parameters + dense + self.expert_layers * mixture

    @property
    def parameters(self) -> int:
        """All parameters, every expert counted."""
        vectors = self.layers * self.layer_vectors + self.hidden
        return self.layer_parameters + vectors + self.head_parameters * (1 if self.tied else 2)

    @property
    def active_parameters(self) -> int:
        """Parameters that one token is multiplied with: its experts, and no embedding table."""
        idle = self.experts - self.experts_per_token
        vectors = self.layers * self.layer_vectors + self.hidden
        layers = self.layer_parameters - self.expert_layers * idle * self.expert_parameters
        return layers + vectors + self.head_parameters

    @property
    def layer_bytes(self) -> float:
        """Bytes of all layers' matrices."""
        return self.layer_parameters * self.weight_bits / 8

    @property
    def weight_bytes(self) -> float:
        """Bytes of the whole model."""
        rest = self.parameters - self.layer_parameters
        return self.layer_bytes + rest * self.dtype_bytes

    def cache_bytes(self, tokens: int) -> float:
        """Keys and values of `tokens` tokens in all layers."""
        return 2 * self.layers * self.kv_heads * self.head_dim * tokens * self.dtype_bytes

    def stored_as(self, dtype: str, weight_bits: float | None = None) -> "ModelShape":
        """The same model in another dtype; weights in `weight_bits`, else as they were.

        Weights that were not quantised follow the dtype. Raises InputError.
        """
        check_choice(dtype, "dtype", DTYPE_BYTES)
        if weight_bits is None:
            weight_bits = self.weight_bits if self.quantised else 8.0 * DTYPE_BYTES[dtype]
        check_number(weight_bits, "weight bits", low=MIN_BITS, high=MAX_BITS)
        return replace(self, dtype=dtype, weight_bits=float(weight_bits))


def shape_from_config(config: Mapping[str, Any], *, name: str = "", source: str = "") -> ModelShape:
    """The shape that a Hugging Face config.json describes.

    Raises InputError that names the field: missing, of the wrong kind, out of range, at odds with
    another one, or of a model whose layers are built otherwise.
    """
    kind = config.get("model_type")
    if kind not in MODEL_TYPES:
        raise InputError(
            f"model_type {shown(kind)} is not one whose work can be counted; known are: "
            f"{', '.join(MODEL_TYPES)}."
        )
    hidden, heads = size_of(config, "hidden_size"), size_of(config, "num_attention_heads")
    kv_heads = size_of(config, "num_key_value_heads", default=heads)
    if heads % kv_heads:
        raise InputError(
            f"num_attention_heads must be a multiple of num_key_value_heads, got {heads} and "
            f"{kv_heads}."
        )
    head_dim = _head_dim(config, hidden, heads)
    dtype = _dtype(config)
    layers = size_of(config, "num_hidden_layers")
    return ModelShape(
        name=name,
        layers=layers,
        hidden=hidden,
        intermediate=size_of(config, "intermediate_size"),
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        vocab=size_of(config, "vocab_size"),
        tied=_flag(config, "tie_word_embeddings"),
        **(_experts(config, layers) if kind in EXPERT_TYPES else {}),
        layer_vectors=_layer_vectors(config, kind, hidden, heads, kv_heads, head_dim),
        dtype=dtype,
        weight_bits=_weight_bits(config, 8.0 * DTYPE_BYTES[dtype]),
        source=source,
    )


def list_shapes() -> list[str]:
    """Names of the bundled shapes."""
    return sorted(_bundled())


def load_shape(name_or_path: str | Path) -> ModelShape:
    """A bundled shape by name, or the config.json at a path or in a model's folder.

    Raises InputError or FileFormatError, which names the file and the field.
    """
    text = str(name_or_path).strip()
    entry = _bundled().get(text.lower())
    if entry:
        return shape_from_config(entry["config"], name=text.lower(), source=entry["source"])
    path = find_config(text)
    if path is None:
        raise InputError(
            f"No bundled shape and no config.json is called {text!r}; bundled are: "
            f"{', '.join(list_shapes())}. For any other model give the path of its config.json."
        )
    config = read_config(path)
    with naming(path):
        return shape_from_config(config, name=model_name(path), source=f"{path.name} given")


def published_parameters() -> dict[str, int]:
    """Parameter counts that the bundled models' pages on the hub state, by name."""
    return {name: entry["parameters"] for name, entry in _bundled().items()}


@cache
def _bundled() -> dict[str, dict[str, Any]]:
    return read_json(asset(SHAPES), "model-shapes")["models"]


def _flag(config: Mapping[str, Any], field: str) -> bool:
    return check_flag(config.get(field, False), field)


def _head_dim(config: Mapping[str, Any], hidden: int, heads: int) -> int:
    if config.get("head_dim") is None and hidden % heads:
        raise InputError(
            f"hidden_size must be a multiple of num_attention_heads where head_dim is not given, "
            f"got {hidden} and {heads}."
        )
    return size_of(config, "head_dim", default=hidden // heads)


def _dtype(config: Mapping[str, Any]) -> str:
    """The stored dtype: `dtype`, or `torch_dtype` as older files have it."""
    field = "dtype" if config.get("dtype") is not None else "torch_dtype"
    return check_choice(config.get(field) or "bfloat16", field, DTYPE_BYTES)


def _experts(config: Mapping[str, Any], layers: int) -> dict[str, int]:
    """The fields of a mixture; which layers have none is transformers' rule."""
    field = "num_experts" if config.get("num_experts") is not None else "num_local_experts"
    experts, chosen = size_of(config, field), size_of(config, "num_experts_per_tok")
    if chosen > experts:
        raise InputError(f"num_experts_per_tok must be at most {field}, got {chosen} of {experts}.")
    intermediate = size_of(config, "intermediate_size")
    step = size_of(config, "decoder_sparse_step", default=1)
    named = check_list(config.get("mlp_only_layers") or [], "mlp_only_layers", low=0, high=9999)
    dense = {check_integer(layer, "mlp_only_layers", low=0, high=MAX_SIZE) for layer in named}
    return {
        "experts": experts,
        "experts_per_token": chosen,
        "expert_intermediate": size_of(config, "moe_intermediate_size", default=intermediate),
        "dense_layers": sum(i in dense or (i + 1) % step != 0 for i in range(layers)),
    }


def _layer_vectors(
    config: Mapping[str, Any], kind: str, hidden: int, heads: int, kv_heads: int, head_dim: int
) -> int:
    """Norms and biases of one layer, as transformers builds it."""
    vectors = 2 * hidden
    if kind in ("qwen3", "qwen3_moe"):
        vectors += 2 * head_dim
    if kind == "qwen2":
        vectors += (heads + 2 * kv_heads) * head_dim
    elif _flag(config, "attention_bias"):
        vectors += (heads + 2 * kv_heads) * head_dim + hidden
    if kind == "llama" and _flag(config, "mlp_bias"):
        vectors += 2 * size_of(config, "intermediate_size") + hidden
    return vectors


def _weight_bits(config: Mapping[str, Any], unquantised: float) -> float:
    """Bits of a layer's weight with its scales, from quantization_config."""
    quantisation = config.get("quantization_config")
    if not quantisation:
        return unquantised
    check_object(quantisation, "quantization_config")
    method = quantisation.get("quant_method")
    if method in ("gptq", "awq"):
        bits = check_integer(quantisation.get("bits"), "quantization_config.bits", low=1, high=16)
        group = quantisation.get("group_size", -1)
        check_integer(group, "quantization_config.group_size", low=-1, high=MAX_SIZE)
        # A 16-bit scale and a zero point of `bits` for every group.
        return bits + ((16 + bits) / group if group > 0 else 0.0)
    if method == "fp8" or quantisation.get("load_in_8bit"):
        return 8.0
    if method == "bitsandbytes" and quantisation.get("load_in_4bit"):
        # Blocks of 64 weights share a 32-bit scale.
        return 4.5
    raise InputError(
        f"quantization_config.quant_method {shown(method)} is not known (gptq, awq, bitsandbytes, "
        "fp8 are); take that field out of the file and give the bits a weight takes instead."
    )
