"""A comparison as a job of the worker, the record that it fills, and the file of that."""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from pages._store import COMPARISONS, Store
from pages._worker import Job, Worker
from sequoia_core.decode.settings import GenerationSettings
from sequoia_core.errors import InputError, ModelError, SequoiaError
from sequoia_core.measure.comparison import Comparison, Run
from sequoia_core.measure.comparison_file import to_dict
from sequoia_core.measure.proposal import Proposal

# Rounds of the last so many seconds are lost when the server is killed, no others.
SAVE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Request:
    """What one press of Compare asks for.

    pair: the mark of the engine that the user saw, None while it loads.
    """

    proposals: tuple[Proposal, ...]
    prompts: tuple[str, ...]
    tuning_prompts: tuple[str, ...]
    repeats: int
    settings: GenerationSettings
    pair: Callable[[], object] | None = None


@dataclass(slots=True)
class Comparing:
    """A comparison on its way, done or loaded; `read` gives None until its first round is done.

    source: the file it was loaded from, empty for one that was measured here. name: what it is to
    be kept as; kept: the name it got, empty until it is kept; mistake: why it cannot be.
    """

    comparison: Comparison | None = None
    source: str = ""
    name: str = ""
    kept: str = ""
    mistake: str = ""
    _saved: float = field(default_factory=time.monotonic)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def read(self) -> Comparison | None:
        with self._lock:
            return self.comparison if self.comparison and self.comparison.runs else None

    def begin(self, comparison: Comparison) -> None:
        with self._lock:
            self.comparison = comparison

    def add(self, runs: list[Run]) -> None:
        """Append a round."""
        with self._lock:
            self.comparison = replace(self.comparison, runs=(*self.comparison.runs, *runs))

    def save(self, store: Store) -> None:
        """Keep what there is by now; nothing before the first round is done."""
        comparison = self.read()
        if comparison is None:
            return
        data = content(comparison, self.source)
        try:
            if self.kept:
                self.kept = store.replace(COMPARISONS, self.kept, data)
            else:
                self.kept = store.put(COMPARISONS, self.name, data)
            self.mistake = ""
        except SequoiaError as error:
            self.mistake = str(error)
        self._saved = time.monotonic()

    @property
    def unsaved_seconds(self) -> float:
        return time.monotonic() - self._saved


def content(comparison: Comparison, source: str) -> bytes:
    """The file that is kept: that of JSON, and where a loaded one came from."""
    fields = to_dict(comparison) | ({"loaded_from": source} if source else {})
    return json.dumps(fields, ensure_ascii=False, allow_nan=False).encode()


def compare_work(
    worker: Worker, request: Request, record: Comparing, store: Store
) -> Callable[[Job], None]:
    """The job that fills `record`, a round at a time; stopped, it leaves the rounds it has done.

    They are kept in `store` whether or not their visitor is still there.
    """

    def keep(runs: list[Run]) -> None:
        record.add(runs)
        if record.unsaved_seconds > SAVE_SECONDS:
            record.save(store)

    def work(job: Job) -> None:
        engine = worker.resident
        _check_pair(engine, request)
        # torch is loaded here, on the worker's thread.
        from sequoia_core.measure.compare import check_prompts, compare, make_arms
        from sequoia_core.measure.recording import origin_of

        pair, settings = engine.pair, request.settings
        check_prompts(pair, request.prompts, settings)
        origin = origin_of(pair)
        arms = make_arms(
            pair,
            request.proposals,
            settings,
            request.tuning_prompts,
            progress=job.report_or_stop,
            go_on=job.go_on,
        )
        record.begin(
            Comparison(
                entries=tuple(arm.entry for arm in arms),
                prompts=request.prompts,
                repeats=request.repeats,
                settings=settings,
                origin=origin,
            )
        )
        try:
            compare(
                arms,
                request.prompts,
                repeats=request.repeats,
                seed=settings.seed,
                progress=job.report_or_stop,
                keep=keep,
            )
        finally:
            record.save(store)

    return work


def _check_pair(engine, request: Request) -> None:
    if engine is None:
        raise ModelError("No model pair is loaded: choose one in the sidebar and press Load.")
    if request.pair is not None and request.pair() is not engine:
        raise InputError(
            f"The loaded pair changed to {engine.pair.target_name} while this comparison waited: "
            "press Compare again to use it."
        )
