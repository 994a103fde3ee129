"""Do captured passes write what dynamic ones write, and which could be captured at all?"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sequoia_core.decode.capture import Capture
from sequoia_core.decode.engine import Engine, GenerationSettings
from sequoia_core.decode.pair import ModelPair
from sequoia_core.measure.proof import GREEDY_TREE, GreedyRow, method_with, parting

Progress = Callable[[float, str], None]


@dataclass(frozen=True, slots=True)
class Captured:
    """How many shapes of pass a model had captured, and why no more; "" where all that recurred."""

    model: str
    passes: int
    refused: str


@dataclass(frozen=True, slots=True)
class GraphCheck:
    """Greedy texts with captured passes against those without, and what was captured."""

    rows: list[GreedyRow]
    models: list[Captured]

    @property
    def passed(self) -> bool:
        """Every text is the same, or parts at a near-tie."""
        return all(row.passed for row in self.rows)


def check_graphs(
    pair: ModelPair,
    names: Sequence[str],
    prompts: Sequence[str],
    new_tokens: int,
    capture: Capture | None,
    progress: Progress = lambda fraction, text: None,
) -> GraphCheck:
    """Every method's text at temperature 0, dynamically and with passes captured by this means.

    The pair's models keep what was captured.
    """
    texts = []
    for means, words in ((None, "without graphs"), (capture, "with graphs")):
        for model in (pair.target, pair.draft):
            model.use_static_passes(means)
        texts.append(_texts(pair, names, prompts, new_tokens, words, progress))
    return GraphCheck(
        [_row(pair, name, prompts, *(side[name] for side in texts)) for name in names],
        [_captured(model) for model in (pair.target, pair.draft)],
    )


def _texts(
    pair: ModelPair,
    names: Sequence[str],
    prompts: Sequence[str],
    new_tokens: int,
    words: str,
    progress: Progress,
) -> dict[str, list[list[int]]]:
    """By method, the text after every prompt."""
    engine, settings = Engine(pair), GenerationSettings(max_new_tokens=new_tokens)
    texts: dict[str, list[list[int]]] = {}
    for index, name in enumerate(names):
        progress(index / len(names), f"{name} {words}")
        method = method_with(name, GREEDY_TREE)
        runs = [engine.run(prompt, settings, method, trace=False) for prompt in prompts]
        texts[name] = [[token for step in run for token in step.committed] for run in runs]
    return texts


def _row(
    pair: ModelPair,
    name: str,
    prompts: Sequence[str],
    without: list[list[int]],
    captured: list[list[int]],
) -> GreedyRow:
    partings = [
        parting(pair, index, pair.encode(prompt), ours, theirs)
        for index, (prompt, ours, theirs) in enumerate(zip(prompts, captured, without, strict=True))
        if ours != theirs
    ]
    return GreedyRow(name, len(prompts), len(prompts) - len(partings), partings)


def _captured(model) -> Captured:
    static = model.static
    if static is None:
        return Captured(model.name, 0, "this device has no graphs, or the model does not take them")
    return Captured(model.name, len(static), static.refused)
