"""SGLang's dynamic tree: steps, beams and tokens; from a static tree, or planned for it."""

from dataclasses import dataclass

import numpy as np

from sequoia_core.errors import InputError
from sequoia_core.plan.acceptance import AcceptanceVector
from sequoia_core.plan.cost import CostModel
from sequoia_core.plan.exports.values import best_trees, reach_chances
from sequoia_core.tree.token_tree import TokenTree

MAX_TOPK, MAX_TOKENS, MAX_STEPS = 10, 128, 16
# Most children of a node in the static trees that are tried.
BRANCHES = (1, 2, 3, 4, 6, 8, MAX_TOPK)


@dataclass(frozen=True, slots=True)
class Triple:
    """num_steps, eagle_topk and num_draft_tokens (which counts the root).

    The first draft pass keeps the topk likeliest tokens; each later pass expands all topk beams
    by topk and keeps the best topk. The tokens verified are the best of all candidates.
    Raises InputError that says which of the engine's three rules is broken.
    """

    steps: int
    topk: int
    tokens: int

    def __post_init__(self) -> None:
        if min(self.steps, self.topk, self.tokens - 1) < 1:
            raise InputError(
                "SGLang needs steps, top-k and draft tokens together: at least 1, 1 and 2, got "
                f"{self.steps}, {self.topk} and {self.tokens}."
            )
        if self.topk == 1 and self.tokens != self.steps + 1:
            raise InputError(
                f"With top-k 1 SGLang drafts a chain, so {self.steps} steps need "
                f"{self.steps + 1} draft tokens, got {self.tokens}."
            )
        if self.tokens > self.candidates:
            raise InputError(
                f"{self.steps} steps with top-k {self.topk} yield {self.candidates} tokens, the "
                f"root included, so num_draft_tokens cannot be {self.tokens}."
            )

    @property
    def candidates(self) -> int:
        """Most tokens there are to choose from, the root included."""
        return 1 + self.topk + (self.steps - 1) * self.topk**2

    @property
    def pass_widths(self) -> np.ndarray:
        """Tokens of each draft pass: the root alone, then all beams; int [steps]."""
        return np.array([1] + [self.topk] * (self.steps - 1))


@dataclass(frozen=True, slots=True)
class TriplePlan:
    """A triple with what the static tree inside it promises at the engine's draft cost."""

    triple: Triple
    expected_tokens: float
    speedup: float


def triple_of(tree: TokenTree) -> Triple | None:
    """The least triple whose beams can hold the static tree; None for plain decoding."""
    if tree.size == 1:
        return None
    topk = max(int(tree.child_counts.max()), *tree.expanded_level_sizes)
    return Triple(tree.depth, topk, tree.size)


def judge_tree(tree: TokenTree, acceptance: AcceptanceVector, cost: CostModel) -> TriplePlan | None:
    """The static tree's triple with its expected tokens and speedup; None for plain decoding."""
    triple = triple_of(tree)
    if triple is None:
        return None
    expected = float(reach_chances(tree, acceptance).sum())
    seconds = cost.seconds(np.array(tree.size), triple.pass_widths)
    return TriplePlan(triple, expected, float(cost.speedup(expected, seconds)))


def best_triple(acceptance: AcceptanceVector, cost: CostModel) -> TriplePlan:
    """The fastest triple, judged by the best static trees that its beams can hold.

    The engine chooses the nodes anew each step by the draft's confidence, so the tokens per step
    are an estimate. Searched: up to MAX_TOPK beams, MAX_TOKENS tokens, MAX_STEPS steps.
    """
    best, best_tree = -np.inf, None
    for branch in BRANCHES:
        table = best_trees(
            acceptance, max_budget=MAX_TOKENS, max_depth=MAX_STEPS, max_branch=branch
        )
        beams = np.maximum(table.pass_widths.max(axis=-1), branch)
        widths = np.where(table.pass_widths > 0, beams[..., None], 0)
        widths[..., 0] = np.minimum(widths[..., 0], 1)
        fits = table.feasible & (beams <= MAX_TOPK)
        fits[:2] = False
        budgets = np.arange(MAX_TOKENS + 1)[:, None]
        speedups = cost.speedup(table.expected_tokens, cost.seconds(budgets, widths))
        speedups = np.where(fits, speedups, -np.inf)
        if speedups.max() > best:
            best = speedups.max()
            place = np.unravel_index(speedups.argmax(), speedups.shape)
            best_tree = table.tree(int(place[0]), int(place[1]))
    return judge_tree(best_tree, acceptance, cost)
