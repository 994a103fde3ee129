"""Cost-matched stand-ins: a small Llama inside a large shape, speaking exactly as before.

The large model has the named shape's matrices, all of them dense and in memory, and so its cost;
its logits are the small model's up to rounding. The small model sits in the first columns of the
residual stream, and whatever is beside it must leave those columns and their norm alone:

- nothing writes to the other columns: their rows of o and down are zero, and so are the columns of
  o and down that belong to added heads, added units and added layers;
- what reads from the other columns is multiplied by zero there, so it is random;
- RMSNorm divides by the mean over all D columns instead of d: its weights are multiplied by
  sqrt(d / D), and its epsilon by d / D;
- heads of more dimensions divide scores by a larger root: q makes up for it;
- two columns hold a constant, taken off epsilon, from which the output embedding gives every added
  token a logit far below all others. The two cancel for real tokens, so that tied embeddings work.
"""

import math

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM

from sequoia_core.decode.seating import Seating, seat
from sequoia_core.decode.shapes import Shape
from sequoia_core.errors import ModelError

DEVIATION = 0.02
NOISE = 2**22
# The added tokens' logit is -2 * GAIN * SINK * (constant / root mean square): thousands below zero
# for the bundled models, while each factor stays within float16.
GAIN, SINK = 64.0, 16384.0


def stand_in(source, shape: Shape, device: torch.device, dtype: torch.dtype):
    """A model of `shape` that speaks as `source`, a Llama without biases; built at final size.

    source: a Hugging Face model on the CPU. Returns one on `device`, in evaluation mode. Raises
    ModelError where the source does not fit into the shape.
    """
    fit = _Fit(source, shape, device, dtype)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(fit.config(), dtype=dtype)
    weights = {
        name: fit.weight(name, tuple(parameter.shape))
        for name, parameter in model.named_parameters()
    }
    model.load_state_dict(weights, strict=False, assign=True)
    model.tie_weights()
    _set_rotary(model, source, fit.seating)
    model.generation_config = source.generation_config
    return model.requires_grad_(False).eval()


def _set_rotary(model, source, seating: Seating) -> None:
    theta = source.config.rope_parameters["rope_theta"]
    frequencies = seating.frequencies(source.model.rotary_emb.inv_freq.cpu(), theta)
    rotary = model.model.rotary_emb
    rotary.inv_freq = frequencies.to(model.device)
    rotary.original_inv_freq = rotary.inv_freq.clone()


class _Fit:
    """How the source lies in the shape, and every weight that follows from it."""

    def __init__(self, source, shape: Shape, device: torch.device, dtype: torch.dtype):
        self.small, self.shape = source.config, shape
        self._source = source.state_dict()
        self._device, self._dtype = device, dtype
        tile = torch.randn(NOISE, generator=torch.Generator().manual_seed(0)) * DEVIATION
        self._tile = tile.to(device, dtype)
        _check(self.small, shape)
        self.seating = seat(
            self.small.num_attention_heads,
            self.small.num_key_value_heads,
            self.small.head_dim,
            shape,
        )
        self._width = self.small.hidden_size
        # Half of what epsilon has room for, and a power of two: exact in every dtype.
        room = self._width * self.small.rms_norm_eps / 4
        self._constant = 2.0 ** math.floor(math.log2(room) / 2) if self._adds_tokens else 0.0

    @property
    def _adds_tokens(self) -> bool:
        return self.shape.vocab > self.small.vocab_size

    def config(self):
        """The shape's configuration, with the source's context, special tokens and rotary base."""
        shape, small = self.shape, self.small
        theta = small.rope_parameters["rope_theta"] ** (shape.head_dim / small.head_dim)
        squares = self._width * small.rms_norm_eps - 2 * self._constant**2
        biases = {"attention_bias": shape.attention_bias} if shape.kind == "llama" else {}
        return AutoConfig.for_model(
            shape.kind,
            vocab_size=shape.vocab,
            hidden_size=shape.hidden,
            intermediate_size=shape.intermediate,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            num_key_value_heads=shape.kv_heads,
            head_dim=shape.head_dim,
            hidden_act=small.hidden_act,
            max_position_embeddings=small.max_position_embeddings,
            rms_norm_eps=squares / shape.hidden,
            rope_parameters={"rope_type": "default", "rope_theta": theta},
            tie_word_embeddings=shape.tied,
            # No window is shorter than the source's context, so none would change a thing.
            sliding_window=None,
            bos_token_id=small.bos_token_id,
            eos_token_id=small.eos_token_id,
            pad_token_id=small.pad_token_id,
            **biases,
        )

    def weight(self, name: str, size: tuple[int, ...]) -> Tensor:
        """The weight of this name in the large model."""
        path, leaf = name.rsplit(".", 1)
        module = path.rsplit(".", 1)[-1]
        if leaf == "bias":
            return self._zeros(size)
        if module in ("embed_tokens", "lm_head"):
            return self._embedding(module, size)
        if module.endswith("norm"):
            return self._norm(name, size)
        if module in ("o_proj", "down_proj"):
            return self._outward(name, module, size)
        return self._inward(name, module, size)

    def _zeros(self, size: tuple[int, ...]) -> Tensor:
        return torch.zeros(size, dtype=self._dtype, device=self._device)

    def _noise(self, size: tuple[int, ...]) -> Tensor:
        """Random values, the same few million again and again: drawing billions takes minutes."""
        weight = torch.empty(size, dtype=self._dtype, device=self._device)
        for part in weight.view(-1).split(NOISE):
            part.copy_(self._tile[: len(part)])
        return weight

    def _original(self, name: str) -> Tensor | None:
        """The source's float32 weight; None for a layer it does not have."""
        weight = self._source.get(name)
        return None if weight is None else weight.to(self._device, torch.float32)

    def _norm(self, name: str, size: tuple[int, ...]) -> Tensor:
        weight = self._zeros(size) + 1
        original = self._original(name)
        if original is not None:
            weight[: self._width] = original * math.sqrt(self._width / self.shape.hidden)
        if name == "model.norm.weight" and self._adds_tokens:
            weight[self._width], weight[self._width + 1] = GAIN, -GAIN
        return weight

    def _embedding(self, module: str, size: tuple[int, ...]) -> Tensor:
        """Real tokens' rows, then the added ones'."""
        original = self._original(f"model.{module}.weight" if "embed" in module else self._head)
        real, width = self.small.vocab_size, self._width
        weight = self._noise(size)
        weight[:real, :width] = original.to(self._dtype)
        if module == "embed_tokens":
            weight[:real, width:] = 0
        if self._adds_tokens:
            weight[:real, width : width + 2] = self._constant
            if module == "lm_head" or self.shape.tied:
                weight[real:, width], weight[real:, width + 1] = -SINK, SINK
        return weight

    @property
    def _head(self) -> str:
        return "model.embed_tokens.weight" if self.small.tie_word_embeddings else "lm_head.weight"

    def _outward(self, name: str, module: str, size: tuple[int, ...]) -> Tensor:
        """o or down: zero but for the source's own columns and rows."""
        weight = self._zeros(size)
        original = self._original(name)
        if original is None:
            return weight
        if module == "o_proj":
            columns = self.seating.query_rows.to(self._device)
        else:
            columns = torch.arange(original.shape[1], device=self._device)
        weight[: self._width, columns] = original.to(self._dtype)
        return weight

    def _inward(self, name: str, module: str, size: tuple[int, ...]) -> Tensor:
        """q, k, v, gate or up: random but for the source's own rows."""
        weight = self._noise(size)
        original = self._original(name)
        if original is None:
            return weight
        if module == "q_proj":
            # The head's other dimensions must add nothing to its scores, whatever their keys are.
            heads = weight.unflatten(0, (-1, self.shape.head_dim))
            heads[[head for head, _ in self.seating.queries]] = 0
            rows = self.seating.query_rows
            original = original * math.sqrt(self.shape.head_dim / self.small.head_dim)
        elif module in ("k_proj", "v_proj"):
            rows, original = self.seating.key_rows, self.seating.copies(original)
        else:
            rows = torch.arange(len(original))
        rows = rows.to(self._device)
        weight[rows, self._width : self._width + 2] = 0
        weight[rows, : self._width] = original.to(self._dtype)
        return weight


def _check(small, shape: Shape) -> None:
    """Raise ModelError where the shape is smaller than the source in any direction."""
    sizes = {
        "layers": (small.num_hidden_layers, shape.layers),
        "columns": (small.hidden_size, shape.hidden),
        "feed-forward units": (small.intermediate_size, shape.intermediate),
        "tokens": (small.vocab_size, shape.vocab),
        "dimensions a head": (small.head_dim, shape.head_dim),
    }
    for what, (ours, theirs) in sizes.items():
        if ours > theirs:
            raise ModelError(
                f"The bundled model has {ours:,} {what} and {shape.name} only {theirs:,}; choose "
                "a larger shape."
            )
    if shape.vocab > small.vocab_size and shape.hidden < small.hidden_size + 2:
        raise ModelError(
            f"{shape.name} adds tokens to the bundled model but no columns to keep them silent "
            f"with; choose a shape with at least {small.hidden_size + 2:,} columns."
        )
    if shape.tied and not small.tie_word_embeddings:
        raise ModelError(
            f"{shape.name} has one embedding matrix and the model to enlarge has two; choose a "
            "shape with two."
        )
