"""A finished run as it is kept: what was asked, what every step did, where and when it ran."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from sequoia_core.decode.settings import GenerationSettings
from sequoia_core.decode.trace import PlainRun, RunSummary, StepTrace, pieces_of
from sequoia_core.tree.token_tree import TokenTree


@dataclass(frozen=True, slots=True)
class Origin:
    """Which pair wrote a run, where and when; empty where that is not known.

    created: date and time in ISO 8601. versions: of python, torch and transformers. voices: the
    models whose text target and draft write, which for stand-ins are others than themselves.
    """

    target: str
    draft: str
    device: str = ""
    dtype: str = ""
    machine: str = ""
    created: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    voices: tuple[str, str] = ("", "")


@dataclass(frozen=True, slots=True)
class Ranks:
    """The rank sequence of a run's text for the rule sequoia: one entry a token, -1 for none."""

    width: int
    ranks: list[int]


@dataclass(frozen=True, slots=True)
class Predicted:
    """What the plan promised; None where it did not speak of the method."""

    speedup: float | None = None
    tokens_per_step: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedRun:
    """One run with all its steps.

    tree: that of every step, None for methods whose trees grow with the context. budget, depth:
    the most nodes and draft passes of a step. prompt: its text, empty where only its tokens are
    known. plain: plain decoding of the same prompt, None where it was not measured.
    """

    method: str
    rule: str
    tree: TokenTree | None
    budget: int
    depth: int
    settings: GenerationSettings
    prompt: str
    prompt_ids: list[int]
    steps: tuple[StepTrace, ...]
    summary: RunSummary
    origin: Origin
    plain: PlainRun | None = None
    ranks: Ranks | None = None
    predicted: Predicted = Predicted()

    @property
    def pieces(self) -> tuple[tuple[str, ...], ...]:
        """The texts of the tokens that each step committed."""
        return tuple(map(pieces_of, self.steps))


def largest(steps: Sequence[StepTrace]) -> tuple[int, int]:
    """Most nodes and levels below the root of any step's tree, for runs whose trees change."""
    trees = [TokenTree(step.nodes.parent) for step in steps]
    return max(tree.size for tree in trees), max(tree.depth for tree in trees)
