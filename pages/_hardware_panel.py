"""The right side of Hardware: the curves, the knee, and which tree on which machine."""

import json

import numpy as np
import streamlit as st

from pages import _library as library
from pages._charts import lines
from pages._hardware_controls import Shown
from pages._inputs import known_tokens
from pages._text import first_strong
from sequoia_core.errors import SequoiaError
from sequoia_core.plan.hardware import HardwareProfile
from sequoia_core.plan.knee import knee
from sequoia_core.plan.modelled_plan import plan_range
from sequoia_core.plan.optimizer import make_plan
from sequoia_core.plan.roofline import roofs

MILLI = 1000
TOKENS = {"type": "log", "min": 1, "max": 1024, "name": "tokens in a pass"}
MILLISECONDS = {"type": "log"}


def panel(shown: Shown | None) -> None:
    """Everything about one profile; the last one that could be made while settings do not fit."""
    if shown is not None:
        st.session_state.last_hardware = shown
    shown = st.session_state.get("last_hardware")
    if shown is None:
        return
    _answer(shown)
    left, right = st.columns(2, gap="medium")
    with left:
        _target_chart(shown)
    with right:
        _draft_chart(shown)
    _basis(shown)
    _table(shown)


def _answer(shown: Shown) -> None:
    """What to draft on this machine, in words, and where passes stop being nearly free."""
    plan = make_plan(shown.acceptance, shown.profile, max_budget=known_tokens(shown.profile))
    with st.container(border=True, key="verdict"):
        st.markdown(first_strong(plan.verdict.words))
        st.caption(f"{shown.profile.device}: {knee(shown.profile).words}.")
        if shown.modelled is not None:
            reach = plan_range(
                shown.modelled, shown.acceptance, max_budget=known_tokens(shown.profile)
            )
            st.caption(
                f"With every assumption anywhere in its range, this tree gives {reach.low:.2f}× to "
                f"{reach.high:.2f}×. Target: {shown.modelled.target_limits}."
            )


def _name(profile: HardwareProfile) -> str:
    return profile.name or "this GPU"


def _target_chart(shown: Shown) -> None:
    st.markdown("**Milliseconds of a target pass**")
    sizes = _sizes(1024)
    curves = {_name(shown.profile): _curve(shown.profile.target, sizes)}
    if shown.modelled is not None:
        modelled = shown.modelled
        roof = roofs(modelled.target, modelled.machine, sizes, modelled.profile.context_length)
        curves |= {
            "memory alone": (sizes.tolist(), (roof["memory"] * MILLI).tolist()),
            "computing alone": (sizes.tolist(), (roof["compute"] * MILLI).tolist()),
            "best case": _curve(modelled.best.target, sizes),
            "worst case": _curve(modelled.worst.target, sizes),
        }
    if shown.versus is not None:
        curves[_name(shown.versus)] = _curve(shown.versus.target, sizes)
    lines(
        "target_seconds",
        curves,
        x=TOKENS,
        y=MILLISECONDS,
        at=knee(shown.profile).tokens,
        height=300,
        alt="Milliseconds of a target pass against its tokens",
    )


def _draft_chart(shown: Shown) -> None:
    st.markdown("**Milliseconds of a draft pass**")
    sizes = _sizes(256)
    curves = {_name(shown.profile): _curve(shown.profile.draft, sizes)}
    if shown.versus is not None:
        curves[_name(shown.versus)] = _curve(shown.versus.draft, sizes)
    lines(
        "draft_seconds",
        curves,
        x={**TOKENS, "max": 256, "name": "width of the pass"},
        y=MILLISECONDS,
        height=300,
        alt="Milliseconds of a draft pass against its width",
    )


def _sizes(most: int) -> np.ndarray:
    return np.unique(np.geomspace(1, most, 96).round().astype(int))


def _curve(seconds, sizes: np.ndarray) -> tuple[list[int], list[float]]:
    return sizes.tolist(), (seconds(sizes) * MILLI).tolist()


def _basis(shown: Shown) -> None:
    profile = shown.profile
    last = profile.target_seconds[-1][0]
    st.caption(
        f"{profile.origin.capitalize()}; {len(profile.target_seconds)} points up to {last:,} "
        f"tokens, straight lines between them, the last slope continued beyond. {profile.basis}"
    )
    st.download_button(
        "Download profile.json",
        lambda: json.dumps(
            shown.modelled.to_dict() if shown.modelled else profile.to_dict(), ensure_ascii=False
        ),
        "profile.json",
        "application/json",
        key="download",
        on_click="ignore",
    )


def _table(shown: Shown) -> None:
    """The best tree of this acceptance on every profile there is."""
    st.markdown("**Which tree on which machine**")
    rows = []
    if shown.modelled is not None:
        rows.append(_row("modelled here", shown.profile, shown))
    for name in library.hardware_names():
        try:
            rows.append(_row(name, library.hardware(name), shown))
        except SequoiaError as error:
            st.error(str(error))
    rows.sort(key=lambda row: -row[6])
    names = ("profile", "origin", "target", "choice", "budget", "depth", "speedup", "best chain")
    st.dataframe(
        dict(zip(names, zip(*rows, strict=True), strict=True)),
        hide_index=True,
        alt="The best tree on every profile",
        column_config={
            "speedup": st.column_config.NumberColumn(format="%.2f×"),
            "best chain": st.column_config.NumberColumn(format="%.2f×"),
        },
    )
    st.caption(
        f"All planned with `{shown.acceptance.name}`: as if this draft were as good for every "
        "target here. No tree is larger than the passes that its profile knows."
    )


def _row(name: str, profile: HardwareProfile, shown: Shown) -> tuple:
    plan = make_plan(shown.acceptance, profile, max_budget=known_tokens(profile))
    chain = plan.best_chain
    return (
        name,
        profile.origin,
        profile.target_model or "any",
        plan.verdict.choice,
        plan.budget,
        plan.depth,
        plan.speedup,
        chain.speedup if chain else None,
    )
