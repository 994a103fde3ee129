"""Modelled seconds beside published ones: the tables that docs/HARDWARE.md keeps.

Run from the repository's root: python -m tools.modelled_speeds [--update].
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from sequoia_core.plan.gpu import (
    GIB,
    GIGA,
    TERA,
    Gpu,
    efficiency,
    efficiency_sources,
    list_gpus,
    load_gpu,
    typed_in_gpu,
)
from sequoia_core.plan.hardware import HardwareProfile
from sequoia_core.plan.model_shape import load_shape
from sequoia_core.plan.roofline import Machine, limit_words, pass_time
from tools.paper.markdown import percent, table
from tools.paper.profiles import paper_profiles
from tools.paper.results import on_device_costs

SPEEDS = Path(__file__).with_name("published_speeds.json")
PAGE = Path(__file__).resolve().parents[1] / "docs" / "HARDWARE.md"
BEGIN, END = "<!-- modelled speeds: begin -->", "<!-- modelled speeds: end -->"
# Mean context of 128 generated tokens, where the source does not say.
CONTEXT = 100
PAPER = "Sequoia"
PAPER_SHAPES = {
    "Llama2-7B": "llama-2-7b",
    "Llama2-13B": "llama-2-13b",
    "Vicuna-33B": "vicuna-33b",
    "Llama2-70B-chat": "llama-2-70b",
    "Llama2-7B-chat": "llama-2-7b",
    "JF68M": "llama-68m",
    "SL1.3B": "sheared-llama-1.3b",
}
PAPER_GPUS = {"NVIDIA A100 80GB PCIe": "a100-pcie", "NVIDIA L40, target over PCIe 4": "l40"}


@dataclass(frozen=True, slots=True)
class Comparison:
    """One published time and what the roofline gives for it, in milliseconds.

    fitted: an assumed part was set from this very number, so that it checks nothing.
    """

    source: str
    gpu: str
    what: str
    published: float
    typical: float
    best: float
    worst: float
    fitted: bool = False

    @property
    def error(self) -> float:
        """Modelled over published, less 1."""
        return self.typical / self.published - 1

    @property
    def inside(self) -> bool:
        """Whether the published time lies between the two ends."""
        return self.best <= self.published <= self.worst


def comparisons() -> list[Comparison]:
    """Every published time there is, in the order of the table."""
    return [*_published_rows(), *_paper_rows()]


def _published_rows() -> Iterator[Comparison]:
    for row in json.loads(SPEEDS.read_text(encoding="utf-8"))["rows"]:
        dtype, tokens = row.get("dtype", "bfloat16"), row.get("tokens", 1)
        launch, bits = row["launch"], row.get("bits")
        times = _times(
            _gpu(row["gpu"], dtype),
            row["shape"],
            dtype,
            tokens,
            row.get("context", CONTEXT),
            bits=bits,
            launch=launch,
        )
        parts = [row["shape"], f"{bits} bits" if bits else "16 bits", launch, _tokens(tokens)]
        yield Comparison(
            row["source"],
            row.get("called") or row["gpu"],
            ", ".join(parts),
            1000 * tokens / row["tokens_per_second"],
            *times,
            fitted=row.get("fitted", False),
        )


def _tokens(tokens: int) -> str:
    return f"{tokens} token{'s' * (tokens > 1)}"


def _gpu(given: str | dict[str, float], dtype: str) -> Gpu:
    return load_gpu(given) if isinstance(given, str) else typed_in_gpu(**given, dtype=dtype)


def _paper_rows() -> Iterator[Comparison]:
    for name, profile in paper_profiles().items():
        temperature = name.rpartition("-t")[2]
        if temperature == "0":
            yield _paper_target(profile, 1, "", fitted=profile.target_model == "Llama2-7B")
        yield _paper_target(profile, profile.target_seconds[-1][0], f", T {temperature}")
        yield _paper_draft(profile, f", T {temperature}", fitted="7B" not in profile.draft_model)


def _paper_target(
    profile: HardwareProfile, tokens: int, more: str, *, fitted: bool = False
) -> Comparison:
    """The reference launches its target without CUDA graphs."""
    offload = profile.target_model.startswith("Llama2-70B")
    times = _paper_times(profile, profile.target_model, tokens, launch="eager", offload=offload)
    how = "offloaded" if offload else "eager"
    what = f"{PAPER_SHAPES[profile.target_model]}, 16 bits, {how}, {_tokens(tokens)}{more}"
    gpu = PAPER_GPUS[profile.device]
    return Comparison(PAPER, gpu, what, profile.target(tokens) * 1000, *times, fitted=fitted)


def _paper_draft(profile: HardwareProfile, more: str, *, fitted: bool) -> Comparison:
    """Its draft runs in CUDA graphs; a draft pass contains its sampling."""
    times = _paper_times(profile, profile.draft_model, 1, launch="graphs", draws=True)
    what = f"{PAPER_SHAPES[profile.draft_model]}, 16 bits, draft pass{more}"
    gpu = PAPER_GPUS[profile.device]
    return Comparison(PAPER, gpu, what, profile.draft(1) * 1000, *times, fitted=fitted)


def _paper_times(profile: HardwareProfile, model: str, tokens: int, **how: Any) -> list[float]:
    gpu = load_gpu(PAPER_GPUS[profile.device])
    context = profile.context_length or CONTEXT
    return _times(gpu, PAPER_SHAPES[model], "float16", tokens, context, **how)


def _times(
    gpu: Gpu,
    shape_name: str,
    dtype: str,
    tokens: int,
    context: int,
    *,
    bits: float | None = None,
    launch: str = "graphs",
    offload: bool = False,
    draws: bool = False,
) -> list[float]:
    """Milliseconds: typical, best, worst."""
    shape = load_shape(shape_name).stored_as(dtype, bits)
    times = []
    for case in ("typical", "best", "worst"):
        reached = efficiency(case)
        machine = Machine(gpu, dtype, reached, launch=launch, offload=offload)
        seconds = float(pass_time(shape, machine, np.array([tokens]), context).seconds[0])
        times.append(1000 * (seconds + (reached.draw_seconds if draws else 0.0)))
    return times


def comparison_section() -> str:
    """Every row, then how large the errors are where nothing was fitted."""
    rows = comparisons()
    head = ["source", "GPU", "pass", ">published, ms", ">modelled, ms", ">between", ">error", ""]
    lines = [
        [
            row.source,
            row.gpu,
            row.what,
            _short(row.published),
            _short(row.typical),
            f"{_short(row.best)} to {_short(row.worst)}",
            percent(row.error),
            "fitted" if row.fitted else "" if row.inside else "outside",
        ]
        for row in rows
    ]
    return f"{table(head, lines)}\n\n{_summary(rows)}"


def _summary(rows: list[Comparison]) -> str:
    groups = {
        "One or two tokens, fused kernels": lambda r: (
            r.source != PAPER and "compiled" in r.what and "512" not in r.what
        ),
        "The paper's targets, one token": lambda r: r.source == PAPER and "1 token" in r.what,
        "The paper's targets, n tokens": lambda r: r.source == PAPER and "tokens," in r.what,
        "The paper's draft passes": lambda r: "draft pass" in r.what,
    }
    lines = []
    for name, belongs in groups.items():
        errors = np.array([row.error for row in rows if belongs(row) and not row.fitted])
        lines.append(
            f"- {name}: {len(errors)} rows not fitted, errors {percent(errors.min())} to "
            f"{percent(errors.max())}, mean size {100 * np.abs(errors).mean():.0f} %."
        )
    inside = [row.inside for row in rows if not row.fitted]
    lines.append(f"- {sum(inside)} of {len(inside)} rows not fitted lie between the two ends.")
    return "\n".join(lines)


def ratio_section() -> str:
    """t(n), a pass of n tokens over one of 1: derived from the paper, and modelled."""
    head = ["GPU", "target", ">n", ">derived, T 0", ">derived, T 0.6", ">modelled"]
    costs = on_device_costs()
    lines = []
    for hardware, gpu in (("A100", "a100-pcie"), ("L40", "l40")):
        for target, shape in list(PAPER_SHAPES.items())[:3]:
            pair = [costs.get((hardware, target, temperature)) for temperature in (0.0, 0.6)]
            if pair[0]:
                n = pair[0].size
                one, many = (
                    _times(load_gpu(gpu), shape, "float16", k, 192, launch="eager")[0]
                    for k in (1, n)
                )
                derived = [f"{c.t:.2f} ± {c.t_bound:.2f}" for c in pair]
                lines.append([gpu, target, str(n), *derived, f"{many / one:.2f}"])
    return table(head, lines)


def efficiency_section() -> str:
    """The assumed parts, their range and where both are from."""
    head = ["part", ">typical", ">best", ">worst", "of what", "source"]
    lines = []
    for name, entry in efficiency_sources().items():
        values = [_part(name, entry[case]) for case in ("typical", "best", "worst")]
        lines.append([name, *values, entry["unit"], entry["source"]])
    return table(head, lines)


def _part(name: str, value: float) -> str:
    """A fraction, or microseconds where the part is a time."""
    return f"{value * 1e6:g} µs" if name.endswith("_seconds") else f"{value:g}"


def gpu_section() -> str:
    """The bundled GPUs, and where a pass of Llama-2-7B stops to be bound by memory."""
    head = ["name", "device", ">GiB", ">GB/s", ">TFLOP/s, 16 bits", ">link, GB/s", "7B in 16 bits"]
    lines = []
    for name in list_gpus():
        gpu = load_gpu(name)
        machine = Machine(gpu, "float16")
        words = limit_words(load_shape("llama-2-7b").stored_as("float16"), machine, 1024)
        lines.append(
            [
                name,
                gpu.device,
                f"{gpu.memory_bytes / GIB:g}",
                f"{gpu.bandwidth / GIGA:g}",
                f"{gpu.flops['float16'] / TERA:g}",
                f"{gpu.link / GIGA:g}",
                words,
            ]
        )
    return table(head, lines)


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


@cache
def report() -> str:
    """The Markdown between the page's markers."""
    sections = {
        "The GPUs": gpu_section(),
        "The assumed parts": efficiency_section(),
        "Modelled against published": comparison_section(),
        "A pass of n tokens over a pass of one": ratio_section(),
    }
    return "\n\n".join(f"## {title}\n\n{body}" for title, body in sections.items())


def kept(page: str) -> str:
    """The part of the page between the markers."""
    return page.split(BEGIN + "\n")[1].split("\n" + END)[0]


def updated(page: str) -> str:
    """The page with the part between the markers made anew."""
    before, after = page.split(BEGIN)[0], page.split(END)[1]
    return f"{before}{BEGIN}\n{report()}\n{END}{after}"


def main() -> None:
    """Print the tables, or with --update put them into docs/HARDWARE.md."""
    parser = argparse.ArgumentParser(prog="modelled_speeds", description=main.__doc__)
    parser.add_argument("--update", action="store_true", help="rewrite docs/HARDWARE.md's tables")
    if parser.parse_args().update:
        PAGE.write_text(updated(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        print(report())


if __name__ == "__main__":
    main()
