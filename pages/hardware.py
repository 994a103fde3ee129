"""Hardware: measure this machine, model the one you do not have, and see which tree each wants."""

import streamlit as st

from pages._frame import ensure_frame
from pages._hardware_controls import hardware_controls, note_mistakes
from pages._hardware_panel import panel


@st.fragment
def page() -> None:
    """Controls on the left, curves and tables on the right; the controls rerun only this."""
    note_mistakes()
    sides = st.container(horizontal=True, gap="large", wrap=False, key="sides")
    left, right = sides.container(width=276), sides.container(width="stretch")
    with left:
        shown = hardware_controls()
    with right:
        panel(shown)


ensure_frame()
page()
