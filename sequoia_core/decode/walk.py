"""The accepted path through a drafted tree, and the bonus token at its end.

Lazily, node by node, as a CPU likes it; `device_walk` has the same for a GPU.
"""

from dataclasses import dataclass

from torch import Tensor

from sequoia_core.decode.drafting import DraftedTree, TreePlan
from sequoia_core.decode.randomness import Randomness
from sequoia_core.decode.rules import Rule
from sequoia_core.decode.sampling import distribution
from sequoia_core.decode.settings import GenerationSettings
from sequoia_core.decode.trace import LEAF, RESIDUAL

# Logits up to which one call for all nodes takes less than a call for each node visited.
AT_ONCE = 2**16


@dataclass(frozen=True, slots=True)
class Walk:
    """token_ids: the drafted tokens, on the host. accepted: node ids on the path, root left out.
    bonus: its token, source and probability.
    """

    token_ids: list[int]
    accepted: list[int]
    bonus_token: int
    bonus_source: str
    bonus_prob: float


class LazyWalk:
    """Verifies drafted trees of one run; nothing is computed that the walk does not come by."""

    def __init__(self, settings: GenerationSettings, random: Randomness):
        self._settings, self._random = settings, random

    def __call__(self, drafted: DraftedTree, target_logits: Tensor, rule: Rule) -> Walk:
        """Walk from the root down. target_logits: [n, vocab]."""
        token_ids = drafted.token_ids.tolist()
        if self._settings.temperature == 0:
            return _walk_greedily(drafted.plan, token_ids, target_logits)
        return self._walk_sampling(drafted, token_ids, target_logits, rule)

    def _walk_sampling(
        self, drafted: DraftedTree, token_ids: list[int], target_logits: Tensor, rule: Rule
    ) -> Walk:
        plan, random = drafted.plan, self._random
        temperature, top_p = self._settings.temperature, self._settings.top_p
        node, accepted = 0, []
        drawn_from, rows = drafted.rows(), None
        if target_logits.numel() <= AT_ONCE:
            rows = distribution(target_logits, temperature, top_p)
        while True:
            if rows is None:
                probs = distribution(target_logits[node], temperature, top_p)
            else:
                probs = rows[node]
            children = plan.tree.children(node)
            if not children:
                token = random.token(probs)
                return Walk(token_ids, accepted, token, LEAF, float(probs[token]))
            tokens = token_ids[children.start : children.stop]
            verdict = rule.verify(probs, drawn_from[plan.row[node]], tokens, random)
            if verdict.rank is None:
                return Walk(token_ids, accepted, verdict.token, RESIDUAL, verdict.prob)
            node = children[verdict.rank]
            accepted.append(node)


def _walk_greedily(plan: TreePlan, token_ids: list[int], target_logits: Tensor) -> Walk:
    """Temperature 0, where all rules are one: go to the child that is the target's choice."""
    # In float32, which a CPU searches several times as fast as bfloat16.
    best = target_logits.float().argmax(-1).tolist()
    node, accepted = 0, []
    while True:
        children = plan.tree.children(node)
        child = next((c for c in children if token_ids[c] == best[node]), None)
        if child is None:
            source = RESIDUAL if len(children) else LEAF
            prob = float(target_logits[node].float().softmax(-1)[best[node]])
            return Walk(token_ids, accepted, best[node], source, prob)
        accepted.append(child)
        node = child
