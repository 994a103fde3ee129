"""What a planner yields: the best tree of every budget and depth, and what each is worth."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from sequoia_core.errors import InputError
from sequoia_core.tree.token_tree import TokenTree

INFEASIBLE = -np.inf


@dataclass(frozen=True, slots=True, eq=False)
class PlanTable(ABC):
    """Best trees for all budgets n <= N and depth limits d <= D.

    expected_tokens: float64 [N + 1, D + 1], the greatest expected tokens of a tree with exactly
        n nodes and depth at most d; -inf where there is no such tree.
    pass_widths: int16 [N + 1, D + 1, D], the nodes with children on each level of that tree:
        the widths of its draft passes, 0 where it has no such level.
    """

    expected_tokens: np.ndarray
    pass_widths: np.ndarray

    def __post_init__(self) -> None:
        # Tables are shared by a cache: nobody may write to them.
        self.expected_tokens.setflags(write=False)
        self.pass_widths.setflags(write=False)

    @property
    def max_budget(self) -> int:
        return self.expected_tokens.shape[0] - 1

    @property
    def max_depth(self) -> int:
        return self.expected_tokens.shape[1] - 1

    @property
    def feasible(self) -> np.ndarray:
        """Where a tree exists, bool [N + 1, D + 1]."""
        return self.expected_tokens > INFEASIBLE

    @abstractmethod
    def tree(self, budget: int, depth: int) -> TokenTree:
        """The best tree of `budget` nodes at most `depth` deep; InputError if there is none."""

    def check(self, budget: int, depth: int) -> None:
        """Raise InputError, with the limit, unless a tree of this budget and depth exists."""
        if not 1 <= budget <= self.max_budget:
            raise InputError(f"The budget must be between 1 and {self.max_budget}, got {budget}.")
        if not 0 <= depth <= self.max_depth:
            raise InputError(f"The depth must be between 0 and {self.max_depth}, got {depth}.")
        if not self.feasible[budget, depth]:
            largest = int(np.flatnonzero(self.feasible[:, depth])[-1])
            raise InputError(
                f"No tree of depth {depth} has {budget} tokens with this many children per node: "
                f"{largest} is the most. Lower the budget or raise the depth."
            )
