"""Hardware profiles of the paper's machines, from the constants that its tables imply.

Only where seconds are printed or stated: the A100 blocks print time between tokens, the offload
rows of Llama2 the plain seconds a token. The L40's plain seconds are printed nowhere, and the
constants of Llama3's offload row at temperature 0 are impossible (docs/PAPER.md).
"""

from pathlib import Path

from sequoia_core.plan.hardware import HardwareProfile
from tools.paper.derived import Costs, baseline_milliseconds, fit_costs, offload_costs
from tools.paper.published import Result, blocks, results
from tools.paper.results import OFFLOAD_RIVAL_LEVELS

FOLDER = Path(__file__).resolve().parents[2] / "assets" / "hardware"
ON_DEVICE = {
    "Llama2-7B": "a100-llama-2-7b",
    "Llama2-13B": "a100-llama-2-13b",
    "Vicuna-33B": "a100-vicuna-33b",
}
OFFLOADED = {"Llama2-70B-chat": "l40-offload-llama-2-70b"}
DEVICES = {"A100": "NVIDIA A100 80GB PCIe", "L40 offload": "NVIDIA L40, target over PCIe 4"}
# Table 2's caption: DeepSpeed-Zero-Inference, the baseline of its speedups.
OFFLOAD_PLAIN_SECONDS = 5.7
PROMPT, GENERATED = 128, 128

SOURCE = "arXiv 2402.12374v3"
UNKNOWN = (
    "Known: a pass of 1 token, one of {n}, and a draft pass. Not known: everything between (a "
    "straight line is drawn), everything beyond {n} (the line goes on, but where the knee lies "
    "was not published: plan with a budget of {n} at most), and how a draft pass grows with its "
    "width. t({n}) contains whatever else a step costs, sampling and verification too, so it is a "
    "ceiling; one draft pass more is counted as overhead, since the reference drafts from leaves."
)


def paper_profiles() -> dict[str, HardwareProfile]:
    """Every profile that the published tables support, by preset name."""
    profiles = {}
    for (hardware, target, temperature), rows in blocks(results(offload=False)).items():
        if hardware == "A100":
            name = f"{ON_DEVICE[target]}-paper-t{temperature:g}"
            profiles[name] = _on_device(rows)
    for row in results(offload=True):
        if row.target in OFFLOADED:
            profiles[f"{OFFLOADED[row.target]}-paper-t{row.temperature:g}"] = _offloaded(row)
    return profiles


def write_profiles(folder: Path = FOLDER) -> list[Path]:
    """Write each profile to <folder>/<name>.json; returns the paths."""
    paths = []
    for name, profile in paper_profiles().items():
        paths.append(folder / f"{name}.json")
        profile.save(paths[-1])
    return paths


def _on_device(rows: tuple[Result, ...]) -> HardwareProfile:
    costs, plain = fit_costs(rows), baseline_milliseconds(rows)
    tables = sorted({name for row in rows for name in row.tables.split(", ")})
    basis = (
        f"Derived from {len(rows)} rows of {SOURCE}, table{'s' * (len(tables) > 1)} "
        f"{' and '.join(tables)} "
        f"({_setting(rows[0])}): tokens / speedup = t(n) + levels * c by least squares gives "
        f"{_constants(costs)}. A plain token takes {plain:.1f} ms, the mean of time between "
        f"tokens * speedup. {UNKNOWN.format(n=costs.size)} Context: {PROMPT} tokens of prompt and "
        f"up to {GENERATED} more; their mean is entered."
    )
    return _profile(rows[0], costs, plain / 1000, basis, context=PROMPT + GENERATED // 2)


def _offloaded(row: Result) -> HardwareProfile:
    costs = offload_costs(row, OFFLOAD_RIVAL_LEVELS)
    basis = (
        f"Derived from one row of {SOURCE}, table 2 ({_setting(row)}): the steps of two trees of "
        f"{row.size} tokens, Sequoia's of {row.levels} levels and SpecInfer's of "
        f"{OFFLOAD_RIVAL_LEVELS}, are two equations for t and c, with nothing left over to check "
        f"them: {_constants(costs)}. A plain token takes {OFFLOAD_PLAIN_SECONDS} s, as the table "
        f"states for DeepSpeed-Zero-Inference, so t(1) is another engine's. "
        f"{UNKNOWN.format(n=costs.size)} The context length is not stated."
    )
    return _profile(row, costs, OFFLOAD_PLAIN_SECONDS, basis, context=0)


def _profile(
    row: Result, costs: Costs, plain: float, basis: str, *, context: int
) -> HardwareProfile:
    return HardwareProfile(
        device=DEVICES[row.hardware],
        dtype="float16",
        context_length=context,
        target_seconds=((1, _rounded(plain)), (costs.size, _rounded(costs.t * plain))),
        draft_seconds=((1, _rounded(costs.c * plain)),),
        overhead_seconds=_rounded(costs.c * plain),
        origin="derived",
        basis=basis,
        target_model=row.target,
        draft_model=row.draft,
    )


def _setting(row: Result) -> str:
    return (
        f"{row.hardware}, {row.target} with {row.draft}, temperature {row.temperature:g}, "
        f"n = {row.size}"
    )


def _constants(costs: Costs) -> str:
    return (
        f"t({costs.size}) = {costs.t:.3f} ± {costs.t_bound:.3f} and c = {costs.c:.4f} ± "
        f"{costs.c_bound:.4f} plain tokens"
    )


def _rounded(seconds: float) -> float:
    """To a microsecond: the published digits carry no more."""
    return round(seconds, 6)
