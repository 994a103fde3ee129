"""Every engine by name, and the one that a text comes from."""

from types import ModuleType

from sequoia_core.errors import InputError
from sequoia_core.files import check_integer
from sequoia_core.plan.acceptance import MAX_ROWS
from sequoia_core.plan.counters import llama_cpp, prometheus, sglang, vllm
from sequoia_core.plan.counters.reading import Reading

AUTO = "auto"
ENGINES: dict[str, ModuleType] = {module.NAME: module for module in (vllm, sglang, llama_cpp)}
MAX_CHARACTERS = 16 * 2**20
KNOWN = (
    "vLLM's metrics text, log lines ('SpecDecoding metrics:') and acceptance_histogram; SGLang's "
    "decode log lines ('accept len:'), spec_accept_length gauges and per-request histograms; "
    "llama.cpp's metrics text, log lines ('draft acceptance = ..', 'statistics ..') and timings "
    "with draft_n_accepted"
)


def read_counters(
    text: str,
    *,
    engine: str = AUTO,
    before: str | None = None,
    draft_tokens: int | None = None,
) -> Reading:
    """What an engine's text says about acceptance, by depth where it counts positions.

    engine: its name, or `auto` to be told by the text. before: an earlier scrape of the same
    server's metrics text, whose counters are subtracted. draft_tokens: drafted tokens a step, used
    where the text does not say.
    Raises InputError: no or several engines recognised, no drafts, contradictory counters, a text
    over MAX_CHARACTERS.
    """
    for part in (text, before or ""):
        _check_size(part)
    if draft_tokens is not None:
        check_integer(draft_tokens, "The draft tokens", low=1, high=MAX_ROWS)
    module = ENGINES[_recognised(text) if engine == AUTO else check_engine(engine)]
    if not module.recognises(text):
        raise InputError(f"The text is not {engine}'s; known are: {KNOWN}.")
    prefix = getattr(module, "PREFIX", None)
    if before is not None and not (prefix and prometheus.has_counters(text, prefix)):
        raise InputError(
            "Only counters of a metrics text can be subtracted (--before): log lines and "
            "responses count their own interval or request."
        )
    reading = module.read(text, before=before, draft_tokens=draft_tokens)
    if draft_tokens is not None and abs(reading.mean_drafted - draft_tokens) > 0.5:
        raise InputError(
            f"The text tells {reading.mean_drafted:.3g} drafted tokens a step, not {draft_tokens}: "
            "leave out --draft-tokens."
        )
    return reading


def check_engine(engine: str) -> str:
    """`engine` if it is known; InputError lists them all otherwise."""
    if engine not in ENGINES:
        raise InputError(
            f"There is no engine '{engine}' to read; choose one of {AUTO}, {', '.join(ENGINES)}."
        )
    return engine


def _recognised(text: str) -> str:
    found = [name for name, module in ENGINES.items() if module.recognises(text)]
    if not found:
        raise InputError(f"No serving engine's counters are in the text; known are: {KNOWN}.")
    if len(found) > 1:
        raise InputError(
            f"The text holds counters of {' and '.join(found)}: name the one to read (--engine)."
        )
    return found[0]


def _check_size(text: str) -> None:
    if len(text) > MAX_CHARACTERS:
        raise InputError(
            f"The text has {len(text)} characters, but at most {MAX_CHARACTERS} are read: keep "
            "the lines that count, for example with grep 'SpecDecoding metrics'."
        )
