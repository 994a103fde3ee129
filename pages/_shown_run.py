"""Which run Explore shows: the session's newest, or one loaded from a file."""

from datetime import datetime

import streamlit as st

from pages._generate import Record, RunView
from pages._sliders import RUN
from pages._text import literal


def shown_run() -> RunView | None:
    """The newest run that has made a step: a run that failed before it hides nothing."""
    record = st.session_state.get("record")
    view = record.read() if record else None
    if view is not None and view.steps:
        st.session_state.last_run = view
    return st.session_state.get("last_run")


def show_loaded(view: RunView) -> None:
    """Put a loaded run in front; the session's own stays at hand."""
    before = shown_run()
    if before is not None and not before.source:
        st.session_state.own_run = before
    _show(view)


def loaded_note() -> None:
    """Whose run is shown, where it is a loaded one, and the way back to the session's own."""
    view = shown_run()
    if view is None:
        return
    if view.unkept:
        st.caption(f"This run is not kept, so it goes with this page: {literal(view.unkept)}")
    if not view.source:
        if view.kept and view.kept == st.session_state.get("restored_run"):
            st.caption(_words("Kept from earlier", view))
        return
    if "own_run" not in st.session_state:
        st.caption(_loaded_words(view))
        return
    words, back = st.columns([3.4, 1], vertical_alignment="center")
    words.caption(_loaded_words(view))
    back.button("Back to my run", key="own_run_again", on_click=_back, width="stretch")


def _back() -> None:
    _show(st.session_state.pop("own_run"))


def _show(view: RunView) -> None:
    # A job that has ended has nothing more to say of the run that is shown now.
    st.session_state.update(record=Record(view), job=None, view=RUN, step=1)


def _loaded_words(view: RunView) -> str:
    return _words(f"Loaded from `{view.source}`", view)


def _words(where_from: str, view: RunView) -> str:
    origin = view.origin
    where = [part for part in (origin.dtype, origin.machine) if part]
    words = f"{where_from}: {literal(origin.target)} with {literal(origin.draft)}"
    words += f", {literal(', '.join(where))}" if where else ""
    words += f", {_date(origin.created)}." if origin.created else ", no date in the file."
    if not view.request.prompt:
        words += f" Its prompt is kept as {len(view.prompt_ids)} tokens, without the text."
    return words


def _date(created: str) -> str:
    try:
        return f"{datetime.fromisoformat(created):%d %B %Y, %H:%M %Z}".strip()
    except ValueError:
        return literal(created)
