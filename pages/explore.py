"""Explore: write with a draft tree and see, step by step, what was drafted, accepted and why."""

from functools import partial

import streamlit as st

from pages import _library as library
from pages._auto import started_from
from pages._controls import Controls, note_mistakes, prompt_box, run_controls
from pages._frame import ensure_frame
from pages._generate import Record, Request, RunView, generate_work
from pages._kept_runs import keep_run, new_name, rejoin_linked
from pages._panel import panel
from pages._sliders import EXPLORE, RUN, keep_apart
from pages._state import server, session_id
from pages._trace_files import trace_files
from sequoia_core.decode.settings import GenerationSettings
from sequoia_core.errors import InputError, SequoiaError
from sequoia_core.plan.methods import AUTO, PLAIN
from sequoia_core.tree.token_tree import TokenTree


@st.fragment
def page() -> None:
    """Controls on the left, plan and run on the right; the controls rerun only this."""
    keep_apart(EXPLORE)
    rejoin_linked()
    note_mistakes()
    sides = st.container(horizontal=True, gap="large", wrap=False, key="sides")
    left, right = sides.container(width=276), sides.container(width="stretch")
    with left:
        prompt = prompt_box()
        buttons = st.container()
        controls = run_controls(prompt)
        with buttons:
            _buttons(controls)
    with right:
        panel(controls)


def _buttons(controls: Controls) -> None:
    job = st.session_state.get("job")
    active = job is not None and job.active
    go, stop = st.columns([2, 1], gap="small")
    if go.button("Generate", key="generate", type="primary", width="stretch", disabled=active):
        _start(controls)
    if stop.button("Stop", key="stop", width="stretch", disabled=not active):
        server().worker.cancel(job)
    trace_files(busy=active)


def _start(controls: Controls) -> None:
    """Queue a run of what the controls say, or say what is wrong with it."""
    if controls.plan is None and controls.method != PLAIN:
        return  # The reason stands beside the tree's controls already.
    try:
        request = _request(controls)
        record = Record(RunView(request), new_name(request.method, request.tree.size))
        worker = server().worker
        work = generate_work(worker, record, partial(keep_run, library.store()))
        job = worker.submit("generation", session_id(), work)
    except SequoiaError as error:
        st.error(str(error))
        return
    server().announce(f"run {record.name}", job, record)
    st.session_state.update(job=job, record=record, view=RUN)
    st.rerun()


def _request(controls: Controls) -> Request:
    if not controls.prompt.strip():
        raise InputError("The prompt is empty: write a few words for the story to go on from.")
    plain = controls.method == PLAIN
    return Request(
        controls.prompt,
        controls.method,
        TokenTree([-1]) if plain else controls.plan.tree,
        1 if plain else controls.plan.depth,
        GenerationSettings(
            temperature=controls.temperature,
            top_p=controls.top_p,
            max_new_tokens=controls.new_tokens,
            seed=controls.seed,
        ),
        None if plain else controls.plan.speedup,
        server().worker.mark(),
        None if plain else controls.plan.expected_tokens,
        started_from(controls.plan.inputs) if controls.method == AUTO else None,
    )


ensure_frame()
page()
