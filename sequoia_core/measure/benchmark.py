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
    """One prompt continued by one method: new tokens, steps (target passes), wall seconds."""

    tokens: int
    steps: int
    seconds: float


Method = Callable[[Prompt], Outcome]


@dataclass(frozen=True, slots=True)
class Row:
    """One method over all prompts: medians over repeats; low and high are the extremes.

    speedup: tokens per second over the baseline's of the same repeat. predicted_speedup: the
    planner's, None for methods without a plan.
    """

    method: str
    tokens_per_second: float
    tokens_per_step: float
    speedup: float
    speedup_low: float
    speedup_high: float
    predicted_speedup: float | None


def benchmark(
    methods: Mapping[str, Method],
    prompts: Sequence[Prompt],
    *,
    repeats: int,
    predicted: Mapping[str, float],
    progress: Progress = lambda fraction, text: None,
) -> list[Row]:
    """Run every method on every prompt `repeats` times, in a new order for each prompt.

    A first round on one prompt warms up and is not counted. Seconds are wall seconds of the whole
    call, the reading of the prompt included. Raises InputError where the baseline is missing.
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


def _row(name: str, rounds: list[dict[str, list[Outcome]]], predicted: float | None) -> Row:
    rates = [_rate(outcomes[name]) for outcomes in rounds]
    speedups = [
        rate / _rate(outcomes[BASELINE]) for rate, outcomes in zip(rates, rounds, strict=True)
    ]
    everything = [outcome for outcomes in rounds for outcome in outcomes[name]]
    return Row(
        name,
        median(rates),
        sum(outcome.tokens for outcome in everything) / sum(o.steps for o in everything),
        median(speedups),
        min(speedups),
        max(speedups),
        predicted,
    )


def _rate(outcomes: list[Outcome]) -> float:
    return sum(o.tokens for o in outcomes) / sum(o.seconds for o in outcomes)


def timed(call: Callable[[], tuple[int, int]]) -> Outcome:
    """Run a call that returns (tokens, steps), and take its wall seconds."""
    started = time.perf_counter()
    tokens, steps = call()
    return Outcome(tokens, steps, time.perf_counter() - started)
