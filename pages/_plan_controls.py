"""The controls of Plan: what is planned for, and within which limits."""

from contextlib import suppress
from dataclasses import dataclass

import streamlit as st

from pages import _library as library
from pages._add_file import add_file
from pages._inputs import (
    AUTO,
    NO_HARDWARE,
    acceptance_choices,
    acceptance_picker,
    behind,
    hardware_picker,
    known_tokens,
    noise_note,
    vector_name,
    vector_note,
)
from pages._kept_files import delete_button
from pages._plan_limits import SAME, limits, other_machine
from pages._sliders import LINK, PLAN, auto_switch, exact_slider, slider
from pages._store import ACCEPTANCE, TREES
from pages._text import literal
from pages._url import note_link_mistakes
from sequoia_core.errors import SequoiaError
from sequoia_core.plan.acceptance import AcceptanceVector
from sequoia_core.plan.exports.registry import EXPORTS
from sequoia_core.plan.hardware import HardwareProfile
from sequoia_core.plan.optimizer import ALL_FAMILIES, MAX_BUDGET, judge_tree, make_plan
from sequoia_core.plan.plan import Plan
from sequoia_core.plan.what_if import scaled

FAMILY_HELP = (
    "sequoia is the best tree of any shape; empirical lets acceptance depend on the ranks accepted "
    "before; the others are simpler shapes. Trees from files stand here too."
)


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan and what it was made from. versus: a second profile to hold it against, or None.

    max_budget: how far the search went.
    """

    plan: Plan
    acceptance: AcceptanceVector
    hardware: HardwareProfile
    versus: HardwareProfile | None
    branch: int
    max_budget: int


def note_mistakes() -> None:
    """Name what the link asks for and no control of this page takes."""
    choices = {
        "hardware": library.hardware_names(),
        "versus": [SAME, *library.hardware_names()],
        "acceptance": acceptance_choices(),
        "family": family_choices(),
        "export": ["plan", *EXPORTS],
    }
    note_link_mistakes("plan", choices)


def family_choices() -> list[str]:
    """Families to plan, and the trees that were added."""
    return [*ALL_FAMILIES, *library.tree_names()]


def plan_controls() -> Planned | None:
    """All controls; None where they fit no plan, which they then say."""
    acceptance = _draft()
    hardware = _machine()
    family, sliders, automatic = _tree()
    branch, batch, scale = limits()
    versus = other_machine()
    add_file()
    wishes = {"max_branch": branch, "batch_size": batch}
    if automatic:
        planned, mistake = _try(acceptance, scale, hardware, versus, family, wishes)
        if planned:
            st.session_state.budget, st.session_state.depth = (
                planned.plan.budget,
                planned.plan.depth,
            )
    with sliders:
        budget = exact_slider("Tree budget", "budget", disabled=automatic)
        depth = exact_slider("Tree depth", "depth", disabled=automatic)
    if not automatic:
        wishes |= {"budget": budget, "depth": depth}
        planned, mistake = _try(acceptance, scale, hardware, versus, family, wishes)
    if mistake:
        sliders.error(mistake)
        if "last_planned" not in st.session_state:
            # A link's settings fit no tree: show the best one until they do.
            free = {key: wishes[key] for key in ("max_branch", "batch_size")}
            planned, _ = _try(acceptance, scale, hardware, versus, family, free)
    return planned


def _draft() -> str:
    st.markdown("**Draft and machine**")
    place = st.container()
    choice = acceptance_picker(place, lambda: None)
    temperature = None
    if choice == AUTO:
        temperature = slider("Temperature", "temperature", 0.05)
    name = vector_name(choice, temperature or 0.0)
    vector_note(name, temperature)
    delete_button(ACCEPTANCE, choice, key="delete_acceptance")
    return name


def _machine() -> tuple[str | None, int]:
    """The profile's name, and how many tokens its passes look back on."""
    name, context_length = hardware_picker(st, lambda: None), 0
    # A profile that cannot be read is planning's error to show, where the plan would be.
    with suppress(SequoiaError):
        profile = library.hardware(name) if name else None
        if profile:
            where = literal(f"{profile.device}, {profile.dtype}")
            st.caption(f"{profile.origin.capitalize()}: {where}.")
            context_length = behind(profile).context_length
            noise_note(profile)
    return name, context_length


def _tree() -> tuple[str, object, bool]:
    heading, switch = st.columns([1, 1], vertical_alignment="center")
    heading.markdown("**Tree**")
    with switch.container(horizontal_alignment="right"):
        automatic = auto_switch(PLAN)
    family = st.selectbox("Family", family_choices(), key="family", bind=LINK, help=FAMILY_HELP)
    own = family in library.tree_names()
    delete_button(TREES, family, key="delete_tree")
    return family, st.container(), automatic or own


def _try(
    acceptance: str,
    scale: float,
    hardware: tuple[str | None, int],
    versus: str,
    family: str,
    wishes: dict,
) -> tuple[Planned | None, str]:
    name, context_length = hardware
    if name is None:
        return None, NO_HARDWARE
    try:
        vector = scaled(library.acceptance(acceptance), scale)
        profile = library.hardware(name).at_context(context_length)
        other = None if versus == SAME else library.hardware(versus).at_context(context_length)
        own = library.tree(family)
        if "budget" not in wishes:
            # Left to itself the plan keeps to passes that the profile knows.
            wishes = wishes | {"max_budget": known_tokens(profile)}
        if own is None:
            plan = make_plan(vector, profile, family=family, **wishes)
        else:
            plan = judge_tree(own, vector, profile, family=family, **wishes)
    except SequoiaError as error:
        return None, str(error)
    searched = wishes.get("max_budget", MAX_BUDGET)
    return Planned(plan, vector, profile, other, wishes["max_branch"], searched), ""
