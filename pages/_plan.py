"""The planned tree behind the sliders, cached so that a slider seen before costs nothing."""

from dataclasses import dataclass

import numpy as np
import streamlit as st

from sequoia_core.plan.acceptance import AcceptanceVector, list_acceptance_presets, load_acceptance
from sequoia_core.plan.expected import path_values
from sequoia_core.plan.hardware import list_hardware_presets, load_hardware
from sequoia_core.plan.optimizer import make_plan
from sequoia_core.plan.presets import bundled_acceptance
from sequoia_core.tree.token_tree import TokenTree

AUTO = "auto"


@dataclass(frozen=True, slots=True)
class PlannedTree:
    """A plan as the page draws it. reach: [n], chance that a step's walk reaches each node."""

    tree: TokenTree
    reach: np.ndarray
    expected_tokens: float
    speedup: float


@st.cache_data(show_spinner=False, max_entries=512)
def planned_tree(
    acceptance: str, hardware: str, budget: int | None, depth: int | None
) -> PlannedTree:
    """The best tree of this budget and depth; None for either lets the hardware decide.

    acceptance, hardware: names of presets. Raises InputError for what cannot be planned.
    """
    vector = load_acceptance(acceptance)
    plan = make_plan(vector, load_hardware(hardware), budget=budget, depth=depth)
    return PlannedTree(
        plan.tree, path_values(plan.tree, vector), plan.expected_tokens, plan.speedup
    )


def acceptance_choices() -> list[str]:
    """What the acceptance picker offers: auto, then every preset."""
    return [AUTO, *list_acceptance_presets()]


def hardware_choices() -> list[str]:
    """What the hardware picker offers."""
    return list_hardware_presets()


def vector_name(choice: str, temperature: float) -> str:
    """The preset that `choice` means: for auto, the bundled pair's nearest in temperature."""
    return bundled_acceptance(temperature) if choice == AUTO else choice


def vector_caption(vector: AcceptanceVector, pair, temperature: float) -> str:
    """Which acceptance the prediction rests on, and a warning where it is not this run's."""
    words = f"Acceptance `{vector.name}`"
    if pair is not None and not _same_pair(vector, pair):
        return (
            f"{words} was not measured on {pair.target_name} with {pair.draft_name}, so the "
            "prediction is a guess. `python -m sequoia_core calibrate` measures yours."
        )
    if vector.temperature is not None and abs(vector.temperature - temperature) > 0.05:
        return f"{words} was measured at temperature {vector.temperature:g}, not {temperature:g}."
    return f"{words}, measured on this pair at this temperature." if pair else f"{words}."


def hardware_caption(name: str, pair) -> str:
    """A warning where the profile's seconds are another pair's; with the profile to choose."""
    profile = load_hardware(name)
    if pair is None or profile.target_model in ("", pair.target_name):
        return ""
    fitting = [
        preset
        for preset in list_hardware_presets()
        if load_hardware(preset).target_model == pair.target_name
    ]
    mend = (
        f"choose `{fitting[0]}`" if fitting else "`python -m sequoia_core profile` measures yours"
    )
    return (
        f"Hardware `{name}` was measured with {profile.target_model}, not {pair.target_name}, so "
        f"its speedups are not this pair's: {mend}."
    )


def _same_pair(vector: AcceptanceVector, pair) -> bool:
    names = (pair.target_name, pair.draft_name)
    return (vector.target, vector.draft) in (names, pair.voices)
