"""Curves of Hardware: seconds of passes, with the roofline's two limits and a second profile."""

from dataclasses import dataclass

import numpy as np
import streamlit as st

from pages._charts import lines
from pages._hardware_controls import Shown
from sequoia_core.plan.hardware import HardwareProfile
from sequoia_core.plan.knee import knee
from sequoia_core.plan.model_shape import ModelShape
from sequoia_core.plan.roofline import Machine, roofs
from sequoia_core.plan.twin import Twin

MILLI = 1000
LARGEST = {"target": 1024, "draft": 256}
X_NAMES = {"target": "tokens in a pass", "draft": "width of the pass"}
MEMORY, COMPUTING = "memory alone", "computing alone"
# Computing one token takes a thousandth of a pass: shown from here on, or the axis is its alone.
LOWEST_ROOF = 1 / 10

Line = tuple[list[int], list[float]]


@dataclass(frozen=True, slots=True)
class Roofline:
    """What the two limits are drawn from, for one of the models."""

    shape: ModelShape
    machine: Machine
    context_length: int


def pass_charts(shown: Shown, twin: Twin | None) -> None:
    """Target and draft side by side, or below each other where there is no room."""
    halves = st.container(horizontal=True, gap="medium")
    for model in LARGEST:
        with halves.container(key=f"pass_{model}"):
            _chart(shown, twin, model)


def profile_name(profile: HardwareProfile) -> str:
    """What charts and tables call it."""
    return profile.name or "this GPU"


def _chart(shown: Shown, twin: Twin | None, model: str) -> None:
    st.markdown(f"**Milliseconds of a {model} pass**")
    sizes = _sizes(shown.profile, model)
    curves = {profile_name(shown.profile): _curve(shown.profile, model, sizes)}
    curves |= _beside(shown, twin, model, sizes)
    if shown.versus is not None:
        other = _sizes(shown.versus, model)
        curves[profile_name(shown.versus)] = _curve(shown.versus, model, other)
    lines(
        f"{model}_seconds",
        curves,
        x={"type": "log", "min": 1, "max": LARGEST[model], "name": X_NAMES[model]},
        y={"type": "log"},
        at=knee(shown.profile).tokens if model == "target" else None,
        height=330,
        legend_rows=1 + (len(curves) > 2),
        alt=f"Milliseconds of a {model} pass against its tokens",
    )


def _beside(shown: Shown, twin: Twin | None, model: str, sizes: np.ndarray) -> dict[str, Line]:
    """The model of a measured profile, or the ends of a modelled one; and the two limits."""
    curves = {}
    if twin is not None:
        curves["modelled"] = _curve(twin.profile, model, sizes)
    if shown.modelled is not None:
        curves["best case"] = _curve(shown.modelled.best, model, sizes)
        curves["worst case"] = _curve(shown.modelled.worst, model, sizes)
    source = shown.modelled or twin
    if source is None:
        return curves
    roofline = Roofline(getattr(source, model), source.machine, source.profile.context_length)
    return curves | _limits(roofline, sizes, getattr(shown.profile, model)(1))


def _limits(roofline: Roofline, sizes: np.ndarray, one_token: float) -> dict[str, Line]:
    """Seconds to move all bytes, and to do all FLOPs, where they come near a pass's."""
    roof = roofs(roofline.shape, roofline.machine, sizes, roofline.context_length)
    shown = {}
    for name, seconds in ((MEMORY, roof["memory"]), (COMPUTING, roof["compute"])):
        near = seconds >= LOWEST_ROOF * one_token
        shown[name] = sizes[near].tolist(), (seconds[near] * MILLI).tolist()
    return shown


def _sizes(profile: HardwareProfile, model: str) -> np.ndarray:
    """The profile's own sizes, where its curve may turn, and enough others for a smooth line; none
    beyond its last, where nothing is known.
    """
    known = [tokens for tokens, _ in getattr(profile, f"{model}_seconds")]
    most = min(LARGEST[model], known[-1])
    own = [tokens for tokens in known if tokens <= most]
    return np.unique([*np.geomspace(1, most, 64).round().astype(int), *own])


def _curve(profile: HardwareProfile, model: str, sizes: np.ndarray) -> Line:
    return sizes.tolist(), (getattr(profile, model)(sizes) * MILLI).tolist()
