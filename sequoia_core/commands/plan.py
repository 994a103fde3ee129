"""`plan`: the best token tree for an acceptance vector on a hardware profile."""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from typing import Any

from sequoia_core.files import write_json
from sequoia_core.plan.acceptance import load_acceptance
from sequoia_core.plan.hardware import load_hardware
from sequoia_core.plan.optimizer import ALL_FAMILIES, SEQUOIA, make_plan


def add_parser(subparsers: Any) -> ArgumentParser:
    """Declare the command's options; returns its parser."""
    parser = subparsers.add_parser("plan", description="Choose the best token tree.")
    parser.add_argument("--acceptance", required=True, help="preset name or file")
    parser.add_argument("--hardware", required=True, help="preset name or file")
    parser.add_argument("--budget", type=int, help="tokens per target pass, 1..1024; else chosen")
    parser.add_argument("--depth", type=int, help="draft passes, 0..32; else chosen")
    parser.add_argument("--max-budget", type=int, default=1024, help="largest budget to consider")
    parser.add_argument("--max-depth", type=int, default=32, help="largest depth to consider")
    parser.add_argument("--max-branch", type=int, default=32, help="most children of a node")
    parser.add_argument("--batch-size", type=int, default=1, help="sequences decoded together")
    parser.add_argument("--family", default=SEQUOIA, help=f"one of: {', '.join(ALL_FAMILIES)}")
    parser.add_argument("--out", help="also write the plan to this file")
    return parser


def run(arguments: Namespace, progress: Callable[[str], None]) -> dict[str, Any]:
    """Plan; returns the content of a `sequoia-plan` file, and writes it if asked."""
    plan = make_plan(
        load_acceptance(arguments.acceptance),
        load_hardware(arguments.hardware),
        budget=arguments.budget,
        depth=arguments.depth,
        max_budget=arguments.max_budget,
        max_depth=arguments.max_depth,
        max_branch=arguments.max_branch,
        batch_size=arguments.batch_size,
        family=arguments.family,
    )
    result = plan.to_dict()
    if arguments.out:
        write_json(arguments.out, result)
        progress(f"wrote {arguments.out}")
    return result


def describe(result: dict[str, Any]) -> str:
    """The plan for people: the choice, how flat it is, and every family's best."""
    best = result["optimum"]
    lines = [
        f"{result['family']}: budget {result['budget']}, depth {result['depth']}, "
        f"{result['expected_tokens']:.3f} tokens per step, {result['speedup']:.3f}x plain decoding"
        f"{_interval(result)}",
        f"levels: {' '.join(map(str, result['level_sizes']))}",
        f"optimum: budget {best['budget']}, depth {best['depth']}, {best['speedup']:.3f}x; within "
        f"2 %: budgets {best['budget_low']}..{best['budget_high']}, "
        f"depths {best['depth_low']}..{best['depth_high']}",
    ]
    if result["budget"] == 1:
        lines.append("nothing is drafted: plain decoding")
    lines.append(f"{'family':<10} {'budget':>6} {'depth':>5} {'tokens':>7} {'speedup':>7}  shape")
    lines += [
        f"{name:<10} {row['budget']:>6} {row['depth']:>5} {row['expected_tokens']:>7.3f} "
        f"{row['speedup']:>7.3f}  {row['shape']}"
        for name, row in result["families"].items()
    ]
    return "\n".join(lines)


def _interval(result: dict[str, Any]) -> str:
    error = result["speedup_error"]
    return "" if error is None else f" (95 %: +- {error:.3f})"
