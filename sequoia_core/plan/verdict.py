"""Tree, chain or neither: what the best of every family comes to."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sequoia_core.plan.rivals import CHAIN

TREE, PLAIN = "tree", "plain"
# Judged by the path model, which promises other tokens for the same tree than the positional one
# that judges all other families: no fair rival of the chain.
EMPIRICAL = "empirical"
SAME = 1e-9


@dataclass(frozen=True, slots=True)
class FamilyBest:
    """The fastest member of a family of trees under the plan's acceptance and hardware."""

    family: str
    budget: int
    depth: int
    expected_tokens: float
    speedup: float
    shape: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer that a plan leads with: every engine takes chains, so a tree must beat them.

    choice: `tree`, `chain`, or `plain` where nothing beats plain decoding. tree, chain: the
    fastest of each that drafts at all, None where the limits leave none. gain: the tree's speedup
    over the chain's, less 1; None without both. gain_error: half-width of its 95 % interval.
    """

    choice: str
    tree: FamilyBest | None
    chain: FamilyBest | None
    gain: float | None
    gain_error: float | None = None

    @property
    def is_settled(self) -> bool | None:
        """Whether the gain's interval leaves out 0; None where there is no interval."""
        if self.gain is None or self.gain_error is None:
            return None
        return abs(self.gain) > self.gain_error

    @property
    def words(self) -> str:
        """The answer in two or three sentences."""
        if self.choice == PLAIN:
            return f"Do not speculate: nothing beats plain decoding here. {self._closest}"
        tree = f"Best tree: {_tree_words(self.tree)}." if self.tree else ""
        if self.chain is None:
            return tree
        chain = f"Best chain: {self.chain.depth} drafted tokens, {self.chain.speedup:.2f}×."
        if self.choice == CHAIN:
            return f"{chain} {self._no_tree}"
        return f"{tree} {chain} The tree gains {self._gain_words}."

    def to_dict(self) -> dict[str, Any]:
        """The verdict as JSON values; the trees stand among the plan's families."""
        return {
            "choice": self.choice,
            "gain": self.gain,
            "gain_error": self.gain_error,
            "words": self.words,
        }

    @property
    def _gain_words(self) -> str:
        if self.gain_error is None:
            return f"{self.gain:.1%}"
        low, high = self.gain - self.gain_error, self.gain + self.gain_error
        doubt = "" if self.is_settled else ", which the acceptance measured does not settle"
        return f"{self.gain:.1%} (95% interval {low:.1%} to {high:.1%}){doubt}"

    @property
    def _no_tree(self) -> str:
        if self.tree is None:
            return "The limits leave no room for a tree."
        if abs(self.gain) < SAME:
            return "The best tree is that chain."
        return f"No tree beats it: the best is {_tree_words(self.tree)} ({self.gain:+.1%})."

    @property
    def _closest(self) -> str:
        drafted = [best for best in (self.chain, self.tree) if best]
        if not drafted:
            return "The limits leave nothing to draft."
        best = max(drafted, key=lambda member: member.speedup)
        return f"The nearest, {best.shape}, would run at {best.speedup:.2f}×."


def judge(families: Iterable[FamilyBest], gain_error: float | None = None) -> Verdict:
    """The verdict on the best of every family; `gain_error` belongs to the gain it will find."""
    drafted = [best for best in families if best.budget > 1 and best.family != EMPIRICAL]
    chain = next((best for best in drafted if best.family == CHAIN), None)
    tree = max(
        (best for best in drafted if best.family != CHAIN),
        key=lambda best: best.speedup,
        default=None,
    )
    gain = tree.speedup / chain.speedup - 1 if tree and chain else None
    if max((best.speedup for best in drafted), default=0.0) <= 1:
        choice = PLAIN
    elif chain is None or (gain is not None and gain > 0):
        choice = TREE
    else:
        choice = CHAIN
    if choice == TREE and _is_chain(tree):
        # A search for trees that ends at a chain has found a chain.
        choice = CHAIN
    return Verdict(choice, tree, chain, gain, gain_error)


def _is_chain(best: FamilyBest) -> bool:
    return best.depth == best.budget - 1


def _tree_words(best: FamilyBest) -> str:
    return f"{best.budget} tokens, {best.depth} deep ({best.family}), {best.speedup:.2f}×"
