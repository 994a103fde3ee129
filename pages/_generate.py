"""One generation as a job: the speculative run, then plain decoding of the same length."""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from pages._auto import steered
from pages._worker import Job, Worker
from sequoia_core.decode.recorded import Origin
from sequoia_core.decode.settings import GenerationSettings
from sequoia_core.decode.trace import PlainRun, RunSummary, StepTrace
from sequoia_core.errors import InputError, ModelError
from sequoia_core.plan.acceptance import AcceptanceVector
from sequoia_core.plan.hardware import HardwareProfile
from sequoia_core.plan.methods import PLAIN as PLAIN_METHOD
from sequoia_core.plan.paths import PathStatistics
from sequoia_core.tree.token_tree import TokenTree


@dataclass(frozen=True, slots=True)
class Request:
    """What one press of Generate asks for.

    tree: the planned one; methods that grow their trees take its size, and `depth` as the limit.
    pair: the mark of the engine that the user saw, None while it loads: a session keeps its last
    request long after another pair is loaded. inputs: for `auto`, what it starts from.
    """

    prompt: str
    method: str
    tree: TokenTree
    depth: int
    settings: GenerationSettings
    predicted_speedup: float | None
    pair: Callable[[], object] | None = None
    predicted_tokens: float | None = None
    inputs: tuple[AcceptanceVector, HardwareProfile] | None = None


@dataclass(frozen=True, slots=True)
class RunView:
    """A run at one moment. pieces[i] are the texts of the tokens that step i committed.

    ranks: the rank sequence of the finished text, from which any tree's steps on it follow.
    origin: the pair and machine, once the run has ended. source: the file it was loaded from.
    kept: its name among the kept runs; unkept: why it is not among them.
    """

    request: Request
    steps: tuple[StepTrace, ...] = ()
    pieces: tuple[tuple[str, ...], ...] = ()
    summary: RunSummary | None = None
    plain: PlainRun | None = None
    ranks: PathStatistics | None = None
    prompt_ids: tuple[int, ...] = ()
    origin: Origin | None = None
    source: str = ""
    kept: str = ""
    unkept: str = ""

    @property
    def tokens(self) -> int:
        return sum(len(step.committed) for step in self.steps)

    @property
    def seconds(self) -> float:
        """Decoding time of the steps so far, prefill apart."""
        return sum(step.seconds.total for step in self.steps)

    @property
    def measured_speedup(self) -> float | None:
        """Seconds per token of the plain run over those of this run; None until both are done."""
        own, plain = self.summary, self.plain
        if not (own and plain and plain.token_ids and own.token_ids and own.decode_seconds):
            return None
        plain_seconds = plain.decode_seconds / len(plain.token_ids)
        return plain_seconds / (own.decode_seconds / len(own.token_ids))


@dataclass(slots=True)
class Record:
    """The run as the worker writes it and pages read it, a whole view at a time.

    name: what it is to be kept as.
    """

    view: RunView
    name: str = ""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def read(self) -> RunView:
        with self._lock:
            return self.view

    def add(self, step: StepTrace, pieces: Iterable[str]) -> None:
        """Append one step."""
        with self._lock:
            view = self.view
            self.view = replace(
                view, steps=(*view.steps, step), pieces=(*view.pieces, tuple(pieces))
            )

    def finish(self, **results: object) -> None:
        """Keep what is known of the run by now, by the names of RunView's fields."""
        with self._lock:
            self.view = replace(self.view, **results)


def generate_work(
    worker: Worker, record: Record, keep: Callable[[Record], None]
) -> Callable[[Job], None]:
    """The job that fills `record`; `keep` is called with it in the end, however it ends."""

    def work(job: Job) -> None:
        engine = worker.resident
        request = record.view.request
        _check_pair(engine, request)
        speculative = request.method != PLAIN_METHOD
        try:
            run = _generate(job, engine, record, 0.5 if speculative else 1.0)
            if speculative and not job.cancelled:
                _measure_plain(job, engine, record, run)
            if not job.cancelled:
                _rank(engine, record)
        finally:
            keep(record)

    return work


def _check_pair(engine, request: Request) -> None:
    if engine is None:
        raise ModelError("No model pair is loaded: choose one in the sidebar and press Load.")
    if request.pair is not None and request.pair() is not engine:
        raise InputError(
            f"The loaded pair changed to {engine.pair.target_name} while this run waited: "
            "press Generate again to use it."
        )


def _generate(job: Job, engine, record: Record, share: float):
    """The run itself, step by step into the record; returns it."""
    from sequoia_core.decode.methods import named_method
    from sequoia_core.measure.recording import origin_of

    request = record.view.request
    method = steered(request.inputs) or named_method(request.method, request.tree, request.depth)
    run = engine.run(request.prompt, request.settings, method)
    limit = request.settings.max_new_tokens
    made = 0
    for step in run:
        record.add(step, map(run.piece, step.committed))
        made += len(step.committed)
        job.report(share * made / limit, f"{made} of up to {limit} tokens")
        if job.cancelled:
            run.close()
            break
    record.finish(
        summary=run.summary(), prompt_ids=tuple(run.prompt_ids), origin=origin_of(engine.pair)
    )
    return run


def _measure_plain(job: Job, engine, record: Record, run) -> None:
    """Plain decoding of the same prompt and length: what the measured speedup is against."""
    from sequoia_core.measure.recording import plain_run

    wanted = len(run.token_ids)

    def report(tokens: int) -> bool:
        job.report(0.5 + 0.5 * tokens / wanted, f"plain decoding, {tokens} of {wanted} tokens")
        return not job.cancelled

    record.finish(plain=plain_run(run, engine, report=report))


def _rank(engine, record: Record) -> None:
    """Which child each token of the text would have been: one pass over the finished text."""
    from sequoia_core.measure.ranks_of_run import rank_run

    view = record.read()
    written, settings = view.summary.token_ids, view.request.settings
    record.finish(ranks=rank_run(engine.pair, view.prompt_ids, written, settings))
