"""The method `auto` on Explore: how a run of it is made, and what it decided."""

import streamlit as st

from pages import _library as library
from sequoia_core.decode.trace import RunSummary


def steered(inputs: tuple[str, str] | None):
    """The policy that starts from this acceptance and hardware, by name; None without names."""
    if inputs is None:
        return None
    from sequoia_core.measure.auto import Auto

    acceptance, hardware = inputs
    return Auto(library.acceptance(acceptance), library.hardware(hardware))


def auto_words(summary: RunSummary | None) -> None:
    """A line for each decision of a finished run; nothing for the other methods."""
    for decision in summary.decisions if summary else ():
        st.caption(f"From step {decision.step + 1}: {decision.after}, since {decision.reason}")
