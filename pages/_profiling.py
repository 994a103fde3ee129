"""Measuring this machine's profile for the loaded pair, as a job of the worker."""

from collections.abc import Callable
from dataclasses import dataclass

from pages._worker import Job, Worker
from sequoia_core.errors import ModelError
from sequoia_core.plan.hardware import HardwareProfile

Keep = Callable[[HardwareProfile, str], str]


@dataclass(slots=True)
class Profiling:
    """One profile on its way; `name` is what it is kept as, empty until it is done."""

    context_lengths: list[int]
    name: str = ""


def profile_work(worker: Worker, profiling: Profiling, keep: Keep) -> Callable[[Job], None]:
    """The job that measures and keeps a profile; stopped, it leaves nothing behind.

    keep: takes in the profile under a name near the one wished, and returns the name.
    """

    def work(job: Job) -> None:
        # torch is loaded here, on the worker's thread.
        from sequoia_core.measure.profiler import profile_pair

        if worker.resident is None:
            raise ModelError("No model pair is loaded: choose one in the sidebar and press Load.")
        profile = profile_pair(
            worker.resident.pair,
            context_length=profiling.context_lengths[0],
            further_contexts=profiling.context_lengths[1:],
            progress=job.report_or_stop,
        )
        profiling.name = keep(profile, f"this machine, {profile.target_model}, {profile.dtype}")

    return work
