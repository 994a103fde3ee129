"""The walk of `walk`, on the device: one answer for the whole tree, read in one copy."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sequoia_core.decode.drafting import DraftedTree, TreePlan
from sequoia_core.decode.randomness import Randomness
from sequoia_core.decode.rules import Rule
from sequoia_core.decode.sampling import distribution
from sequoia_core.decode.settings import GenerationSettings
from sequoia_core.decode.trace import LEAF, RESIDUAL
from sequoia_core.decode.transfer import to_device
from sequoia_core.decode.tree_verification import Siblings, Verdicts, said
from sequoia_core.decode.walk import Walk


@dataclass(frozen=True, slots=True)
class Places:
    """A tree's index tensors, its nodes ordered by falling number of children.

    order: int64 [n], the node at each place. rows: int64 [parents], of a parent among the draft's
    distributions. children: int64 [parents, most + 1], the nodes; next: the places one goes to,
    whose last column is for no child and leads to itself. counts: see `Siblings`.
    """

    order: Tensor
    rows: Tensor
    children: Tensor
    exist: Tensor
    next: Tensor
    counts: list[int]
    root: Tensor
    depth: int

    @classmethod
    def of(cls, plan: TreePlan, device: torch.device) -> "Places":
        """The tensors for a plan's tree."""
        tree = plan.tree
        order = np.argsort(-tree.child_counts, kind="stable")
        place = np.argsort(order, kind="stable")
        parents = order[: np.count_nonzero(tree.child_counts)]
        counts = tree.child_counts[parents][:, None]
        # One column at least, so that the least rank of none is defined for a tree of one node.
        ranks = np.arange(max(1, int(tree.child_counts.max())))
        exist = ranks < counts
        children = np.where(exist, tree.first_children[parents][:, None] + ranks, 0)
        stay = np.arange(tree.size)[:, None]
        onward = np.repeat(stay, len(ranks) + 1, axis=1)
        onward[: len(parents), :-1] = np.where(exist, place[children], stay[: len(parents)])
        arrays = order, np.array(plan.row)[parents], children, exist, onward, place[:1]
        order, rows, children, exist, onward, root = (to_device(a, device) for a in arrays)
        by_rank = [int(np.count_nonzero(counts > rank)) for rank in ranks if counts.size]
        return cls(order, rows, children, exist, onward, by_rank, root, tree.depth)

    def siblings(self, token_ids: Tensor) -> Siblings:
        """All parents' children. token_ids: int64 [n], by node."""
        tokens = token_ids.index_select(0, self.children.flatten()).view_as(self.children)
        return Siblings(tokens, self.exist, self.counts)

    def path(self, ranks: Tensor) -> Tensor:
        """Places from the root on, int64 [depth + 1]; the last one repeats where the walk ends.

        ranks: int64 [parents], of the child that each parent accepts.
        """
        none = ranks.new_full((len(self.order) - len(ranks),), self.next.shape[1] - 1)
        onward = self.next.gather(1, torch.cat([ranks, none])[:, None])[:, 0]
        path = [self.root]
        for _ in range(self.depth):
            path.append(onward.index_select(0, path[-1]))
        return torch.cat(path)


class DeviceWalk:
    """Verifies drafted trees of one run, without waiting for the device but once at the end."""

    def __init__(self, settings: GenerationSettings, random: Randomness):
        self._settings, self._random = settings, random
        self._plan: TreePlan | None = None

    def __call__(self, drafted: DraftedTree, target_logits: Tensor, rule: Rule) -> Walk:
        """Walk from the root down. target_logits: [n, vocab]."""
        places = self._places_of(drafted.plan, target_logits.device)
        logits = target_logits.index_select(0, places.order)
        verdicts = self._verdicts(drafted, logits, places, rule)
        path = places.path(verdicts.ranks)
        last = path[-1:]
        row = verdicts.rest.index_select(0, last)
        if self._settings.temperature == 0:
            row = row.float().softmax(-1)
        if verdicts.tokens is None:
            token = self._random.tokens(row)
        else:
            token = verdicts.tokens.index_select(0, last)
        answer = [drafted.token_ids, places.order.index_select(0, path), token]
        # Tokens and nodes are exact in float64, as the probability is: one tensor, one copy.
        numbers = torch.cat([*(part.double() for part in answer), row.gather(1, token[None])[0]])
        return _read(drafted.plan, numbers.tolist())

    def _places_of(self, plan: TreePlan, device: torch.device) -> Places:
        if plan is not self._plan:
            self._plan, self._places = plan, Places.of(plan, device)
        return self._places

    def _verdicts(
        self, drafted: DraftedTree, logits: Tensor, places: Places, rule: Rule
    ) -> Verdicts:
        """All nodes' verdicts by place."""
        settings, siblings = self._settings, places.siblings(drafted.token_ids)
        if settings.temperature == 0:
            return said(logits, siblings, logits.float().argmax(-1))
        probs = distribution(logits, settings.temperature, settings.top_p)
        draft = drafted.probs().index_select(0, places.rows)
        return rule.verify_all(probs, draft, siblings, self._random)


def _read(plan: TreePlan, numbers: list[float]) -> Walk:
    """The walk that was copied to the host."""
    size = plan.tree.size
    token_ids = [int(number) for number in numbers[:size]]
    path = [int(number) for number in numbers[size + 1 : -2]]
    # Nodes grow along a path: the first that does not is where it ended.
    accepted = [node for node, before in zip(path, [0, *path], strict=False) if node > before]
    last = accepted[-1] if accepted else 0
    source = RESIDUAL if len(plan.tree.children(last)) else LEAF
    return Walk(token_ids, accepted, int(numbers[-2]), source, numbers[-1])
