"""A comparison summed up: figures by method and temperature, and what they say in words."""

from collections.abc import Sequence
from dataclasses import dataclass

from sequoia_core.decode.trace import Seconds
from sequoia_core.measure.comparison import BASELINE, Comparison, Entry, Run
from sequoia_core.measure.paired import (
    REPEATS,
    Interval,
    decode_ratio_interval,
    ratio_interval,
)

PARTS = ("draft", "verify", "sample", "commit")
# How far a vector's temperature may be from a run's and still be said to be the same.
SAME_TEMPERATURE = 0.05


@dataclass(frozen=True, slots=True)
class Summary:
    """One method at one temperature over all its runs.

    tokens_per_second: of whole calls, all tokens over all seconds. speedup: over plain decoding of
    the same round; decode_speedup: without the reading of the prompt, which is what is predicted.
    hit_rate: share of steps that accepted a drafted token. parts: seconds of decoding a token by
    part of a step, and rest: what else the calls took (reading the prompt). None where a method
    does not tell.
    """

    entry: Entry
    runs: int
    tokens_per_second: float
    tokens_per_step: float
    speedup: Interval
    decode_speedup: Interval | None
    hit_rate: float | None
    parts: Seconds | None
    rest: float


def summarise(comparison: Comparison) -> list[Summary]:
    """A summary of every entry that has runs, in the order of the entries."""
    summaries = []
    for entry in comparison.entries:
        runs = list(comparison.of(entry.method, entry.temperature))
        if runs:
            summaries.append(_summary(comparison, entry, runs))
    return summaries


def _summary(comparison: Comparison, entry: Entry, runs: list[Run]) -> Summary:
    where = comparison, entry.temperature, entry.method
    tokens, seconds = sum(run.tokens for run in runs), sum(run.seconds for run in runs)
    steps = sum(run.steps for run in runs)
    parts = _parts(runs, tokens)
    hits = [run.hits for run in runs]
    return Summary(
        entry,
        len(runs),
        tokens / seconds,
        tokens / steps,
        ratio_interval(*where),
        decode_ratio_interval(*where),
        None if None in hits else sum(hits) / steps,
        parts,
        max(0.0, seconds / tokens - (parts.total if parts else 0.0)),
    )


def _parts(runs: list[Run], tokens: int) -> Seconds | None:
    if any(run.parts is None for run in runs):
        return None
    return Seconds(*(sum(getattr(run.parts, part) for run in runs) / tokens for part in PARTS))


def verdict(comparison: Comparison) -> list[str]:
    """A sentence for each temperature: the fastest, by how much, and what is as good as it.

    Then what there is to doubt: intervals that hold in less than 95% of cases, a single prompt.
    """
    summaries = summarise(comparison)
    sentences = [
        _fastest(comparison, temperature, [s for s in summaries if _at(s) == temperature])
        for temperature in comparison.temperatures
    ]
    return [sentence for sentence in sentences if sentence] + _doubt(summaries)


def _at(summary: Summary) -> float:
    return summary.entry.temperature


def _fastest(comparison: Comparison, temperature: float, summaries: list[Summary]) -> str:
    rivals = [summary for summary in summaries if summary.entry.method != BASELINE]
    if not rivals:
        return ""
    best = max(rivals, key=lambda summary: summary.speedup.median)
    name, speedup = best.entry.method, best.speedup
    figure = f"{speedup.median:.2f}× plain decoding {_range(speedup)}"
    where = f"At temperature {temperature:g}"
    if all(rival.speedup.high < 1 for rival in rivals):
        return f"{where} nothing is as fast as plain decoding: the best, {name}, is at {figure}."
    clear = [rival for rival in rivals if rival.speedup.low > 1]
    if not clear:
        return (
            f"{where} nothing is faster than plain decoding beyond the noise: the best, {name}, "
            f"is at {figure}."
        )
    if best in clear:
        return f"{where} {name} is fastest, {figure}{_beside(comparison, best, rivals)}."
    sure = max(clear, key=lambda summary: summary.speedup.median)
    return (
        f"{where} {name} has the highest median, {figure}, but that may be noise; "
        f"{sure.entry.method} is faster beyond the noise, {sure.speedup.median:.2f}× "
        f"{_range(sure.speedup)}."
    )


def _beside(comparison: Comparison, best: Summary, rivals: list[Summary]) -> str:
    """Who is as fast within the noise, by ratios to the best of the same rounds, else who follows.

    Two methods see the same prompts, so their own ratio says more than two intervals that overlap.
    """
    name, temperature = best.entry.method, best.entry.temperature
    others = sorted(
        (summary for summary in rivals if summary is not best), key=lambda s: -s.speedup.median
    )
    ratios = {
        other.entry.method: ratio_interval(comparison, temperature, name, other.entry.method)
        for other in others
    }
    # Medians are of each method's own prompts, so the best of them may lose to another one.
    level = [other for other, ratio in ratios.items() if ratio.low <= 1]
    if level:
        return f"; within the noise of it: {', '.join(level)}"
    if not others:
        return ""
    second = others[0].entry.method
    return f"; {second} is next, and {name} writes {ratios[second].median:.2f}× its tokens a second"


def _range(interval: Interval) -> str:
    if interval.count == 1:
        return "(a single run)"
    return f"({interval.low:.2f} to {interval.high:.2f})"


def _doubt(summaries: Sequence[Summary]) -> list[str]:
    """How often the intervals hold, from the least sure of them, and what they are about."""
    if not summaries:
        return []
    least = min((summary.speedup for summary in summaries), key=lambda speedup: speedup.coverage)
    if least.count == 1:
        return ["A single run of a prompt says nothing of the noise: take more prompts or repeats."]
    doubts = []
    if not least.sure:
        doubts.append(
            f"Over {least.count} {least.over} such an interval holds in {least.coverage:.0%} of "
            f"cases; with six {least.over} or more it holds in 95%."
        )
    if least.over == REPEATS:
        doubts.append("With one prompt, intervals are about its repeats and not other prompts.")
    return doubts


def text_words(comparison: Comparison) -> list[str]:
    """Whether the methods wrote plain decoding's text at temperature 0; empty where none ran."""
    others = [run for run in comparison.runs if run.temperature == 0 and run.method != BASELINE]
    known = [run for run in others if run.shared_tokens is not None]
    if not known:
        return []
    lengths = {(run.prompt, run.repeat): run.tokens for run in comparison.of(BASELINE, 0)}
    parted: dict[str, dict[int, int]] = {}
    for run in known:
        if run.shared_tokens < max(run.tokens, lengths[run.prompt, run.repeat]):
            parted.setdefault(run.method, {}).setdefault(run.prompt, run.shared_tokens)
    prompts = len({run.prompt for run in known})
    if not parted:
        methods = ", ".join(dict.fromkeys(run.method for run in known))
        who = "all methods" if len(known) == len(others) else methods
        return [
            f"At temperature 0 {who} wrote the text of plain decoding, token for token "
            f"({prompts} prompt{'' if prompts == 1 else 's'})."
        ]
    sentences = [
        f"At temperature 0 {method} left plain decoding's text on {_places(places, prompts)}."
        for method, places in parted.items()
    ]
    return [*sentences, _why(comparison.origin.dtype)]


def prediction_words(comparison: Comparison) -> list[str]:
    """What predictions rest on, where that is another pair's or another temperature's."""
    told = [entry for entry in comparison.entries if entry.predicted_speedup is not None]
    foreign = dict.fromkeys(words for entry in told for words in _foreign(comparison, entry))
    if foreign:
        return [f"Predictions are guesses, resting on {' and '.join(foreign)}: not on this pair."]
    at: dict[float, dict[float, None]] = {}
    for entry in told:
        measured = entry.acceptance_temperature
        if measured is not None and abs(measured - entry.temperature) > SAME_TEMPERATURE:
            at.setdefault(measured, {})[entry.temperature] = None
    return [
        f"At temperature {', '.join(f'{own:g}' for own in temperatures)} predictions rest on "
        f"acceptance measured at {measured:g}."
        for measured, temperatures in at.items()
    ]


def _foreign(comparison: Comparison, entry: Entry) -> list[str]:
    """What an entry was planned with that is known to be of other models."""
    origin = comparison.origin
    rested, words = (entry.acceptance_target, entry.acceptance_draft), []
    if any(rested) and rested not in ((origin.target, origin.draft), origin.voices):
        words.append(f"the acceptance of {rested[0]} with {rested[1]}")
    if entry.hardware_target not in ("", origin.target):
        words.append(f"the passes of {entry.hardware_target}")
    return words


def _places(places: dict[int, int], prompts: int) -> str:
    shown = [f"{prompt + 1} after {shared} tokens" for prompt, shared in sorted(places.items())]
    more = f" and {len(shown) - 4} more" if len(shown) > 4 else ""
    return f"{len(places)} of {prompts} prompts (number {', '.join(shown[:4])}{more})"


def _why(dtype: str) -> str:
    if dtype == "float32":
        return (
            "In float32 only a near-tie explains that: `python -m sequoia_core verify` tells it "
            "from a fault."
        )
    return (
        f"In {dtype or 'low precision'} a pass over a tree rounds otherwise than one over a token, "
        "so near-ties may fall the other way: `python -m sequoia_core verify` tells them from a "
        "fault."
    )
