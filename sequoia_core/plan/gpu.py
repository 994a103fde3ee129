"""Accelerators by their printed figures, and which part of those a decoder reaches."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any

from sequoia_core.assets import asset
from sequoia_core.errors import InputError
from sequoia_core.files import check_number, check_text, read_json

GPUS = "roofline/gpus.json"
GIB = 2**30
GIGA, TERA = 10**9, 10**12
CASES = ("best", "typical", "worst")
TYPED_IN = "typed in by hand"


@dataclass(frozen=True, slots=True)
class Gpu:
    """What one device can do at most, by its data sheet.

    memory_bytes; bandwidth: bytes a second; flops: dense FLOP/s by dtype; link: bytes a second
    from the host in one direction, 0 where nothing can be streamed. sources: where each figure
    is printed. Raises InputError that names the figure.
    """

    device: str
    memory_bytes: float
    bandwidth: float
    flops: Mapping[str, float]
    link: float = 0.0
    sources: Mapping[str, str] = field(default_factory=dict)
    name: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        check_text(self.device, "device")
        check_number(self.memory_bytes / GIB, "memory (GiB)", low=0.001, high=100_000)
        check_number(self.bandwidth / GIGA, "bandwidth (GB/s)", low=0.01, high=1_000_000)
        check_number(self.link / GIGA, "link (GB/s)", low=0, high=100_000)
        if not self.flops:
            raise InputError("FLOP/s must be given for one dtype at least.")
        for dtype, flops in self.flops.items():
            check_number(flops / TERA, f"TFLOP/s of {dtype}", low=0.001, high=1_000_000)

    def flops_in(self, dtype: str) -> float:
        """Dense FLOP/s in `dtype`; InputError where the source prints none."""
        if dtype not in self.flops:
            raise InputError(
                f"{self.device} has no figure for {dtype}; it has {', '.join(self.flops)}."
            )
        return self.flops[dtype]


@dataclass(frozen=True, slots=True)
class Efficiency:
    """Reached parts of the printed figures, and times that no figure covers.

    memory, quantised_memory: of the bandwidth, for 16-bit weights and for fewer bits.
    compute: of the FLOP/s. link: of the host link. layer_seconds: a layer beside its work, every
    operation a kernel of its own; compiled_layer_seconds: with fused kernels. host_layer_seconds:
    a layer's launch by the host where no CUDA graph does it. draw_seconds: sampling beside a
    draft pass. step_seconds: the rest of a step.
    """

    memory: float
    quantised_memory: float
    compute: float
    link: float
    layer_seconds: float
    compiled_layer_seconds: float
    host_layer_seconds: float
    draw_seconds: float
    step_seconds: float

    def __post_init__(self) -> None:
        for part in ("memory", "quantised_memory", "compute", "link"):
            check_number(getattr(self, part), f"efficiency of {part}", low=0.01, high=1.0)
        for part in fields(self):
            if part.name.endswith("_seconds"):
                check_number(getattr(self, part.name), part.name, low=0, high=10)


def typed_in_gpu(
    *, bandwidth: float, tflops: float, memory: float, dtype: str, link: float = 0.0
) -> Gpu:
    """A GPU from figures given by hand: GB/s, dense TFLOP/s of `dtype`, GiB, GB/s one way."""
    for value, name in ((bandwidth, "bandwidth"), (tflops, "tflops"), (memory, "memory")):
        check_number(value, name, low=0)
    check_number(link, "link", low=0)
    return Gpu(
        device=f"GPU {TYPED_IN}: {bandwidth:g} GB/s, {tflops:g} TFLOP/s, {memory:g} GiB",
        memory_bytes=memory * GIB,
        bandwidth=bandwidth * GIGA,
        flops={dtype: tflops * TERA},
        link=link * GIGA,
        sources=dict.fromkeys(("memory", "bandwidth", "teraflops", "link"), TYPED_IN),
    )


def list_gpus() -> list[str]:
    """Names of the bundled GPUs."""
    return sorted(_content()["gpus"])


def load_gpu(name: str) -> Gpu:
    """A bundled GPU by name; InputError lists the names."""
    key = str(name).strip().lower()
    entry = _content()["gpus"].get(key)
    if entry is None:
        raise InputError(
            f"No GPU is called {name!r}; bundled are: {', '.join(list_gpus())}. Any other can be "
            "typed in by bandwidth, FLOP/s and memory."
        )
    return Gpu(
        device=entry["device"],
        memory_bytes=entry["memory_gib"] * GIB,
        bandwidth=entry["bandwidth_gb_per_second"] * GIGA,
        flops={dtype: value * TERA for dtype, value in entry["teraflops"].items()},
        link=entry["link_gb_per_second"] * GIGA,
        sources=entry["sources"],
        name=key,
    )


def gpu_reported_as(device: str) -> Gpu | None:
    """The bundled GPU whose driver calls it `device`, as torch prints it; None for all others."""
    for name, entry in _content()["gpus"].items():
        if device in entry.get("reported_as", ()):
            return load_gpu(name)
    return None


def efficiency(case: str = "typical") -> Efficiency:
    """Every part and time at its `typical`, `best` or `worst` published value."""
    entries = _content()["efficiency"]
    return Efficiency(**{part.name: entries[part.name][case] for part in fields(Efficiency)})


def efficiency_sources() -> dict[str, dict[str, Any]]:
    """typical, best, worst, unit and source of each part, by its name."""
    return {name: dict(entry) for name, entry in _content()["efficiency"].items()}


@cache
def _content() -> dict[str, Any]:
    return read_json(asset(GPUS), "gpus")
