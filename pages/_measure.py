"""Measuring a plan on the loaded pair: tree, best chain and plain decoding, interleaved."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from pages._worker import Job, Worker
from sequoia_core.decode.settings import GenerationSettings
from sequoia_core.errors import ModelError
from sequoia_core.tree.token_tree import TokenTree

THIS_TREE, CHAIN = "this tree", "best chain"
PROMPTS, REPEATS = 2, 3


@dataclass(frozen=True, slots=True)
class Measured:
    """What came out: `measure.benchmark` rows by method, and what they were measured on."""

    rows: dict[str, object]
    pair: str
    settings: GenerationSettings


@dataclass(slots=True)
class Measurement:
    """One measurement of a tree; `outcome` is None until it is done."""

    tree: TokenTree
    chain: TokenTree
    settings: GenerationSettings
    prompts: list[str]
    outcome: Measured | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def read(self) -> Measured | None:
        with self._lock:
            return self.outcome

    def finish(self, outcome: Measured) -> None:
        with self._lock:
            self.outcome = outcome


def measure_work(worker: Worker, measurement: Measurement) -> Callable[[Job], None]:
    """The job that fills `measurement`; stopped, it leaves nothing behind."""

    def work(job: Job) -> None:
        # torch is loaded here, on the worker's thread.
        from sequoia_core.decode.methods import static_method
        from sequoia_core.measure.benchmark import BASELINE, benchmark
        from sequoia_core.measure.methods import engine_method

        if worker.resident is None:
            raise ModelError("No model pair is loaded: choose one in the sidebar and press Load.")
        pair, settings = worker.resident.pair, measurement.settings
        trees = {
            BASELINE: TokenTree([-1]),
            CHAIN: measurement.chain,
            THIS_TREE: measurement.tree,
        }
        methods = {
            name: _until_stopped(job, engine_method(pair, settings, static_method("sequoia", tree)))
            for name, tree in trees.items()
        }
        rows = benchmark(
            methods, measurement.prompts, repeats=REPEATS, predicted={}, progress=job.report
        )
        device = f"{pair.target_name} with {pair.draft_name}, {pair.device}, {pair.dtype}"
        measurement.finish(Measured({row.method: row for row in rows}, device, settings))

    return work


def _until_stopped(job: Job, method: Callable) -> Callable:
    def run(prompt: str):
        job.go_on()
        return method(prompt)

    return run
