"""Measuring a plan on the loaded pair: tree, best chain and plain decoding, interleaved."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from pages._worker import Job, Worker
from sequoia_core.decode.settings import GenerationSettings
from sequoia_core.errors import ModelError
from sequoia_core.measure.comparison import BASELINE
from sequoia_core.measure.summary import Summary, summarise
from sequoia_core.tree.token_tree import TokenTree

THIS_TREE, CHAIN = "this tree", "best chain"
PROMPTS, REPEATS = 2, 3


@dataclass(frozen=True, slots=True)
class Measured:
    """What came out: a `measure.summary.Summary` by tree, and what it was measured on."""

    summaries: dict[str, Summary]
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
        from sequoia_core.measure.compare import compare_named
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
            name: engine_method(pair, settings, static_method("sequoia", tree), job.go_on)
            for name, tree in trees.items()
        }
        done = compare_named(
            pair, methods, measurement.prompts, settings, repeats=REPEATS, progress=job.report
        )
        summaries = {summary.entry.method: summary for summary in summarise(done)}
        device = f"{pair.target_name} with {pair.draft_name}, {pair.device}, {pair.dtype}"
        measurement.finish(Measured(summaries, device, settings))

    return work
