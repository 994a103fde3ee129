"""What is believed of the pair and the machine, and which plan follows from it."""

from dataclasses import dataclass

import numpy as np

from sequoia_core.decode.trace import StepTrace
from sequoia_core.measure.auto.acceptance import AcceptanceEstimate
from sequoia_core.measure.auto.seconds import SecondsEstimate, mean_width
from sequoia_core.plan.acceptance import AcceptanceVector
from sequoia_core.plan.cost import CostModel
from sequoia_core.plan.expected import expected_tokens, gradient
from sequoia_core.plan.hardware import HardwareProfile
from sequoia_core.plan.optimizer import Limits, speedup_grid
from sequoia_core.tree.token_tree import TokenTree

PLAIN = TokenTree([-1])


@dataclass(frozen=True, slots=True)
class Gain:
    """How much faster one plan is than another: the logarithm of the ratio of tokens per second,
    with its standard error."""

    log: float
    error: float

    @property
    def ratio(self) -> float:
        return float(np.exp(self.log))


@dataclass(frozen=True, slots=True)
class View:
    """The estimates at one moment, as the planner's own inputs."""

    acceptance: AcceptanceVector
    hardware: HardwareProfile
    seconds: SecondsEstimate

    def tokens(self, tree: TokenTree) -> float:
        """Expected tokens of a step."""
        return expected_tokens(tree, self.acceptance)

    def step_seconds(self, tree: TokenTree) -> float:
        return CostModel(self.hardware).tree_seconds(tree)

    def seconds_per_token(self, tree: TokenTree) -> float:
        return self.step_seconds(tree) / self.tokens(tree)

    def speedup(self, tree: TokenTree) -> float:
        """Over plain decoding."""
        return self.seconds_per_token(PLAIN) / self.seconds_per_token(tree)

    def log_gain(self, new: TokenTree, old: TokenTree) -> float:
        """Logarithm of the ratio of tokens per second."""
        return float(np.log(self.seconds_per_token(old) / self.seconds_per_token(new)))

    def gain(self, new: TokenTree, old: TokenTree) -> Gain:
        """The same with its standard error.

        Acceptance moves both plans, so what counts of its error is how differently they lean
        on it (delta method).
        """
        leaning = self._leaning(new) - self._leaning(old)
        acceptance = np.sqrt(np.sum((leaning * self.acceptance.standard_errors) ** 2))
        seconds = self.seconds.error(new, old, self.hardware)
        return Gain(self.log_gain(new, old), float(np.hypot(acceptance, seconds)))

    def _leaning(self, tree: TokenTree) -> np.ndarray:
        return gradient(tree, self.acceptance) / self.tokens(tree)

    def best_drafted(self, limits: Limits, least: int = 2) -> TokenTree:
        """The fastest tree of at least so many tokens, or of as many as there can be."""
        table = limits.table(self.acceptance)
        least = min(least, int(table.feasible.any(axis=1).nonzero()[0][-1]))
        speedup = speedup_grid(table, CostModel(self.hardware)).speedup
        speedup = np.where(np.isnan(speedup), -np.inf, speedup)[least:]
        row, column = np.unravel_index(speedup.argmax(), speedup.shape)
        return table.tree(int(row) + least, int(column))


class Beliefs:
    """Acceptance and seconds, from the calibration and the profile on, step by step."""

    def __init__(self, calibrated: AcceptanceVector, hardware: HardwareProfile):
        self.calibrated = calibrated
        self.acceptance = AcceptanceEstimate(calibrated)
        self.seconds = SecondsEstimate(hardware)

    def observe(self, step: StepTrace, tree: TokenTree, *, timed: bool) -> None:
        """A step that is over. timed: whether what it took is typical of its tree."""
        self.acceptance.observe(tree, step.accepted)
        if timed:
            self.seconds.observe(tree, step.seconds)

    def view(self) -> View:
        """The estimates now; they stay as they are while a view is looked at."""
        return View(self.acceptance.vector(), self.seconds.hardware(), self.seconds)

    def words(self, tree: TokenTree) -> str:
        """What is estimated for this tree, against what was calibrated and profiled."""
        sizes = dict.fromkeys((tree.size, 1))
        target = " and ".join(f"{self.seconds.target.factor([n])[0]:.2f} ({n})" for n in sizes)
        draft = self.seconds.draft.factor([mean_width(tree)])[0] if tree.size > 1 else None
        drafts = f", draft passes {draft:.2f} times" if draft else ""
        return (
            f"the first child is accepted {self.acceptance.first_child:.2f} of the time "
            f"(calibrated {self.calibrated.rows[0, 0]:.2f}), target passes of so many tokens take "
            f"{target} times the profile's seconds{drafts}"
        )
