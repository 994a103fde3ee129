"""The right side of Compare: what came out, in words, charts and a table."""

from datetime import datetime

import streamlit as st

from pages._comparing import Comparing
from pages._comparison_charts import speedup_chart, time_chart, tokens_chart
from pages._comparison_details import details, figures
from pages._comparison_files import shelf_row
from pages._comparison_shelf import record as record_of
from pages._job_line import job_line
from pages._state import touch
from pages._text import literal
from pages._worker import Job
from sequoia_core.errors import SequoiaError
from sequoia_core.measure.comparison import Comparison
from sequoia_core.measure.summary import prediction_words, summarise, text_words, verdict

EMPTY = (
    "Nothing has been compared yet. Choose methods, temperatures and prompts on the left and press "
    "Compare: every method goes on from every prompt on this machine, in turn with plain decoding. "
    "Or load a file that this page, `python -m sequoia_core bench --out` or `tune` has written."
)
RESULTS_SECONDS = 4.0


def panel() -> None:
    """Progress, then results; both poll while the session's comparison is queued or running.

    Results are drawn seldom: what draws them takes time from what is being measured.
    """
    job: Job | None = st.session_state.get("compare_job")
    active = job is not None and job.active
    st.fragment(_progress, run_every=1.0 if active else None)(job, active)
    st.fragment(_shown, run_every=RESULTS_SECONDS if active else None)(active)


def _progress(job: Job | None, was_active: bool) -> None:
    touch()
    if was_active and not job.active:
        st.rerun()
    coming: Comparing | None = st.session_state.get("comparing")
    done = coming is not None and coming.read() is not None
    kept = "The rounds that were done are kept below." if done else "No round was done yet."
    job_line(job, doing="Comparing", stopped=f"Stopped. {kept}")


def _shown(live: bool) -> None:
    name = shelf_row(live=live)
    if name is None:
        st.info(EMPTY)
        return
    try:
        record = record_of(name)
    except SequoiaError as error:
        st.error(literal(f"{error} Delete it, or mend the file."))
        return
    comparison = record.read()
    if comparison is None:
        st.caption("Results appear as soon as the first round is done.")
        return
    if record.mistake:
        st.warning(literal(f"{record.mistake} Until then it is in this browser tab alone."))
    _results(record, comparison)


def _results(record: Comparing, comparison: Comparison) -> None:
    summaries = summarise(comparison)
    _answer(record, comparison)
    halves = st.container(horizontal=True, gap="medium")
    with halves.container(key="half_speedup"):
        st.markdown("**Speedup over plain decoding**")
        speedup_chart(summaries)
    with halves.container(key="half_tokens"):
        st.markdown("**Tokens per step** (hollow: predicted)")
        tokens_chart(summaries)
    st.markdown("**Milliseconds a token, and where they go**")
    time_chart(summaries)
    figures(summaries)
    details(comparison)


def _answer(record: Comparing, comparison: Comparison) -> None:
    """The fastest for each temperature, what to doubt, and what all of it was measured on."""
    sentences = verdict(comparison)
    with st.container(border=True, key="verdict"):
        for sentence in sentences:
            claim, mark, rest = sentence.partition(";")
            strong = sentence.startswith("At temperature")
            st.markdown(f"**{claim}**{mark}{rest}" if strong else sentence)
        if not sentences:
            st.markdown("**Plain decoding alone was measured**: choose a method to compare.")
        for words in text_words(comparison):
            st.caption(words)
        for words in prediction_words(comparison):
            st.caption(literal(words))
        st.caption(_basis(record, comparison))


def _basis(record: Comparing, comparison: Comparison) -> str:
    origin, settings = comparison.origin, comparison.settings
    measured = f"Loaded from `{record.source}`, measured" if record.source else "Measured here"
    where = ", ".join(filter(None, (origin.dtype, origin.machine)))
    words = (
        f"{measured} on {_date(origin.created)}: {literal(origin.target)} with "
        f"{literal(origin.draft)}, {literal(where)}; {settings.max_new_tokens} new tokens, top-p "
        f"{settings.top_p:g}, seed {settings.seed}, {len(comparison.prompts)} prompts, "
        f"{comparison.repeats} repeats."
    )
    if origin.voices != (origin.target, origin.draft) and any(origin.voices):
        words += f" Stand-in: a larger model's cost, the text of {literal(origin.voices[0])}."
    if not comparison.complete:
        words += f" So far {len(comparison.runs):,} of {comparison.wanted:,} runs."
    return words


def _date(created: str) -> str:
    try:
        return f"{datetime.fromisoformat(created):%d %B %Y, %H:%M %Z}".strip()
    except ValueError:
        return literal(created) or "an unknown day"
