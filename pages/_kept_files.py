"""What was added on this machine: deleting it, beside its picker or from a list of all of it."""

import streamlit as st

from pages import _library as library
from pages._data_folder import kept_words
from pages._store import TREES
from pages._text import literal
from sequoia_core.errors import SequoiaError


def delete_button(shelf: str, name: str | None, *, key: str) -> None:
    """Takes an added file away; nothing stands here for a preset, which stays."""
    if name is not None and library.is_own(shelf, name):
        st.button("Delete it", key=key, on_click=_delete, args=(shelf, name))
    if mistake := st.session_state.pop(f"mistake_{shelf}", ""):
        st.error(literal(mistake))


def kept_files() -> None:
    """All that was added, of every kind, with its way out."""
    added = library.own_names()
    if added:
        with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
            shelf, name = st.selectbox(
                "Added files", added, key="added_file", format_func=_line, width="stretch"
            )
            st.button("Delete", key="delete_added", on_click=_delete, args=(shelf, name))
    st.caption(kept_words())


def _line(entry: tuple[str, str]) -> str:
    shelf, name = entry
    return f"{name} ({'family' if shelf == TREES else shelf.removesuffix('s')})"


def _delete(shelf: str, name: str) -> None:
    """Before the pickers are drawn, so that they offer it no more."""
    try:
        library.delete(shelf, name)
    except SequoiaError as error:
        st.session_state[f"mistake_{shelf}"] = str(error)
