"""Every method side by side in one run: interleaved, repeated, against our own plain decoding."""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from sequoia_core.decode.pair import Prompt
from sequoia_core.errors import InputError

Progress = Callable[[float, str], None]
BASELINE = "autoregressive"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One prompt continued by one method: new tokens, steps (target passes), wall seconds.

    seconds: the whole call. decode_seconds: those after the prompt was read, None where a method
    does not tell.
    """

    tokens: int
    steps: int
    seconds: float
    decode_seconds: float | None = None


Method = Callable[[Prompt], Outcome]


@dataclass(frozen=True, slots=True)
class Row:
    """One method over all prompts: medians over repeats; low and high are the extremes.

    speedup: tokens per second of whole calls over the baseline's of the same repeat.
    decode_speedup: the same without the reading of the prompt, which is what a plan predicts; None
    where a method does not tell. predicted_speedup and predicted_tokens_per_step: the planner's,
    None for methods without a plan.
    """

    method: str
    tokens_per_second: float
    tokens_per_step: float
    speedup: float
    speedup_low: float
    speedup_high: float
    decode_speedup: float | None
    predicted_speedup: float | None
    predicted_tokens_per_step: float | None


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the planner expects of a method."""

    speedup: float
    tokens_per_step: float


def benchmark(
    methods: Mapping[str, Method],
    prompts: Sequence[Prompt],
    *,
    repeats: int,
    predicted: Mapping[str, Prediction | None],
    progress: Progress = lambda fraction, text: None,
) -> list[Row]:
    """Run every method on every prompt `repeats` times, in a new order for each prompt.

    A first round on one prompt warms up and is not counted. Raises InputError where the baseline
    is missing.
    """
    if BASELINE not in methods:
        raise InputError(f"A benchmark needs the method {BASELINE} to compare with.")
    if not prompts or repeats < 1:
        raise InputError("A benchmark needs at least one prompt and one repeat.")
    for method in methods.values():
        method(prompts[0])
    order = random.Random(0)
    rounds: list[dict[str, list[Outcome]]] = []
    for repeat in range(repeats):
        outcomes: dict[str, list[Outcome]] = {name: [] for name in methods}
        for index, prompt in enumerate(prompts):
            done = (repeat + index / len(prompts)) / repeats
            progress(done, f"Repeat {repeat + 1} of {repeats}, prompt {index + 1}")
            for name in order.sample(list(methods), len(methods)):
                outcomes[name].append(methods[name](prompt))
        rounds.append(outcomes)
    progress(1.0, "Done")
    return [_row(name, rounds, predicted.get(name)) for name in methods]


def _row(name: str, rounds: list[dict[str, list[Outcome]]], predicted: Prediction | None) -> Row:
    rates = [_rate(outcomes[name]) for outcomes in rounds]
    speedups = [_rate(outcomes[name]) / _rate(outcomes[BASELINE]) for outcomes in rounds]
    everything = [outcome for outcomes in rounds for outcome in outcomes[name]]
    return Row(
        name,
        median(rates),
        sum(outcome.tokens for outcome in everything) / sum(o.steps for o in everything),
        median(speedups),
        min(speedups),
        max(speedups),
        _decode_speedup(name, rounds),
        predicted.speedup if predicted else None,
        predicted.tokens_per_step if predicted else None,
    )


def _rate(outcomes: list[Outcome]) -> float:
    return sum(o.tokens for o in outcomes) / sum(o.seconds for o in outcomes)


def _decode_speedup(name: str, rounds: list[dict[str, list[Outcome]]]) -> float | None:
    rates = [[_decode_rate(outcomes[each]) for each in (name, BASELINE)] for outcomes in rounds]
    if any(rate is None for pair in rates for rate in pair):
        return None
    return median(method / plain for method, plain in rates)


def _decode_rate(outcomes: list[Outcome]) -> float | None:
    if any(o.decode_seconds is None for o in outcomes):
        return None
    return sum(o.tokens for o in outcomes) / sum(o.decode_seconds for o in outcomes)


def timed(call: Callable[[], tuple[int, int, float | None]]) -> Outcome:
    """Run a call that returns (tokens, steps, seconds before decoding), and take wall seconds."""
    started = time.perf_counter()
    tokens, steps, before = call()
    seconds = time.perf_counter() - started
    return Outcome(tokens, steps, seconds, None if before is None else seconds - before)
