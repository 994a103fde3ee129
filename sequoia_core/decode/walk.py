"""The accepted path through a drafted tree, and the bonus token at its end."""

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
    """accepted: node ids on the path, root left out. bonus: its token, source and probability."""

    accepted: list[int]
    bonus_token: int
    bonus_source: str
    bonus_prob: float


def walk_tree(
    drafted: DraftedTree,
    token_ids: list[int],
    target_logits: Tensor,
    rule: Rule,
    settings: GenerationSettings,
    random: Randomness,
) -> Walk:
    """Verify from the root down. token_ids: the drafted tokens on the host; logits: [n, vocab]."""
    if settings.temperature == 0:
        return _walk_greedily(drafted.plan, token_ids, target_logits)
    return _walk_sampling(drafted, token_ids, target_logits, rule, settings, random)


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
            return Walk(accepted, best[node], source, prob)
        accepted.append(child)
        node = child


def _walk_sampling(
    drafted: DraftedTree,
    token_ids: list[int],
    target_logits: Tensor,
    rule: Rule,
    settings: GenerationSettings,
    random: Randomness,
) -> Walk:
    plan = drafted.plan
    node, accepted = 0, []
    if target_logits.numel() <= AT_ONCE:
        rows = distribution(target_logits, settings.temperature, settings.top_p)
    else:
        rows = None
    while True:
        if rows is None:
            probs = distribution(target_logits[node], settings.temperature, settings.top_p)
        else:
            probs = rows[node]
        children = plan.tree.children(node)
        if not children:
            token = random.token(probs)
            return Walk(accepted, token, LEAF, float(probs[token]))
        tokens = token_ids[children.start : children.stop]
        verdict = rule.verify(probs, drafted.probs[plan.row[node]], tokens, random)
        if verdict.rank is None:
            return Walk(accepted, verdict.token, RESIDUAL, verdict.prob)
        node = children[verdict.rank]
        accepted.append(node)
