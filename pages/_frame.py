"""Navigation among the pages, whichever of them a visitor's link names first."""

import streamlit as st

_begun = False


def navigation():
    """The dashboard's pages; returns the one to run."""
    global _begun
    _begun = True
    return st.navigation(
        [
            st.Page("pages/explore.py", title="Explore", default=True),
            st.Page("pages/plan.py", title="Plan"),
            st.Page("pages/hardware.py", title="Hardware"),
            st.Page("pages/compare.py", title="Compare"),
        ]
    )


def ensure_frame() -> None:
    """Begin again in the frame where a page was run without it.

    Until app.py has called st.navigation once in a process, Streamlit takes the folder pages/ for
    its older kind of navigation, and a link to a page runs that page's file by itself.
    """
    if not _begun:
        navigation()
        st.rerun()
