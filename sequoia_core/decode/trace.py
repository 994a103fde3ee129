"""What one decoding step did, as plain data that can be drawn, saved and compared."""

from collections.abc import Sequence
from dataclasses import dataclass

from sequoia_core.tree.token_tree import TokenTree

ACCEPTED, REJECTED, UNREACHED = "accepted", "rejected", "unreached"
LEAF, RESIDUAL = "leaf", "residual"


@dataclass(frozen=True, slots=True)
class Nodes:
    """The drafted tree, one entry a node, breadth-first; node 0 is the last committed token.

    draft_prob and target_prob are the models' probabilities of the node's token given its path,
    after temperature and top-p; at temperature 0 they are those of temperature 1, since after it
    they would all be 0 or 1. The root's are 1.
    """

    parent: list[int]
    rank: list[int]
    token_id: list[int]
    text: list[str]
    draft_prob: list[float]
    target_prob: list[float]
    status: list[str]


def verdicts(tree: TokenTree, accepted: Sequence[int]) -> list[str]:
    """Accepted along the path; rejected where a child was tried in vain; the rest unreached."""
    status = [UNREACHED] * tree.size
    for node in [0, *accepted]:
        status[node] = ACCEPTED
        for sibling in tree.children(int(tree.parents[node])) if node else ():
            if sibling < node:
                status[sibling] = REJECTED
    for child in tree.children(accepted[-1] if accepted else 0):
        status[child] = REJECTED
    return status


@dataclass(frozen=True, slots=True)
class Bonus:
    """The step's last token: from a leaf's target distribution, or from a residual."""

    token_id: int
    text: str
    source: str
    prob: float


@dataclass(frozen=True, slots=True)
class Seconds:
    """Time of a step's parts: draft passes, the target pass, sampling and rule, cache commit.

    Where a run is steered, choosing the step's method counts as sampling.
    """

    draft: float
    verify: float
    sample: float
    commit: float

    @property
    def total(self) -> float:
        return self.draft + self.verify + self.sample + self.commit


@dataclass(frozen=True, slots=True)
class Decision:
    """A choice of method between two steps, by a run that is steered, and why.

    step: index of the first step that it holds for. before, after: the methods in words, `before`
    empty at a run's start. budget, depth: of what was chosen. reason: one sentence with numbers.
    """

    step: int
    before: str
    after: str
    budget: int
    depth: int
    reason: str


@dataclass(frozen=True, slots=True)
class StepTrace:
    """One step. `accepted` are node ids, root left out; `committed` ends with the bonus token.

    Where an end-of-text token or the token limit cuts a step short, `committed` is the part that
    was kept. `prefix_length` counts the tokens before the root, the prompt's included.
    `nodes` is None when tracing is off. `decision`: the choice of method that this step is the
    first to follow, None where there was none. captured: passes were captured in this step, once
    for all steps to come, and its seconds are so much longer.
    """

    index: int
    prefix_length: int
    accepted: list[int]
    bonus: Bonus
    committed: list[int]
    seconds: Seconds
    nodes: Nodes | None = None
    decision: Decision | None = None
    captured: bool = False


@dataclass(frozen=True, slots=True)
class RunSummary:
    """A finished run: what was written and how long it took, prefill apart.

    decisions: which methods a steered run chose, and why; empty for all others.
    """

    text: str
    token_ids: list[int]
    steps: int
    prefill_seconds: float
    decode_seconds: float
    stopped: str
    decisions: tuple[Decision, ...] = ()

    @property
    def tokens_per_step(self) -> float:
        return len(self.token_ids) / self.steps if self.steps else 0.0

    @property
    def tokens_per_second(self) -> float:
        return len(self.token_ids) / self.decode_seconds if self.decode_seconds else 0.0


@dataclass(frozen=True, slots=True)
class PlainRun:
    """Plain decoding of the same prompt, a token a step: what a run is measured against.

    token_ids, pieces (each token as text) and seconds have one entry a step.
    """

    token_ids: list[int]
    pieces: list[str]
    seconds: list[float]
    prefill_seconds: float

    @property
    def decode_seconds(self) -> float:
        return sum(self.seconds)


def pieces_of(step: StepTrace) -> tuple[str, ...]:
    """The texts of the tokens that a step committed; the step must have its nodes."""
    texts = [step.nodes.text[node] for node in step.accepted] + [step.bonus.text]
    return tuple(texts[: len(step.committed)])
