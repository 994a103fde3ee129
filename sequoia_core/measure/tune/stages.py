"""The order of a tuning: choose a dtype, profile, calibrate, plan, benchmark, report."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sequoia_core.measure import comparison_file
from sequoia_core.measure.comparison import Comparison
from sequoia_core.measure.tune import benching, calibrating, profiling
from sequoia_core.measure.tune.benching import benchmark_stage
from sequoia_core.measure.tune.calibrating import calibrate_stage
from sequoia_core.measure.tune.planning import plan_stage
from sequoia_core.measure.tune.profiling import profile_stage
from sequoia_core.measure.tune.progress import Journey
from sequoia_core.measure.tune.store import (
    BENCHMARK_FILE,
    HARDWARE_FILE,
    PAGE_FILE,
    PLAN_FILE,
    REPORT_FILE,
    Store,
    open_store,
)
from sequoia_core.measure.tune.task import Models, Task
from sequoia_core.report.page import report_page
from sequoia_core.report.report import Report

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Tuned:
    """A finished tuning: the report, its file's content, and the files of the folder by name."""

    report: Report
    content: dict[str, Any]
    files: dict[str, Path]


def tune(
    task: Task,
    folder: str | Path,
    *,
    fresh: bool = False,
    say: Say = lambda line: None,
) -> Tuned:
    """Do what is not done yet in `folder`, and write all results there.

    Interrupted at any point, by whatever means, the next call with the same task goes on: what is
    lost is the measurement in hand (a profile after its first look, a batch of prompts of the
    calibration, a prompt of the benchmark). Raises InputError and FileFormatError as `open_store`
    does, and ModelError for a pair that does not load.
    """
    with open_store(folder, task.settings, fresh=fresh) as store:
        journey = Journey(say, _expected(task))
        models = Models(task, store, journey)
        hardware, profiled = profile_stage(store, models, task.amounts, journey)
        store.publish(HARDWARE_FILE, hardware.to_dict())
        vectors, calibrated = calibrate_stage(store, models, task, journey)
        for vector in vectors.values():
            store.publish(f"{vector.name}.json", vector.to_dict())
        planned = plan_stage(
            store, vectors["sequoia"], hardware, trees=models.chosen.trees, journey=journey
        )
        store.publish(PLAN_FILE, planned.answer.to_dict())
        measured, benchmarked = benchmark_stage(
            store, models, task, planned, vectors["sequoia"], journey
        )
        report = Report(
            name=task.name,
            created=measured.comparison.origin.created,
            settings=task.settings,
            machine=task.machine,
            hardware=hardware,
            vectors=vectors,
            plan=planned.answer,
            candidates=planned.candidates,
            rows=measured.rows,
            gain=measured.gain,
            reached=(profiled, calibrated, benchmarked),
        )
        return _published(store, report, measured.comparison)


def _expected(task: Task) -> dict[str, float]:
    """The most seconds of every stage, by its name."""
    amounts = task.amounts
    return {
        profiling.STAGE: amounts.profile_seconds,
        calibrating.STAGE: amounts.calibration_seconds,
        benching.STAGE: amounts.benchmark_seconds,
    }


def _published(store: Store, report: Report, comparison: Comparison) -> Tuned:
    content = report.to_dict()
    files = {
        HARDWARE_FILE: store.folder / HARDWARE_FILE,
        **{f"{v.name}.json": store.folder / f"{v.name}.json" for v in report.vectors.values()},
        PLAN_FILE: store.folder / PLAN_FILE,
        BENCHMARK_FILE: store.publish(BENCHMARK_FILE, comparison_file.to_dict(comparison)),
        REPORT_FILE: store.publish(REPORT_FILE, content),
        PAGE_FILE: store.publish_text(PAGE_FILE, report_page(report)),
    }
    return Tuned(report, content, files)
