"""Measuring this machine's profile for the loaded pair, as a job of the worker."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from pages._worker import Job, Worker
from sequoia_core.errors import ModelError
from sequoia_core.plan.hardware import HardwareProfile


@dataclass(slots=True)
class Profiling:
    """One profile on its way; `profile` is None until it is done."""

    context_lengths: list[int]
    profile: HardwareProfile | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def read(self) -> HardwareProfile | None:
        with self._lock:
            return self.profile

    def finish(self, profile: HardwareProfile) -> None:
        with self._lock:
            self.profile = profile


def profile_work(worker: Worker, profiling: Profiling) -> Callable[[Job], None]:
    """The job that fills `profiling`; stopped, it leaves nothing behind."""

    def work(job: Job) -> None:
        # torch is loaded here, on the worker's thread.
        from sequoia_core.measure.profiler import profile_pair

        if worker.resident is None:
            raise ModelError("No model pair is loaded: choose one in the sidebar and press Load.")
        profiling.finish(
            profile_pair(
                worker.resident.pair,
                context_length=profiling.context_lengths[0],
                further_contexts=profiling.context_lengths[1:],
                progress=job.report_or_stop,
            )
        )

    return work
