"""Methods of our engine, each as a function of a prompt, for a benchmark."""

import time
from collections.abc import Callable
from dataclasses import replace

from sequoia_core.decode import methods
from sequoia_core.decode.engine import Engine, GenerationSettings
from sequoia_core.decode.pair import ModelPair, Prompt
from sequoia_core.decode.steering import Steering
from sequoia_core.decode.timing import PARTS
from sequoia_core.decode.trace import Seconds
from sequoia_core.measure.comparison import Outcome

Method = Callable[..., Outcome]
GoOn = Callable[[], None]


def always() -> None:
    """Nothing ends the run."""


def engine_method(
    pair: ModelPair,
    settings: GenerationSettings,
    method: methods.Method | Steering,
    go_on: GoOn = always,
) -> Method:
    """A method of our engine, or one that is steered and keeps what it learns.

    go_on: called in every step, to end the run by raising. All methods here may be given a seed
    that takes the place of the settings'.
    """
    engine = Engine(pair)

    def run(prompt: Prompt, seed: int | None = None) -> Outcome:
        own = seeded(settings, seed)
        parts, hits = dict.fromkeys(PARTS, 0.0), 0
        started = time.perf_counter()
        generation = engine.run(prompt, own, method, trace=False)
        before = time.perf_counter() - started
        for step in generation:
            go_on()
            hits += bool(step.accepted)
            for part in PARTS:
                parts[part] += getattr(step.seconds, part)
        seconds = time.perf_counter() - started
        written = tuple(generation.token_ids)
        decoding = seconds - before - generation.prefill_seconds
        return Outcome(
            len(written), generation.steps, seconds, decoding, Seconds(**parts), hits, written
        )

    return run


def seeded(settings: GenerationSettings, seed: int | None) -> GenerationSettings:
    """The settings with this seed in the place of their own, if there is one."""
    return settings if seed is None else replace(settings, seed=seed)
