"""Counters of speculative decoding in Prometheus' text format, as vLLM and llama.cpp expose them.

Both name them alike: <prefix>:spec_decode_num_drafts, _num_draft_tokens, _num_accepted_tokens and
_num_accepted_tokens_per_pos{position="0"}, each ending in _total. Position j counts the steps in
which drafted token j was accepted, and so all before it. All are totals since the server started.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from sequoia_core.errors import InputError

DRAFTS, TOKENS, ACCEPTED = "num_drafts", "num_draft_tokens", "num_accepted_tokens"
BY_POSITION = "num_accepted_tokens_per_pos"
MAX_POSITION = 1023
MAX_COUNT = 1e15
MISMATCH = 0.02

# A bar before the value is how Prometheus' own page lists a query's result.
_SAMPLE = re.compile(
    r"^[ \t]*(?P<prefix>\w+):spec_decode_(?P<name>num_\w+?)(?:_total)?"
    r"(?:\{(?P<labels>[^\n]*)\})?[ \t]*\|?[ \t]+(?P<value>\S+)",
    re.MULTILINE,
)
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')

# Name and labels of a counter to its value.
Samples = Mapping[tuple[str, tuple[tuple[str, str], ...]], float]


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over a server's engines.

    drafts, draft_tokens, accepted: None where the text lacks them. by_position: empty likewise.
    model: the served model's name, or empty.
    """

    drafts: float | None
    draft_tokens: float | None
    accepted: float | None
    by_position: tuple[float, ...]
    model: str


def has_counters(text: str, prefix: str) -> bool:
    """Whether the text holds any counter of speculative decoding under the prefix."""
    return f"{prefix}:spec_decode_num_" in text


def read_totals(text: str, prefix: str, before: str | None = None) -> Totals:
    """The counters in `text`, less those of an earlier scrape.

    Raises InputError for values that are no counts, a counter named twice, counters that fell,
    several models, positions with a gap, and positions that do not add up to the tokens accepted.
    """
    samples = _samples(text, prefix)
    if before is not None:
        samples = _difference(samples, _samples(before, prefix), prefix)
    totals = Totals(
        drafts=_sum(samples, DRAFTS),
        draft_tokens=_sum(samples, TOKENS),
        accepted=_sum(samples, ACCEPTED),
        by_position=_by_position(samples),
        model=_model(samples),
    )
    _check_sum(totals)
    return totals


def _samples(text: str, prefix: str) -> Samples:
    samples: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
    for match in _SAMPLE.finditer(text):
        name = match["name"]
        if match["prefix"] != prefix or name not in (DRAFTS, TOKENS, ACCEPTED, BY_POSITION):
            continue
        key = (name, tuple(sorted(_LABEL.findall(match["labels"] or ""))))
        if key in samples:
            raise InputError(
                f"The text holds {prefix}:spec_decode_{name} twice for the same labels: give one "
                "scrape, and an earlier one by itself to be subtracted (--before)."
            )
        samples[key] = _count(match["value"], name)
    return samples


def _count(value: str, name: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not 0 <= number <= MAX_COUNT:
        raise InputError(
            f"The counter {name} must be a number from 0 to {MAX_COUNT:g}, got {value!r:.40}."
        )
    return number


def _difference(after: Samples, before: Samples, prefix: str) -> Samples:
    if not before:
        raise InputError(
            f"The earlier scrape holds no {prefix}:spec_decode counters: --before takes the "
            "metrics text of the same server, read earlier."
        )
    for (name, labels), value in before.items():
        now = after.get((name, labels))
        if now is None or now < value:
            raise InputError(
                f"{prefix}:spec_decode_{name} fell from {value:g} to {now or 0:g} between the "
                "scrapes: the server was restarted or is another one, so leave out --before."
            )
    return {key: value - before.get(key, 0.0) for key, value in after.items()}


def _sum(samples: Samples, name: str) -> float | None:
    values = [value for (found, _), value in samples.items() if found == name]
    return sum(values) if values else None


def _by_position(samples: Samples) -> tuple[float, ...]:
    sums: dict[int, float] = {}
    for (name, labels), value in samples.items():
        if name == BY_POSITION:
            position = _position(dict(labels).get("position"))
            sums[position] = sums.get(position, 0.0) + value
    missing = next((p for p in range(max(sums, default=-1)) if p not in sums), None)
    if missing is not None:
        raise InputError(
            f"The counters by position lack position {missing} but have {max(sums)}: give all "
            "positions from 0 on."
        )
    return tuple(sums[position] for position in sorted(sums))


def _position(label: str | None) -> int:
    if label is None or not re.fullmatch(r"[0-9]{1,4}", label) or int(label) > MAX_POSITION:
        raise InputError(
            f"A counter by position must have a label position of 0 to {MAX_POSITION}, got "
            f"{label!r:.40}."
        )
    return int(label)


def _model(samples: Samples) -> str:
    names = {dict(labels).get("model_name", "") for _, labels in samples} - {""}
    if len(names) > 1:
        raise InputError(
            f"The text holds counters of several models, {', '.join(sorted(names))[:200]}: keep "
            "the lines of one."
        )
    return next(iter(names), "")


def _check_sum(totals: Totals) -> None:
    """Positions that were cut off the text would pass for positions that were not drafted."""
    if not totals.by_position or totals.accepted is None:
        return
    found = sum(totals.by_position)
    if abs(found - totals.accepted) > MISMATCH * max(totals.accepted, 1.0) + 1:
        raise InputError(
            f"The positions 0 to {len(totals.by_position) - 1} add up to {found:g} accepted "
            f"tokens, but {totals.accepted:g} were counted: give the lines of all positions."
        )
