"""A measured profile's own measurement in sentences."""

from sequoia_core.plan.gpu import GIGA, TERA
from sequoia_core.plan.hardware import HardwareProfile
from sequoia_core.plan.measurement import MachineFigures, Measurement

SHOWN_GAPS = 3


def measurement_words(profile: HardwareProfile) -> list[str]:
    """Noise, refinement, overhead, machine and versions, a sentence each; empty for older files."""
    words = [_noise(profile)]
    if profile.measurement is not None:
        words += _measurement(profile.measurement)
    if profile.machine is not None:
        words.append(_machine(profile.machine, profile.dtype))
    return [sentence for sentence in words if sentence]


def _noise(profile: HardwareProfile) -> str:
    if profile.noise is not None:
        advice = ". Measure again while nothing else runs." if profile.noise.noisy else "."
        return f"Measurement {profile.noise.words}{advice}"
    if profile.measurement is not None:
        return "Too few passes a size to tell how noisy the measurement was."
    return ""


def _measurement(measured: Measurement) -> list[str]:
    return [
        _refinement(measured),
        f"Beside the passes of a step, milliseconds: sampling and verification "
        f"{measured.sample_seconds * 1e3:.2f}, commit {measured.commit_seconds * 1e3:.2f}, the "
        f"rest {measured.rest_seconds * 1e3:.2f}.",
        f"Measured {measured.date} in {measured.took_seconds:.0f} s with Python {measured.python}, "
        f"torch {measured.torch}, transformers {measured.transformers}; at most "
        f"{measured.peak_bytes / GIGA:.1f} of {measured.memory_bytes / GIGA:.1f} GB in use.",
    ]


def _refinement(measured: Measurement) -> str:
    """How many sizes were added, and where the curve still jumps."""
    first = f"{measured.refined} sizes added where neighbours differed by more than 10 %"
    gaps = sorted(measured.unrefined, key=lambda gap: -gap.difference)
    if not gaps:
        return f"{first}; none are left that do and have sizes between them."
    shown = ", ".join(gap.words for gap in gaps[:SHOWN_GAPS])
    more = f", and {len(gaps) - SHOWN_GAPS} more" if len(gaps) > SHOWN_GAPS else ""
    return f"{first}; not looked between, for lack of time: {shown}{more}."


def _machine(machine: MachineFigures, dtype: str) -> str:
    return (
        f"This machine reaches {machine.bandwidth / GIGA:.1f} GB/s and "
        f"{machine.flops / TERA:.3g} TFLOP/s in {dtype}; a layer without work takes "
        f"{machine.layer_seconds * 1e6:.0f} µs."
    )
