"""The accepted path through a drafted tree, and the bonus token at its end."""

from dataclasses import dataclass

import torch
from torch import Tensor

from sequoia_core.decode.drafting import DraftedTree, TreePlan
from sequoia_core.decode.sampling import distribution, draw
from sequoia_core.decode.settings import GenerationSettings
from sequoia_core.decode.trace import LEAF, RESIDUAL
from sequoia_core.decode.verification import verify_children


@dataclass(frozen=True, slots=True)
class Walk:
    """accepted: node ids on the path, root left out. bonus: its token, source and probability."""

    accepted: list[int]
    bonus_token: int
    bonus_source: str
    bonus_prob: float

    @property
    def last(self) -> int:
        """The node from which the bonus token was drawn."""
        return self.accepted[-1] if self.accepted else 0


def walk_tree(
    plan: TreePlan,
    drafted: DraftedTree,
    token_ids: list[int],
    target_logits: Tensor,
    settings: GenerationSettings,
    generator: torch.Generator,
) -> Walk:
    """Verify from the root down. token_ids: the drafted tokens on the host; logits: [n, vocab]."""
    if settings.temperature == 0:
        return _walk_greedily(plan, token_ids, target_logits)
    return _walk_sampling(plan, drafted, token_ids, target_logits, settings, generator)


def _walk_greedily(plan: TreePlan, token_ids: list[int], target_logits: Tensor) -> Walk:
    """Temperature 0: go to the child that is the target's most probable token, while there is."""
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
    plan: TreePlan,
    drafted: DraftedTree,
    token_ids: list[int],
    target_logits: Tensor,
    settings: GenerationSettings,
    generator: torch.Generator,
) -> Walk:
    node, accepted = 0, []
    while True:
        probs = distribution(target_logits[node], settings.temperature, settings.top_p)
        children = plan.tree.children(node)
        if not children:
            token = draw(probs, generator)
            return Walk(accepted, token, LEAF, float(probs[token]))
        uniforms = torch.rand(len(children), generator=generator, device=probs.device)
        tokens = token_ids[children.start : children.stop]
        rank, rest = verify_children(probs, drafted.probs[plan.row[node]], tokens, uniforms)
        if rank is None:
            token = draw(rest, generator)
            return Walk(accepted, token, RESIDUAL, float(rest[token]))
        node = children[rank]
        accepted.append(node)
