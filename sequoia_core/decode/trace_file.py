"""The file of a run, `sequoia-trace`: the one place that writes it and reads it back.

Reading trusts nothing: every list has the length of its tree, every verdict is the one that
follows from the accepted path, and every step goes on where the one before ended. The error names
the field. Files of earlier versions of `generate` lack what stands below `stopped` in `_content`;
they load with that unknown.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sequoia_core.decode.recorded import Origin, Predicted, Ranks, RecordedRun
from sequoia_core.decode.settings import GenerationSettings
from sequoia_core.decode.trace import PlainRun, RunSummary
from sequoia_core.decode.trace_steps import (
    MAX_TEXT,
    MAX_TOKENS,
    check_steps,
    member,
    numbers,
    steps_from,
    texts,
    token_ids,
)
from sequoia_core.errors import InputError
from sequoia_core.files import (
    check_choice,
    check_integer,
    check_list,
    check_number,
    check_text,
    parse_as,
    read_as,
    tagged,
    write_json,
)
from sequoia_core.tree.token_tree import MAX_NODES, TokenTree

KIND = "trace"
MAX_SECONDS = 1e7
MAX_VERSIONS = 20
RULES = ("sequoia", "specinfer", "topk")


def write_trace(path: str | Path, run: RecordedRun) -> None:
    """Replace `path` by the run's file, at once. InputError if it cannot be written."""
    write_json(path, _content(run))


def trace_text(run: RecordedRun) -> str:
    """The run's file as text."""
    return json.dumps(_content(run), ensure_ascii=False, allow_nan=False)


def read_trace(path: str | Path) -> RecordedRun:
    """The run of a file; FileFormatError names the file and the field that is wrong."""
    return read_as(path, KIND, _run)


def parse_trace(data: bytes, source: str) -> RecordedRun:
    """The run of a file's bytes; `source` names it in the FileFormatError."""
    return parse_as(data, source, KIND, _run)


def _content(run: RecordedRun) -> dict[str, Any]:
    origin, summary = run.origin, run.summary
    return tagged(
        KIND,
        {
            "settings": asdict(run.settings),
            "target": origin.target,
            "draft": origin.draft,
            "prompt_ids": run.prompt_ids,
            "method": run.method,
            "rule": run.rule,
            "parents": None if run.tree is None else run.tree.parents.tolist(),
            "text": summary.text,
            "decisions": [asdict(decision) for decision in summary.decisions],
            "steps": [asdict(step) for step in run.steps],
            "timings": {
                "prefill_seconds": summary.prefill_seconds,
                "decode_seconds": summary.decode_seconds,
            },
            "stopped": summary.stopped,
            "budget": run.budget,
            "depth": run.depth,
            "prompt": run.prompt,
            "predicted": asdict(run.predicted),
            "device": origin.device,
            "dtype": origin.dtype,
            "machine": origin.machine,
            "created": origin.created,
            "versions": origin.versions,
            "voices": list(origin.voices),
            "plain": None if run.plain is None else asdict(run.plain),
            "ranks": None if run.ranks is None else asdict(run.ranks),
        },
    )


def _run(content: dict[str, Any]) -> RecordedRun:
    prompt_ids = token_ids(member(content, "prompt_ids", list), "prompt_ids", low=1)
    steps = steps_from(member(content, "steps", list))
    tree = _tree(content)
    budget, depth = _limits(content, tree, steps)
    check_steps(steps, prompt_ids, budget, depth)
    written = [token for step in steps for token in step.committed]
    return RecordedRun(
        method=check_text(member(content, "method", str), "method"),
        rule=check_choice(member(content, "rule", str), "rule", RULES),
        tree=tree,
        budget=budget,
        depth=depth,
        settings=_settings(member(content, "settings", dict)),
        prompt=check_text(content.get("prompt", ""), "prompt", MAX_TEXT),
        prompt_ids=prompt_ids,
        steps=steps,
        summary=_summary(content, steps, written),
        origin=origin_from(content),
        plain=_plain(content.get("plain")),
        ranks=_ranks(content.get("ranks"), len(written)),
        predicted=_predicted(content.get("predicted")),
    )


def _tree(content: dict[str, Any]) -> TokenTree | None:
    parents = content.get("parents")
    if parents is None:
        return None
    listed = check_list(parents, "parents", low=1, high=MAX_NODES)
    return TokenTree([check_integer(p, "parents", low=-1, high=MAX_NODES) for p in listed])


def _limits(content: dict[str, Any], tree: TokenTree | None, steps) -> tuple[int, int]:
    """Budget and depth; files of earlier versions leave them to the trees."""
    trees = [tree] if tree else [TokenTree(step.nodes.parent) for step in steps]
    budget = content.get("budget", max(each.size for each in trees))
    depth = content.get("depth", max(each.depth for each in trees))
    return (
        check_integer(budget, "budget", low=1, high=MAX_NODES),
        check_integer(depth, "depth", low=0, high=MAX_NODES - 1),
    )


def _settings(content: dict[str, Any]) -> GenerationSettings:
    def number(name: str) -> float:
        return check_number(content.get(name), f"settings.{name}")

    def whole(name: str, high: int) -> int:
        return check_integer(content.get(name), f"settings.{name}", low=0, high=high)

    return GenerationSettings(
        temperature=number("temperature"),
        top_p=number("top_p"),
        max_new_tokens=whole("max_new_tokens", 10**9),
        seed=whole("seed", 2**63 - 1),
    )


def _summary(content: dict[str, Any], steps, written: list[int]) -> RunSummary:
    timings = member(content, "timings", dict)
    prefill, decode = (
        check_number(timings.get(name), f"timings.{name}", low=0, high=MAX_SECONDS)
        for name in ("prefill_seconds", "decode_seconds")
    )
    total = sum(step.seconds.total for step in steps)
    if abs(decode - total) > 1e-6 * max(total, 1e-3):
        raise InputError(
            f"timings.decode_seconds must be the sum of the steps' seconds, {total:.6g}, "
            f"got {decode:.6g}."
        )
    text = check_text(member(content, "text", str), "text", MAX_TEXT)
    stopped = check_text(content.get("stopped", ""), "stopped")
    decisions = tuple(step.decision for step in steps if step.decision)
    return RunSummary(text, written, len(steps), prefill, decode, stopped, decisions)


def origin_from(content: dict[str, Any]) -> Origin:
    """The origin that a file's fields tell; InputError names the field."""
    names = ("device", "dtype", "machine", "created")
    versions = content.get("versions", {})
    if not isinstance(versions, dict) or len(versions) > MAX_VERSIONS:
        raise InputError(f"versions must be an object of at most {MAX_VERSIONS} entries.")
    for name, version in versions.items():
        check_text(version, f"versions.{check_text(name, 'versions')[:40]}")
    return Origin(
        check_text(member(content, "target", str), "target"),
        check_text(member(content, "draft", str), "draft"),
        *(check_text(content.get(name, ""), name) for name in names),
        versions,
        tuple(texts(content.get("voices", ["", ""]), "voices", 2)),
    )


def _plain(content: Any) -> PlainRun | None:
    if content is None:
        return None
    if not isinstance(content, dict):
        raise InputError(f"plain must be an object or null, got {type(content).__name__}.")
    written = token_ids(member(content, "token_ids", list, "plain."), "plain.token_ids", low=1)
    return PlainRun(
        written,
        texts(member(content, "pieces", list, "plain."), "plain.pieces", len(written)),
        numbers(
            member(content, "seconds", list, "plain."),
            "plain.seconds",
            len(written),
            high=MAX_SECONDS,
        ),
        check_number(
            content.get("prefill_seconds"), "plain.prefill_seconds", low=0, high=MAX_SECONDS
        ),
    )


def _ranks(content: Any, tokens: int) -> Ranks | None:
    if content is None:
        return None
    if not isinstance(content, dict):
        raise InputError(f"ranks must be an object or null, got {type(content).__name__}.")
    width = check_integer(content.get("width"), "ranks.width", low=1, high=1024)
    listed = check_list(content.get("ranks"), "ranks.ranks", low=tokens, high=tokens)
    return Ranks(width, [check_integer(r, "ranks.ranks", low=-1, high=width - 1) for r in listed])


def _predicted(content: Any) -> Predicted:
    if content is None:
        return Predicted()
    if not isinstance(content, dict):
        raise InputError(f"predicted must be an object or null, got {type(content).__name__}.")
    figures = (
        None
        if content.get(name) is None
        else check_number(content[name], f"predicted.{name}", low=0, high=MAX_TOKENS)
        for name in ("speedup", "tokens_per_step")
    )
    return Predicted(*figures)
