"""The lower controls of Plan: limits on the tree, what-ifs, and a second machine."""

import streamlit as st

from pages import _library as library
from pages._sliders import LINK, slider

SAME = "none"


def limits() -> tuple[int, int, float]:
    """The most children of a node, the batch size, and the factor on acceptance."""
    st.markdown("**Limits and what-ifs**")
    branch = slider("Most children of a node", "branch", 1)
    batch = slider(
        "Batch size",
        "batch",
        1,
        help="Sequences decoded together: every pass then takes so many times the tokens.",
    )
    scale = slider(
        "Acceptance times",
        "scale",
        0.05,
        help="A better or a worse draft: the first child is accepted so many times as often, the "
        "others move along, and all is planned again.",
    )
    return branch, batch, scale


def other_machine() -> str:
    """The name of a second profile to hold the plan against, or SAME."""
    return st.selectbox(
        "Compare with",
        [SAME, *library.hardware_names()],
        key="versus",
        bind=LINK,
        help="A second profile: what this tree would be worth there, and what would be best there.",
    )
