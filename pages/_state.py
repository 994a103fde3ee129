"""What all sessions share (the worker) and who a session is."""

from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import streamlit as st

from pages._pair import PairChoice, load_work
from pages._worker import Job, Worker


@dataclass(slots=True)
class Server:
    """The one worker of this process and its latest load of a model pair.

    live: jobs that a link names while they last, and what each fills.
    """

    worker: Worker
    load: Job
    live: dict[str, tuple[Job, Any]] = field(default_factory=dict)

    def announce(self, name: str, job: Job, record: Any) -> None:
        """Let a page that is loaded again find its job by the name in its link."""
        over = [known for known, (earlier, _) in list(self.live.items()) if not earlier.active]
        for known in over:
            self.live.pop(known, None)
        self.live[name] = job, record


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


def rejoin(name: str) -> tuple[Job, Any] | None:
    """The live job of this name and what it fills, for a page that was loaded again.

    The worker then knows this session as the one that began the job: either keeps it going.
    """
    found = server().live.get(name)
    if found is None or not found[0].active:
        return None
    st.session_state.session_id = found[0].session
    return found
