"""The planned tree behind Explore's sliders."""

from dataclasses import dataclass

import numpy as np

from pages import _library as library
from sequoia_core.plan.expected import path_values
from sequoia_core.plan.methods import METHODS, plan_for, rule_fits
from sequoia_core.tree.token_tree import TokenTree


@dataclass(frozen=True, slots=True)
class PlannedTree:
    """A plan as the page draws it. reach: [n], chance that a step's walk reaches each node.

    speedup, expected_tokens: None where the plan does not speak of the method: its trees grow with
    the context, or the vector holds for another rule. depth: the limit wished, or the tree's.
    inputs: names of acceptance and hardware.
    """

    method: str
    tree: TokenTree
    reach: np.ndarray
    expected_tokens: float | None
    speedup: float | None
    depth: int
    inputs: tuple[str, str] = ("", "")


def planned_tree(
    method: str, acceptance: str, hardware: str, budget: int | None, depth: int | None
) -> PlannedTree:
    """The method's best tree of this budget and depth; None for either lets the hardware decide.

    acceptance, hardware: names in the library. Raises InputError for what cannot be planned.
    """
    vector = library.acceptance(acceptance)
    plan = plan_for(method, vector, library.hardware(hardware), budget=budget, depth=depth)
    speaks = rule_fits(method, vector) and not METHODS[method].grown
    return PlannedTree(
        method,
        plan.tree,
        path_values(plan.tree, vector),
        plan.expected_tokens if speaks else None,
        plan.speedup if speaks else None,
        plan.depth if depth is None else depth,
        (acceptance, hardware),
    )
