"""Files of a session's own: the upload that brings them into the library."""

import streamlit as st

from pages import _library as library
from sequoia_core.errors import SequoiaError


def add_file() -> None:
    """A popover with the upload, and what came of the last one."""
    with st.popover("Add a file", width="stretch"):
        st.file_uploader(
            "Acceptance, hardware, plan, growmap or path list",
            type="json",
            key="upload",
            on_change=_take_upload,
            help="JSON files that the command line writes and this page offers for download.",
        )
        st.caption("It stays in this browser session and joins the pickers above.")
        if note := st.session_state.get("upload_note"):
            (st.error if st.session_state.upload_failed else st.success)(note)


def _take_upload() -> None:
    """Before the pickers are drawn, so that they offer the file at once."""
    upload = st.session_state.upload
    if upload is None:
        st.session_state.upload_note = ""
        return
    try:
        shelf, name = library.add_file(upload.name, upload.getvalue())
    except SequoiaError as error:
        st.session_state.update(upload_note=str(error), upload_failed=True)
        return
    note = f"“{name}” was added to {'the families' if shelf == library.TREES else shelf}."
    st.session_state.update(upload_note=note, upload_failed=False)
