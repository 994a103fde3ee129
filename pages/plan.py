"""Plan: tree or chain, how big, how sure, and what to take to the engine that will run it."""

import streamlit as st

from pages._frame import ensure_frame
from pages._plan_controls import note_mistakes, plan_controls
from pages._plan_panel import panel
from pages._sliders import PLAN, keep_apart


@st.fragment
def page() -> None:
    """Controls on the left, the plan on the right; the controls rerun only this."""
    keep_apart(PLAN)
    note_mistakes()
    sides = st.container(horizontal=True, gap="large", wrap=False, key="sides")
    left, right = sides.container(width=276), sides.container(width="stretch")
    with left:
        planned = plan_controls()
    with right:
        panel(planned)


ensure_frame()
page()
