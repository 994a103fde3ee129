"""The file of a comparison, `sequoia-benchmark`: written by `bench`, `tune` and the dashboard.

Reading trusts nothing: methods are known ones, every number is finite and within its range, no run
stands twice, and every run has its run of plain decoding to be compared with. The error names the
field. `rows` and `verdict` are there for scripts; they follow from `runs` and are not read.
"""

import csv
import io
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sequoia_core.decode.settings import MAX_SEED, MAX_TEMPERATURE, GenerationSettings
from sequoia_core.decode.trace import Seconds
from sequoia_core.decode.trace_file import origin_from
from sequoia_core.decode.trace_steps import member
from sequoia_core.errors import InputError
from sequoia_core.files import (
    check_choice,
    check_integer,
    check_list,
    check_number,
    check_object,
    check_text,
    parse_as,
    read_as,
    tagged,
    write_json,
)
from sequoia_core.measure.comparison import BASELINE, MAX_RUNS, NAMES, Comparison, Entry, Run
from sequoia_core.measure.paired import speedups
from sequoia_core.measure.summary import (
    PARTS,
    Summary,
    prediction_words,
    summarise,
    text_words,
    verdict,
)

KIND = "benchmark"
MAX_PROMPTS = 10_000
# Prompts fill contexts of more than 100,000 tokens.
MAX_PROMPT = 4_000_000
MAX_ENTRIES = 200
MAX_SECONDS = 1e7
MAX_TOKENS = 1_000_000
MAX_NODES = 100_000
MAX_FACTOR = 1e6
COLUMNS = (
    "method",
    "temperature",
    "prompt",
    "repeat",
    "tokens",
    "steps",
    "seconds",
    "decode_seconds",
    *(f"{part}_seconds" for part in PARTS),
    "hits",
    "shared_tokens",
    "tokens_per_step",
    "tokens_per_second",
    "speedup",
)


def to_dict(comparison: Comparison) -> dict[str, Any]:
    """The content of the file."""
    settings, origin = comparison.settings, comparison.origin
    return tagged(
        KIND,
        {
            "rows": [_row(summary) for summary in summarise(comparison)],
            "verdict": [
                *verdict(comparison),
                *text_words(comparison),
                *prediction_words(comparison),
            ],
            "entries": [asdict(entry) for entry in comparison.entries],
            "prompts": list(comparison.prompts),
            "repeats": comparison.repeats,
            "top_p": settings.top_p,
            "max_new_tokens": settings.max_new_tokens,
            "seed": settings.seed,
            "target": origin.target,
            "draft": origin.draft,
            "voices": list(origin.voices),
            "device": origin.device,
            "dtype": origin.dtype,
            "machine": origin.machine,
            "versions": origin.versions,
            "created": origin.created,
            "complete": comparison.complete,
            "runs": [asdict(run) for run in comparison.runs],
        },
    )


def to_json(comparison: Comparison) -> str:
    """The file as text."""
    return json.dumps(to_dict(comparison), ensure_ascii=False, allow_nan=False)


def to_csv(comparison: Comparison) -> str:
    """A row for every method, temperature, prompt and repeat; prompts and repeats count from 1."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    for run, speedup in zip(comparison.runs, speedups(comparison), strict=True):
        parts = [getattr(run.parts, part) for part in PARTS] if run.parts else [None] * 4
        table.writerow(
            [
                run.method,
                run.temperature,
                run.prompt + 1,
                run.repeat + 1,
                run.tokens,
                run.steps,
                run.seconds,
                run.decode_seconds,
                *parts,
                run.hits,
                run.shared_tokens,
                run.tokens / run.steps,
                run.rate,
                speedup,
            ]
        )
    return text.getvalue()


def write_comparison(path: str | Path, comparison: Comparison) -> None:
    """Replace `path` by the comparison's file, at once. InputError if it cannot be written."""
    write_json(path, to_dict(comparison))


def read_comparison(path: str | Path) -> Comparison:
    """The comparison of a file; FileFormatError names the file and the field that is wrong."""
    return read_as(path, KIND, _comparison)


def parse_comparison(data: bytes, source: str) -> Comparison:
    """The comparison of a file's bytes; `source` names it in the FileFormatError."""
    return parse_as(data, source, KIND, _comparison)


def _row(summary: Summary) -> dict[str, Any]:
    entry, speedup, alone = summary.entry, summary.speedup, summary.decode_speedup
    return {
        "method": entry.method,
        "temperature": entry.temperature,
        "tokens_per_second": summary.tokens_per_second,
        "tokens_per_step": summary.tokens_per_step,
        "speedup": speedup.median,
        "speedup_low": speedup.low,
        "speedup_high": speedup.high,
        "speedup_coverage": speedup.coverage,
        "decode_speedup": alone.median if alone else None,
        "predicted_speedup": entry.predicted_speedup,
        "predicted_tokens_per_step": entry.predicted_tokens_per_step,
        "hit_rate": summary.hit_rate,
        "seconds_per_token": asdict(summary.parts) if summary.parts else None,
    }


def _comparison(content: dict[str, Any]) -> Comparison:
    if "runs" not in content:
        raise InputError(
            "runs is missing: files of earlier versions keep averages alone; measure with `bench`, "
            "`tune` or on the Compare page."
        )
    listed = check_list(member(content, "entries", list), "entries", low=1, high=MAX_ENTRIES)
    entries = tuple(_entry(entry, f"entries[{i}]") for i, entry in enumerate(listed))
    prompts = check_list(member(content, "prompts", list), "prompts", low=1, high=MAX_PROMPTS)
    repeats = check_integer(content.get("repeats"), "repeats", low=1, high=MAX_RUNS)
    runs = check_list(content["runs"], "runs", low=1, high=MAX_RUNS)
    comparison = Comparison(
        entries=entries,
        prompts=tuple(check_text(p, f"prompts[{i}]", MAX_PROMPT) for i, p in enumerate(prompts)),
        repeats=repeats,
        settings=_settings(content),
        origin=origin_from(content),
        runs=tuple(
            run_from(run, f"runs[{i}]", len(prompts), repeats) for i, run in enumerate(runs)
        ),
    )
    _check_rounds(comparison)
    return comparison


def _check_rounds(comparison: Comparison) -> None:
    """Whole rounds, each method once: all of a comparison's ratios exist."""
    keys = [entry.key for entry in comparison.entries]
    if len(set(keys)) < len(keys):
        raise InputError("entries must name each method once a temperature.")
    methods: dict[tuple[float, int, int], list[str]] = {}
    for index, run in enumerate(comparison.runs):
        if (run.method, run.temperature) not in keys:
            raise InputError(
                f"runs[{index}] must be of one of the entries, got {run.method} at temperature "
                f"{run.temperature:g}."
            )
        methods.setdefault((run.temperature, run.prompt, run.repeat), []).append(run.method)
    for (temperature, prompt, repeat), ran in methods.items():
        wanted = sorted(method for method, own in keys if own == temperature)
        if sorted(ran) != wanted:
            raise InputError(
                f"runs must have each of {', '.join(wanted)} once for temperature {temperature:g}, "
                f"prompt {prompt}, repeat {repeat}, got {', '.join(sorted(ran))}."
            )
        if BASELINE not in ran:
            raise InputError(f"entries must hold {BASELINE} at temperature {temperature:g}.")


def _entry(content: Any, name: str) -> Entry:
    content = check_object(content, name)

    def optional(field: str, check, **limits):
        value = content.get(field)
        return None if value is None else check(value, f"{name}.{field}", **limits)

    def text(field: str) -> str:
        return check_text(content.get(field, ""), f"{name}.{field}")

    sizes = check_list(content.get("level_sizes", []), f"{name}.level_sizes", low=0, high=MAX_NODES)
    texts = ("rule", "acceptance", "acceptance_rule", "hardware", "family")
    sources = ("acceptance_target", "acceptance_draft", "hardware_target")
    return Entry(
        _method(content, name),
        _temperature(content, name),
        optional("budget", check_integer, low=1, high=MAX_NODES),
        optional("depth", check_integer, low=0, high=MAX_NODES),
        tuple(check_integer(s, f"{name}.level_sizes", low=1, high=MAX_NODES) for s in sizes),
        *(text(field) for field in texts),
        optional("predicted_speedup", check_number, low=0, high=MAX_FACTOR),
        optional("predicted_tokens_per_step", check_number, low=0, high=MAX_TOKENS),
        *(text(field) for field in sources),
        optional("acceptance_temperature", check_number, low=0, high=MAX_TEMPERATURE),
    )


def run_from(content: Any, name: str, prompts: int, repeats: int) -> Run:
    """One run of a file, called `name` in the InputError that names its field."""
    content = check_object(content, name)

    def whole(field: str, low: int, high: int) -> int:
        return check_integer(content.get(field), f"{name}.{field}", low=low, high=high)

    def known(field: str) -> bool:
        return content.get(field) is not None

    tokens, steps = whole("tokens", 1, MAX_TOKENS), whole("steps", 1, MAX_TOKENS)
    seconds = _seconds(content, "seconds", name, 1e-9, MAX_SECONDS)
    decoding = (
        _seconds(content, "decode_seconds", name, 1e-9, seconds)
        if known("decode_seconds")
        else None
    )
    return Run(
        _method(content, name),
        _temperature(content, name),
        whole("prompt", 0, prompts - 1),
        whole("repeat", 0, repeats - 1),
        tokens,
        steps,
        seconds,
        decoding,
        _parts(content["parts"], f"{name}.parts", seconds) if known("parts") else None,
        whole("hits", 0, steps) if known("hits") else None,
        whole("shared_tokens", 0, tokens) if known("shared_tokens") else None,
    )


def _parts(content: Any, name: str, most: float) -> Seconds:
    content = check_object(content, name)
    return Seconds(*(_seconds(content, part, name, 0.0, most) for part in PARTS))


def _seconds(content: dict[str, Any], field: str, name: str, low: float, high: float) -> float:
    return check_number(content.get(field), f"{name}.{field}", low=low, high=high)


def _method(content: dict[str, Any], name: str) -> str:
    return check_choice(content.get("method"), f"{name}.method", NAMES)


def _temperature(content: dict[str, Any], name: str) -> float:
    return check_number(
        content.get("temperature"), f"{name}.temperature", low=0, high=MAX_TEMPERATURE
    )


def _settings(content: dict[str, Any]) -> GenerationSettings:
    return GenerationSettings(
        top_p=check_number(content.get("top_p"), "top_p"),
        max_new_tokens=check_integer(
            content.get("max_new_tokens"), "max_new_tokens", low=1, high=MAX_TOKENS
        ),
        seed=check_integer(content.get("seed"), "seed", low=0, high=MAX_SEED),
    )
