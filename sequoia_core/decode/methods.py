"""Every decoding method by name: how a step's tree comes about, and which rule verifies it.

| method | tree | children of a node | rule |
|---|---|---|---|
| autoregressive | the root alone | none | |
| chain, kchains, sequoia | static | drawn without replacement | sequoia |
| specinfer | static, an expansion | drawn with replacement, so twins may occur | specinfer |
| topk | static | the draft's most probable tokens | topk |
| specexec | grown | the draft's most probable tokens | topk |
| dynamic | grown | drawn without replacement | sequoia |

All are lossless at every temperature and top-p. At temperature 0 the children are the draft's most
probable tokens in all of them, and the rules are one.
"""

from dataclasses import dataclass

from sequoia_core.decode.drafting import StaticTree
from sequoia_core.decode.growing import GrownTree
from sequoia_core.decode.pair import ModelPair
from sequoia_core.decode.rules import SEQUOIA, SPECINFER, TOPK, Rule
from sequoia_core.errors import InputError
from sequoia_core.tree.token_tree import TokenTree

AUTOREGRESSIVE = "autoregressive"
STATIC_RULES = {
    AUTOREGRESSIVE: SEQUOIA,
    "chain": SEQUOIA,
    "kchains": SEQUOIA,
    "sequoia": SEQUOIA,
    "specinfer": SPECINFER,
    "topk": TOPK,
}
GROWN_RULES = {"specexec": TOPK, "dynamic": SEQUOIA}
RULES = STATIC_RULES | GROWN_RULES
NAMES = tuple(RULES)


@dataclass(frozen=True, slots=True)
class Method:
    """A way to decode: where a step's tree comes from, and the rule of its draws and verdicts."""

    name: str
    shape: StaticTree | GrownTree
    rule: Rule

    @property
    def budget(self) -> int:
        """Most tokens in one target pass; 1 is plain decoding."""
        return self.shape.budget

    @property
    def depth(self) -> int:
        """Most draft passes in a step."""
        return self.shape.depth

    @property
    def drafts(self) -> bool:
        """Whether the draft model is used at all."""
        return self.budget > 1

    def check(self, pair: ModelPair) -> None:
        """Raise ModelError or InputError where the pair cannot take the method's trees."""
        self.shape.check(pair)


def static_method(name: str, tree: TokenTree) -> Method:
    """The method of that name with a planned tree. Raises InputError for an unknown name."""
    return Method(name, StaticTree(tree), _rule(name, STATIC_RULES))


def grown_method(name: str, budget: int, depth: int, beam: int | None = None) -> Method:
    """The method of that name with trees of at most this budget and depth; InputError past limits.

    Without room for a drafted node, a budget of 1 or a depth of 0, it is plain decoding.
    """
    rule = _rule(name, GROWN_RULES)
    if budget == 1 or depth == 0:
        return Method(name, StaticTree(TokenTree([-1])), rule)
    return Method(name, GrownTree(budget, depth, beam), rule)


def named_method(name: str, tree: TokenTree, depth: int | None = None) -> Method:
    """The method of that name with a planned tree, or with trees grown to its size.

    depth: how deep grown trees may be, the planned tree's own depth by default. A tree of one node
    is plain decoding for all. Raises InputError for an unknown name.
    """
    if name in GROWN_RULES:
        return grown_method(name, tree.size, min(depth or tree.depth, tree.size - 1))
    return static_method(name, tree)


def plain_method() -> Method:
    """Plain decoding on the engine's own caches."""
    return static_method(AUTOREGRESSIVE, TokenTree([-1]))


def as_method(method: Method | TokenTree) -> Method:
    """A bare tree stands for the method `sequoia` with it."""
    return method if isinstance(method, Method) else static_method("sequoia", method)


def _rule(name: str, known: dict[str, Rule]) -> Rule:
    if name not in known:
        raise InputError(f"There is no method '{name}' of this kind; choose {', '.join(known)}.")
    return known[name]
