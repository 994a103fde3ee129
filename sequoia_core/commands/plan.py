"""`plan`: the best token tree for an acceptance vector on a hardware profile."""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from sequoia_core.files import write_json
from sequoia_core.plan.acceptance import AcceptanceVector, load_acceptance
from sequoia_core.plan.curves import batch_curve, pays_until
from sequoia_core.plan.hardware import HardwareProfile, load_hardware
from sequoia_core.plan.optimizer import ALL_FAMILIES, SEQUOIA, make_plan


def add_parser(subparsers: Any) -> ArgumentParser:
    """Declare the command's options; returns its parser."""
    parser = subparsers.add_parser(
        "plan",
        description="Choose the tree, its budget and depth, that writes the most tokens a second: "
        "for a pair's acceptance and a machine's seconds. Nothing is run.",
    )
    parser.add_argument(
        "--acceptance",
        required=True,
        help="how often drafted tokens are accepted: a preset such as bundled-t0.6, or a file of "
        "calibrate or import-acceptance",
    )
    parser.add_argument(
        "--hardware",
        required=True,
        help="how long passes take: a preset such as cpu-2-cores, or a file of profile or "
        "model-hardware",
    )
    parser.add_argument(
        "--context",
        type=int,
        metavar="N",
        help="plan for a text of so many tokens; default: the profile's own context",
    )
    parser.add_argument(
        "--budget", type=int, help="tokens of a target pass, 1 to 1024; default: chosen"
    )
    parser.add_argument(
        "--depth", type=int, help="draft passes in a step, 0 to 32; default: chosen"
    )
    parser.add_argument("--max-budget", type=int, default=1024, help="largest budget to consider")
    parser.add_argument("--max-depth", type=int, default=32, help="largest depth to consider")
    parser.add_argument("--max-branch", type=int, default=32, help="most children of a node")
    parser.add_argument("--batch-size", type=int, default=1, help="sequences decoded together")
    parser.add_argument(
        "--family", default=SEQUOIA, help=f"shape of the tree, one of: {', '.join(ALL_FAMILIES)}"
    )
    parser.add_argument(
        "--by-batch-size", action="store_true", help="also plan for batches of 1 to 64"
    )
    parser.add_argument("--out", help="also write the plan to this file")
    return parser


def run(arguments: Namespace, progress: Callable[[str], None]) -> dict[str, Any]:
    """Plan; returns the content of a `sequoia-plan` file, and writes it if asked."""
    acceptance = load_acceptance(arguments.acceptance)
    hardware, warnings = _hardware(arguments)
    plan = make_plan(
        acceptance,
        hardware,
        budget=arguments.budget,
        depth=arguments.depth,
        max_budget=arguments.max_budget,
        max_depth=arguments.max_depth,
        max_branch=arguments.max_branch,
        batch_size=arguments.batch_size,
        family=arguments.family,
    )
    result = plan.to_dict()
    if arguments.context is not None:
        result["context_length"] = hardware.context_length
    if warnings:
        result["warnings"] = warnings
    if arguments.by_batch_size:
        result |= _by_batch_size(acceptance, hardware, arguments)
    if arguments.out:
        write_json(arguments.out, result)
        progress(f"wrote {arguments.out}")
    return result


def _hardware(arguments: Namespace) -> tuple[HardwareProfile, list[str]]:
    """The profile behind the context asked for, and what to know of it."""
    hardware = load_hardware(arguments.hardware)
    warnings = [hardware.warning] if hardware.warning else []
    if arguments.context is None:
        return hardware, warnings
    known = hardware.context_lengths
    if not known[0] <= arguments.context <= known[-1]:
        nearest = min(known, key=lambda length: abs(length - arguments.context))
        warnings.append(
            f"{hardware.name} has no passes behind {arguments.context:,} tokens; those behind "
            f"{nearest:,} are planned with."
        )
    return hardware.at_context(arguments.context), warnings


def _by_batch_size(
    acceptance: AcceptanceVector, hardware: HardwareProfile, arguments: Namespace
) -> dict[str, Any]:
    """The best plan of every batch size, and how far trees and speculation pay."""
    points = batch_curve(
        acceptance,
        hardware,
        max_budget=arguments.max_budget,
        max_depth=arguments.max_depth,
        max_branch=arguments.max_branch,
    )
    trees, speculation = pays_until(points)
    return {
        "by_batch_size": [asdict(point) for point in points],
        "trees_pay_until": trees,
        "speculation_pays_until": speculation,
    }


def describe(result: dict[str, Any]) -> str:
    """The plan for people: the verdict, the tree, how flat the optimum is, every family's best."""
    best = result["optimum"]
    lines = [
        result["verdict"]["words"],
        *(f"warning: {warning}" for warning in result.get("warnings", ())),
        "",
        f"{result['family']}: budget {result['budget']}, depth {result['depth']}, "
        f"{result['expected_tokens']:.3f} tokens per step, {result['speedup']:.3f}x plain decoding"
        f"{_interval(result)}",
        f"levels: {' '.join(map(str, result['level_sizes']))}",
        f"optimum: budget {best['budget']}, depth {best['depth']}, {best['speedup']:.3f}x; within "
        f"2 %: budgets {best['budget_low']}..{best['budget_high']}, "
        f"depths {best['depth_low']}..{best['depth_high']}",
    ]
    lines.append(f"{'family':<10} {'budget':>6} {'depth':>5} {'tokens':>7} {'speedup':>7}  shape")
    lines += [
        f"{name:<10} {row['budget']:>6} {row['depth']:>5} {row['expected_tokens']:>7.3f} "
        f"{row['speedup']:>7.3f}  {row['shape']}"
        for name, row in result["families"].items()
    ]
    if "by_batch_size" in result:
        lines += ["", *_batch_lines(result)]
    return "\n".join(lines)


def _batch_lines(result: dict[str, Any]) -> list[str]:
    """The batch sizes as a table, and where trees and speculation stop to pay."""
    points = result["by_batch_size"]
    last = points[-1]["batch_size"]
    trees, speculation = result["trees_pay_until"], result["speculation_pays_until"]
    lines = [f"{'batch':>5} {'best':<6} {'budget':>6} {'depth':>5} {'speedup':>7} {'chain':>7}"]
    lines += [
        f"{row['batch_size']:>5} {row['choice']:<6} {row['budget']:>6} {row['depth']:>5} "
        f"{row['speedup']:>7.3f} {row['chain_speedup'] or 1:>7.3f}"
        for row in points
    ]
    return [
        *lines,
        f"trees beat chains {_until(trees, last)}; speculation pays {_until(speculation, last)}",
    ]


def _until(size: int | None, last: int) -> str:
    if size is None:
        return "at no batch size"
    return f"up to a batch of {size}" + (", the largest looked at" if size == last else "")


def _interval(result: dict[str, Any]) -> str:
    error = result["speedup_error"]
    return "" if error is None else f" (95 %: +- {error:.3f})"
