"""What one tuning is asked to do, and the pair it is done with, loaded when it is first needed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sequoia_core.decode.engine import Engine, GenerationSettings
from sequoia_core.decode.methods import plain_method
from sequoia_core.decode.pair import ModelPair, Prompt
from sequoia_core.errors import InputError
from sequoia_core.files import check_flag, check_text
from sequoia_core.measure.profiler import CONTEXT, fastest
from sequoia_core.measure.tune.amounts import Amounts
from sequoia_core.measure.tune.progress import Journey
from sequoia_core.measure.tune.store import Store

PAIR_PART = "pair"
# The profiler leaves so many tokens of the context to its own runs.
CONTEXT_ROOM = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One tuning.

    name: what the report calls itself. load: gives the pair in a dtype; dtypes: those to choose
    the fastest of. encode: makes prompts of texts. calibration, benchmark: two sets of texts, apart
    from each other. settings: all that results depend on, for the store; shown in the report.
    machine: words about the machine, by name.
    """

    name: str
    load: Callable[[str], ModelPair]
    dtypes: Sequence[str]
    encode: Callable[[ModelPair, Sequence[str]], list[Prompt]]
    calibration: Sequence[str]
    benchmark: Sequence[str]
    generation: GenerationSettings
    amounts: Amounts
    settings: Mapping[str, Any]
    machine: Mapping[str, str]

    def __post_init__(self) -> None:
        if len(self.calibration) < 2 or not self.benchmark:
            raise InputError(
                "Tuning needs at least 2 prompts to calibrate and 1 to measure with, got "
                f"{len(self.calibration)} and {len(self.benchmark)}: give more prompts."
            )


@dataclass(frozen=True, slots=True)
class Chosen:
    """What is known of the pair without loading it. why: how the dtype was chosen, or empty.

    trees: whether the pair takes trees; reason: why it does not. device: where it was loaded.
    voices: the models whose text it writes, others than itself for stand-ins.
    """

    dtype: str
    why: str
    target: str
    draft: str
    trees: bool
    reason: str
    device: str
    voices: tuple[str, str]

    def __post_init__(self) -> None:
        for name in ("dtype", "why", "target", "draft", "reason", "device"):
            check_text(getattr(self, name), name)
        for voice in self.voices:
            check_text(voice, "voices")
        check_flag(self.trees, "trees")


class Models:
    """The pair of a task: which one is in the store, the models themselves wait to be asked for."""

    def __init__(self, task: Task, store: Store, journey: Journey):
        self._task, self._journey = task, journey
        self._pair: ModelPair | None = None
        self.chosen = self._known(store) or self._choose(store)

    @property
    def pair(self) -> ModelPair:
        """The loaded pair; its prompts have been checked to fit."""
        if self._pair is None:
            self._pair = self._load(self.chosen.dtype)
        return self._pair

    @property
    def context_length(self) -> int:
        """Tokens before the passes that are profiled."""
        return min(CONTEXT, max(1, self.pair.context_length - CONTEXT_ROOM))

    def _load(self, dtype: str) -> ModelPair:
        self._journey.note(f"loading the pair in {dtype}")
        pair = self._task.load(dtype)
        self._check_prompts(pair)
        return pair

    def _check_prompts(self, pair: ModelPair) -> None:
        """A prompt that does not fit is found before the first measurement, not after it."""
        engine, plain = Engine(pair), plain_method()
        for texts in (self._task.calibration, self._task.benchmark):
            for prompt in self._task.encode(pair, texts):
                engine.run(prompt, self._task.generation, plain, trace=False)

    def _known(self, store: Store) -> Chosen | None:
        part = store.read(PAIR_PART)
        if part is None:
            return None
        try:
            target, draft = part.content["voices"]
            return Chosen(**part.content | {"voices": (target, draft)})
        except (InputError, TypeError, KeyError, ValueError) as error:
            raise store.unusable(PAIR_PART) from error

    def _choose(self, store: Store) -> Chosen:
        """The dtype in which the target is fastest, of several; loaded, and noted."""
        pairs, why = [self._load(dtype) for dtype in self._task.dtypes], ""
        self._pair = pairs[0]
        if len(pairs) > 1:
            self._journey.note(f"trying {' and '.join(self._task.dtypes)}")
            context = min(CONTEXT, max(1, pairs[0].context_length - CONTEXT_ROOM))
            self._pair, why = fastest(pairs, context)
        pair, support = self._pair, self._pair.shape_support
        chosen = Chosen(
            pair.dtype,
            why,
            pair.target.name,
            pair.draft.name,
            support.trees,
            support.reason,
            str(pair.device),
            tuple(pair.voices),
        )
        fields = {name: getattr(chosen, name) for name in Chosen.__slots__}
        store.write(PAIR_PART, fields, 0.0)
        return chosen
