"""The stage that benchmarks: the plan's tree and chain against plain decoding, round by round."""

import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any

from sequoia_core.decode.methods import plain_method, static_method
from sequoia_core.decode.pair import Prompt
from sequoia_core.decode.recorded import Origin
from sequoia_core.errors import InputError
from sequoia_core.files import check_list, check_number
from sequoia_core.measure.compare import run_of
from sequoia_core.measure.comparison import BASELINE, Comparison, Entry, Run, planned_entry
from sequoia_core.measure.comparison_file import run_from
from sequoia_core.measure.methods import Method, engine_method
from sequoia_core.measure.paired import decode_ratio_interval, speedups_by_prompt
from sequoia_core.measure.tune.amounts import Amounts
from sequoia_core.measure.tune.intervals import ratio_of
from sequoia_core.measure.tune.planning import Planned
from sequoia_core.measure.tune.progress import Journey
from sequoia_core.measure.tune.store import Part, Store
from sequoia_core.measure.tune.task import Models, Task
from sequoia_core.plan.acceptance import AcceptanceVector
from sequoia_core.report.measured import CHAIN_ROW, TREE_ROW, MeasuredRow, Ratio
from sequoia_core.report.report import Reached

STAGE = "benchmark"
SETUP_PART, PART = "benchmark-prompts", "benchmark"
# Fewer prompts have no interval, so a slow machine takes the time for these.
MOST_PROMPTS, FEWEST_PROMPTS = 10, 6

# For every prompt that was done, in order, the runs of all methods.
Round = list[list[Run]]


@dataclass(frozen=True, slots=True)
class Measured:
    """rows: of all methods. gain: the tree's speed over the chain's, None where one is missing.
    comparison: all that these rest on.
    """

    rows: tuple[MeasuredRow, ...]
    gain: Ratio | None
    comparison: Comparison


def benchmark_stage(
    store: Store,
    models: Models,
    task: Task,
    planned: Planned,
    vector: AcceptanceVector,
    journey: Journey,
) -> tuple[Measured, Reached]:
    """What the plan's tree and chain come to, from rounds in the store and rounds measured now.

    Every round takes every prompt by every method in a new order, and counts once it is whole; what
    a round has of it is kept prompt by prompt. Before anything is timed each method runs once.
    """
    amounts, part = task.amounts, store.read(PART)
    entries = _entries(planned, vector, task.generation.temperature)
    rounds, spent = _read(store, part, entries) if part else ([], 0.0)
    count = _prompt_count(store)
    if count and _is_over(rounds, count, spent, amounts.rounds, amounts.benchmark_seconds):
        journey.taken(STAGE, f"taken from {store.folder}, {part.ago}")
    else:
        bench = _Bench(store, models, task, planned, entries, journey)
        count = count or bench.choose_prompts()
        rounds, spent = bench.measure(rounds, spent, count)
    whole = [each for each in rounds if len(each) == count]
    rounds_words = f"{len(whole)} round{'s' if len(whole) > 1 else ''}"
    words = f"{rounds_words} of {count} prompts, {task.generation.max_new_tokens} new tokens"
    comparison = Comparison(
        entries=entries,
        prompts=tuple(task.benchmark[:count]),
        repeats=len(whole),
        settings=task.generation,
        origin=_origin(store, models, task),
        runs=tuple(run for one in whole for prompt in one for run in prompt),
    )
    return _measured(comparison), Reached(STAGE, spent, amounts.benchmark_seconds, words)


def _entries(planned: Planned, vector: AcceptanceVector, temperature: float) -> tuple[Entry, ...]:
    """Plain decoding, and the chain and the tree where there are any."""
    plans = planned.candidates
    drafting = [
        planned_entry(name, temperature, plans[name], vector)
        for name in (CHAIN_ROW, TREE_ROW)
        if name in plans
    ]
    return (planned_entry(BASELINE, temperature), *drafting)


def _origin(store: Store, models: Models, task: Task) -> Origin:
    """Where the runs come from; as of when the last of them was finished, so that reports made
    again of the same parts are equal."""
    chosen, machine = models.chosen, task.machine
    ended = datetime.now(UTC) - timedelta(seconds=store.read(PART).age_seconds)
    return Origin(
        chosen.target,
        chosen.draft,
        chosen.device,
        chosen.dtype,
        machine.get("device", ""),
        ended.isoformat(timespec="seconds"),
        {name: machine[name] for name in ("python", "torch", "transformers") if name in machine},
        chosen.voices,
    )


def _is_over(rounds: list[Round], prompts: int, spent: float, most: int, limit: float) -> bool:
    """Whether enough whole rounds are there, or another one would go beyond the limit."""
    whole = sum(len(each) == prompts for each in rounds)
    if whole < len(rounds) or not whole:
        return False
    return whole >= most or spent * (whole + 1) / whole > limit


class _Bench:
    """Methods ready to run, and the rounds that they run in."""

    def __init__(
        self,
        store: Store,
        models: Models,
        task: Task,
        planned: Planned,
        entries: Sequence[Entry],
        journey: Journey,
    ):
        self._store, self._pair, self._task, self._journey = store, models.pair, task, journey
        self._entries = entries
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

    def _one(self, number: int, index: int) -> list[Run]:
        """One prompt by every method, in an order of its own."""
        methods = self._methods(number)
        order = random.Random(f"{number}/{index}")
        prompt = self._prompts[index]
        drawn = order.sample(list(methods), len(methods))
        outcomes = {name: methods[name](prompt) for name in drawn}
        return [run_of(entry, index, number, outcomes) for entry in self._entries]

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


def _content(rounds: Sequence[Round]) -> list[list[list[dict[str, Any]]]]:
    return [[[asdict(run) for run in prompt] for prompt in one] for one in rounds]


def _read(store: Store, part: Part, entries: Sequence[Entry]) -> tuple[list[Round], float]:
    """The rounds of a part, each prompt of them with every method's run of it."""
    try:
        rounds = [
            [
                [
                    _run_of_part(content, number, index)
                    for content in check_list(prompt, "prompt", low=len(entries), high=len(entries))
                ]
                for index, prompt in enumerate(one)
            ]
            for number, one in enumerate(part.content)
        ]
    except (InputError, TypeError) as error:
        raise store.unusable(PART) from error
    wanted = [entry.key for entry in entries]
    read = [[(run.method, run.temperature) for run in prompt] for one in rounds for prompt in one]
    if any(keys != wanted for keys in read):
        raise store.unusable(PART)
    return rounds, part.seconds


def _run_of_part(content: Any, number: int, index: int) -> Run:
    """A run of prompt `index` in round `number`, counted from 0."""
    run = run_from(content, "run", index + 1, number + 1)
    if (run.prompt, run.repeat) != (index, number) or run.decode_seconds is None:
        raise InputError("another prompt's or round's run")
    return run


def _measured(comparison: Comparison) -> Measured:
    rows = tuple(_row(comparison, entry) for entry in comparison.entries)
    temperature, gain = comparison.settings.temperature, None
    if {TREE_ROW, CHAIN_ROW} <= set(comparison.methods):
        gain = ratio_of(decode_ratio_interval(comparison, temperature, TREE_ROW, CHAIN_ROW))
    return Measured(rows, gain, comparison)


def _row(comparison: Comparison, entry: Entry) -> MeasuredRow:
    runs = list(comparison.of(*entry.key))
    whole = speedups_by_prompt(comparison, entry).values()
    decoding = ratio_of(decode_ratio_interval(comparison, entry.temperature, entry.method))
    return MeasuredRow(
        method=entry.method,
        budget=entry.budget,
        depth=entry.depth,
        tokens_per_second=median(run.rate for run in runs),
        tokens_per_step=sum(run.tokens for run in runs) / sum(run.steps for run in runs),
        speedup=median(whole),
        speedup_low=min(whole),
        speedup_high=max(whole),
        decode_speedup=decoding.value,
        decode_low=decoding.low,
        decode_high=decoding.high,
        predicted_speedup=entry.predicted_speedup,
        predicted_tokens_per_step=entry.predicted_tokens_per_step,
    )
