"""Time the planner, and compare it with a plain transcription of its recurrence.

For each vector and repeat, one after the other: the planner at the small size, the transcription
at the same size, and the planner at full size, trees and pass widths of all budgets and depths
included. Times are processor seconds of this process, which runs on one core: medians, in brackets
the least and the most. Memory is the most that Python and numpy held at once, in a run of its own.
"""

import argparse
import platform
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np

from sequoia_core.plan.acceptance import AcceptanceVector
from sequoia_core.plan.best_first import best_first_table
from sequoia_core.plan.dynamic_program import dynamic_program_table
from sequoia_core.plan.table import PlanTable
from tools.planner.cases import RANKS, cases
from tools.planner.recurrence import recurrence

MOST_DIFFERENCE = 1e-12


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.planner", description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--small", type=int, nargs=2, default=[256, 8], metavar=("N", "D"))
    parser.add_argument("--full", type=int, nargs=2, default=[1024, 32], metavar=("N", "D"))
    return parser.parse_args()


def plan(acceptance: AcceptanceVector, budget: int, depth: int) -> PlanTable:
    """What plan_table does, without its cache."""
    build = best_first_table if acceptance.is_monotone else dynamic_program_table
    return build(acceptance, budget, depth, RANKS)


def seconds(work: Callable[[], object]) -> tuple[float, object]:
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


def measure(
    acceptance: AcceptanceVector, small: list[int], full: list[int], repeats: int
) -> list[list[float]]:
    """Seconds of each repeat: planner and transcription at the small size, planner at full size."""
    times = []
    for _ in range(repeats):
        ours, table = seconds(lambda: plan(acceptance, *small))
        plain, expected = seconds(lambda: recurrence(acceptance, *small, RANKS))
        check(table.expected_tokens, expected)
        times.append([ours, plain, seconds(lambda: plan(acceptance, *full))[0]])
    return [list(column) for column in zip(*times, strict=True)]


def check(ours: np.ndarray, plain: np.ndarray) -> None:
    """Stop if the two disagree: times of different results are worth nothing."""
    exist = plain > -np.inf
    if not np.array_equal(exist, ours > -np.inf):
        sys.exit("The planner and the recurrence disagree on which trees exist.")
    difference = np.max(np.abs(ours[exist] / plain[exist] - 1))
    if difference > MOST_DIFFERENCE:
        sys.exit(f"The planner and the recurrence differ by {difference:.1e}.")


def peak_megabytes(acceptance: AcceptanceVector, full: list[int]) -> float:
    tracemalloc.start()
    plan(acceptance, *full)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 1e6


def spread(values: list[float], scale: float, digits: int) -> str:
    middle, low, high = statistics.median(values), min(values), max(values)
    return f"{middle * scale:.{digits}f} ({low * scale:.{digits}f} to {high * scale:.{digits}f})"


def row(name: str, acceptance: AcceptanceVector, options: argparse.Namespace) -> str:
    ours, plain, whole = measure(acceptance, options.small, options.full, options.repeats)
    method = "best first" if acceptance.is_monotone else "dynamic program"
    ratios = [slow / fast for fast, slow in zip(ours, plain, strict=True)]
    cells = [
        name,
        method,
        spread(ours, 1e3, 1),
        spread(plain, 1, 2),
        spread(ratios, 1, 0),
        spread(whole, 1e3, 0),
        f"{peak_megabytes(acceptance, options.full):.0f}",
    ]
    return f"| {' | '.join(cells)} |"


def processor() -> str:
    """The processor's name as the system gives it."""
    listing = Path("/proc/cpuinfo")
    lines = listing.read_text(encoding="utf-8").splitlines() if listing.exists() else []
    named = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


def main() -> None:
    options = arguments()
    small = "n = {}, d = {}".format(*options.small)
    full = "n = {}, d = {}".format(*options.full)
    print(
        f"{processor()}, Python {platform.python_version()}, numpy {np.__version__}, "
        f"{RANKS} children, {options.repeats} repeats\n"
    )
    print(
        f"| vector | method | ms, {small} | transcription s, {small} | ratio | ms, {full} "
        f"| MB, {full} |\n|---|---|--:|--:|--:|--:|--:|"
    )
    for name, acceptance in cases().items():
        print(row(name, acceptance, options), flush=True)


if __name__ == "__main__":
    main()
