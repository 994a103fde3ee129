"""The method `auto` on Explore: how a run of it is made, and what it decided."""

import streamlit as st

from pages import _library as library
from sequoia_core.decode.trace import RunSummary
from sequoia_core.plan.acceptance import AcceptanceVector
from sequoia_core.plan.hardware import HardwareProfile


def started_from(names: tuple[str, str]) -> tuple[AcceptanceVector, HardwareProfile]:
    """The acceptance and the hardware of these names, which the worker's thread cannot look up."""
    acceptance, hardware = names
    return library.acceptance(acceptance), library.hardware(hardware)


def steered(inputs: tuple[AcceptanceVector, HardwareProfile] | None):
    """The policy that starts from these inputs; None for the other methods, which have none."""
    if inputs is None:
        return None
    from sequoia_core.measure.auto import Auto

    return Auto(*inputs)


def auto_words(summary: RunSummary | None) -> None:
    """A line for each decision of a finished run; nothing for the other methods."""
    for decision in summary.decisions if summary else ():
        st.caption(f"From step {decision.step + 1}: {decision.after}, since {decision.reason}")
