"""Acceptance as a run shows it, starting from the calibrated vector."""

from collections.abc import Sequence

import numpy as np

from sequoia_core.measure.auto.change import ChangeDetector
from sequoia_core.plan.acceptance import AcceptanceVector
from sequoia_core.plan.empirical import falling
from sequoia_core.tree.token_tree import TokenTree

# Tests of a rank that its estimate remembers; the calibrated rate stands for as many to begin with.
MEMORY = 50
# After a surprise in the first child's tests: what is taken for the other ranks counts as so few.
DOUBTED = 4


class AcceptanceEstimate:
    """The chance of each rank at a node where all before it failed, as a window of tests.

    A walk tests the children of each node on it in draw order: all before the accepted one have
    failed, and where none was accepted all have. Chances given the failures before (hazards) are
    what such tests estimate without bias, however many children a node had; p[k] follows as their
    product. Each is an exponential window of `MEMORY` tests, so ranks that are not tested keep
    the calibrated rate. hazards, tests: float64 [rows, ranks]. surprises: how often what was seen
    was so unlikely that the estimate was made anew.
    """

    def __init__(self, calibrated: AcceptanceVector):
        self.rule = calibrated.rule
        rows = calibrated.rows
        left = 1 - np.cumsum(rows, axis=1) + rows
        self.hazards = np.clip(rows / np.maximum(left, 1e-12), 0.0, 1.0)
        self._calibrated = self.hazards.copy()
        self.tests = np.full(rows.shape, float(MEMORY))
        self.surprises = 0
        self._change = ChangeDetector()

    @property
    def first_child(self) -> float:
        """Chance of the first child of the root."""
        return float(self.hazards[0, 0])

    def observe(self, tree: TokenTree, accepted: Sequence[int]) -> None:
        """One walk through the tree; accepted: node ids from the root down, the root left out."""
        for node in accepted:
            self._test(int(tree.depths[node]) - 1, int(tree.ranks[node]), accepted=True)
        last = accepted[-1] if accepted else 0
        children = int(tree.child_counts[last])
        if children:
            self._test(int(tree.depths[last]), children - 1, accepted=False)

    def _test(self, depth: int, rank: int, *, accepted: bool) -> None:
        """The children up to this rank were tried, and the last of them perhaps accepted."""
        row, tried = min(depth, len(self.hazards) - 1), min(rank + 1, self.hazards.shape[1])
        outcome = np.zeros(tried)
        outcome[rank:] = accepted
        believed = float(self.hazards[row, 0])
        tests, hazards = self.tests[row, :tried], self.hazards[row, :tried]
        np.minimum(tests + 1, MEMORY, out=tests)
        hazards += (outcome - hazards) / tests
        changed = self._change.observe(float(outcome[0]), believed)
        if changed:
            self._forget(*changed)

    def _forget(self, outcomes: int, successes: int) -> None:
        """Start again from the tests of first children since the change.

        The other ranks have had few tests by then. They are taken to have fallen as the first
        child has, since a draft that has lost the text has lost all of its ranks.
        """
        self.surprises += 1
        # As if one success and one failure had been seen as well, so that nothing is certain.
        first = (successes + 1) / (outcomes + 2)
        fallen = np.minimum(1.0, first / np.maximum(self._calibrated[:, :1], first))
        self.hazards[:] = self._calibrated * fallen
        self.hazards[:, 0] = first
        self.tests[:] = DOUBTED
        self.tests[:, 0] = outcomes + 2

    def vector(self) -> AcceptanceVector:
        """The estimate with its standard errors; chances fall from sibling to sibling.

        A tree that has a child has its elder siblings, and for falling chances planning takes a
        millisecond.
        """
        left = np.cumprod(np.pad(1 - self.hazards, ((0, 0), (1, 0)), constant_values=1), axis=1)
        chances = np.array([falling(row) for row in left[:, :-1] * self.hazards])
        # A full exponential window knows as much as twice its length of equal weights.
        weight = np.where(self.tests < MEMORY, self.tests + 1, 2 * MEMORY - 1)
        variance = np.maximum(self.hazards * (1 - self.hazards), 1e-4) / weight
        errors = np.minimum(left[:, :-1] * np.sqrt(variance), 1.0)
        return AcceptanceVector(self.rule, chances, standard_errors=errors)
