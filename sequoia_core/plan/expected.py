"""Expected tokens per step of any tree under an acceptance vector."""

from functools import lru_cache

import numpy as np

from sequoia_core.plan.acceptance import AcceptanceVector
from sequoia_core.plan.best_first import best_first_table
from sequoia_core.plan.dynamic_program import dynamic_program_table
from sequoia_core.plan.table import PlanTable
from sequoia_core.tree.token_tree import TokenTree


def path_values(tree: TokenTree, acceptance: AcceptanceVector) -> np.ndarray:
    """Chance that a step's walk reaches each node: f(v) = f(parent) * p[rank]; float64 [n]."""
    chances = edge_chances(tree, acceptance)
    values = np.ones(tree.size)
    start = 1
    for width in tree.level_sizes[1:]:
        level = slice(start, start + width)
        values[level] = values[tree.parents[level]] * chances[level]
        start += width
    return values


def edge_chances(tree: TokenTree, acceptance: AcceptanceVector) -> np.ndarray:
    """p[rank] of each node at its parent's depth; 1 for the root, 0 beyond the vector's ranks."""
    rows = np.pad(acceptance.rows, ((0, 0), (0, 1)))
    depths = np.minimum(np.maximum(tree.depths - 1, 0), len(rows) - 1)
    chances = rows[depths, np.minimum(tree.ranks, acceptance.ranks)]
    chances[0] = 1.0
    return chances


def expected_tokens(tree: TokenTree, acceptance: AcceptanceVector) -> float:
    """G(T): mean tokens committed per step, the bonus token included; the sum of all f(v).

    Sequoia, arXiv 2402.12374v3, section 3.
    """
    return float(path_values(tree, acceptance).sum())


def gradient(tree: TokenTree, acceptance: AcceptanceVector) -> np.ndarray:
    """Change of G(T) per change of each probability, the shape of acceptance.rows.

    An edge at rank k counts f(parent) times the expected tokens of the subtree it leads to.
    """
    chances = edge_chances(tree, acceptance)
    reach = path_values(tree, acceptance)
    worth = np.ones(tree.size)
    # Breadth-first order: every child is complete before its parent is reached.
    for node in range(tree.size - 1, 0, -1):
        worth[tree.parents[node]] += chances[node] * worth[node]
    slopes = np.zeros((len(acceptance.rows), acceptance.ranks + 1))
    edges = np.arange(1, tree.size)
    depths = np.minimum(tree.depths[edges] - 1, len(slopes) - 1)
    ranks = np.minimum(tree.ranks[edges], acceptance.ranks)
    np.add.at(slopes, (depths, ranks), reach[tree.parents[edges]] * worth[edges])
    return slopes[:, :-1]


def plan_table(
    acceptance: AcceptanceVector,
    *,
    max_budget: int = 1024,
    max_depth: int = 32,
    max_branch: int = 32,
) -> PlanTable:
    """Best trees of every budget and depth, by the faster of the two exact methods that applies.

    Kept in memory by the vector's numbers, so that a slider's next position costs nothing.
    """
    rows = acceptance.rows
    return _cached_table(
        rows.tobytes(), rows.shape, acceptance.is_monotone, max_budget, max_depth, max_branch
    )


@lru_cache(maxsize=8)
def _cached_table(data: bytes, shape: tuple[int, int], monotone: bool, *limits: int) -> PlanTable:
    rows = np.frombuffer(data).reshape(shape)
    build = best_first_table if monotone else dynamic_program_table
    return build(AcceptanceVector("sequoia", rows), *limits)
