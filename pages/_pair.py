"""Loading a model pair as a job of the worker."""

import gc
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from pages._worker import Job, Worker


@dataclass(frozen=True, slots=True)
class PairChoice:
    """What the sidebar asks for; target and draft both None means the bundled pair.

    cost: the shape whose cost the bundled pair takes, None to leave it as it is. offload: the
    target's layers stay in main memory.
    """

    target: str | None = None
    draft: str | None = None
    device: str = "auto"
    dtype: str = "auto"
    cost: str | None = None
    offload: bool = False


def load_work(worker: Worker, choice: PairChoice) -> Callable[[Job], None]:
    """The job that makes `choice` the worker's resident engine, or leaves the earlier one."""

    def work(job: Job) -> None:
        # Imported here, on the worker's thread: torch takes seconds, and the page need not wait.
        job.report(0.0, "Starting the engine")
        from sequoia_core.decode.engine import Engine
        from sequoia_core.decode.pair import PairSpec, load_pair

        leave_a_core()
        spec = PairSpec(
            choice.target,
            choice.draft,
            choice.device,
            choice.dtype,
            choice.cost,
            offload=choice.offload,
        )
        leave_a_core()
        worker.resident = Engine(load_pair(spec, job.report))
        # Hundreds of thousands of objects of torch and transformers stay for good. Streamlit
        # collects garbage after every run of a page, and would walk them all, 0.2 s each time.
        # An earlier pair is among those frozen before, with models and passes that know each other.
        gc.unfreeze()
        gc.collect()
        gc.freeze()

    return work


@cache
def leave_a_core() -> None:
    """Have torch use one core less than there are, unless the environment says how many.

    The browser draws on this machine too. A pass waits for the slowest of its threads many times,
    so that one without a core makes it ten times as long (docs/BENCHMARKS.md, "Threads").
    """
    import torch

    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, torch.get_num_threads() - 1))
