"""The drafted nodes of a step as plain data, made outside the time measured."""

from collections.abc import Callable

import torch
from torch import Tensor

from sequoia_core.decode.drafting import DraftedTree
from sequoia_core.decode.sampling import distribution, draft_distribution
from sequoia_core.decode.settings import GenerationSettings
from sequoia_core.decode.trace import Nodes, verdicts
from sequoia_core.decode.walk import Walk


def node_trace(
    drafted: DraftedTree,
    target_logits: Tensor,
    walk: Walk,
    settings: GenerationSettings,
    piece: Callable[[int], str],
) -> Nodes:
    """Tokens, probabilities and verdicts of all nodes. target_logits: [n, vocab]."""
    tree = drafted.plan.tree
    draft_probs, target_probs = _probabilities(drafted, target_logits, settings)
    return Nodes(
        tree.parents.tolist(),
        tree.ranks.tolist(),
        walk.token_ids,
        [piece(token) for token in walk.token_ids],
        [1.0, *draft_probs],
        [1.0, *target_probs],
        verdicts(tree, walk.accepted),
    )


@torch.inference_mode()
def _probabilities(
    drafted: DraftedTree, target_logits: Tensor, settings: GenerationSettings
) -> tuple[list[float], list[float]]:
    """Of every drafted node's token given its path: the draft's and the target's."""
    plan = drafted.plan
    if plan.tree.size == 1:
        return [], []
    temperature = settings.temperature or 1.0
    top_p = settings.top_p if settings.temperature else 1.0
    parents = torch.tensor(plan.tree.parents[1:], dtype=torch.long, device=target_logits.device)
    rows = torch.tensor(plan.row, device=parents.device)[parents]
    expanded, place = parents.unique(return_inverse=True)
    tokens = drafted.token_ids[1:]
    draft = draft_distribution(drafted.logits(), temperature, top_p)[rows, tokens]
    target = distribution(target_logits[expanded], temperature, top_p)[place, tokens]
    return draft.tolist(), target.tolist()
