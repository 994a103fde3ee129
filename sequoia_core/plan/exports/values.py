"""What a tree is worth by the best model that its acceptance vector allows."""

import numpy as np

from sequoia_core.plan.acceptance import AcceptanceVector
from sequoia_core.plan.empirical import empirical_table, model_at
from sequoia_core.plan.expected import path_values, plan_table
from sequoia_core.plan.table import PlanTable
from sequoia_core.tree.token_tree import TokenTree

PATHS, POSITIONAL = "paths", "positional"


def model_name(acceptance: AcceptanceVector) -> str:
    """`paths` if the vector has path statistics, which know bursts, else `positional`."""
    return POSITIONAL if acceptance.paths is None else PATHS


def reach_chances(tree: TokenTree, acceptance: AcceptanceVector) -> np.ndarray:
    """Chance that a step's walk reaches each node, float64 [n].

    Where the vector has path statistics, from where this tree's own steps start. Trees wider than
    the statistics are judged by position, where such children count 0.
    """
    widest = int(tree.child_counts.max())
    if acceptance.paths is None or widest > acceptance.paths.width:
        return path_values(tree, acceptance)
    return model_at(acceptance, tree).path_values(tree)


def best_trees(
    acceptance: AcceptanceVector, *, max_budget: int, max_depth: int, max_branch: int
) -> PlanTable:
    """The best trees of every budget and depth, by the same model."""
    table = plan_table if acceptance.paths is None else empirical_table
    return table(acceptance, max_budget=max_budget, max_depth=max_depth, max_branch=max_branch)
