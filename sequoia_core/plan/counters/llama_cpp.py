"""llama.cpp's server: metrics text, log lines of requests, statistics lines, timings in responses.

Checked against ggml-org/llama.cpp pull requests 12603 (timings), 14104 (what counts as drafted),
24536 (positions), 26389 (metrics) and 26320 (replayed drafts). A draft's token is accepted when
the target's own sample is that token, which is the rule topk.
"""

import re

from sequoia_core.errors import InputError
from sequoia_core.plan.counters import positions, prometheus, requests
from sequoia_core.plan.counters.reading import Reading, by_mean, by_position
from sequoia_core.plan.counters.vllm import read_counters

NAME = "llama.cpp"
PREFIX = "llamacpp"
DRAFTED, ACCEPTED = "draft_n", "draft_n_accepted"
REPLAYS = (
    "Builds before pull request 26320 (summer 2026) count replayed tokens as accepted for models "
    "whose cache cannot be rolled back, which makes these rates too high."
)
TOTALS = (
    "Read from the last statistics line: totals since the server started, in older builds of one "
    "slot only."
)
SHORT_DRAFTS = (
    "Builds before pull request 14104 (June 2025) also counted drafts that were too short to be "
    "tested, which makes the rate too low."
)
# Numbers are bounded, since these are other people's texts.
_COUNT, _MEAN = r"\d{1,15}", r"\d{1,9}(?:\.\d{1,9})?"
_REQUEST = re.compile(
    rf"draft acceptance(?: rate)? = *{_MEAN} *\( *(?P<accepted>{_COUNT}) accepted */ *"
    rf"(?P<drafted>{_COUNT}) generated\)"
    rf"(?:, mean (?:acceptance length|len) = *(?P<length>{_MEAN}))?"
    r"(?:, acceptance rate per position = \((?P<rates>[\d., ]*)\))?"
    r"|acc per pos = \((?P<later>[\d., ]*)\)"
)
_STATISTICS = re.compile(
    rf"statistics +(?P<name>[\w.-]+): #calls[^=\n]{{0,20}}= *(?P<calls>(?:{_COUNT} *){{1,3}})"
    rf", #gen drafts = *(?P<drafts>{_COUNT}), #acc drafts = *{_COUNT}"
    rf", #gen tokens = *(?P<drafted>{_COUNT}), #acc tokens = *(?P<accepted>{_COUNT})"
    r"(?:, #mean acc len = *[\d.]+, #acc rate/pos = \((?P<rates>[\d., ]*)\))?"
)


def recognises(text: str) -> bool:
    """Whether the text is one of llama.cpp's."""
    return (
        prometheus.has_counters(text, PREFIX)
        or _REQUEST.search(text) is not None
        or _STATISTICS.search(text) is not None
        or re.search(rf"[\"']{ACCEPTED}[\"']", text) is not None
    )


def read(text: str, *, before: str | None, draft_tokens: int | None) -> Reading:
    """The best of what the text holds: positions before means. Raises InputError."""
    if prometheus.has_counters(text, PREFIX):
        return read_counters(NAME, prometheus.read_totals(text, PREFIX, before), notes=[REPLAYS])
    lines = _request_lines(text)
    told = [line for line in lines if line["rates"] and int(line["drafted"])]
    statistics = _statistics(text)
    # A request's line mixes all ways to draft; with several, only the statistics tell them apart.
    if told and len(statistics) < 2:
        counted = positions.total(map(_line_positions, told))
        return by_position(NAME, "log lines", counted, requests=len(told), notes=[REPLAYS])
    lengths_told = lines and all(line["length"] for line in lines)
    if statistics and (len(statistics) > 1 or not lengths_told or _model(statistics)["rates"]):
        return _read_statistics(_model(statistics))
    if lines:
        return _read_lines(lines, draft_tokens)
    return _read_timings(text, draft_tokens)


def _request_lines(text: str) -> list[dict[str, str | None]]:
    """One record a request; newer builds write the positions on a line of their own."""
    lines: list[dict[str, str | None]] = []
    for match in _REQUEST.finditer(text):
        if match["later"] is None:
            lines.append(match.groupdict())
        elif lines:
            lines[-1]["rates"] = match["later"]
    return lines


def _line_positions(line: dict[str, str | None]) -> positions.Positions:
    rates = positions.rates_in(line["rates"])
    return positions.from_rates(rates, int(line["accepted"]), int(line["drafted"]))


def _statistics(text: str) -> dict[str, re.Match[str]]:
    """The last statistics of each way to draft that drafted: totals since the server started."""
    last = {found["name"]: found for found in _STATISTICS.finditer(text)}
    return {
        name: found
        for name, found in last.items()
        if int(found["drafted"]) and int(found["drafts"])
    }


def _model(statistics: dict[str, re.Match[str]]) -> re.Match[str]:
    """The statistics of the draft model, n-grams left aside; InputError if several report."""
    models = {name: found for name, found in statistics.items() if not name.startswith("ngram")}
    chosen = models or statistics
    if len(chosen) > 1:
        raise InputError(
            f"The statistics are of several ways to draft, {', '.join(sorted(chosen))[:200]}: "
            "keep the lines of one."
        )
    return next(iter(chosen.values()))


def _read_statistics(found: re.Match[str]) -> Reading:
    source = f"statistics of {found['name']}"
    accepted, drafted = int(found["accepted"]), int(found["drafted"])
    # The rates are over the calls to accept, the last of the three.
    steps = int(found["calls"].split()[-1]) or int(found["drafts"])
    notes = [REPLAYS, TOTALS]
    if not found["rates"]:
        return by_mean(NAME, source, accepted / steps, drafted / steps, steps, notes=notes)
    survivors = [round(rate * steps) for rate in positions.rates_in(found["rates"])]
    counted = positions.from_survivors(steps, survivors, drafted=drafted)
    return by_position(NAME, source, counted, notes=notes)


def _read_lines(lines: list[dict[str, str | None]], draft_tokens: int | None) -> Reading:
    """Requests without positions: their mean accepted length says how many steps there were."""
    accepted = sum(int(line["accepted"]) for line in lines)
    drafted = sum(int(line["drafted"]) for line in lines)
    lengths = [line["length"] for line in lines]
    if None in lengths:
        return _by_draft_length("log lines", accepted, drafted, draft_tokens, len(lines))
    usable = [line for line in lines if float(line["length"]) > 1 and int(line["drafted"])]
    steps = sum(int(line["accepted"]) / (float(line["length"]) - 1) for line in usable)
    if not steps:
        return _by_draft_length("log lines", accepted, drafted, draft_tokens, len(lines))
    # A request without an accepted token hides its steps; its drafts are as long as the others'.
    steps *= drafted / sum(int(line["drafted"]) for line in usable)
    return by_mean(
        NAME,
        "log lines",
        accepted / steps,
        drafted / steps,
        steps,
        requests=len(lines),
        notes=[REPLAYS],
    )


def _read_timings(text: str, draft_tokens: int | None) -> Reading:
    found = requests.request_fields(text, (ACCEPTED,), (DRAFTED, ACCEPTED))
    accepted = sum(requests.count(item, ACCEPTED) or 0 for item in found)
    drafted = sum(requests.count(item, DRAFTED) or 0 for item in found)
    return _by_draft_length("timings", accepted, drafted, draft_tokens, len(found))


def _by_draft_length(
    source: str, accepted: int, drafted: int, draft_tokens: int | None, texts: int
) -> Reading:
    """Means from totals alone, which need the drafts' length to tell the steps."""
    if not drafted:
        raise InputError(f"llama.cpp's {source} count no drafted token: nothing was drafted.")
    if draft_tokens is None:
        raise InputError(
            f"llama.cpp's {source} tell {accepted} of {drafted} drafted tokens accepted and not "
            "how long the drafts were: give it as --draft-tokens (spec-draft-n-max of the server)."
        )
    steps = drafted / draft_tokens
    notes = [SHORT_DRAFTS, "The drafts are taken to be all of the length given."]
    return by_mean(NAME, source, accepted / steps, draft_tokens, steps, requests=texts, notes=notes)
