"""A hardware profile from a roofline, with the interval that its assumptions leave open."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from sequoia_core.errors import InputError
from sequoia_core.plan.gpu import CASES, GIB, GIGA, TERA, Efficiency, Gpu, efficiency
from sequoia_core.plan.hardware import HardwareProfile
from sequoia_core.plan.model_shape import ModelShape
from sequoia_core.plan.roofline import Machine, check_fits, limit_words, pass_curve

CONTEXT = 1024
TYPICAL = "typical"
# Sizes whose seconds are put into words: one token, a small tree, a large one.
SHOWN = (1, 16, 64, 256)
DRAFT_SHOWN = (1, 16)
WORDS = {
    "memory": "share of the bandwidth",
    "quantised_memory": "the same for quantised weights",
    "compute": "share of the FLOP/s",
    "link": "share of the link",
    "layer_seconds": "a layer beside its work",
    "compiled_layer_seconds": "a layer beside its work",
    "host_layer_seconds": "a layer's launch",
    "draw_seconds": "sampling of a draft pass",
    "step_seconds": "the rest of a step",
}


@dataclass(frozen=True, slots=True)
class Modelled:
    """A modelled profile, its fastest and slowest readings, and what they rest on.

    best, worst: every assumption at that end of its range, all at once.
    target_limits, draft_limits: what passes wait for, by their size, in words.
    needed_bytes: on the device. assumed: parts that the caller gave, which have no range.
    """

    profile: HardwareProfile
    best: HardwareProfile
    worst: HardwareProfile
    target: ModelShape
    draft: ModelShape
    machine: Machine
    target_limits: str
    draft_limits: str
    needed_bytes: float
    assumed: Mapping[str, float]

    def to_dict(self) -> dict[str, Any]:
        """A `sequoia-hardware` file's content; `modelled` holds the interval and the inputs."""
        gpu = self.machine.gpu
        extra = {
            "gpu": {
                "name": gpu.name,
                "device": gpu.device,
                "memory_bytes": gpu.memory_bytes,
                "bandwidth": gpu.bandwidth,
                "flops": gpu.flops_in(self.machine.dtype),
                "link": gpu.link,
                "sources": dict(gpu.sources),
            },
            "target": asdict(self.target),
            "draft": asdict(self.draft),
            "launch": self.machine.launch,
            "offload": self.machine.offload,
            "efficiency": asdict(self.machine.efficiency),
            "assumed": dict(self.assumed),
            "target_limits": self.target_limits,
            "draft_limits": self.draft_limits,
            "needed_bytes": self.needed_bytes,
            "best": _seconds(self.best),
            "worst": _seconds(self.worst),
        }
        return self.profile.to_dict() | {"modelled": extra}


def model_profile(
    gpu: Gpu,
    target: ModelShape,
    draft: ModelShape,
    *,
    dtype: str | None = None,
    context_length: int = CONTEXT,
    launch: str = "graphs",
    offload: bool = False,
    assumed: Mapping[str, float] | None = None,
) -> Modelled:
    """Model a pair on a GPU.

    dtype: of both models; else the target's own where the GPU has a figure for it, else float16.
    offload: the target's layers stay with the host. assumed: parts of `Efficiency` that are known
    better than their published range, by name. Raises InputError: no figure for the dtype, no
    link, an unknown part, or, with the bytes missing, models that do not fit.
    """
    assumed = checked_parts(assumed or {})
    dtype = dtype or _default_dtype(gpu, target)
    target, draft = target.stored_as(dtype, _bits(target)), draft.stored_as(dtype, _bits(draft))
    machines = {
        case: Machine(
            gpu, dtype, replace(efficiency(case), **assumed), launch=launch, offload=offload
        )
        for case in CASES
    }
    machine = machines[TYPICAL]
    needed = check_fits(target, draft, machine, context_length)
    profiles = {
        case: _profile(target, draft, used, context_length) for case, used in machines.items()
    }
    on_device = replace(machine, offload=False)
    basis = _basis(target, draft, machine, profiles, assumed)
    return Modelled(
        profile=replace(profiles[TYPICAL], basis=basis),
        best=profiles["best"],
        worst=profiles["worst"],
        target=target,
        draft=draft,
        machine=machine,
        target_limits=limit_words(target, machine, context_length),
        draft_limits=limit_words(draft, on_device, context_length),
        needed_bytes=needed,
        assumed=assumed,
    )


def checked_parts(assumed: Mapping[str, float]) -> dict[str, float]:
    """The parts given; InputError lists the names where one is unknown."""
    known = [part.name for part in fields(Efficiency)]
    for name in assumed:
        if name not in known:
            raise InputError(f"No assumed part is called {name!r}; they are: {', '.join(known)}.")
    return dict(assumed)


def profile_with(modelled: Modelled, reached: Efficiency) -> HardwareProfile:
    """The same pair on the same GPU under other assumptions; without a basis."""
    machine = replace(modelled.machine, efficiency=reached)
    context_length = modelled.profile.context_length
    return _profile(modelled.target, modelled.draft, machine, context_length)


def _default_dtype(gpu: Gpu, target: ModelShape) -> str:
    return target.dtype if target.dtype in gpu.flops else next(iter(gpu.flops))


def _bits(shape: ModelShape) -> float | None:
    """Quantised weights keep their bits; others follow the dtype."""
    return shape.weight_bits if shape.quantised else None


def _profile(
    target: ModelShape, draft: ModelShape, machine: Machine, context_length: int
) -> HardwareProfile:
    """The draft never leaves the device. Plain decoding's own sampling is in layer_seconds."""
    reached = machine.efficiency
    return HardwareProfile(
        device=f"{machine.gpu.device} (modelled)",
        target_seconds=pass_curve(target, machine, context_length),
        draft_seconds=pass_curve(
            draft, replace(machine, offload=False), context_length, beside=reached.draw_seconds
        ),
        overhead_seconds=reached.step_seconds,
        dtype=machine.dtype,
        context_length=context_length,
        origin="modelled",
        target_model=target.name,
        draft_model=draft.name,
    )


def _basis(
    target: ModelShape,
    draft: ModelShape,
    machine: Machine,
    profiles: dict[str, HardwareProfile],
    assumed: Mapping[str, float],
) -> str:
    """What was assumed, and how far apart its ends put the seconds."""
    parts = [
        "Roofline, nothing measured.",
        f"{_figures(machine)} {_shape_words(target)} {_shape_words(draft)}",
        f"Assumed, with the range taken: {_assumed(target, draft, machine, assumed)}.",
        f"All at once at their best and worst: target {_intervals(profiles, 'target', SHOWN)}; "
        f"draft {_intervals(profiles, 'draft', DRAFT_SHOWN)}.",
    ]
    if machine.offload:
        parts.append("The target's layers come over the link in every pass, beside the work.")
    if target.experts or draft.experts:
        parts.append(
            "Experts are taken as chosen uniformly and independently, which touches the most."
        )
    parts.append(
        "Not modelled: tiles, falling clocks, other sequences' caches. Measure when you can."
    )
    return " ".join(parts)


def _figures(machine: Machine) -> str:
    gpu = machine.gpu
    link = f", link {gpu.link / GIGA:g} GB/s" if gpu.link else ""
    return (
        f"{gpu.device}: {gpu.bandwidth / GIGA:g} GB/s, "
        f"{gpu.flops_in(machine.dtype) / TERA:g} TFLOP/s in {machine.dtype}, "
        f"{gpu.memory_bytes / GIB:g} GiB{link}."
    )


def _shape_words(shape: ModelShape) -> str:
    return (
        f"{shape.name}: {shape.parameters / GIGA:.3g}B parameters, "
        f"{shape.weight_bits:.3g} bits a weight."
    )


def relevant_parts(target: ModelShape, draft: ModelShape, machine: Machine) -> list[str]:
    """The assumed parts that the pair's seconds on this machine depend on."""
    fused = machine.launch == "compiled"
    parts = {
        "memory": True,
        "quantised_memory": target.quantised or draft.quantised,
        "compute": True,
        "link": machine.offload,
        "layer_seconds": not fused,
        "compiled_layer_seconds": fused,
        "host_layer_seconds": machine.launch == "eager",
        "draw_seconds": True,
        "step_seconds": True,
    }
    return [part for part, matters in parts.items() if matters]


def _assumed(
    target: ModelShape, draft: ModelShape, machine: Machine, assumed: Mapping[str, float]
) -> str:
    """Each part that matters, its range in brackets."""
    ends = [replace(efficiency(case), **assumed) for case in CASES]
    parts = relevant_parts(target, draft, machine)
    return ", ".join(f"{WORDS[part]} {_span(part, ends, part in assumed)}" for part in parts)


def _span(part: str, ends: list[Efficiency], given: bool) -> str:
    scale, unit = (1e6, " µs") if part.endswith("_seconds") else (1, "")
    best, typical, worst = (getattr(end, part) * scale for end in ends)
    if given:
        return f"{typical:.4g}{unit} (given)"
    low, high = sorted((best, worst))
    return f"{typical:.4g}{unit} ({low:.4g} to {high:.4g})"


def _intervals(profiles: dict[str, HardwareProfile], model: str, sizes: tuple[int, ...]) -> str:
    """Milliseconds of some passes: "1 token 41.2 (37.0 to 50.1) ms"."""
    words = []
    for size in sizes:
        best, typical, worst = (getattr(profiles[case], model)(size) * 1e3 for case in CASES)
        words.append(f"{size}: {_short(typical)} ({_short(best)} to {_short(worst)})")
    return f"milliseconds by tokens {', '.join(words)}"


def _short(value: float) -> str:
    """Three digits, never an exponent."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _seconds(profile: HardwareProfile) -> dict[str, Any]:
    return {
        "target_seconds": [list(point) for point in profile.target_seconds],
        "draft_seconds": [list(point) for point in profile.draft_seconds],
        "overhead_seconds": profile.overhead_seconds,
    }
