"""A run on show as a file, and back: what is saved, loaded and kept of it."""

import json
from dataclasses import replace
from pathlib import PurePath

from pages._generate import Request, RunView
from sequoia_core.decode.recorded import Predicted, Ranks, RecordedRun, largest
from sequoia_core.decode.trace_file import parse_trace, trace_text
from sequoia_core.errors import FileFormatError
from sequoia_core.plan.methods import AUTO, METHODS, NAMES
from sequoia_core.plan.paths import PathStatistics
from sequoia_core.tree.token_tree import TokenTree


def recorded(view: RunView) -> RecordedRun:
    """A finished run as it is kept in a file."""
    request, ranks = view.request, view.ranks
    planned = METHODS.get(request.method)
    grown = planned is not None and planned.grown
    budget, depth = request.tree.size, request.depth if grown else request.tree.depth
    if request.method == AUTO:
        budget, depth = largest(view.steps)
    return RecordedRun(
        method=request.method,
        rule=planned.rule if planned else "sequoia",
        tree=None if grown or request.method == AUTO else request.tree,
        budget=budget,
        depth=depth,
        settings=request.settings,
        prompt=request.prompt,
        prompt_ids=list(view.prompt_ids),
        steps=view.steps,
        summary=view.summary,
        origin=view.origin,
        plain=view.plain,
        ranks=ranks and Ranks(ranks.width, ranks.sequences[0].tolist()),
        predicted=Predicted(request.predicted_speedup, request.predicted_tokens),
    )


def loaded(data: bytes, file_name: str) -> RunView:
    """The run in a file's bytes, ready to be shown. Raises FileFormatError."""
    name = printable(file_name)
    run = parse_trace(data, name)
    if run.method not in NAMES:
        raise FileFormatError(
            f"{name}: method must be one of {', '.join(NAMES)}, got {run.method[:40]!r}."
        )
    # A grown tree differs from step to step; the largest says how big they came to be.
    widest = max((step.nodes.parent for step in run.steps), key=len)
    tree = TokenTree(widest) if run.tree is None else run.tree
    return RunView(
        Request(
            run.prompt,
            run.method,
            tree,
            run.depth,
            run.settings,
            run.predicted.speedup,
            predicted_tokens=run.predicted.tokens_per_step,
        ),
        steps=run.steps,
        pieces=run.pieces,
        summary=run.summary,
        plain=run.plain,
        ranks=run.ranks and PathStatistics(run.ranks.width, [run.ranks.ranks]),
        prompt_ids=tuple(run.prompt_ids),
        origin=run.origin,
        source=name,
    )


def kept_bytes(view: RunView) -> bytes:
    """The file that is kept: that of Save trace, and where a loaded run came from."""
    text = trace_text(recorded(view))
    if view.source:
        text = json.dumps(json.loads(text) | {"loaded_from": view.source}, ensure_ascii=False)
    return text.encode()


def restored(data: bytes, path: str, name: str) -> RunView:
    """The run in a kept file, as it was shown. Raises FileFormatError."""
    view = loaded(data, path)
    source = json.loads(data).get("loaded_from", "")
    source = printable(source) if isinstance(source, str) and source else ""
    return replace(view, source=source, kept=name)


def printable(file_name: str) -> str:
    """The name alone, short and without what Markdown would take for its own."""
    name = PurePath(file_name).name
    return "".join(c for c in name if c.isprintable() and c not in "`*[]<>")[:80] or "the file"
