"""The stage that benchmarks: the plan's tree and chain against plain decoding, round by round."""

import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

from sequoia_core.decode.methods import plain_method, static_method
from sequoia_core.decode.pair import Prompt
from sequoia_core.errors import InputError
from sequoia_core.files import check_number
from sequoia_core.measure.benchmark import BASELINE, Method, Outcome
from sequoia_core.measure.methods import engine_method
from sequoia_core.measure.tune.amounts import Amounts
from sequoia_core.measure.tune.intervals import Totals, speedup
from sequoia_core.measure.tune.planning import Planned
from sequoia_core.measure.tune.progress import Journey
from sequoia_core.measure.tune.store import Part, Store
from sequoia_core.measure.tune.task import Models, Task
from sequoia_core.plan.plan import Plan
from sequoia_core.report.measured import CHAIN_ROW, TREE_ROW, MeasuredRow, Ratio
from sequoia_core.report.report import Reached

STAGE = "benchmark"
SETUP_PART, PART = "benchmark-prompts", "benchmark"
# An interval over fewer prompts says nothing, so a slow machine takes the time for these.
MOST_PROMPTS, FEWEST_PROMPTS = 10, 5

Round = list[dict[str, Outcome]]
# One method's outcomes: for every round those of the prompts in order.
Calls = Sequence[Sequence[Outcome]]


@dataclass(frozen=True, slots=True)
class Measured:
    """rows: of all methods. gain: the tree's rate over the chain's, None where one is missing."""

    rows: tuple[MeasuredRow, ...]
    gain: Ratio | None


def benchmark_stage(
    store: Store, models: Models, task: Task, planned: Planned, journey: Journey
) -> tuple[Measured, Reached]:
    """What the plan's tree and chain come to, from rounds in the store and rounds measured now.

    Every round takes every prompt by every method in a new order, and counts once it is whole; what
    a round has of it is kept prompt by prompt. Before anything is timed each method runs once.
    """
    amounts, part = task.amounts, store.read(PART)
    rounds, spent = _read(store, part) if part else ([], 0.0)
    count = _prompt_count(store)
    if count and _is_over(rounds, count, spent, amounts.rounds, amounts.benchmark_seconds):
        journey.taken(STAGE, f"taken from {store.folder}, {part.ago}")
    else:
        bench = _Bench(store, models, task, planned, journey)
        count = count or bench.choose_prompts()
        rounds, spent = bench.measure(rounds, spent, count)
    whole = [each for each in rounds if len(each) == count]
    rounds_words = f"{len(whole)} round{'s' if len(whole) > 1 else ''}"
    words = f"{rounds_words} of {count} prompts, {task.generation.max_new_tokens} new tokens"
    return _measured(whole, planned), Reached(STAGE, spent, amounts.benchmark_seconds, words)


def _is_over(rounds: list[Round], prompts: int, spent: float, most: int, limit: float) -> bool:
    """Whether enough whole rounds are there, or another one would go beyond the limit."""
    whole = sum(len(each) == prompts for each in rounds)
    if whole < len(rounds) or not whole:
        return False
    return whole >= most or spent * (whole + 1) / whole > limit


class _Bench:
    """Methods ready to run, and the rounds that they run in."""

    def __init__(
        self, store: Store, models: Models, task: Task, planned: Planned, journey: Journey
    ):
        self._store, self._pair, self._task, self._journey = store, models.pair, task, journey
        self._ways = {BASELINE: plain_method()}
        for name, plan in planned.candidates.items():
            self._ways[name] = static_method(name, plan.tree)
        self._prompts = task.encode(self._pair, task.benchmark)[:MOST_PROMPTS]
        journey.note(f"{STAGE}: warming up")
        self._warm_seconds = self._warm()

    def choose_prompts(self) -> int:
        """As many prompts as one round has time for; noted, since it depends on the pace.

        Another prompt tells more than the same one again, so prompts come before rounds.
        """
        limit = self._task.amounts.benchmark_seconds
        fitting = int(limit / self._warm_seconds) if self._warm_seconds else MOST_PROMPTS
        count = min(max(fitting, FEWEST_PROMPTS), len(self._prompts))
        self._store.write(SETUP_PART, {"prompts": count}, 0.0)
        return count

    def measure(self, rounds: list[Round], spent: float, count: int) -> tuple[list[Round], float]:
        """Go on until there is enough; every prompt that is done is kept at once."""
        amounts = self._task.amounts
        self._expect(count)
        progress = self._journey.begin(STAGE, spent)
        while not _is_over(rounds, count, spent, amounts.rounds, amounts.benchmark_seconds):
            if not rounds or len(rounds[-1]) == count:
                rounds.append([])
            number, index = len(rounds) - 1, len(rounds[-1])
            share = _share(number * count + index, count, spent, amounts)
            progress(share, f"round {number + 1}, prompt {index + 1} of {count}")
            started = time.perf_counter()
            rounds[-1].append(self._one(number, index))
            spent += time.perf_counter() - started
            self._store.write(PART, _content(rounds), spent)
        return rounds, spent

    def _expect(self, count: int) -> None:
        self._journey.expect(STAGE, self._warm_seconds * count * self._task.amounts.rounds)

    def _one(self, number: int, index: int) -> dict[str, Outcome]:
        """One prompt by every method, in an order of its own."""
        methods = self._methods(number)
        order = random.Random(f"{number}/{index}")
        prompt = self._prompts[index]
        return {name: methods[name](prompt) for name in order.sample(list(methods), len(methods))}

    def _methods(self, number: int) -> dict[str, Method]:
        """The methods of a round; its seed is its own, so above temperature 0 its texts are too."""
        settings = self._task.generation
        settings = replace(settings, seed=settings.seed + number)
        return {name: engine_method(self._pair, settings, way) for name, way in self._ways.items()}

    def _warm(self) -> float:
        """Run everything twice; returns the seconds of the second time."""
        methods, prompt = self._methods(0), self._prompts[0]
        return min(_seconds(methods, prompt) for _ in range(2))


def _share(done: int, count: int, spent: float, amounts: Amounts) -> float:
    """How much of the stage is over at this pace, the present round finished in any case."""
    if not done:
        return 0.0
    fitting = int(amounts.benchmark_seconds * done / (spent * count)) if spent else amounts.rounds
    rounds = min(max(fitting, done // count + 1), amounts.rounds)
    return min(done / (count * rounds), 1.0)


def _seconds(methods: Mapping[str, Method], prompt: Prompt) -> float:
    return sum(method(prompt).seconds for method in methods.values())


def _prompt_count(store: Store) -> int | None:
    part = store.read(SETUP_PART)
    if part is None:
        return None
    try:
        return int(check_number(part.content["prompts"], "prompts", low=1, high=MOST_PROMPTS))
    except (InputError, KeyError, TypeError) as error:
        raise store.unusable(SETUP_PART) from error


def _content(rounds: Sequence[Round]) -> list[list[dict[str, Any]]]:
    return [
        [
            {
                name: [each.tokens, each.steps, each.seconds, each.decode_seconds]
                for name, each in prompt.items()
            }
            for prompt in one
        ]
        for one in rounds
    ]


def _read(store: Store, part: Part) -> tuple[list[Round], float]:
    try:
        rounds = [
            [{name: Outcome(*values) for name, values in prompt.items()} for prompt in one]
            for one in part.content
        ]
        for one in rounds:
            for prompt in one:
                for outcome in prompt.values():
                    check_number(outcome.seconds, "seconds", low=1e-9)
                    check_number(outcome.decode_seconds, "decode_seconds", low=1e-9)
                    check_number(min(outcome.tokens, outcome.steps), "tokens", low=1)
    except (InputError, TypeError, AttributeError) as error:
        raise store.unusable(PART) from error
    return rounds, part.seconds


def _measured(rounds: Sequence[Round], planned: Planned) -> Measured:
    by_name = {name: [[prompt[name] for prompt in one] for one in rounds] for name in rounds[0][0]}
    rows = tuple(
        _row(name, by_name[name], by_name[BASELINE], planned.candidates.get(name))
        for name in (BASELINE, CHAIN_ROW, TREE_ROW)
        if name in by_name
    )
    gain = None
    if TREE_ROW in by_name and CHAIN_ROW in by_name:
        gain = speedup(_totals(by_name[TREE_ROW]), _totals(by_name[CHAIN_ROW]))
    return Measured(rows, gain)


def _row(name: str, own: Calls, plain: Calls, plan: Plan | None) -> MeasuredRow:
    rates, plain_rates = [_rate(one) for one in own], [_rate(one) for one in plain]
    speedups = [rate / base for rate, base in zip(rates, plain_rates, strict=True)]
    everything = [outcome for one in own for outcome in one]
    ratio = speedup(_totals(own), _totals(plain))
    return MeasuredRow(
        method=name,
        budget=plan.budget if plan else 1,
        depth=plan.depth if plan else 0,
        tokens_per_second=median(rates),
        tokens_per_step=sum(o.tokens for o in everything) / sum(o.steps for o in everything),
        speedup=median(speedups),
        speedup_low=min(speedups),
        speedup_high=max(speedups),
        decode_speedup=ratio.value,
        decode_low=ratio.low,
        decode_high=ratio.high,
        predicted_speedup=plan.speedup if plan else None,
        predicted_tokens_per_step=plan.expected_tokens if plan else None,
    )


def _rate(calls: Sequence[Outcome]) -> float:
    """Tokens per second of whole calls."""
    return sum(each.tokens for each in calls) / sum(each.seconds for each in calls)


def _totals(rounds: Calls) -> list[Totals]:
    """Each prompt's tokens and seconds of decoding, over all rounds."""
    return [
        Totals(sum(each.tokens for each in own), sum(each.decode_seconds for each in own))
        for own in zip(*rounds, strict=True)
    ]
