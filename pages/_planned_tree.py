"""The planned tree behind Explore's sliders."""

from dataclasses import dataclass

import numpy as np

from pages import _library as library
from sequoia_core.plan.expected import path_values
from sequoia_core.plan.optimizer import make_plan
from sequoia_core.tree.token_tree import TokenTree


@dataclass(frozen=True, slots=True)
class PlannedTree:
    """A plan as the page draws it. reach: [n], chance that a step's walk reaches each node."""

    tree: TokenTree
    reach: np.ndarray
    expected_tokens: float
    speedup: float


def planned_tree(
    acceptance: str, hardware: str, budget: int | None, depth: int | None
) -> PlannedTree:
    """The best tree of this budget and depth; None for either lets the hardware decide.

    acceptance, hardware: names in the library. Raises InputError for what cannot be planned.
    """
    vector = library.acceptance(acceptance)
    plan = make_plan(vector, library.hardware(hardware), budget=budget, depth=depth)
    return PlannedTree(
        plan.tree, path_values(plan.tree, vector), plan.expected_tokens, plan.speedup
    )
