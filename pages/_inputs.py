"""Pickers of acceptance and hardware, shared by the pages that plan."""

from collections.abc import Callable
from contextlib import suppress

import streamlit as st

from pages import _library as library
from pages._sliders import LINK
from pages._state import server
from pages._store import HARDWARE
from pages._text import literal
from sequoia_core.errors import SequoiaError
from sequoia_core.plan.acceptance import AcceptanceVector
from sequoia_core.plan.hardware import HardwareProfile
from sequoia_core.plan.optimizer import MAX_BUDGET
from sequoia_core.plan.presets import bundled_acceptance

AUTO = "auto"
NO_HARDWARE = (
    "This copy has no hardware profile, so nothing can be planned: restore the repository's "
    "assets/hardware folder."
)


def acceptance_choices() -> list[str]:
    """What the acceptance picker offers: auto, then every vector."""
    return [AUTO, *library.acceptance_names()]


def acceptance_picker(place, on_change: Callable[[], None]) -> str:
    """The vector's name, or auto."""
    return place.selectbox(
        "Acceptance",
        acceptance_choices(),
        key="acceptance",
        bind=LINK,
        on_change=on_change,
        help="How often the k-th drafted child is the accepted one. auto takes the bundled vector "
        "measured nearest to the temperature.",
    )


def hardware_picker(place, on_change: Callable[[], None]) -> str | None:
    """The profile's name; None where there is no profile at all."""
    return place.selectbox(
        "Hardware",
        library.hardware_names(),
        key="hardware",
        bind=LINK,
        on_change=on_change,
        help="The profile that says how long a pass takes for a number of tokens.",
    )


def behind(profile: HardwareProfile) -> HardwareProfile:
    """The profile behind the context that a picker names, where it was measured at several."""
    lengths = profile.context_lengths
    if len(lengths) == 1:
        return profile
    wanted = st.selectbox(
        "Behind how many tokens",
        lengths,
        lengths.index(profile.context_length),
        key=f"behind_{'_'.join(map(str, lengths))}",
        format_func="{:,} tokens".format,
        help="Passes take longer the more text they look back on. This profile was measured behind "
        "several lengths.",
    )
    return profile.at_context(wanted)


def noise_note(profile: HardwareProfile) -> None:
    """A caption where the measurement that is planned with was noisy."""
    if profile.warning:
        st.caption(f"⚠ {literal(profile.warning)}")


def hardware_note(name: str | None) -> None:
    """A caption where the profile's seconds are not those of the loaded pair."""
    engine = server().worker.resident
    with suppress(SequoiaError):
        if name and (words := hardware_words(name, engine and engine.pair)):
            st.caption(words)
        if name:
            noise_note(library.hardware(name))


def hardware_words(name: str, pair) -> str:
    """Whose seconds the profile has and which to choose; empty where they are the pair's own."""
    measured_with = library.hardware(name).target_model
    if pair is None or measured_with in ("", pair.target_name):
        return ""
    others = map(library.hardware, library.hardware_names())
    fitting = [other.name for other in others if other.target_model == pair.target_name]
    mend = [f"choose `{other}`" for other in fitting]
    mend += ["`python -m sequoia_core profile` measures yours"]
    return (
        f"Hardware `{name}` was measured with {measured_with}, not {pair.target_name}, so its "
        f"speedups are not this pair's: {mend[0]}."
    )


def fitting_hardware(pair) -> str | None:
    """The profile measured with the loaded pair in its dtype, those added first.

    Without one it is the first profile there is; None where there is none.
    """
    known = library.hardware_names()
    if pair is None or not known:
        return known[0] if known else None

    def fit(name: str) -> tuple[bool, bool, bool]:
        with suppress(SequoiaError):
            profile = library.hardware(name)
            same = profile.target_model == pair.target_name
            return same and profile.dtype == pair.dtype, same, library.is_own(HARDWARE, name)
        return False, False, False

    return max(known, key=fit)


def vector_name(choice: str, temperature: float, rule: str = "sequoia") -> str:
    """The vector that `choice` means: for auto, the bundled pair's of the rule nearest to it."""
    return bundled_acceptance(temperature, rule) if choice == AUTO else choice


def vector_note(name: str, temperature: float | None, rule: str = "sequoia") -> None:
    """A caption: which acceptance predictions rest on, and whether it fits pair and temperature."""
    engine = server().worker.resident
    # A vector that cannot be read is planning's error to show, where the plan would be.
    with suppress(SequoiaError):
        vector = library.acceptance(name)
        st.caption(vector_words(vector, engine and engine.pair, temperature, rule))


def vector_words(
    vector: AcceptanceVector, pair, temperature: float | None, rule: str = "sequoia"
) -> str:
    """What the prediction rests on, with a warning where it is not this run's."""
    words = f"Acceptance `{vector.name}`"
    if temperature is not None and vector.rule != rule and vector.temperature != 0:
        return (
            f"{words} was measured for the rule {vector.rule}, and this method verifies by {rule}: "
            "the tree is planned with it, but nothing is predicted."
        )
    if pair is not None and not same_pair(vector, pair):
        return (
            f"{words} was not measured on {pair.target_name} with {pair.draft_name}, so the "
            "prediction is a guess. `python -m sequoia_core calibrate` measures yours."
        )
    if temperature is None or vector.temperature is None:
        return f"{words}, {literal(vector.origin)}." if vector.origin else f"{words}."
    if abs(vector.temperature - temperature) > 0.05:
        return f"{words} was measured at temperature {vector.temperature:g}, not {temperature:g}."
    return f"{words}, measured on this pair at this temperature." if pair else f"{words}."


def same_pair(vector: AcceptanceVector, pair) -> bool:
    """Whether the vector was measured on the loaded pair, or on the one that it stands in for."""
    return (vector.target, vector.draft) in ((pair.target_name, pair.draft_name), pair.voices)


def known_tokens(profile: HardwareProfile) -> int:
    """The largest tree to choose by itself: beyond the profile's last pass nothing is known."""
    return min(profile.last_tokens, MAX_BUDGET)
