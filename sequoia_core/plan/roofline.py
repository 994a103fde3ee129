"""Seconds of a pass on a machine one does not have: the roofline over every component.

A component takes the longer of bytes / bandwidth and FLOPs / throughput; components follow each
other; each layer costs a fixed time beside that. Weights that stay with the host arrive over the
link while the device works. Nothing here was measured: every result comes with the interval that
the published spread of achieved fractions allows. Not modelled: tiles (real curves have steps),
clocks that fall under load, several devices, and the caches of a batch's other sequences.
"""

from dataclasses import dataclass, field, replace

import numpy as np

from sequoia_core.errors import InputError
from sequoia_core.files import check_choice, check_integer
from sequoia_core.plan.gpu import GIB, GIGA, Efficiency, Gpu, efficiency
from sequoia_core.plan.hardware import Curve
from sequoia_core.plan.model_shape import ModelShape
from sequoia_core.plan.work import pass_work

LAUNCHES = ("graphs", "compiled", "eager")
LARGEST_PASS = 1024
MAX_CONTEXT = 10**7
# As much as a Gpu may have: what is left then is the time to move bytes.
MOST_FLOPS = 1e18
# What the driver and the libraries keep for themselves: an assumption, about a CUDA context.
RESERVED_BYTES = GIB
# While layers are streamed one is in use and one arrives.
STREAMED_LAYERS = 2
# Every size up to 16, then 6 % apart up to 4,096: lines between stay within 1 % of the formula.
GRID = (*range(1, 17), *(round(16 * 2 ** (k / 12)) for k in range(1, 97)))


@dataclass(frozen=True, slots=True)
class Machine:
    """A GPU as it is used: which part of its figures is reached, in which dtype, how launched.

    launch: `graphs`, Hugging Face modules replayed from CUDA graphs, as the engine here does;
    `compiled`, fused kernels in graphs; `eager`, modules launched one by one by the host.
    offload: the layers' weights stay with the host. Raises InputError.
    """

    gpu: Gpu
    dtype: str
    efficiency: Efficiency = field(default_factory=efficiency)
    launch: str = "graphs"
    offload: bool = False

    def __post_init__(self) -> None:
        self.gpu.flops_in(self.dtype)
        check_choice(self.launch, "launch", LAUNCHES)
        if self.offload and not self.gpu.link:
            raise InputError(
                f"{self.gpu.device} has no host link to offload over: give one, or leave offload."
            )


@dataclass(frozen=True, slots=True)
class PassTime:
    """Seconds of passes, arrays [len(tokens)], and what each part of the machine had to do.

    memory, compute: of the components that the one or the other limits, one after the other.
    launch: fixed times of the layers. host: launching without graphs. link: streaming weights.
    """

    memory: np.ndarray
    compute: np.ndarray
    launch: np.ndarray
    host: np.ndarray
    link: np.ndarray

    @property
    def seconds(self) -> np.ndarray:
        """The longest of device, host and link, which work at the same time."""
        device = self.memory + self.compute + self.launch
        return np.maximum(np.maximum(device, self.host), self.link)

    @property
    def limits(self) -> list[str]:
        """What a pass of each size waits for most: memory, compute, launch or link."""
        device = self.memory + self.compute + self.launch
        parts = {
            "memory": self.memory,
            "compute": self.compute,
            "launch": np.where(self.host > device, np.inf, self.launch),
            "link": np.where(self.link >= np.maximum(device, self.host), np.inf, 0.0),
        }
        names = list(parts)
        # The link comes first: where it is the longest, nothing else matters.
        order = np.array([parts[name] for name in reversed(names)])
        return [names[::-1][index] for index in order.argmax(axis=0)]


def pass_time(
    shape: ModelShape, machine: Machine, tokens: np.ndarray, context_length: int
) -> PassTime:
    """Times of passes over `tokens` tokens, array-like of whole numbers of at least 1."""
    check_integer(context_length, "context length", low=0, high=MAX_CONTEXT)
    sizes = np.asarray(tokens, dtype=np.float64)
    reached = machine.efficiency
    bandwidth = machine.gpu.bandwidth * reached.memory
    weight_bandwidth = bandwidth
    if shape.quantised:
        weight_bandwidth = machine.gpu.bandwidth * reached.quantised_memory
    flops = machine.gpu.flops_in(machine.dtype) * reached.compute
    memory, compute = np.zeros(sizes.shape), np.zeros(sizes.shape)
    for name, work in pass_work(shape, sizes, context_length).items():
        read_at = bandwidth if name == "output head" else weight_bandwidth
        moving = work.weight_bytes / read_at + work.other_bytes / bandwidth
        computing = work.flops / flops
        memory += np.where(moving >= computing, moving, 0.0)
        compute += np.where(moving >= computing, 0.0, computing)
    host = shape.layers * reached.host_layer_seconds if machine.launch == "eager" else 0.0
    fused = machine.launch == "compiled"
    layer_seconds = reached.compiled_layer_seconds if fused else reached.layer_seconds
    link = shape.layer_bytes / (machine.gpu.link * reached.link) if machine.offload else 0.0
    launch = np.full(sizes.shape, shape.layers * layer_seconds)
    return PassTime(memory, compute, launch, *(np.full(sizes.shape, s) for s in (host, link)))


def roofs(
    shape: ModelShape, machine: Machine, tokens: np.ndarray, context_length: int
) -> dict[str, np.ndarray]:
    """The two limits by themselves: seconds to move all bytes, and to do all FLOPs.

    At the shares that the machine reaches. A pass takes at least the larger of the two.
    """
    sizes = np.asarray(tokens, dtype=np.float64)
    reached, gpu = machine.efficiency, machine.gpu
    endless = replace(gpu, flops={machine.dtype: MOST_FLOPS})
    moving = replace(machine, gpu=endless, launch="graphs", offload=False)
    flops = sum(work.flops for work in pass_work(shape, sizes, context_length).values())
    return {
        "memory": pass_time(shape, moving, sizes, context_length).memory,
        "compute": flops / (gpu.flops_in(machine.dtype) * reached.compute),
    }


def pass_curve(
    shape: ModelShape, machine: Machine, context_length: int, *, beside: float = 0.0
) -> Curve:
    """(tokens, seconds) over GRID, `beside` seconds added to every pass."""
    seconds = pass_time(shape, machine, np.array(GRID), context_length).seconds + beside
    return tuple(zip(GRID, seconds.tolist(), strict=True))


def limit_words(shape: ModelShape, machine: Machine, context_length: int) -> str:
    """What passes wait for, by their size: "memory-bound up to 231 tokens, then compute-bound".

    The first word is one token's limit. Beyond the boundary computing is the largest part;
    the change is gradual.
    """
    limits = pass_time(shape, machine, np.arange(1, GRID[-1] + 1), context_length).limits
    waiting = [size for size, limit in enumerate(limits, start=1) if limit != "compute"]
    last = waiting[-1] if waiting else 0
    if last in (0, len(limits)):
        return f"{limits[0]}-bound at every size up to {len(limits):,} tokens"
    return f"{limits[0]}-bound up to {last:,} tokens, then compute-bound"


def memory_needed(
    target: ModelShape, draft: ModelShape, machine: Machine, context_length: int
) -> float:
    """Bytes on the device: weights, caches and the target's logits of the largest pass."""
    tokens = context_length + LARGEST_PASS
    weights = target.weight_bytes + draft.weight_bytes
    if machine.offload:
        weights -= target.layer_bytes * max(0.0, 1 - STREAMED_LAYERS / target.layers)
    caches = target.cache_bytes(tokens) + draft.cache_bytes(tokens)
    logits = LARGEST_PASS * target.vocab * target.dtype_bytes
    return weights + caches + logits + RESERVED_BYTES


def check_fits(
    target: ModelShape, draft: ModelShape, machine: Machine, context_length: int
) -> float:
    """Bytes needed; InputError says how many are missing where the device has fewer."""
    needed = memory_needed(target, draft, machine, context_length)
    missing = needed - machine.gpu.memory_bytes
    if missing > 0:
        ways = "fewer bits a weight, a shorter context or a larger GPU"
        ways = ways if machine.offload or not machine.gpu.link else f"offload, {ways}"
        raise InputError(
            f"{target.name} and {draft.name} need {needed / GIGA:,.1f} GB and {machine.gpu.device} "
            f"has {machine.gpu.memory_bytes / GIGA:,.1f} GB: {missing / GIGA:,.1f} GB "
            f"({missing:,.0f} bytes) are missing; use {ways}."
        )
    return needed
