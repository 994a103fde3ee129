"""Weights of linear layers in the layout that oneDNN's kernels read, for decoding on a CPU.

torch multiplies a few rows in float32 with MKL, which on some processors takes longer for 2 to 4
rows than for 6, and leaves half of the memory bandwidth unused for one. oneDNN on a packed matrix
has neither fault (docs/BENCHMARKS.md). The two operators are those that torch's own compiler puts
in place of frozen linear layers.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

PACKED_DTYPES = (torch.float32, torch.bfloat16)
# Rounding of one product of unit normal vectors; a wrong layout is off by about 1.
TRIAL_TOLERANCE = 0.05


class PackedLinear(nn.Module):
    """A linear layer whose weight is packed; the parameter `weight` keeps its shape and name."""

    def __init__(self, linear: nn.Linear):
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        packed = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach())
        self.weight = nn.Parameter(packed, requires_grad=False)
        self.bias = linear.bias

    def forward(self, inputs: Tensor) -> Tensor:
        """inputs [..., in_features] times the weight, plus the bias."""
        return torch.ops.mkldnn._linear_pointwise.default(
            inputs, self.weight, self.bias, "none", [], ""
        )

    @torch.no_grad()
    def plain(self) -> nn.Linear:
        """A linear layer of a copy of the weight as torch keeps it: the one that was packed."""
        linear = nn.Linear(self.in_features, self.out_features, bias=False, device="meta")
        linear.weight = nn.Parameter(self.weight.detach().to_dense(), requires_grad=False)
        linear.bias = self.bias
        return linear.train(self.training)


class PlainLayers:
    """A packed model's linear layers as they were before, kept beside the packed ones."""

    def __init__(self, model: nn.Module):
        self._places = [
            (parent, name, packed, packed.plain()) for parent, name, packed in _packed_in(model)
        ]

    @staticmethod
    def bytes_for(model: nn.Module) -> int:
        """Memory that the layers will take; 0 where none is packed."""
        weights = [packed.weight for _, _, packed in _packed_in(model)]
        return sum(weight.numel() * weight.element_size() for weight in weights)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The model has the plain layers in here, and the packed ones afterwards."""
        for parent, name, _, plain in self._places:
            setattr(parent, name, plain)
        try:
            yield
        finally:
            for parent, name, packed, _ in self._places:
                setattr(parent, name, packed)


def _packed_in(model: nn.Module) -> list[tuple[nn.Module, str, PackedLinear]]:
    return [
        (parent, name, child)
        for parent in model.modules()
        for name, child in parent.named_children()
        if isinstance(child, PackedLinear)
    ]


@torch.no_grad()
def pack_linears(model: nn.Module) -> int:
    """Pack every plain linear layer of a CPU model in place; returns how many there were.

    Layer by layer, so that never more than one matrix is there twice; one that is tied to the
    embedding stays for the embedding too. Does nothing on a GPU, in a dtype that oneDNN has no
    kernels for on this processor, and where this torch does not have the operators.
    """
    linears = [
        (parent, name, child)
        for parent in model.modules()
        for name, child in parent.named_children()
        if type(child) is nn.Linear
    ]
    if not linears or not packing_works(linears[0][2].weight):
        return 0
    for parent, name, linear in linears:
        setattr(parent, name, PackedLinear(linear))
    return len(linears)


@torch.no_grad()
def packing_works(weight: Tensor) -> bool:
    """Whether a small packed layer of this dtype and device computes what a plain one does."""
    if weight.device.type != "cpu" or weight.dtype not in PACKED_DTYPES:
        return False
    if not torch.backends.mkldnn.is_available():
        return False
    generator = torch.Generator().manual_seed(0)
    linear = nn.Linear(64, 48, bias=False, dtype=weight.dtype)
    linear.weight.copy_(torch.randn(48, 64, generator=generator) / 8)
    inputs = torch.randn(3, 64, generator=generator).to(weight.dtype)
    try:
        packed = PackedLinear(linear)(inputs)
    except (RuntimeError, AttributeError, NotImplementedError):
        return False
    return bool((packed - linear(inputs)).abs().max() < TRIAL_TOLERANCE)


def native_dtypes() -> tuple[str, ...]:
    """dtypes this CPU multiplies without converting them first; float32 is the first of them.

    bfloat16 needs AVX-512 BF16 or AMX: without them it is slower than float32, not faster.
    """
    probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    has = any(getattr(torch.cpu, probe, lambda: False)() for probe in probes)
    return ("float32", "bfloat16") if has else ("float32",)
