"""Runs that outlive the page: kept when they end, found again by the link or from a list."""

import re
from dataclasses import replace
from datetime import UTC, datetime

import streamlit as st

from pages import _library as library
from pages._generate import Record, RunView
from pages._run_file import kept_bytes, restored
from pages._shown_run import show_loaded, shown_run
from pages._sliders import RUN
from pages._state import rejoin, server
from pages._store import RUNS, Store
from pages._text import literal
from sequoia_core.errors import SequoiaError

NAME = re.compile(r"(\d{8}-\d{6})-([a-z-]+)-(\d+)(.*)")


def new_name(method: str, budget: int) -> str:
    """A name for a run that begins now, which its link has from the first step on."""
    stem = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{method}-{budget}"
    taken = {*library.store().names(RUNS), *(name.partition(" ")[2] for name in server().live)}
    return next(
        name for name in (stem, *(f"{stem}-{i}" for i in range(2, 99))) if name not in taken
    )


def run_line(name: str) -> str:
    """The name as a list shows it, as in: 24 Nov 2026, 10:15 UTC: sequoia, 64 nodes."""
    parts = NAME.fullmatch(name)
    try:
        when = datetime.strptime(parts[1], "%Y%m%d-%H%M%S") if parts else None
    except ValueError:
        when = None
    if when is None:
        return name
    return f"{when:%d %b %Y, %H:%M} UTC: {parts[2]}, {int(parts[3]):,} nodes{parts[4]}"


def keep_run(store: Store, record: Record) -> None:
    """Keep what was written, on the worker's thread; the oldest run makes room for it."""
    view = record.read()
    if view.summary is None or not view.steps:
        return
    try:
        record.finish(kept=store.put_newest(RUNS, record.name, kept_bytes(view)), unkept="")
    except SequoiaError as error:
        record.finish(unkept=str(error))


def keep_loaded(view: RunView) -> RunView:
    """The same run, kept; or with the reason why it is not."""
    try:
        stem, data, store = view.source.removesuffix(".json"), kept_bytes(view), library.store()
        name = store.same(RUNS, stem, data) or store.put_newest(RUNS, stem, data)
        return replace(view, kept=name)
    except SequoiaError as error:
        return replace(view, unkept=str(error))


def kept_runs() -> list[str]:
    """Names, the newest first."""
    return library.store().names(RUNS)[::-1]


def show_kept(name: str) -> None:
    """Put one in front. Raises FileFormatError where its file is gone or no longer fits."""
    store = library.store()
    path, _, _ = store.stamp(RUNS, name)
    show_loaded(restored(store.read(RUNS, name), path, name))
    st.session_state.restored_run = name
    st.session_state.load_trace = False  # Closed, so that it hides nothing of the run.


def delete_run(name: str) -> None:
    """Forget one; where it is the one on show, it stays there until the page is left."""
    library.store().delete(RUNS, name)
    record: Record | None = st.session_state.get("record")
    if record is not None and record.read().kept == name:
        record.finish(kept="")


def rejoin_linked() -> None:
    """Once a session, before anything is drawn: the run that the link names, on its way or kept."""
    if "run_linked" not in st.session_state:
        name = st.session_state.run_linked = st.query_params.get("run", "")
        st.session_state.run_mistake = _rejoin(name) if name else ""
    if mistake := st.session_state.run_mistake:
        st.warning(literal(f"{mistake} The link's value was left out."))


def _rejoin(name: str) -> str:
    """Empty, or what keeps the run of this name from being shown."""
    if found := rejoin(f"run {name}"):
        st.session_state.update(job=found[0], record=found[1], view=RUN)
        return ""
    if name not in kept_runs():
        return f"There is no run called “{name[:80]}” on this machine."
    step = st.query_params.get("step", "")
    try:
        show_kept(name)
    except SequoiaError as error:
        return str(error)
    if step.isascii() and step.isdigit():
        st.session_state.step = int(step[:9])
    return ""


def link_run(*, live: bool) -> None:
    """Name the run on show in the link, so that a page loaded again shows it again."""
    view, record = shown_run(), st.session_state.get("record")
    name = record.name if live and record is not None else view.kept if view else ""
    if name and st.query_params.get("run") != name:
        st.query_params["run"] = name
    elif not name and "run" in st.query_params:
        del st.query_params["run"]
