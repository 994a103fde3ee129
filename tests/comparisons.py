"""A hand-made comparison of methods of known speed, for tests of what is counted and shown."""

from collections.abc import Mapping

from sequoia_core.decode.recorded import Origin
from sequoia_core.decode.settings import GenerationSettings
from sequoia_core.decode.trace import Seconds
from sequoia_core.measure.comparison import BASELINE, Comparison, Entry, Run

ORIGIN = Origin(
    "big",
    "small",
    "cpu",
    "float32",
    "a machine, 1 thread",
    "2026-11-24T10:00:00+00:00",
    {"torch": "2.13.0"},
    ("big", "small"),
)
SEQUOIA = Entry(
    "sequoia", 0.0, 4, 2, (1, 2, 1), "sequoia", "some vector", "sequoia", "some machine", "sequoia",
    2.5, 2.6,
)  # fmt: skip


def run_of(
    method: str,
    seconds: float,
    *,
    prompt: int = 0,
    repeat: int = 0,
    temperature: float = 0.0,
    shared: int | None = 12,
) -> Run:
    """Twelve tokens in so many seconds, a tenth of them for the prompt; hf-* tell no more."""
    if method.startswith("hf"):
        return Run(method, temperature, prompt, repeat, 12, 12, seconds, shared_tokens=shared)
    steps = 12 if method == BASELINE else 4
    decoding = 0.9 * seconds
    parts = Seconds(0.2 * seconds, 0.5 * seconds, 0.1 * seconds, 0.1 * seconds)
    hits = 0 if method == BASELINE else 3
    return Run(
        method, temperature, prompt, repeat, 12, steps, seconds, decoding, parts, hits, shared
    )


def comparison_of(
    seconds: Mapping[str, list[list[float]]], *, temperature: float = 0.0, dtype: str = "float32"
) -> Comparison:
    """seconds: by method, a list of repeats for every prompt."""
    prompts = len(next(iter(seconds.values())))
    repeats = len(next(iter(seconds.values()))[0])
    runs = [
        run_of(method, own[prompt][repeat], prompt=prompt, repeat=repeat, temperature=temperature)
        for repeat in range(repeats)
        for prompt in range(prompts)
        for method, own in seconds.items()
    ]
    entries = [
        SEQUOIA if (name, temperature) == SEQUOIA.key else Entry(name, temperature)
        for name in seconds
    ]
    return Comparison(
        entries=tuple(entries),
        prompts=tuple(f"prompt {i}" for i in range(prompts)),
        repeats=repeats,
        settings=GenerationSettings(max_new_tokens=12, seed=3),
        origin=Origin(**{**{n: getattr(ORIGIN, n) for n in ORIGIN.__slots__}, "dtype": dtype}),
        runs=tuple(runs),
    )


def steady(prompts: int = 6, **factors: float) -> Comparison:
    """Plain decoding at a second a prompt, the others at their speedups, two repeats of each."""
    names = {BASELINE: 1.0} | {name.replace("_", "-"): factor for name, factor in factors.items()}
    return comparison_of(
        {name: [[1 / factor] * 2 for _ in range(prompts)] for name, factor in names.items()}
    )
