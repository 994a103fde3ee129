"""SGLang: per-request statistics, decode log lines, gauges and benchmark output.

Checked against sgl-project/sglang 00eef54 (python/sglang/srt/observability/
scheduler_metrics_mixin.py) and pull requests 18332, 23530, 24081, 33518.

Its accept length counts the bonus token; its draft tokens count the root. The accept rate of its
log was (accepted + 1) / (drafted + 1) until pull request 23530 (April 2026) and is accepted /
drafted since, so it is not used.
"""

import re
from typing import Any

from sequoia_core.errors import InputError
from sequoia_core.files import check_integer
from sequoia_core.plan.counters import positions, requests
from sequoia_core.plan.counters.reading import Reading, by_mean, by_position

NAME = "sglang"
# Newest name first; releases between carry both with the same content.
HISTOGRAMS = ("spec_correct_drafts_histogram", "spec_accept_histogram")
CORRECT = ("spec_num_correct_drafts", "spec_accepted_drafts", "spec_accept_token_num")
PROPOSED = ("spec_num_proposed_drafts", "spec_proposed_drafts", "spec_draft_token_num")
STEPS = "spec_verify_ct"
FIELDS = (*HISTOGRAMS, *CORRECT, *PROPOSED, STEPS)
CHAINS_ASSUMED = (
    "Taken to be chains (speculative-eagle-topk 1): of a tree, the same numbers would count every "
    "child and overstate the first."
)
_MEAN = r"(\d{1,9}(?:\.\d{1,9})?)"
_LENGTH = re.compile(rf"accept len: {_MEAN}")
_RUNNING = re.compile(r"#running-req: (\d{1,9})")
_GAUGE = re.compile(
    rf"^[ \t]*sglang:spec_accept_length(?:\{{[^\n]*\}})?[ \t]+{_MEAN}", re.MULTILINE
)
_BENCHMARK = re.compile(rf"^[ \t]*Accept length:[ \t]+{_MEAN}", re.MULTILINE)
_TREE = re.compile(r"speculative[-_]eagle[-_]topk[\"']?[=: ]+(\d{1,9})")
_NUM_STEPS = re.compile(r"speculative[-_]num[-_]steps[\"']?[=: ]+(\d{1,9})")


def recognises(text: str) -> bool:
    """Whether the text is one of SGLang's."""
    marks = ("accept len: ", "sglang:spec_accept_length", STEPS, *HISTOGRAMS)
    return any(mark in text for mark in marks) or _BENCHMARK.search(text) is not None


def read(text: str, *, before: str | None, draft_tokens: int | None) -> Reading:
    """The best of what the text holds: histograms, counts, then means. Raises InputError."""
    widest = max(map(int, _TREE.findall(text)), default=1)
    if widest > 1:
        raise InputError(
            f"This server drafted trees (speculative-eagle-topk {widest}): its counters say how "
            "far a tree got, not how often a first choice is accepted. Serve with top-k 1 once."
        )
    if STEPS in text or any(name in text for name in HISTOGRAMS):
        return _read_requests(text, draft_tokens)
    return _read_means(text, draft_tokens)


def _read_requests(text: str, draft_tokens: int | None) -> Reading:
    found = requests.request_fields(text, (STEPS, *HISTOGRAMS), FIELDS)
    parts = [part for item in found if (part := _histogram(item, draft_tokens)) is not None]
    if parts:
        return by_position(
            NAME,
            "per-request histograms",
            positions.total(parts),
            requests=len(parts),
            notes=[CHAINS_ASSUMED],
        )
    steps = sum(requests.count(item, STEPS) or 0 for item in found)
    correct = [_first(item, CORRECT) for item in found]
    proposed = [_first(item, PROPOSED) for item in found]
    if not steps or None in correct or None in proposed:
        raise InputError(
            "SGLang's per-request statistics hold no verification step with its draft tokens: "
            "speculative decoding was off, or fields are missing."
        )
    return by_mean(
        NAME,
        "per-request counts",
        sum(correct) / steps,
        sum(proposed) / steps,
        steps,
        requests=len(found),
        notes=[CHAINS_ASSUMED],
    )


def _histogram(item: dict[str, Any], draft_tokens: int | None) -> positions.Positions | None:
    """Counts of one request; a histogram ends at the most tokens that were ever accepted."""
    name = next((name for name in HISTOGRAMS if name in item), None)
    if name is None:
        return None
    histogram = requests.counts(item[name], name)
    steps = sum(histogram)
    if not steps:
        return None
    proposed = _first(item, PROPOSED)
    length = draft_tokens if proposed is None else round(proposed / steps)
    length = max(length or 0, len(histogram) - 1)
    check_integer(length, "The draft's length", low=0, high=requests.MAX_LENGTH)
    survivors = [sum(histogram[j:]) for j in range(1, length + 1)]
    return positions.from_survivors(steps, survivors, drafted=proposed)


def _first(item: dict[str, Any], names: tuple[str, ...]) -> int | None:
    return next((requests.count(item, name) for name in names if name in item), None)


def _read_means(text: str, draft_tokens: int | None) -> Reading:
    source, length = _mean_length(text)
    if draft_tokens is None:
        stated = {int(value) for value in _NUM_STEPS.findall(text)}
        if len(stated) != 1:
            raise InputError(
                f"SGLang's {source} tell a mean accept length of {length:.3g} and not how many "
                "tokens were drafted: give it as --draft-tokens (speculative-num-steps of the "
                "server)."
            )
        draft_tokens = stated.pop()
    return by_mean(NAME, source, length - 1, draft_tokens, None, notes=[CHAINS_ASSUMED])


def _mean_length(text: str) -> tuple[str, float]:
    """Name of the source and its mean accept length, the bonus token counted."""
    lines = [line for line in text.splitlines() if _LENGTH.search(line)]
    if lines:
        return "log lines", _weighted_length(lines)
    for source, pattern in (("gauges", _GAUGE), ("benchmark results", _BENCHMARK)):
        values = [float(value) for value in pattern.findall(text) if float(value) >= 1]
        if values:
            return source, sum(values) / len(values)
    raise InputError("SGLang's text tells no accept length of at least 1: nothing was drafted.")


def _weighted_length(lines: list[str]) -> float:
    """Mean over log lines; each stands for as many steps as requests were running."""
    weights = weighted = 0.0
    for line in lines:
        length, running = float(_LENGTH.search(line)[1]), _RUNNING.search(line)
        weight = int(running[1]) if running else 1
        # An idle interval is logged as 0.
        if length >= 1:
            weights, weighted = weights + weight, weighted + weight * length
    if not weights:
        raise InputError("SGLang's log lines tell no accept length of at least 1.")
    return weighted / weights
