"""Vectors read back from the reference's trees: which two numbers make the planner draw them?

A growmap is the best tree of an unpublished vector. Of all power laws on a lattice, the one whose
best trees, by this project's planner, have the growmap's nodes on the growmap's levels is taken;
its expected tokens are then a prediction for the very setting that the tables measured.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from sequoia_core.plan.best_first import best_first_table
from tools.paper.published import Result, published, results
from tools.paper.vectors import power_law

FIRST = np.arange(0.40, 0.93, 0.02)
FALL = np.arange(0.1, 1.3, 0.1)
# The reference measured 32 children, so no node of its trees has more.
RANKS = 32
NEARLY = 0.02


@dataclass(frozen=True, slots=True)
class Inferred:
    """A setting's fit: its row of the tables, its growmaps' sizes, and the numbers found.

    moved: share of all nodes that stand on another level. tokens: G of the row's tree; low and
    high: its span over all lattice points that move at most 2 % of the nodes more.
    """

    row: Result
    sizes: tuple[int, ...]
    first: float
    fall: float
    moved: float
    tokens: float
    low: float
    high: float


@cache
def infer() -> tuple[Inferred, ...]:
    """One fit for each setting that the stored growmaps were planned for."""
    settings: dict[tuple[str, float, str], list[list[int]]] = {}
    for growmap in published()["growmaps"]:
        settings.setdefault(tuple(growmap["setting"]), []).append(growmap["level_sizes"])
    return tuple(_infer(_row(*setting), trees) for setting, trees in settings.items())


def _row(target: str, temperature: float, text: str) -> Result:
    key = ("A100", target, temperature)
    return next(r for r in results(offload=False) if r.block == key and r.text == text)


def _infer(row: Result, trees: Sequence[list[int]]) -> Inferred:
    points = [
        (*_judge(float(first), float(fall), row, trees), float(first), float(fall))
        for first in FIRST
        for fall in FALL
    ]
    least = min(points)[0]
    # Several vectors can draw the same trees: the one with the middle G speaks for them.
    best = sorted(point for point in points if point[0] == least)
    moved, tokens, first, fall = best[len(best) // 2]
    near = [point[1] for point in points if point[0] <= moved + NEARLY]
    sizes = tuple(sum(tree) for tree in trees)
    return Inferred(row, sizes, first, fall, moved, tokens, min(near), max(near))


def _judge(
    first: float, fall: float, row: Result, trees: Sequence[list[int]]
) -> tuple[float, float]:
    """(share of nodes moved, G of the row's tree) under one power law."""
    sizes = [sum(tree) for tree in trees]
    deepest = max(row.levels, *map(len, trees)) - 1
    planned = best_first_table(
        power_law(first, fall, RANKS, "sequoia"), max(row.size, *sizes), deepest, RANKS
    )
    moved = sum(
        np.abs(planned.counts[size, len(tree) - 1, : len(tree)] - tree).sum() / 2
        for size, tree in zip(sizes, trees, strict=True)
    )
    return moved / sum(sizes), float(planned.expected_tokens[row.size, row.levels - 1])
