"""Growing trees: best-first, while they are drafted, so that their shape follows the context.

Every draw has a value, what is known of it before it is made, and once made a mass, the estimated
chance that the walk reaches its token; the draft's probabilities are all there is to estimate from.
The tree is the `budget - 1` draws of greatest value. No value exceeds the mass of the node drawn at
or the value of the sibling before, so those draws form a tree.

Drawing is batched: a pass continues the several nodes of greatest mass at once, and draws that
later turn out not to be among the best are dropped as if never made. That is lossless. Whether a
draw stays depends on the draws of greater value alone, and its own token moves nothing but the
values of later siblings and of descendants, none of which is greater. Ties go to the draw made
first.

SpecExec, arXiv 2406.02532 (values known in advance); DySpec, arXiv 2410.11744 (drawn, without
replacement, so that Sequoia's verification holds).
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sequoia_core.decode.drafting import DraftedTree, Drafter, Drafting, TreePlan
from sequoia_core.decode.pair import ModelPair
from sequoia_core.decode.sampling import distribution
from sequoia_core.decode.transfer import to_device, to_host
from sequoia_core.errors import InputError
from sequoia_core.tree.token_tree import MAX_NODES, TokenTree

MAX_CHILDREN = 32
# Both measured on the bundled pair (docs/METHODS.md); a tree of any worth is lossless.
# At temperature 0 a child counts for the chance that it is the target's first choice, and that is
# closer to the draft's probability at this temperature than to that at 1.
FIRST_CHOICE_TEMPERATURE = 0.5
# A drawn token is accepted with chance min(1, R / D), far oftener than the draft says it. The
# estimate is D to this power; DySpec's is D itself.
ACCEPTANCE_POWER = 0.25
ROOT, UNOPENED = 0, -1

# parent: pass row of the node drawn at; row: its own once the draft has been asked to continue it.
DRAW = np.dtype(
    [
        ("parent", np.int32),
        ("rank", np.int32),
        ("depth", np.int32),
        ("token", np.int64),
        ("value", np.float64),
        ("mass", np.float64),
        ("row", np.int32),
    ],
    align=True,
)


@dataclass(frozen=True, slots=True)
class GrownTree:
    """A tree of at most `budget` nodes and `depth` levels below the root, shaped by the context.

    beam: most nodes that one draft pass continues; None for twice the mean width of a level.
    """

    budget: int
    depth: int
    beam: int | None = None

    def __post_init__(self) -> None:
        if not 2 <= self.budget <= MAX_NODES:
            raise InputError(
                f"A grown tree needs a budget of 2 to {MAX_NODES} tokens, got {self.budget}."
            )
        if not 1 <= self.depth < self.budget:
            raise InputError(
                f"A grown tree of {self.budget} tokens is 1 to {self.budget - 1} deep, "
                f"got {self.depth}."
            )
        if self.beam is not None and self.beam < 1:
            raise InputError(f"The beam must be at least 1 node, got {self.beam}.")

    @property
    def width(self) -> int:
        """Nodes continued in one draft pass at the most."""
        return self.beam or -(-2 * (self.budget - 1) // self.depth)

    @property
    def slots(self) -> int:
        """Most uncommitted tokens that either cache holds."""
        return max(self.budget, self.width * (self.depth - 1))

    def check(self, pair: ModelPair) -> None:
        """Raise ModelError for a pair that cannot be drafted with branching trees."""
        pair.check_branching()

    def drafter(self, drafting: Drafting) -> Drafter:
        """Grows a new tree in every step, no deeper than there is room for."""

        def draft(missing: list[int], room: int) -> DraftedTree:
            return grow_tree(drafting, self, missing, min(self.depth, room))

        return draft


def grow_tree(drafting: Drafting, shape: GrownTree, missing: list[int], depth: int) -> DraftedTree:
    """Draft and shape a tree in at most `depth` passes. `missing`: committed tokens not yet seen.

    The last of `missing` is the root.
    """
    draft, vocab, watch = drafting.draft, drafting.vocab, drafting.watch
    growth = _Growth(shape.budget - 1, depth, shape.width)
    passes = []
    start = draft.length + len(missing) - 1
    while len(growth.opened):
        with watch.part("draft"):
            if not passes:
                logits = draft.append(missing, recurring=True)[None, :vocab]
            else:
                tokens, depths, visible = growth.queries(draft.device)
                logits = draft.forward(tokens, depths + start, visible)[:, :vocab]
        with watch.part("sample"):
            drawn, drawn_from = drafting.rule.draw(
                logits, min(growth.useful_draws, vocab), drafting.settings, drafting.random
            )
            tokens, chances = to_host(drawn, _chances(drafting, logits, drawn_from, drawn))
            growth.add(tokens, chances, drafting.rule.foresees(drafting.settings))
        passes.append((drawn_from, logits))
    with watch.part("sample"):
        plan, tokens = growth.finish(draft.device)
        token_ids = to_device([missing[-1], *tokens], draft.device)
    return DraftedTree(plan, token_ids, passes)


def _chances(drafting: Drafting, logits: Tensor, drawn_from: Tensor, drawn: Tensor) -> Tensor:
    """The draft's probability of each drawn token given its path, float64 [rows, count].

    Where the children are foreseen, the estimate of the target's, so without top-p.
    """
    if drafting.rule.foresees(drafting.settings):
        temperature = drafting.settings.temperature or FIRST_CHOICE_TEMPERATURE
        drawn_from = distribution(logits, temperature, 1.0)
    return drawn_from.gather(-1, drawn).double()


def _known(base: np.ndarray, chances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values and masses of children known in advance, most probable first: base times chance."""
    masses = base * chances
    return masses, masses


def _drawn(base: np.ndarray, chances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values and masses of children drawn without replacement from nodes of mass `base`, [rows, 1].

    A draw's value is the chance that it is reached: its node is, and the siblings before are all
    rejected. Once its token is known, its mass is that chance times its own acceptance.
    """
    left = 1 - np.cumsum(chances, axis=1) + chances
    accepted = np.clip(chances / np.maximum(left, 1e-9), 0, 1) ** ACCEPTANCE_POWER
    rejected = np.cumprod(1 - accepted, axis=1)
    values = base * np.concatenate([np.ones_like(base), rejected[:, :-1]], axis=1)
    return values, values * accepted


class _Growth:
    """The draws made so far that are among the best, and the nodes the next pass continues."""

    def __init__(self, room: int, depth: int, beam: int):
        self.room, self.beam = room, beam
        self._passes_left = depth
        self.kept = np.zeros(0, DRAW)
        # By pass row: the rows on the path from below the root to the node, itself included.
        self._paths: list[list[int]] = [[]]
        root = np.array([(UNOPENED, 0, 0, -1, 1.0, 1.0, ROOT)], DRAW)
        self.opened = root[: self._passes_left]

    @property
    def useful_draws(self) -> int:
        """More children of one node than this could not all be among the best."""
        ahead = np.count_nonzero(self.kept["value"] >= self.opened["mass"].max())
        return min(self.room - ahead, MAX_CHILDREN)

    def queries(self, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
        """Tokens and depths of the opened nodes, and which pending slots each one sees."""
        rows = self.opened["row"]
        visible = np.zeros((len(rows), len(self._paths) - 1), dtype=bool)
        for query, row in enumerate(rows):
            visible[query, np.array(self._paths[row]) - 1] = True
        arrays = self.opened["token"].copy(), self.opened["depth"].copy(), visible
        tokens, depths, visible = (to_device(array, device) for array in arrays)
        return tokens, depths, visible

    def add(self, tokens: np.ndarray, chances: np.ndarray, foreseen: bool) -> None:
        """Take in the draws at the opened nodes, keep the best, open the next pass's nodes.

        tokens, chances: [opened, count], the draft's probability of each given its path. foreseen:
        tokens are known before they are drawn, and so may count for the value of their own draw.
        """
        values, masses = (_known if foreseen else _drawn)(self.opened["mass"][:, None], chances)
        new = np.zeros(tokens.shape, DRAW)
        new["parent"] = self.opened["row"][:, None]
        new["rank"] = np.arange(tokens.shape[1])
        new["depth"] = self.opened["depth"][:, None] + 1
        new["token"], new["value"], new["mass"] = tokens, values, masses
        new["row"] = UNOPENED
        draws = np.concatenate([self.kept, new.ravel()])
        draws = draws[draws["value"] > 0]
        self.kept = draws[np.argsort(-draws["value"], kind="stable")[: self.room]]
        self._open()

    def _open(self) -> None:
        """Choose the nodes that the next pass continues: those whose children may be kept.

        A tree's depth is its passes: a pass continues nodes that earlier passes made.
        """
        self._passes_left -= 1
        least = self.kept["value"][-1] if len(self.kept) == self.room else 0.0
        unopened = self.kept["row"] == UNOPENED
        candidates = np.flatnonzero(unopened & (self.kept["mass"] > least))
        beam = self.beam if self._passes_left else 0
        best = np.argsort(-self.kept["mass"][candidates], kind="stable")[:beam]
        chosen = candidates[best]
        first = len(self._paths)
        self.kept["row"][chosen] = np.arange(first, first + len(chosen))
        for draw in self.kept[chosen]:
            self._paths.append([*self._paths[draw["parent"]], int(draw["row"])])
        self.opened = self.kept[chosen]

    def finish(self, device: torch.device) -> tuple[TreePlan, list[int]]:
        """The tree of the draws kept, breadth-first, and their tokens."""
        children: dict[int, list] = {}
        for draw in self.kept[np.argsort(self.kept["rank"], kind="stable")].tolist():
            children.setdefault(draw[0], []).append(draw)
        parents, tokens, rows = [-1], [], [ROOT]
        node = 0
        while node < len(rows):
            for _, _, _, token, _, _, row in children.get(rows[node], ()):
                parents.append(node)
                tokens.append(token)
                rows.append(row)
            node += 1
        return TreePlan.grown(TokenTree(parents), rows, device), tokens
