"""The controls of Hardware: which profile is shown, beside which, planned for which draft."""

from contextlib import suppress
from dataclasses import dataclass

import streamlit as st

from pages import _library as library
from pages._add_file import add_file
from pages._inputs import (
    AUTO,
    acceptance_choices,
    acceptance_picker,
    behind,
    hardware_picker,
    vector_name,
)
from pages._kept_files import delete_button
from pages._measure_machine import measure_machine, show_measured
from pages._modelled import modelled_choices, modelled_controls
from pages._sliders import LINK, slider
from pages._store import ACCEPTANCE, HARDWARE
from pages._text import literal
from pages._url import note_link_mistakes
from sequoia_core.errors import SequoiaError
from sequoia_core.plan.acceptance import AcceptanceVector
from sequoia_core.plan.hardware import HardwareProfile
from sequoia_core.plan.modelled import Modelled

PROFILES, MODEL = "Profiles", "Model a GPU"
NONE = "none"


@dataclass(frozen=True, slots=True)
class Shown:
    """What the page shows. modelled: with its interval, where the profile was modelled here.

    profile: behind one context length; picked: the same with all that it was measured at.
    """

    profile: HardwareProfile
    picked: HardwareProfile
    modelled: Modelled | None
    versus: HardwareProfile | None
    acceptance: AcceptanceVector


def note_mistakes() -> None:
    """Name what the link asks for and no control of this page takes."""
    choices = {
        "source": [PROFILES, MODEL],
        "hardware": library.hardware_names(),
        "versus": [NONE, *library.hardware_names()],
        "acceptance": acceptance_choices(),
        **modelled_choices(),
    }
    note_link_mistakes("hardware", choices)


def hardware_controls() -> Shown | None:
    """All controls; None where they fit nothing, which they then say."""
    show_measured()
    _look_at_new()
    source = st.segmented_control(
        "Source",
        [PROFILES, MODEL],
        default=PROFILES,
        required=True,
        key="source",
        bind=LINK,
        width="stretch",
        label_visibility="collapsed",
    )
    place = st.container()
    versus = st.selectbox(
        "Compare with", [NONE, *library.hardware_names()], key="versus", bind=LINK
    )
    vector = _draft()
    try:
        with place:
            picked, modelled = _modelled() if source == MODEL else (_picked(), None)
            profile = behind(picked)
        other = None if versus == NONE else library.hardware(versus)
        if other is not None:
            other = other.at_context(profile.context_length)
        return Shown(profile, picked, modelled, other, library.acceptance(vector))
    except SequoiaError as error:
        place.error(str(error))
        return None
    finally:
        if source == PROFILES:
            measure_machine()
        add_file()


def _look_at_new() -> None:
    """Whoever has just measured or added a profile wants to see it."""
    if name := st.session_state.pop("new_profile", None):
        st.session_state.update(hardware=name, source=PROFILES)


def _picked() -> HardwareProfile:
    name = hardware_picker(st, lambda: None)
    words = st.container()
    delete_button(HARDWARE, name, key="delete")
    profile = library.hardware(name)
    where = literal(f"{profile.device}, {profile.dtype}")
    words.caption(f"{profile.origin.capitalize()}: {where}.")
    return profile


def _modelled() -> tuple[HardwareProfile, Modelled]:
    modelled = modelled_controls()
    name = f"{modelled.machine.gpu.name or 'typed-in'}-{modelled.target.name}-{modelled.draft.name}"
    if st.button("Keep it", key="keep", help="Adds the profile to the pickers of all pages."):
        kept = library.add_profile(modelled.profile, name)
        st.caption(f"Kept as `{kept}`.")
    return modelled.profile, modelled


def _draft() -> str:
    choice = acceptance_picker(st, lambda: None)
    temperature = slider("Temperature", "temperature", 0.05) if choice == AUTO else None
    name = vector_name(choice, temperature or 0.0)
    with suppress(SequoiaError):
        st.caption(_whose(library.acceptance(name)))
    delete_button(ACCEPTANCE, choice, key="delete_acceptance")
    return name


def _whose(vector: AcceptanceVector) -> str:
    """Which pair accepts so often: it is taken as it is for the target on the right."""
    pair = " with ".join(filter(None, (vector.target, vector.draft)))
    at = "" if vector.temperature is None else f" at temperature {vector.temperature:g}"
    where = literal(f"measured on {pair}{at}" if pair else vector.origin or "of unknown origin")
    return f"Acceptance `{vector.name}`, {where}."
