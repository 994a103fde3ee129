"""The right side of Hardware: the answer, the curves, what they rest on, and every best tree."""

import json

import streamlit as st

from pages._hardware_charts import pass_charts, profile_name
from pages._hardware_controls import Shown
from pages._hardware_gpus import every_gpu
from pages._hardware_tables import best_trees, modelled_against_measured, side_by_side
from pages._inputs import known_tokens
from pages._text import first_strong, literal
from sequoia_core.plan.knee import knee
from sequoia_core.plan.measurement_words import measurement_words
from sequoia_core.plan.modelled_plan import plan_range
from sequoia_core.plan.optimizer import make_plan
from sequoia_core.plan.twin import twins

RESTS_ON = {
    "measured": "How it was measured",
    "modelled": "What is assumed",
    "derived": "How it was derived",
}


def panel(shown: Shown | None) -> None:
    """Everything about one profile; the last one that could be made while settings do not fit."""
    if shown is not None:
        st.session_state.last_hardware = shown
    shown = st.session_state.get("last_hardware")
    if shown is None:
        return
    own = twins(shown.profile)
    _answer(shown)
    pass_charts(shown, own[0] if own else None)
    _basis(shown)
    side_by_side(shown)
    modelled_against_measured(shown, own)
    if shown.modelled is not None:
        every_gpu(shown)
    best_trees(shown)


def _answer(shown: Shown) -> None:
    """What to draft on this machine, in words, and where passes stop being nearly free."""
    plan = make_plan(shown.acceptance, shown.profile, max_budget=known_tokens(shown.profile))
    with st.container(border=True, key="verdict"):
        st.markdown(first_strong(plan.verdict.words))
        st.caption(f"{literal(shown.profile.device)}: {knee(shown.profile).words}.")
        if shown.modelled is not None:
            reach = plan_range(
                shown.modelled, shown.acceptance, max_budget=known_tokens(shown.profile)
            )
            st.caption(
                "An interval above is that of the acceptance alone. With every assumption anywhere "
                f"in its range, this tree gives {reach.low:.2f}× to {reach.high:.2f}×. Target: "
                f"{shown.modelled.target_limits}."
            )
    if shown.profile.warning:
        st.warning(literal(shown.profile.warning))


def _basis(shown: Shown) -> None:
    profile = shown.profile
    last = profile.target_seconds[-1][0]
    behind = f" behind {profile.context_length:,} tokens" if profile.context_length else ""
    st.caption(
        f"{profile.origin.capitalize()}{behind}; {len(profile.target_seconds)} points up to "
        f"{last:,} tokens, straight lines between them; a plan continues the last slope beyond."
    )
    with st.expander(RESTS_ON[profile.origin]):
        st.caption(_sentence(literal(profile.basis)) or "The file does not say.")
        for sentence in measurement_words(profile):
            st.caption(literal(sentence))
    st.download_button(
        "Download the profile",
        lambda: json.dumps(
            shown.modelled.to_dict() if shown.modelled else shown.picked.to_dict(),
            ensure_ascii=False,
        ),
        f"{profile_name(profile).replace(' ', '-')}.json",
        "application/json",
        key="download",
        on_click="ignore",
    )


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:]
