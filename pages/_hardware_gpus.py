"""The modelled pair on every GPU of the list: which tree, between what, and where it fits."""

import streamlit as st

from pages._hardware_controls import Shown
from pages._sliders import LINK
from sequoia_core.errors import InputError
from sequoia_core.plan.gpu import list_gpus, load_gpu
from sequoia_core.plan.modelled import Modelled, model_profile
from sequoia_core.plan.modelled_plan import plan_range

NAMES = ("GPU", "choice", "budget", "depth", "speedup", "at worst", "at best", "best chain", "note")


def every_gpu(shown: Shown) -> None:
    """A table over all GPUs, made once for each pair and acceptance; it takes some seconds."""
    wanted = st.toggle(
        "This pair on every GPU of the list",
        key="every_gpu",
        bind=LINK,
        help="Models the target and draft above on all bundled GPUs, each with the range of its "
        "assumptions. It takes a few seconds.",
    )
    if not wanted:
        return
    rows = _rows(shown)
    factor = st.column_config.NumberColumn(format="%.2f×")
    st.dataframe(
        dict(zip(NAMES, zip(*rows, strict=True), strict=True)),
        hide_index=True,
        placeholder="–",
        height="content",
        alt="The best tree of this pair on every GPU",
        column_config=dict.fromkeys(NAMES[4:8], factor),
    )


def _rows(shown: Shown) -> list[tuple]:
    """Kept in the session for the settings that they were made with."""
    modelled = shown.modelled
    settings = (
        modelled.target,
        modelled.draft,
        modelled.machine.dtype,
        modelled.machine.offload,
        modelled.machine.launch,
        modelled.profile.context_length,
        shown.acceptance.name,
    )
    kept = st.session_state.get("every_gpu_rows")
    if kept is None or kept[0] != settings:
        with st.spinner("Modelling every GPU"):
            rows = [_row(name, modelled, shown) for name in list_gpus()]
        kept = settings, sorted(rows, key=lambda row: -(row[4] or 0))
        st.session_state.every_gpu_rows = kept
    return kept[1]


def _row(name: str, like: Modelled, shown: Shown) -> tuple:
    """One GPU; with the reason instead of figures where the pair cannot run on it.

    A GPU that has no figure for the pair's dtype is modelled in one that it has.
    """
    try:
        modelled = model_profile(
            load_gpu(name),
            like.target,
            like.draft,
            context_length=like.profile.context_length,
            launch=like.machine.launch,
            offload=like.machine.offload,
        )
        reach = plan_range(modelled, shown.acceptance)
    except InputError as error:
        return (name, *[None] * 7, str(error).rpartition(": ")[2])
    plan, chain = reach.plan, reach.plan.best_chain
    return (
        name,
        plan.verdict.choice,
        plan.budget,
        plan.depth,
        plan.speedup,
        reach.low,
        reach.high,
        chain.speedup if chain else None,
        modelled.target_limits.partition(",")[0],
    )
