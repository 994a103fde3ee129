"""Another method every step: what `auto` may do at most, without its clock, to be verified."""

from sequoia_core.decode.methods import Method, plain_method, static_method
from sequoia_core.decode.pair import ModelPair
from sequoia_core.decode.trace import StepTrace
from sequoia_core.tree.families import chain
from sequoia_core.tree.token_tree import TokenTree


class EveryStep:
    """A tree, plain decoding and a chain by turns that hang on what the step before accepted.

    `auto` changes between such methods for reasons that include seconds, so that no two of its runs
    need be alike. Here a seed says all, and the changes are as many as can be.
    """

    name, drafts = "auto", True

    def __init__(self, tree: TokenTree):
        self._methods = (
            static_method("sequoia", tree),
            plain_method(),
            static_method("chain", chain(tree.depth)),
        )
        self.budget = self.slots = tree.size
        self.depth = tree.depth

    def check(self, pair: ModelPair) -> None:
        """See decode.steering.Steering."""
        for method in self._methods:
            method.check(pair)

    def next(self, last: StepTrace | None, _tree: TokenTree | None) -> tuple[Method, None]:
        """See decode.steering.Steering."""
        turn = 0 if last is None else last.index + 1 + len(last.accepted)
        return self._methods[turn % len(self._methods)], None
