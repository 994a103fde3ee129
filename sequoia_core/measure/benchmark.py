"""Methods of any kind side by side in one run: interleaved, repeated, against plain decoding."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from sequoia_core.decode.pair import Prompt
from sequoia_core.measure.compare import Arm, compare
from sequoia_core.measure.comparison import BASELINE, Entry, Outcome, Progress, Run
from sequoia_core.measure.methods import Method

__all__ = ["BASELINE", "Method", "Outcome", "Prediction", "Row", "benchmark"]


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
    arms = [Arm(Entry(name, None), _unseeded(method)) for name, method in methods.items()]
    runs = compare(arms, prompts, repeats=repeats, progress=progress)
    by_method: dict[str, list[list[Run]]] = {name: [[] for _ in range(repeats)] for name in methods}
    for run in runs:
        by_method[run.method][run.repeat].append(run)
    return [
        _row(name, own, by_method[BASELINE], predicted.get(name)) for name, own in by_method.items()
    ]


def _unseeded(method: Method) -> Callable[[Prompt, int], Outcome]:
    """Methods that come from outside have their seed already."""
    return lambda prompt, seed: method(prompt)


def _row(
    name: str, own: list[list[Run]], plain: list[list[Run]], predicted: Prediction | None
) -> Row:
    """own, plain: the runs of every repeat."""
    rates, plain_rates = [_rate(runs) for runs in own], [_rate(runs) for runs in plain]
    speedups = [rate / other for rate, other in zip(rates, plain_rates, strict=True)]
    everything = [run for runs in own for run in runs]
    return Row(
        name,
        median(rates),
        sum(run.tokens for run in everything) / sum(run.steps for run in everything),
        median(speedups),
        min(speedups),
        max(speedups),
        _decode_speedup(own, plain),
        predicted.speedup if predicted else None,
        predicted.tokens_per_step if predicted else None,
    )


def _rate(runs: list[Run]) -> float:
    return sum(run.tokens for run in runs) / sum(run.seconds for run in runs)


def _decode_speedup(own: list[list[Run]], plain: list[list[Run]]) -> float | None:
    rates = [[_decode_rate(runs) for runs in pair] for pair in zip(own, plain, strict=True)]
    if any(rate is None for pair in rates for rate in pair):
        return None
    return median(method / plain for method, plain in rates)


def _decode_rate(runs: list[Run]) -> float | None:
    if any(run.decode_seconds is None for run in runs):
        return None
    return sum(run.tokens for run in runs) / sum(run.decode_seconds for run in runs)
