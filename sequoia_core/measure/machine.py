"""What this machine reaches in seconds: bandwidth, FLOP/s, and the time of calls without work.

Together with a model's shape these give a roofline for any machine that a profile was measured on,
data sheet or not.
"""

import os
from collections.abc import Callable

import torch
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM

from sequoia_core.decode.memory import available_bytes
from sequoia_core.decode.model import TreeModel
from sequoia_core.decode.packing import pack_linears
from sequoia_core.decode.timing import now
from sequoia_core.plan.measurement import LAUNCHED, MachineFigures

TIMES = 5
# Beyond any cache of a processor; of a GPU's memory a small part.
COPIED_BYTES = {"cpu": 2**28, "cuda": 2**30}
LEAST_BYTES = 2**24
SHARE_OF_MEMORY = 8
FIRST_SIDE, LAST_SIDE = 512, 8192
LONG_ENOUGH_SECONDS = 0.02
# Two depths of a model too small to have any work: their difference is the layers'.
SHALLOW, DEEP = 2, 6
CALLS = 20


@torch.inference_mode()
def measure_machine(device: torch.device, dtype: torch.dtype) -> MachineFigures:
    """Figures of this machine in `dtype`, in about two seconds.

    Each is the best of several: what the machine can do, not what it does amid other work.
    """
    layer_seconds, pass_seconds = call_seconds(device, dtype)
    return MachineFigures(
        bandwidth=bandwidth(device),
        flops=flops(device, dtype),
        layer_seconds=layer_seconds,
        pass_seconds=pass_seconds,
        launch=LAUNCHED[device.type != "cpu"],
    )


def bandwidth(device: torch.device) -> float:
    """Bytes a second, of a copy (read and written) or of a sum (read), whichever is faster."""
    size = min(
        COPIED_BYTES.get(device.type, LEAST_BYTES), available_bytes(device) // SHARE_OF_MEMORY
    )
    # Written once: pages never touched are all the same one, and in the cache.
    source = torch.ones(max(size, LEAST_BYTES) // 4, dtype=torch.float32, device=device)
    other = torch.zeros_like(source)
    moved = source.numel() * source.element_size()
    copying = _least(lambda: other.copy_(source), device)
    reading = _least(source.sum, device)
    return max(2 * moved / copying, moved / reading)


def flops(device: torch.device, dtype: torch.dtype) -> float:
    """FLOP/s of a product of squares, large enough to take a fiftieth of a second.

    By the kernels that the models' layers use: on a CPU those of packed weights.
    """
    side = FIRST_SIDE
    while True:
        rows = _normal(side, device, dtype)
        product = nn.Sequential(nn.Linear(side, side, bias=False, device=device, dtype=dtype))
        product[0].weight.copy_(rows)
        pack_linears(product)
        seconds = _least(lambda product=product, rows=rows: product(rows), device)
        if seconds >= LONG_ENOUGH_SECONDS or 2 * side > LAST_SIDE:
            return 2 * side**3 / seconds
        side *= 2


def call_seconds(device: torch.device, dtype: torch.dtype) -> tuple[float, float]:
    """Seconds of a layer, and of the rest of a pass, of a model with next to no work in it."""
    shallow, deep = (_idle_pass(layers, device, dtype) for layers in (SHALLOW, DEEP))
    layer = max(0.0, (deep - shallow) / (DEEP - SHALLOW))
    return layer, max(0.0, shallow - SHALLOW * layer)


def _idle_pass(layers: int, device: torch.device, dtype: torch.dtype) -> float:
    """Seconds of a pass over one token behind a few others."""
    config = LlamaConfig(
        vocab_size=64,
        hidden_size=64,
        intermediate_size=64,
        num_hidden_layers=layers,
        num_attention_heads=1,
        num_key_value_heads=1,
        max_position_embeddings=64,
    )
    model = TreeModel(LlamaForCausalLM(config).to(device, dtype), "idle")
    model.pack()
    model.reset(32)
    model.append([0] * 16)
    token = torch.zeros(1, dtype=torch.long, device=device)
    position = torch.full((1,), model.length, dtype=torch.long, device=device)
    visible = torch.ones(1, 1, dtype=torch.bool, device=device)

    def passes() -> None:
        for _ in range(CALLS):
            model.forward(token, position, visible)
            model.commit([])

    return _least(passes, device) / CALLS


def total_bytes(device: torch.device) -> int:
    """Memory of the device."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _normal(side: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """A square of normal numbers: a GPU draws less power on zeros, and clocks higher."""
    generator = torch.Generator().manual_seed(0)
    small = torch.randn(FIRST_SIDE, FIRST_SIDE, generator=generator).to(device, dtype)
    return small.repeat(side // FIRST_SIDE, side // FIRST_SIDE)


def _least(work: Callable[[], object], device: torch.device) -> float:
    """The least seconds of some runs, after one to warm up."""
    work()
    spent = []
    for _ in range(TIMES):
        started = now(device)
        work()
        spent.append(now(device) - started)
    return min(spent)
