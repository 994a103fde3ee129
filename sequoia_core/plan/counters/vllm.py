"""vLLM: metrics text, per-request statistics and log lines.

Checked against vllm-project/vllm ee4ceaa and 016a858 (vllm/v1/spec_decode/metrics.py), 02cf515
(docs/features/speculative_decoding/acceptance_metrics.md) and pull requests 15902, 24127, 48915.
"""

import re
from typing import Any

from sequoia_core.errors import InputError
from sequoia_core.plan.counters import positions, prometheus, requests
from sequoia_core.plan.counters.reading import Reading, by_mean, by_position

NAME = "vllm"
PREFIX = "vllm"
HISTOGRAM, BY_LENGTH = "acceptance_histogram", "acceptance_histogram_by_draft_length"
STEP_ACCEPTED, STEP_DRAFTED = "per_step_accepted", "per_step_drafted"
DRAFTED = "num_draft_tokens"
FIELDS = (HISTOGRAM, BY_LENGTH, STEP_ACCEPTED, STEP_DRAFTED, DRAFTED)
GREEDY_ONLY = (
    "vLLM drafts greedily unless draft_sample_method is 'probabilistic'; if it is, these are not "
    "the acceptances of the rule topk."
)
_LOG_MARK = "SpecDecoding metrics:"
_LINE = re.compile(rf"{_LOG_MARK}(?P<rest>[^\n]*)")
_ACCEPTED = re.compile(r"Accepted: (\d{1,15}) tokens")
_DRAFTED = re.compile(r"Drafted: (\d{1,15}) tokens")
_RATES = re.compile(r"Per-position acceptance rate: ([\d., ]+)")


def recognises(text: str) -> bool:
    """Whether the text is one of vLLM's."""
    return (
        prometheus.has_counters(text, PREFIX)
        or _LOG_MARK in text
        or re.search(rf"[\"']{HISTOGRAM}[\"']", text) is not None
    )


def read(text: str, *, before: str | None, draft_tokens: int | None) -> Reading:
    """The best of what the text holds: counters, histograms, log lines. Raises InputError."""
    if prometheus.has_counters(text, PREFIX):
        totals = prometheus.read_totals(text, PREFIX, before)
        return read_counters(NAME, totals, notes=[GREEDY_ONLY])
    if _LOG_MARK in text:
        return _read_log(text, draft_tokens)
    return _read_requests(text)


def read_counters(engine: str, totals: prometheus.Totals, *, notes: list[str]) -> Reading:
    """A reading of counters in the scheme of vLLM, which llama.cpp shares."""
    source = "Prometheus counters"
    if totals.drafts is None:
        raise InputError(
            f"The text lacks {engine}'s counter spec_decode_num_drafts_total, without which "
            "acceptance has no denominator: give the whole metrics text."
        )
    if totals.by_position:
        counted = positions.from_survivors(
            totals.drafts, totals.by_position, drafted=totals.draft_tokens
        )
        return by_position(engine, source, counted, target=totals.model, notes=notes)
    if totals.accepted is None or totals.draft_tokens is None or not totals.drafts:
        raise InputError(
            f"{engine} counted {totals.drafts:g} drafts and no accepted tokens by position: "
            "speculative decoding was off, or lines are missing."
        )
    accepted, drafted = totals.accepted / totals.drafts, totals.draft_tokens / totals.drafts
    return by_mean(
        engine, source, accepted, drafted, totals.drafts, target=totals.model, notes=notes
    )


def _read_requests(text: str) -> Reading:
    found = requests.request_fields(text, (HISTOGRAM,), FIELDS)
    parts = [part for part in map(_request, found) if part is not None]
    if not parts:
        raise InputError(
            "vLLM's per-request statistics hold no verification step: no request drafted a token."
        )
    return by_position(
        NAME,
        "per-request histograms",
        positions.total(parts),
        requests=len(parts),
        notes=[GREEDY_ONLY],
    )


def _request(item: dict[str, Any]) -> positions.Positions | None:
    """The counts of one request, by the lengths of its drafts where it tells them."""
    if BY_LENGTH in item:
        histograms = _by_length(item[BY_LENGTH])
    elif STEP_ACCEPTED in item and STEP_DRAFTED in item:
        histograms = _by_step(item)
    else:
        return _plain_histogram(item)
    if not any(sum(row) for length, row in histograms.items() if length):
        return None
    return positions.from_histograms(histograms)


def _by_length(rows: Any) -> dict[int, list[int]]:
    if not isinstance(rows, dict) or not all(re.fullmatch(r"[0-9]{1,3}", key) for key in rows):
        raise InputError(
            f"{BY_LENGTH} must map draft lengths of at most 999 to lists, got {rows!r:.60}."
        )
    return {int(key): requests.counts(row, f"{BY_LENGTH}[{key}]") for key, row in rows.items()}


def _by_step(item: dict[str, Any]) -> dict[int, list[int]]:
    """Histograms by draft length from the lists of a detailed record, one entry a step."""
    accepted = item[STEP_ACCEPTED] and requests.counts(item[STEP_ACCEPTED], STEP_ACCEPTED)
    drafted = item[STEP_DRAFTED] and requests.counts(item[STEP_DRAFTED], STEP_DRAFTED)
    if len(accepted or []) != len(drafted or []):
        raise InputError(f"{STEP_ACCEPTED} and {STEP_DRAFTED} must have as many entries.")
    histograms: dict[int, list[int]] = {}
    for kept, length in zip(accepted or [], drafted or [], strict=True):
        if kept > length or length > requests.MAX_LENGTH:
            raise InputError(f"A step cannot accept {kept} of {length} drafted tokens.")
        histograms.setdefault(length, [0] * (length + 1))[kept] += 1
    return histograms


def _plain_histogram(item: dict[str, Any]) -> positions.Positions | None:
    histogram = requests.counts(item[HISTOGRAM], HISTOGRAM)
    if not sum(histogram):
        return None
    survivors = [sum(histogram[j:]) for j in range(1, len(histogram))]
    return positions.from_survivors(
        sum(histogram), survivors, drafted=requests.count(item, DRAFTED)
    )


def _read_log(text: str, draft_tokens: int | None) -> Reading:
    """The sum of all log lines: each counts the interval since the one before it."""
    parts, accepted, drafted = [], 0, 0
    for match in _LINE.finditer(text):
        line = match["rest"]
        kept, offered, rates = _ACCEPTED.search(line), _DRAFTED.search(line), _RATES.search(line)
        if kept is None or offered is None or not int(offered[1]):
            continue
        accepted, drafted = accepted + int(kept[1]), drafted + int(offered[1])
        if rates is not None:
            values = positions.rates_in(rates[1])
            parts.append(positions.from_rates(values, int(kept[1]), int(offered[1])))
    if not drafted:
        raise InputError("vLLM's log lines count no drafted token: speculative decoding was off.")
    if parts:
        return by_position(NAME, "log lines", positions.total(parts), notes=[GREEDY_ONLY])
    if draft_tokens is None:
        raise InputError(
            "These log lines of vLLM tell neither positions nor the drafts' length: give it as "
            "--draft-tokens (num_speculative_tokens of the server)."
        )
    steps = drafted / draft_tokens
    return by_mean(NAME, "log lines", accepted / steps, draft_tokens, steps, notes=[GREEDY_ONLY])
