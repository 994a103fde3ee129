"""Save the shown run as a trace file; load one, or one that was kept on this machine."""

import re

import streamlit as st

from pages._data_folder import kept_words
from pages._file_kinds import page_for
from pages._generate import RunView
from pages._kept_runs import delete_run, keep_loaded, kept_runs, run_line, show_kept
from pages._run_file import loaded, recorded
from pages._shown_run import show_loaded, shown_run
from pages._store import LIMITS, RUNS
from pages._text import literal
from sequoia_core.decode.trace_file import KIND, trace_text
from sequoia_core.errors import SequoiaError
from sequoia_core.files import MAX_BYTES


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
        "Load run", width="stretch", disabled=busy, key="load_trace", on_change="rerun"
    ):
        st.file_uploader(
            "A file from Save trace, or of `generate --trace`",
            type="json",
            key="trace_file",
            on_change=_take_upload,
            max_upload_size=MAX_BYTES // 1_000_000,
        )
        if mistake := st.session_state.get("trace_mistake"):
            st.error(literal(mistake))
        _kept(view)


def _kept(view: RunView | None) -> None:
    """The runs that outlive the page, the newest first."""
    names = kept_runs()
    if names:
        shown = view.kept if view else ""
        name = st.selectbox(
            "Or an earlier run",
            names,
            names.index(shown) if shown in names else 0,
            key="kept_run",
            format_func=run_line,
        )
        with st.container(horizontal=True, gap="small"):
            st.button("Show", key="show_kept", on_click=_try, args=(show_kept, name))
            st.button("Delete", key="delete_run", on_click=_try, args=(delete_run, name))
    st.caption(
        "What you load is shown in place of your run, which stays at hand. The newest "
        f"{LIMITS[RUNS].most} runs can be shown again. {kept_words()}"
    )


def _try(change, name: str) -> None:
    st.session_state.trace_mistake = ""
    try:
        change(name)
    except SequoiaError as error:
        st.session_state.trace_mistake = str(error)


def _take_upload() -> None:
    """Before the page is drawn, so that it shows the run at once."""
    upload = st.session_state.trace_file
    st.session_state.trace_mistake = ""
    if upload is None:
        return
    data = upload.getvalue()
    try:
        show_loaded(keep_loaded(loaded(data, upload.name)))
        st.session_state.load_trace = False  # Closed, so that it hides nothing of the run.
    except SequoiaError as error:
        st.session_state.trace_mistake = f"{error}{page_for(data, here=KIND)}"


def _file_name(view: RunView) -> str:
    if view.source:
        return view.source
    request = view.request
    made = re.sub(r"\D", "", view.origin.created)[:14] if view.origin else ""
    return f"trace-{request.method}-{request.tree.size}-{made}.json"
