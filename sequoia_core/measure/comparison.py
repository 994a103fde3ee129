"""Methods compared at temperatures: what was run and what came out, as plain data without torch."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sequoia_core.decode.recorded import Origin
from sequoia_core.decode.settings import GenerationSettings
from sequoia_core.decode.trace import Seconds
from sequoia_core.errors import InputError
from sequoia_core.plan.methods import METHODS, PLAIN, rule_fits
from sequoia_core.plan.methods import NAMES as ENGINE_NAMES
from sequoia_core.plan.plan import Plan

BASELINE = PLAIN
# Hugging Face's own methods: as transformers ships them, and on this engine's packed weights.
HF_PACKED = ("hf-generate-packed", "hf-assisted-packed")
HF = ("hf-generate", "hf-assisted", *HF_PACKED)
HF_TUNED = ("hf-assisted", "hf-assisted-packed")
NAMES = (*ENGINE_NAMES, *HF)
# Measured where nobody says which.
USUAL = tuple(name for name in NAMES if name not in HF_PACKED)
MAX_TEMPERATURES = 10
# More than a machine measures in a day; and what a file of them may hold.
MAX_RUNS = 100_000
# Hugging Face's own defaults (20 tokens, confidence threshold 0.4) are no serious rival, so its
# constant is tuned over these, each tried so often on each tuning prompt.
ASSISTANT_TOKENS = range(2, 13)
TUNING_REPEATS = 2


Progress = Callable[[float, str], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """One prompt continued by one method: new tokens, steps (target passes), wall seconds.

    seconds: the whole call. decode_seconds: those after the prompt was read; parts: where these
    went; hits: steps that accepted a drafted token; token_ids: what was written. None where a
    method does not tell.
    """

    tokens: int
    steps: int
    seconds: float
    decode_seconds: float | None = None
    parts: Seconds | None = None
    hits: int | None = None
    token_ids: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One method at one temperature, and what is planned for it.

    budget, depth: most nodes and draft passes of a step; of assisted generation the depth is the
    number of its draft tokens. level_sizes: of a static tree. acceptance, acceptance_rule,
    hardware, family: what the size rests on. All are empty where nothing is planned. predicted_*:
    None where the plan does not speak of the method. acceptance_*, hardware_target:
    which pair and temperature these were measured with; empty or None where that is not known.
    """

    method: str
    temperature: float
    budget: int | None = None
    depth: int | None = None
    level_sizes: tuple[int, ...] = ()
    rule: str = ""
    acceptance: str = ""
    acceptance_rule: str = ""
    hardware: str = ""
    family: str = ""
    predicted_speedup: float | None = None
    predicted_tokens_per_step: float | None = None
    acceptance_target: str = ""
    acceptance_draft: str = ""
    hardware_target: str = ""
    acceptance_temperature: float | None = None

    @property
    def key(self) -> tuple[str, float]:
        return self.method, self.temperature


@dataclass(frozen=True, slots=True)
class Run:
    """An outcome as it is kept. prompt, repeat: indices from 0.

    shared_tokens: at temperature 0, how many tokens at the start are those of plain decoding of the
    same prompt and repeat; None where that is not known.
    """

    method: str
    temperature: float
    prompt: int
    repeat: int
    tokens: int
    steps: int
    seconds: float
    decode_seconds: float | None = None
    parts: Seconds | None = None
    hits: int | None = None
    shared_tokens: int | None = None

    @property
    def rate(self) -> float:
        """Tokens per second of the whole call."""
        return self.tokens / self.seconds

    @property
    def decode_rate(self) -> float | None:
        """Tokens per second after the prompt was read."""
        return self.tokens / self.decode_seconds if self.decode_seconds else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A comparison, finished or not. runs: whole rounds, that is all methods on one prompt.

    settings: for all runs; each entry has its temperature, and repeat r the seed of `settings`
    plus r. origin: the pair, the machine and when it began.
    """

    entries: tuple[Entry, ...]
    prompts: tuple[str, ...]
    repeats: int
    settings: GenerationSettings
    origin: Origin
    runs: tuple[Run, ...] = ()

    @property
    def wanted(self) -> int:
        """Runs of the whole comparison."""
        return len(self.entries) * len(self.prompts) * self.repeats

    @property
    def complete(self) -> bool:
        return len(self.runs) == self.wanted

    @property
    def temperatures(self) -> tuple[float, ...]:
        return tuple(dict.fromkeys(entry.temperature for entry in self.entries))

    @property
    def methods(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(entry.method for entry in self.entries))

    def of(self, method: str, temperature: float) -> Iterator[Run]:
        """The runs of one method at one temperature."""
        wanted = method, temperature
        return (run for run in self.runs if (run.method, run.temperature) == wanted)


def planned_entry(
    method: str,
    temperature: float,
    plan: Plan | None = None,
    acceptance=None,
    *,
    depth: int | None = None,
    hardware_target: str = "",
) -> Entry:
    """The entry of a method of our engine; without a plan it is plain decoding.

    acceptance: the vector that was planned with; hardware_target: whose passes the profile has.
    depth: the limit of grown trees, where it is not the planned tree's own.
    """
    if plan is None:
        return Entry(method, temperature, 1, 0)
    kind = METHODS[method]
    speaks = rule_fits(method, acceptance) and not kind.grown
    return Entry(
        method,
        temperature,
        plan.budget,
        plan.depth if depth is None or not kind.grown else min(depth, plan.budget - 1),
        () if kind.grown else tuple(plan.level_sizes),
        kind.rule,
        plan.acceptance,
        acceptance.rule,
        plan.hardware,
        plan.family,
        plan.speedup if speaks else None,
        plan.expected_tokens if speaks else None,
        acceptance.target,
        acceptance.draft,
        hardware_target,
        acceptance.temperature,
    )


def check_amount(entries: int, prompts: int, repeats: int) -> None:
    """Raise InputError for a comparison of nothing, or of more runs than its file may hold."""
    if prompts < 1:
        raise InputError("A comparison needs at least one prompt, and there is none.")
    if repeats < 1:
        raise InputError(f"A comparison needs at least one repeat, got {repeats}.")
    runs = entries * prompts * repeats
    if runs > MAX_RUNS:
        raise InputError(
            f"A comparison has at most {MAX_RUNS:,} runs, and these are {runs:,}: take fewer "
            "methods, temperatures, prompts or repeats."
        )


def temperatures_in(text: str) -> list[float]:
    """Temperatures written with commas between them, each once, in their order.

    Raises InputError for what is no number, outside 0 to 10, or more than ten.

    >>> temperatures_in("0, 0.6")
    [0.0, 0.6]
    """
    words = [word.strip() for word in text.split(",") if word.strip()]
    try:
        numbers = list(dict.fromkeys(map(float, words)))
    except ValueError:
        numbers = []
    if not 1 <= len(numbers) <= MAX_TEMPERATURES:
        raise InputError(
            f"The temperatures must be 1 to {MAX_TEMPERATURES} numbers with commas between them, "
            f"as in 0, 0.6; got “{text[:40]}”."
        )
    return [GenerationSettings(temperature=number).temperature for number in numbers]
