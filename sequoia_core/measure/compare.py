"""Running a comparison: arms interleaved in rounds, each a method at one temperature."""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from sequoia_core.decode.engine import Engine, GenerationSettings
from sequoia_core.decode.methods import Method, named_method, plain_method
from sequoia_core.decode.pair import ModelPair, Prompt
from sequoia_core.decode.steering import Steering
from sequoia_core.errors import InputError
from sequoia_core.measure.auto import Auto
from sequoia_core.measure.comparison import (
    ASSISTANT_TOKENS,
    BASELINE,
    HF,
    HF_PACKED,
    HF_TUNED,
    Comparison,
    Entry,
    Outcome,
    Progress,
    Run,
    check_amount,
)
from sequoia_core.measure.hugging_face import HuggingFace
from sequoia_core.measure.methods import engine_method
from sequoia_core.measure.proposal import Proposal, duration
from sequoia_core.measure.recording import origin_of
from sequoia_core.plan.methods import AUTO


def _quiet(fraction: float, text: str) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Arm:
    """An entry and how it is run: on a prompt, with a seed."""

    entry: Entry
    run: Callable[[Prompt, int], Outcome]

    @property
    def words(self) -> str:
        return f"{self.entry.method} at temperature {self.entry.temperature:g}"


def make_arms(
    pair: ModelPair,
    proposals: Sequence[Proposal],
    settings: GenerationSettings,
    tuning_prompts: Sequence[Prompt],
    *,
    progress: Progress = _quiet,
    go_on: Callable[[], None] = lambda: None,
) -> list[Arm]:
    """The arms of what is proposed, on this pair.

    Assisted generation is tuned here, on prompts that nothing is judged on, and its entry then says
    how many tokens it drafts. go_on: called in every step of every run, to end it by raising.
    """
    models = {
        packed: HuggingFace(pair, packed=packed)
        for packed in {p.entry.method in HF_PACKED for p in proposals if p.entry.method in HF}
    }
    arms = []
    for proposal in proposals:
        entry = proposal.entry
        own = replace(settings, temperature=entry.temperature)
        if entry.method not in HF:
            arms.append(Arm(entry, engine_method(pair, own, _method(proposal), go_on)))
            continue
        theirs, count = models[entry.method in HF_PACKED], 0
        if entry.method in HF_TUNED:
            tell = _tuning(entry, progress)
            count = theirs.tuned_assistant_tokens(own, list(tuning_prompts), go_on, tell)
            entry = replace(entry, depth=count, budget=count + 1)
        arms.append(Arm(entry, theirs.generate(own, go_on, count)))
    return arms


def _tuning(entry: Entry, progress: Progress) -> Callable[[int], None]:
    words = f"tuning {entry.method} at temperature {entry.temperature:g}"
    most = ASSISTANT_TOKENS[-1]
    return lambda count: progress(0.0, f"{words}: {count} draft tokens, of up to {most}")


def _method(proposal: Proposal) -> Method | Steering:
    name, plan = proposal.entry.method, proposal.plan
    if plan is None:
        return plain_method()
    if name == AUTO:
        return Auto(proposal.acceptance, proposal.hardware)
    return named_method(name, plan.tree, proposal.entry.depth)


def check_prompts(pair: ModelPair, prompts: Sequence[Prompt], settings: GenerationSettings) -> None:
    """Raise InputError for a prompt that is empty or too long, before anything is measured."""
    engine = Engine(pair)
    for prompt in prompts:
        engine.run(prompt, settings, plain_method(), trace=False)


def compare(
    arms: Sequence[Arm],
    prompts: Sequence[Prompt],
    *,
    repeats: int,
    seed: int = 0,
    progress: Progress = _quiet,
    keep: Callable[[list[Run]], None] = lambda runs: None,
) -> list[Run]:
    """Run every arm on every prompt `repeats` times; repeat r has the seed plus r.

    A round is all arms of one temperature on one prompt, in an order drawn anew; `keep` is given
    its runs as soon as it is done. A first run of every arm warms up and is not counted. Raises
    InputError where a temperature has no plain decoding to compare with.
    """
    rounds = _by_temperature(arms)
    check_amount(len(arms), len(prompts), repeats)
    clock = _Clock(len(arms) * (1 + len(prompts) * repeats), progress)
    for arm in arms:
        clock.tell(f"warming up {arm.words}")
        arm.run(prompts[0], seed)
    order, runs = random.Random(0), []
    for repeat in range(repeats):
        for index, prompt in enumerate(prompts):
            for own in rounds:
                done = _round(own, order, prompt, seed + repeat, clock)
                runs += (made := [run_of(arm.entry, index, repeat, done) for arm in own])
                keep(made)
    progress(1.0, "Done")
    return runs


def compare_named(
    pair: ModelPair,
    methods: Mapping[str, Callable[[Prompt, int], Outcome]],
    prompts: Sequence[str],
    settings: GenerationSettings,
    *,
    repeats: int,
    progress: Progress = _quiet,
) -> Comparison:
    """Methods under names of their own, as two trees of one method, at the settings' temperature.

    Raises InputError where none of them has the baseline's name.
    """
    arms = [Arm(Entry(name, settings.temperature), run) for name, run in methods.items()]
    origin = origin_of(pair)
    runs = compare(arms, prompts, repeats=repeats, seed=settings.seed, progress=progress)
    return Comparison(
        entries=tuple(arm.entry for arm in arms),
        prompts=tuple(prompts),
        repeats=repeats,
        settings=settings,
        origin=origin,
        runs=tuple(runs),
    )


def _by_temperature(arms: Sequence[Arm]) -> list[list[Arm]]:
    rounds: dict[float, list[Arm]] = {}
    for arm in arms:
        rounds.setdefault(arm.entry.temperature, []).append(arm)
    for own in rounds.values():
        if BASELINE not in (arm.entry.method for arm in own):
            raise InputError(f"A benchmark needs the method {BASELINE} to compare with.")
    return list(rounds.values())


def _round(
    arms: list[Arm], order: random.Random, prompt: Prompt, seed: int, clock: "_Clock"
) -> dict[str, Outcome]:
    outcomes = {}
    for arm in order.sample(arms, len(arms)):
        clock.tell(arm.words)
        outcomes[arm.entry.method] = arm.run(prompt, seed)
    return outcomes


def run_of(entry: Entry, prompt: int, repeat: int, outcomes: Mapping[str, Outcome]) -> Run:
    """What is kept of an entry's outcome in a round, given those of all its methods by name."""
    own, plain = outcomes[entry.method], outcomes[BASELINE]
    shared = None
    if entry.temperature == 0 and own.token_ids is not None and plain.token_ids is not None:
        shared = _shared(own.token_ids, plain.token_ids)
    return Run(
        entry.method,
        entry.temperature,
        prompt,
        repeat,
        own.tokens,
        own.steps,
        own.seconds,
        own.decode_seconds,
        own.parts,
        own.hits,
        shared,
    )


def _shared(tokens: Sequence[int], others: Sequence[int]) -> int:
    """Tokens at the start that are the same."""
    pairs = enumerate(zip(tokens, others, strict=False))
    parted = (index for index, (own, other) in pairs if own != other)
    return next(parted, min(len(tokens), len(others)))


class _Clock:
    """Tells which run of how many comes now, and how long the rest takes at the pace so far."""

    def __init__(self, total: int, progress: Progress):
        self._total, self._progress = total, progress
        self._done, self._started = -1, time.perf_counter()

    def tell(self, words: str) -> None:
        self._done += 1
        text = f"run {self._done + 1} of {self._total}, {words}"
        if self._done >= 3:
            left = (time.perf_counter() - self._started) / self._done * (self._total - self._done)
            text += f"; {duration(left)} left"
        self._progress(self._done / self._total, text)
