"""A finished report for tests, made of bundled presets and typed measurements; no model runs."""

import json
from dataclasses import replace

from sequoia_core.measure.tune.planning import make_plans
from sequoia_core.plan.acceptance import AcceptanceVector, load_acceptance
from sequoia_core.plan.hardware import HardwareProfile, load_hardware
from sequoia_core.report.measured import CHAIN_ROW, PLAIN_ROW, TREE_ROW, MeasuredRow, Ratio
from sequoia_core.report.report import HARDWARE_NAME, Reached, Report, vector_name

VECTORS = {
    "sequoia": "bundled-t0.6",
    "specinfer": "bundled-t0.6-specinfer",
    "topk": "bundled-t0.6-topk",
}
# A machine where nothing pays: a second token costs another whole pass.
SLOW = HardwareProfile("slow", ((1, 1.0), (2, 2.0), (64, 64.0)), ((1, 0.5), (64, 0.5)))
# A machine where levels are dear and width is cheap, and one where only chains pay.
FLAT = HardwareProfile("flat", ((1, 1.0), (256, 1.01)), ((1, 0.1), (256, 0.1)))
NARROW = HardwareProfile("narrow", ((1, 1.0), (2, 1.0), (3, 30.0)), ((1, 0.1), (4, 9.0)))


def vectors(**names: str) -> dict[str, AcceptanceVector]:
    return {
        rule: replace(load_acceptance(name), name=vector_name(rule))
        for rule, name in (VECTORS | names).items()
    }


def row(method: str, plan=None, speedup: float = 1.0, spread: float = 0.1) -> MeasuredRow:
    """A measurement `spread` sure to both sides."""
    return MeasuredRow(
        method,
        plan.budget if plan else 1,
        plan.depth if plan else 0,
        100.0 * speedup,
        2.0 if plan else 1.0,
        speedup,
        speedup - spread,
        speedup + spread,
        speedup,
        speedup - spread,
        speedup + spread,
        plan.speedup if plan else None,
        plan.expected_tokens if plan else None,
    )


def report(
    hardware: HardwareProfile | None = None, *, tree: float = 1.8, chain: float = 1.6, **changes
) -> Report:
    """A report; tree, chain: their measured speedups."""
    profile = replace(hardware or load_hardware("cpu-2-cores"), name=HARDWARE_NAME)
    planned = make_plans(vectors()["sequoia"], profile)
    measured = {TREE_ROW: tree, CHAIN_ROW: chain}
    rows = [row(name, planned.candidates[name], measured[name]) for name in planned.candidates]
    fields = {
        "name": "my machine",
        "created": "2030-01-31T12:30:00",
        "settings": {"temperature": 0.6, "quick": False, "prompts": "30 and 10", "like": None},
        "machine": {"device": "a device", "torch": "2.13", "python": "3.11"},
        "hardware": profile,
        "vectors": vectors(),
        "plan": planned.answer,
        "candidates": planned.candidates,
        "rows": (row(PLAIN_ROW), *rows),
        "gain": Ratio(tree / chain, tree / chain - 0.05, tree / chain + 0.05)
        if len(rows) == 2
        else None,
        "reached": (Reached("profile", 80.5, 120.0, "passes of up to 1,024 tokens"),),
    }
    return Report(**fields | changes)


def content(of: Report) -> dict:
    """What its file holds."""
    return json.loads(json.dumps(of.to_dict()))
