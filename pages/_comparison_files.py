"""Which comparison is shown, and what can be done with it: rename, delete, save, load."""

from collections.abc import Callable
from contextlib import suppress

import streamlit as st

from pages import _comparison_shelf as shelf
from pages._data_folder import kept_words
from pages._file_kinds import page_for
from pages._store import MAX_NAME
from pages._text import literal
from sequoia_core.errors import SequoiaError
from sequoia_core.files import MAX_BYTES
from sequoia_core.measure.comparison_file import KIND, to_csv, to_json


def shelf_row(*, live: bool) -> str | None:
    """The picker and the buttons beside it; returns the name picked, None where there is none."""
    names = shelf.names(live=live)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        if names:
            name = _picker(names)
            _downloads(name)
            _rename(name, disabled=live)
            st.button(
                "Delete", key="delete_comparison", on_click=_delete, args=(name,), disabled=live
            )
        _load(disabled=live)
    if mistake := st.session_state.get("comparison_mistake"):
        st.error(literal(mistake))
    return name if names else None


def _picker(names: list[str]) -> str:
    if st.session_state.get("shown_comparison") not in names:
        st.session_state.shown_comparison = names[0]
    name = st.selectbox(
        "Comparison",
        names,
        key="shown_comparison",
        persist_state="session",
        on_change=_try,
        width="stretch",
    )
    if st.query_params.get("comparison") != name:
        # Not bound: the newest would be the default, and so no part of the link.
        st.query_params["comparison"] = name
    return name


def _downloads(name: str) -> None:
    comparison = None
    # A file that no longer fits is told where its results would be.
    with suppress(SequoiaError):
        comparison = shelf.record(name).read()
    stem = shelf.file_stem(name, comparison) if comparison else "compare"
    for kind, text, mime, words in (
        ("CSV", to_csv, "text/csv", "A row for every method, temperature, prompt and repeat."),
        ("JSON", to_json, "application/json", "All of it, to be loaded here again."),
    ):
        st.download_button(
            kind,
            (lambda text=text: text(comparison)) if comparison else "",
            f"{stem}.{kind.lower()}",
            mime,
            key=f"save_{kind.lower()}",
            disabled=comparison is None,
            on_click="ignore",
            help=words,
        )


def _rename(name: str, *, disabled: bool) -> None:
    with st.popover("Rename", key="rename", disabled=disabled):
        st.text_input(
            "Name",
            name,
            key=f"name_of_{name}",
            max_chars=MAX_NAME,
            on_change=_take_name,
            args=(name,),
        )


def _take_name(name: str) -> None:
    _try(lambda: shelf.rename(name, st.session_state[f"name_of_{name}"]))


def _delete(name: str) -> None:
    _try(lambda: shelf.delete(name))


def _try(change: Callable[[], object] = bool) -> None:
    """Make a change; a mistake of an earlier one is told no more."""
    st.session_state.comparison_mistake = ""
    try:
        change()
    except SequoiaError as error:
        st.session_state.comparison_mistake = str(error)


def _load(*, disabled: bool) -> None:
    with st.popover("Load", key="load_comparison", on_change="rerun", disabled=disabled):
        st.file_uploader(
            "A file from JSON, of `bench --out`, or the benchmark.json of `tune`",
            type="json",
            key="comparison_file",
            on_change=_take_upload,
            max_upload_size=MAX_BYTES // 1_000_000,
        )
        st.caption("It stands beside your own comparisons. No model is needed.")
        st.caption(kept_words())


def _take_upload() -> None:
    """Before the page is drawn, so that it shows the comparison at once."""
    upload = st.session_state.comparison_file
    st.session_state.comparison_mistake = ""
    if upload is None:
        return
    data = upload.getvalue()
    _try(lambda: shelf.load(upload.name, data))
    if st.session_state.comparison_mistake:
        st.session_state.comparison_mistake += page_for(data, here=KIND)
    st.session_state.load_comparison = False  # Closed, so that it hides nothing.
