"""One background thread that owns the models; sessions queue jobs and poll what they have done."""

import logging
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from sequoia_core.errors import InputError, SequoiaError

QUEUED, RUNNING, DONE, STOPPED, FAILED = "queued", "running", "done", "stopped", "failed"
logger = logging.getLogger(__name__)


class StoppedError(Exception):
    """Raised inside a job's work to end it early, since its user has stopped it or left."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a page may know of a job at one moment; `position` is 0 once the job has started."""

    state: str
    position: int
    fraction: float
    text: str
    error: str


@dataclass(eq=False, slots=True)
class Job:
    """One unit of work for one session. `work` runs on the worker's thread with the job itself.

    A session of None (the load at start-up) never counts as having left.
    """

    id: int
    session: str | None
    kind: str
    work: Callable[["Job"], Any]
    left: Callable[["Job"], bool]
    state: str = QUEUED
    progress: tuple[float, str] = (0.0, "")
    error: str = ""
    result: Any = None
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def cancelled(self) -> bool:
        """Whether the work should end early: stopped by its user, or its user has left."""
        return self.stop.is_set() or self.left(self)

    @property
    def active(self) -> bool:
        return self.state in (QUEUED, RUNNING)

    def report(self, fraction: float, text: str) -> None:
        """Progress for the page: a fraction from 0 to 1 and what is being done."""
        self.progress = min(max(fraction, 0.0), 1.0), text

    def go_on(self) -> None:
        """Raise StoppedError if the work should end early, for work that cannot just return."""
        if self.cancelled:
            raise StoppedError

    def report_or_stop(self, fraction: float, text: str) -> None:
        """`report`, and `go_on`: for long work of the core that tells its progress."""
        self.report(fraction, text)
        self.go_on()


class Worker:
    """Runs jobs one at a time on a daemon thread, in the order they came.

    `resident` is what jobs keep between them (the loaded engine); only jobs replace it.
    patience_seconds: a job whose session has not called `touch` for so long is stopped.
    """

    def __init__(self, *, capacity: int = 16, patience_seconds: float = 90.0):
        self.capacity = capacity
        self.patience_seconds = patience_seconds
        self.resident: Any = None
        self._ids = count(1)
        self._queue: deque[Job] = deque()
        self._running: Job | None = None
        self._seen: dict[str, float] = {}
        self._changed = threading.Condition()
        threading.Thread(target=self._loop, name="sequoia-worker", daemon=True).start()

    def mark(self) -> weakref.ref | None:
        """What a request knows the present resident by; it keeps nothing in memory."""
        return None if self.resident is None else weakref.ref(self.resident)

    def touch(self, session: str) -> None:
        """Heartbeat: the session still looks at its page."""
        self._seen[session] = time.monotonic()

    def submit(self, kind: str, session: str | None, work: Callable[[Job], Any]) -> Job:
        """Queue work. Raises InputError when the queue is full or holds this session's like."""
        with self._changed:
            waiting = [*self._queue, *([self._running] if self._running else [])]
            if any(job.session == session and job.kind == kind for job in waiting):
                raise InputError(f"Your earlier {kind} is not finished: stop it or wait for it.")
            if len(self._queue) >= self.capacity:
                raise InputError(
                    f"{len(self._queue)} jobs are waiting, the most this server queues: "
                    "try again in a minute."
                )
            job = Job(next(self._ids), session, kind, work, self._has_left)
            if session is not None:
                self.touch(session)
            self._queue.append(job)
            self._changed.notify()
        return job

    def cancel(self, job: Job) -> None:
        """Stop a job: at once while it waits, at its next step while it runs."""
        with self._changed:
            job.stop.set()
            if job in self._queue:
                self._queue.remove(job)
                job.state = STOPPED

    def snapshot(self, job: Job) -> Snapshot:
        """The job's state and place in the queue, taken together."""
        with self._changed:
            ahead = (
                self._queue.index(job) + (self._running is not None) if job in self._queue else 0
            )
            return Snapshot(job.state, ahead, *job.progress, job.error)

    def _has_left(self, job: Job) -> bool:
        if job.session is None:
            return False
        silence = time.monotonic() - self._seen.get(job.session, 0.0)
        return silence > self.patience_seconds

    def _loop(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue)
                job = self._running = self._queue.popleft()
                job.state = RUNNING
            state = self._run(job)
            with self._changed:
                job.state, self._running = state, None

    def _run(self, job: Job) -> str:
        if job.cancelled:
            return STOPPED
        try:
            job.result = job.work(job)
        except StoppedError:
            return STOPPED
        except SequoiaError as error:
            job.error = str(error)
            return FAILED
        except Exception as error:
            # The thread serves every session, so no failure of one job may end it.
            logger.exception("A %s job failed", job.kind)
            job.error = (
                f"Something unexpected went wrong ({type(error).__name__}); "
                "the server's log has the details."
            )
            return FAILED
        return STOPPED if job.cancelled else DONE
