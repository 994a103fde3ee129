"""What all sessions share (the worker) and who a session is."""

from dataclasses import dataclass
from uuid import uuid4

import streamlit as st

from pages._pair import PairChoice, load_work
from pages._worker import Job, Worker


@dataclass(slots=True)
class Server:
    """The one worker of this process and its latest load of a model pair."""

    worker: Worker
    load: Job


@st.cache_resource(show_spinner=False)
def server() -> Server:
    """Start the worker, once in a process, and let it load the bundled pair."""
    worker = Worker()
    return Server(worker, worker.submit("load", None, load_work(worker, PairChoice())))


def session_id() -> str:
    """A name for this browser session that the worker knows it by."""
    return st.session_state.setdefault("session_id", uuid4().hex)


def touch() -> None:
    """Tell the worker that this session is still here."""
    server().worker.touch(session_id())
