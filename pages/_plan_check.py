"""Predicted, replayed and measured side by side."""

import streamlit as st

from pages._controls import example_prompts
from pages._job_line import job_line
from pages._measure import CHAIN, PROMPTS, THIS_TREE, Measured, Measurement, measure_work
from pages._plan_controls import Planned
from pages._state import server, session_id, touch
from pages._worker import Job
from sequoia_core.decode.settings import GenerationSettings
from sequoia_core.errors import SequoiaError
from sequoia_core.plan.empirical import model_at
from sequoia_core.plan.expected import expected_tokens
from sequoia_core.plan.replay import replay
from sequoia_core.tree.families import chain

NEW_TOKENS = 48
TEMPERATURE = 0.6


def check(planned: Planned) -> None:
    """The tree's tokens per step and speedup by every way there is to know them."""
    st.markdown("**Predicted, replayed, measured**")
    job: Job | None = st.session_state.get("measure_job")
    active = job is not None and job.active
    st.fragment(_check, run_every=0.5 if active else None)(planned, job, active)


def _check(planned: Planned, job: Job | None, was_active: bool) -> None:
    touch()
    if was_active and not job.active:
        st.rerun()
    measurement: Measurement | None = st.session_state.get("measurement")
    outcome = measurement.read() if measurement else None
    if outcome is not None:
        st.session_state.last_measurement = measurement
    kept: Measurement | None = st.session_state.get("last_measurement")
    fits = kept is not None and kept.tree == planned.plan.tree
    rows = _known(planned) + (_measured_rows(kept.read()) if fits else [])
    names = ("how", "per step", "speedup")
    st.dataframe(
        dict(zip(names, zip(*rows, strict=True), strict=True)),
        hide_index=True,
        alt="Tokens per step and speedup: predicted, replayed and measured",
        column_config={
            "how": st.column_config.TextColumn(width=128),
            "per step": st.column_config.TextColumn(width=78, help="Tokens that a step commits."),
        },
    )
    _buttons(planned, was_active)
    job_line(job, doing="Measuring", stopped="Stopped before it was done; nothing was measured.")
    st.caption(_words(planned, kept if fits else None, stale=kept is not None and not fits))


def _known(planned: Planned) -> list[tuple[str, str, str]]:
    """What follows without a run: both predictions, and the replay of the calibration texts."""
    plan, vector = planned.plan, planned.acceptance
    rows = [_row("predicted, positional", expected_tokens(plan.tree, vector), None, planned)]
    widest = int(plan.tree.child_counts.max())
    if vector.paths is None or widest > vector.paths.width:
        return rows
    paths = model_at(vector, plan.tree).expected_tokens(plan.tree)
    rows.append(_row("predicted, path model", paths, None, planned))
    texts = replay(plan.tree, vector.paths)
    error = texts.standard_error
    rows.append(_row("replayed", texts.tokens_per_step, error, planned))
    return rows


def _row(how: str, tokens: float, error: float | None, planned: Planned) -> tuple[str, str, str]:
    plan = planned.plan
    ratio = plan.plain_seconds / plan.step_seconds
    spread = "" if error is None else f" ± {error:.2f}"
    return how, f"{tokens:.2f}{spread}", f"{tokens * ratio:.2f}×"


def _measured_rows(outcome: Measured) -> list[tuple[str, str, str]]:
    return [
        (
            f"measured, {name}",
            f"{told.tokens_per_step:.2f}",
            f"{told.speedup.median:.2f}× ({told.speedup.low:.2f}–{told.speedup.high:.2f})",
        )
        for name, told in outcome.summaries.items()
        if name in (THIS_TREE, CHAIN)
    ]


def _buttons(planned: Planned, active: bool) -> None:
    with st.container(horizontal=True, gap="small"):
        if st.button(
            "Measure on this machine",
            key="measure",
            disabled=active or not planned.plan.speculates,
            help="Runs this tree, the best chain and plain decoding on the loaded pair, "
            f"interleaved: {PROMPTS} prompts, {NEW_TOKENS} tokens each.",
        ):
            _start(planned)
        if st.button("Stop", key="measure_stop", disabled=not active):
            server().worker.cancel(st.session_state.measure_job)


def _start(planned: Planned) -> None:
    plan, vector = planned.plan, planned.acceptance
    temperature = TEMPERATURE if vector.temperature is None else vector.temperature
    settings = GenerationSettings(
        temperature=temperature, top_p=vector.top_p or 1.0, max_new_tokens=NEW_TOKENS
    )
    best = plan.best_chain
    measurement = Measurement(
        plan.tree,
        chain(best.depth if best else 1),
        settings,
        list(example_prompts().values())[:PROMPTS],
    )
    try:
        worker = server().worker
        job = worker.submit("measurement", session_id(), measure_work(worker, measurement))
    except SequoiaError as error:
        st.error(str(error))
        return
    st.session_state.update(measure_job=job, measurement=measurement)
    st.rerun()


def _words(planned: Planned, kept: Measurement | None, *, stale: bool) -> str:
    if kept is not None:
        outcome, settings = kept.read(), kept.settings
        return (
            f"Measured on {outcome.pair}, temperature {settings.temperature:g}, "
            f"{len(kept.prompts)} prompts of {settings.max_new_tokens} tokens; in brackets the "
            "lowest and highest prompt. The whole call counts, the reading of the prompt included."
        )
    words = "The replay walks the calibration texts, which the vector itself was measured on."
    if planned.acceptance.paths is None:
        words = "This vector has no rank sequences, so there is nothing to replay."
    return f"{words} The last measurement was of another tree." if stale else words
