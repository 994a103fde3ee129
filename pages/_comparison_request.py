"""What the controls of Compare ask for: checked, planned, and how long it would take."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from pages import _library as library
from pages._inputs import NO_HARDWARE, vector_name
from sequoia_core.decode.settings import GenerationSettings
from sequoia_core.errors import InputError
from sequoia_core.measure.comparison import BASELINE, check_amount, temperatures_in
from sequoia_core.measure.proposal import Effort, Proposal, duration, effort, propose
from sequoia_core.plan.methods import METHODS

MOST_OWN = 50
# Each move of a control asks for all trees again, and most of them are the same ones.
_planned = lru_cache(maxsize=256)(propose)

Names = tuple[str, str | None]
Sizes = tuple[int | None, int | None]


@dataclass(frozen=True, slots=True)
class Asked:
    """A comparison to run. settings: of all runs; every proposal has its own temperature."""

    methods: tuple[str, ...]
    temperatures: tuple[float, ...]
    prompts: tuple[str, ...]
    tuning_prompts: tuple[str, ...]
    proposals: tuple[Proposal, ...]
    repeats: int
    settings: GenerationSettings
    effort: Effort


def asked(
    methods: Sequence[str],
    at: str,
    prompts: tuple[list[str], list[str], list[str]],
    settings: dict[str, float],
    repeats: int,
    names: Names,
    sizes: Sizes,
) -> Asked:
    """prompts: bundled ones, own ones, those to tune with. names: acceptance and hardware.

    Raises InputError for what cannot be compared, before any model is touched.
    """
    temperatures = temperatures_in(at)
    bundled, own, tuning = prompts
    if not bundled and not own:
        raise InputError("There is no prompt: choose a bundled one or write one of your own.")
    if len(own) > MOST_OWN:
        raise InputError(f"At most {MOST_OWN} prompts of your own are taken, got {len(own)}.")
    methods = tuple(dict.fromkeys([BASELINE, *methods]))
    check_amount(len(methods) * len(temperatures), len(bundled + own), repeats)
    proposals = tuple(
        _proposal(method, temperature, names, sizes)
        for temperature in temperatures
        for method in methods
    )
    checked, texts = GenerationSettings(**settings), tuple(bundled + own)
    told = effort(proposals, len(texts), repeats, checked.max_new_tokens, len(tuning))
    return Asked(
        methods, tuple(temperatures), texts, tuple(tuning), proposals, repeats, checked, told
    )


def _proposal(method: str, temperature: float, names: Names, sizes: Sizes) -> Proposal:
    acceptance, hardware = names
    if hardware is None:
        raise InputError(NO_HARDWARE)
    vector = None
    if method in METHODS:
        vector = library.acceptance(vector_name(acceptance, temperature, METHODS[method].rule))
    budget, depth = sizes
    return _planned(
        method, temperature, vector, library.hardware(hardware), budget=budget, depth=depth
    )


def effort_words(wanted: Asked) -> str:
    """How many runs there will be, and how long they take by the profile."""
    told = wanted.effort
    parts = [
        _count(len(wanted.methods), "method"),
        _count(len(wanted.temperatures), "temperature"),
        _count(len(wanted.prompts), "prompt"),
        _count(wanted.repeats, "repeat"),
    ]
    runs = f"{told.measured:,} runs ({' × '.join(parts)}) and {told.warm_up} to warm up"
    if told.tuning:
        runs += f", {told.tuning} to tune assisted generation"
    profile = wanted.proposals[0].hardware.name
    return f"{runs}: {duration(told.seconds)} by the profile `{profile}`."


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
