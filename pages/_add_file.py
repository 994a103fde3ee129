"""Files of one's own: the upload and the paste that bring them into the library."""

import streamlit as st

from pages import _library as library
from pages._kept_files import kept_files
from pages._store import ACCEPTANCE, HARDWARE, TREES
from pages._text import literal
from sequoia_core.errors import SequoiaError


def add_file() -> None:
    """A popover with upload and paste, and what came of the last one."""
    # The popover may close as the controls above it change, and its note with it.
    if shown := st.session_state.pop("added_toast", None):
        st.toast(shown)
    with st.popover("Add a file", width="stretch"):
        st.file_uploader(
            "Acceptance, hardware, plan, report, growmap, path list or a model's config.json",
            type="json",
            key="upload",
            on_change=_take_upload,
            max_upload_size=library.MAX_BYTES // 1_000_000,
            help="JSON files that the command line writes and this page offers for download. A "
            "Hugging Face model's config.json gives its shape to the Hardware page.",
        )
        st.text_area(
            "Or what your server has counted",
            key="counters",
            height=110,
            on_change=_take_counters,
            placeholder="vLLM's metrics text, SGLang's or llama.cpp's log lines",
            help="Per-position acceptance counters become an acceptance vector for chains.",
        )
        if note := st.session_state.get("added_note"):
            (st.error if st.session_state.added_failed else st.success)(literal(note))
        for note in st.session_state.get("added_caveats", ()):
            st.caption(note)
        kept_files()


def _take_upload() -> None:
    """Before the pickers are drawn, so that they offer the file at once."""
    upload = st.session_state.upload
    if upload is None:
        _say("")
        return
    try:
        added = library.add_file(upload.name, upload.getvalue())
    except SequoiaError as error:
        _say(str(error), failed=True)
        return
    places = [
        f"“{name}” was added to {'the families' if shelf == TREES else shelf}."
        for shelf, name in added
    ]
    st.session_state.new_profile = dict(added).get(HARDWARE)
    _say(" ".join(places))
    if len(added) > 1:
        _pick(dict(reversed(added)))


def _pick(first: dict[str, str]) -> None:
    """Show a report's parts at once: its profile, and the first of its vectors."""
    for shelf in (HARDWARE, ACCEPTANCE):
        st.session_state[shelf] = first[shelf]
    name = literal(first[HARDWARE])
    st.session_state.added_toast = f"“{name}” is shown: its profile, acceptance and plan."


def _take_counters() -> None:
    text = st.session_state.counters
    if not text.strip():
        _say("")
        return
    try:
        name, caveats = library.add_counters(text)
    except SequoiaError as error:
        _say(str(error), failed=True)
        return
    _say(f"“{name}” was added to acceptance.", caveats=caveats)


def _say(note: str, *, failed: bool = False, caveats: tuple[str, ...] = ()) -> None:
    st.session_state.update(added_note=note, added_failed=failed, added_caveats=caveats)
