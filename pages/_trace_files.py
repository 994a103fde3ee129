"""Save the shown run as a trace file, load one back."""

import re
from pathlib import PurePath

import streamlit as st

from pages._generate import Request, RunView
from pages._shown_run import show_loaded, shown_run
from pages._text import literal
from sequoia_core.decode.recorded import Predicted, Ranks, RecordedRun, largest
from sequoia_core.decode.trace_file import MAX_BYTES, parse_trace, trace_text
from sequoia_core.errors import FileFormatError, SequoiaError
from sequoia_core.plan.methods import AUTO, METHODS, NAMES
from sequoia_core.plan.paths import PathStatistics
from sequoia_core.tree.token_tree import TokenTree


def trace_files(*, busy: bool) -> None:
    """Save and load, side by side; both wait while a run is being written."""
    view = shown_run()
    ready = view is not None and view.summary is not None and not busy
    save, load = st.columns(2, gap="small")
    save.download_button(
        "Save trace",
        (lambda: trace_text(recorded(view))) if ready else "",
        _file_name(view) if ready else None,
        "application/json",
        key="save_trace",
        disabled=not ready,
        on_click="ignore",
        width="stretch",
        help="Every step of the run on show with its tree, verdicts and times, as JSON.",
    )
    with load.popover(
        "Load trace", width="stretch", disabled=busy, key="load_trace", on_change="rerun"
    ):
        st.file_uploader(
            "A file from Save trace, or of `generate --trace`",
            type="json",
            key="trace_file",
            on_change=_take_upload,
            max_upload_size=MAX_BYTES // 1_000_000,
        )
        st.caption("It is shown in place of your run, which stays at hand. No model is needed.")
        if mistake := st.session_state.get("trace_mistake"):
            st.error(literal(mistake))


def _take_upload() -> None:
    """Before the page is drawn, so that it shows the run at once."""
    upload = st.session_state.trace_file
    st.session_state.trace_mistake = ""
    if upload is None:
        return
    try:
        show_loaded(loaded(upload.getvalue(), upload.name))
        st.session_state.load_trace = False  # Closed, so that it hides nothing of the run.
    except SequoiaError as error:
        st.session_state.trace_mistake = str(error)


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
    name = _printable(file_name)
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


def _file_name(view: RunView) -> str:
    if view.source:
        return view.source
    request = view.request
    made = re.sub(r"\D", "", view.origin.created)[:14] if view.origin else ""
    return f"trace-{request.method}-{request.tree.size}-{made}.json"


def _printable(file_name: str) -> str:
    """The name alone, short and without what Markdown would take for its own."""
    name = PurePath(file_name).name
    return "".join(c for c in name if c.isprintable() and c not in "`*[]<>")[:80] or "the file"
