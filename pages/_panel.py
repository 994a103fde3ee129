"""What Explore shows of a plan and of a run: figures, text, tree, steps."""

import streamlit as st

from pages._auto import auto_words
from pages._controls import Controls
from pages._generate import RunView
from pages._job_line import job_line
from pages._kept_runs import link_run
from pages._planned_tree import PlannedTree
from pages._race import race, why_no_race
from pages._run_acceptance import run_acceptance
from pages._run_details import run_details
from pages._shown_run import loaded_note, shown_run
from pages._state import touch
from pages._steps import picked_step, race_wanted
from pages._text import LEGEND, run_html
from pages._tree_view import counts_text, decoded, planned, tree_view
from pages._what_if import what_if
from pages._worker import Job
from sequoia_core.decode.trace import StepTrace
from sequoia_core.plan.methods import METHODS

EMPTY = (
    "At every step the draft fills this tree with tokens and the target checks it in one pass, "
    "keeping one path from the left. Press Generate to watch."
)


def panel(controls: Controls) -> None:
    """The right side of the page; polls while the session's job is queued or running."""
    job: Job | None = st.session_state.get("job")
    active = job is not None and job.active
    st.fragment(_panel, run_every=0.5 if active else None)(controls, job, active)


def _panel(controls: Controls, job: Job | None, was_active: bool) -> None:
    touch()
    if was_active and not job.active:
        st.rerun()
    view = shown_run()
    link_run(live=was_active)
    # Fixed places, so that what comes and goes above the tree never takes the tree down.
    figures, progress, text, picker, tree, rest = (st.container() for _ in range(6))
    with figures:
        _metrics(controls.plan, view)
    with progress:
        job_line(
            job, doing="Generating", stopped="Stopped. What was made until then is kept below."
        )
        loaded_note()
    with picker:
        step, racing = _picked(view, live=was_active)
    if not racing:
        with text:
            _text(view, live=was_active)
    with tree:
        if racing:
            race(view)
        else:
            _tree(controls, view, step)
    if view is not None and not was_active:
        with rest:
            auto_words(view.summary)
            run_details(view, step)
            run_acceptance(view)
            what_if(view, controls.plan)


def _picked(view: RunView | None, *, live: bool) -> tuple[StepTrace | None, bool]:
    """The step to draw, None for the planned tree, and whether the race takes the tree's place."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        wanted = race_wanted(view, live=live)
        reason = why_no_race(view) if wanted else ""
        racing = wanted and not reason
        step = None if racing else picked_step(view, live=live)
    if reason:
        st.caption(reason)
    return step, racing


def _text(view: RunView | None, *, live: bool) -> None:
    if view is None:
        st.caption(EMPTY)
        return
    st.html(run_html(view, None if live else st.session_state.get("step", 1) - 1))
    st.html(LEGEND)


def _metrics(plan: PlannedTree | None, view: RunView | None) -> None:
    predicted = f"{plan.speedup:.2f}×" if plan and plan.speedup else "–"
    measured = view.measured_speedup if view else None
    rate = view.tokens / view.seconds if view and view.seconds else None
    figures = st.grid(4, min_column_width=136)
    figures.metric(
        "Predicted speedup",
        predicted,
        help="Of the planned tree, from the acceptance vector and the hardware profile.",
    )
    figures.metric(
        "Measured speedup",
        f"{measured:.2f}×" if measured else "–",
        help="Decoding seconds per token of one plain run over those of this run.",
    )
    figures.metric(
        "Tokens per step",
        f"{view.tokens / len(view.steps):.2f}" if view else "–",
        help=f"The plan expects {plan.expected_tokens:.2f}."
        if plan and plan.expected_tokens
        else None,
    )
    figures.metric("Tokens per second", f"{rate:.1f}" if rate else "–")


def _tree(controls: Controls, view: RunView | None, step: StepTrace | None) -> None:
    """The planned tree or a step's, in one figure that is never taken down."""
    if controls.plan is not None:
        st.session_state.last_plan = controls.plan
    plan = st.session_state.get("last_plan")
    if step is not None:
        tree_view(decoded(step), key="tree")
        st.caption(_step_words(view, step))
    elif plan is not None:
        tree_view(planned(plan.tree, plan.reach), key="tree")
        stale = "" if controls.plan else "The settings do not fit; this is the last tree that did: "
        st.caption(stale + _plan_words(plan))


def _plan_words(plan: PlannedTree) -> str:
    size = f"{plan.tree.size:,} nodes, {plan.tree.depth} deep"
    if METHODS[plan.method].grown:
        return (
            f"{size}: the size that {plan.method} may fill. Its trees grow with the context, so "
            "this one only stands for them, and nothing is predicted."
        )
    expected = (
        f", {plan.expected_tokens:.2f} tokens expected per step" if plan.expected_tokens else ""
    )
    return f"{size}{expected}. Level sizes: {', '.join(map(str, plan.tree.level_sizes))}."


def _step_words(view: RunView, step: StepTrace) -> str:
    words = f"Step {step.index + 1} of {len(view.steps)}: {counts_text(step)}."
    if view.request.settings.temperature == 0:
        words += " Probabilities are those of temperature 1: at 0 they are all 0 or 1."
    return words
