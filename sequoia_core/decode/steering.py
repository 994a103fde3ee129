"""Runs whose method may change between steps.

That loses nothing as long as a choice rests on what is over: committed tokens, verdicts made,
seconds taken. Given all of that, a step of any lossless method continues the text by the target's
own law, since its noise is fresh; so which method comes next may depend on all of it in any way,
but never on a draw of the step that it is chosen for. The engine asks before it draws.

Both caches stay valid: they hold committed tokens only, and a draft that was left out for some
steps reads what it has missed in the first pass of its next one.
"""

from typing import Protocol

from sequoia_core.decode.methods import Method
from sequoia_core.decode.pair import ModelPair
from sequoia_core.decode.trace import Decision, StepTrace
from sequoia_core.tree.token_tree import TokenTree


class Steering(Protocol):
    """Chooses every coming step's method.

    name: what the run's method is called. budget, depth: of the method at present. slots: most
    uncommitted tokens that any method it may choose keeps in a cache. drafts: whether any of them
    uses the draft.
    """

    name: str

    @property
    def budget(self) -> int: ...

    @property
    def depth(self) -> int: ...

    @property
    def slots(self) -> int: ...

    @property
    def drafts(self) -> bool: ...

    def check(self, pair: ModelPair) -> None:
        """Raise ModelError or InputError where the pair cannot take the methods."""

    def next(
        self, last: StepTrace | None, tree: TokenTree | None
    ) -> tuple[Method, Decision | None]:
        """The coming step's method, with the decision if this is a new choice.

        last: the step before, None at a run's start; tree: the tree that it drafted.
        """


class Fixed:
    """The same method in every step."""

    def __init__(self, method: Method):
        self.method, self.name = method, method.name
        self.budget, self.depth = method.budget, method.depth
        self.slots, self.drafts = method.shape.slots, method.drafts

    def check(self, pair: ModelPair) -> None:
        """See Steering."""
        self.method.check(pair)

    def next(self, _last: StepTrace | None, _tree: TokenTree | None) -> tuple[Method, None]:
        """See Steering."""
        return self.method, None
