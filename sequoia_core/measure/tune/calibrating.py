"""The stage that calibrates: prompts in small batches, as many as the time allows."""

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from sequoia_core.decode.engine import GenerationSettings
from sequoia_core.decode.pair import ModelPair, Prompt
from sequoia_core.errors import InputError
from sequoia_core.measure.calibration import Calibration, measure_acceptance
from sequoia_core.measure.ranks import RankedText
from sequoia_core.measure.tune.progress import Journey, Progress
from sequoia_core.measure.tune.store import Part, Store
from sequoia_core.measure.tune.task import Models, Task
from sequoia_core.plan.acceptance import RULES, AcceptanceVector
from sequoia_core.report.report import Reached, vector_name

STAGE = "calibrate"
BATCH = 5


def calibrate_stage(
    store: Store, models: Models, task: Task, journey: Journey
) -> tuple[dict[str, AcceptanceVector], Reached]:
    """Vectors of all rules by rule, from batches in the store and batches measured now.

    A batch's seeds depend on its place alone, so that an interruption changes no result.
    """
    total, limit = len(task.calibration), task.amounts.calibration_seconds
    bounds = batches(total)
    parts = _finished(store, len(bounds))
    spent = [part.seconds for part in parts]
    if enough(spent, len(bounds), limit):
        journey.taken(STAGE, f"taken from {store.folder}, {parts[-1].ago}")
    else:
        if parts:
            journey.note(f"{STAGE}: goes on after {bounds[len(parts) - 1][1]} of {total} prompts")
        progress = journey.begin(STAGE, sum(spent))
        prompts = task.encode(models.pair, task.calibration)
        while not enough(spent, len(bounds), limit):
            low, high = bounds[len(parts)]
            told = _within(progress, spent, len(bounds), limit, f"prompts {low + 1} to {high}")
            settings = replace(task.generation, seed=task.generation.seed + low)
            parts.append(
                _measure(store, len(parts), models.pair, prompts[low:high], settings, told)
            )
            spent.append(parts[-1].seconds)
    return _vectors(store, models, task, parts), _reached(parts, bounds, total, limit)


def batches(prompts: int) -> list[tuple[int, int]]:
    """Which prompts are measured together; none is left alone, since one has no standard error.

    >>> batches(11), batches(3)
    ([(0, 5), (5, 11)], [(0, 3)])
    """
    starts = list(range(0, prompts, BATCH))
    if prompts % BATCH == 1 and len(starts) > 1:
        starts.pop()
    return list(zip(starts, [*starts[1:], prompts], strict=True))


def enough(spent: Sequence[float], batches: int, limit: float) -> bool:
    """Whether to stop: everything is done, or another batch would go beyond the limit.

    The first batch is measured whatever it takes.
    """
    if not spent or len(spent) == batches:
        return len(spent) == batches
    return sum(spent) + max(spent) > limit


def _within(
    progress: Progress, spent: Sequence[float], batches: int, limit: float, text: str
) -> Progress:
    """A batch's progress as the whole stage's: by batches or by time, whichever ends first."""
    done, used = len(spent), sum(spent)
    pace = used / done if done else 0.0

    def told(fraction: float, detail: str) -> None:
        by_time = (used + fraction * pace) / limit
        progress(min(1.0, max((done + fraction) / batches, by_time)), f"{text}, {detail}")

    return told


def _measure(
    store: Store,
    index: int,
    pair: ModelPair,
    prompts: Sequence[Prompt],
    settings: GenerationSettings,
    progress: Progress,
) -> Part:
    started = time.perf_counter()
    measured = measure_acceptance(pair, prompts, settings, progress=progress)
    spent = time.perf_counter() - started
    arrays = {"width": np.array(measured.width), "texts": np.array(len(prompts))}
    for rule, samples in measured.samples.items():
        for place, sample in enumerate(samples):
            arrays[f"{rule}.{place}.acceptance"] = sample.acceptance.numpy()
            arrays[f"{rule}.{place}.ranks"] = sample.ranks.numpy()
    store.write_arrays(_name(index), arrays, spent)
    return store.read_arrays(_name(index))


def _name(index: int) -> str:
    return f"calibration-{index:03}"


def _finished(store: Store, most: int) -> list[Part]:
    """The batches in the store, in order, up to the first that is missing."""
    parts: list[Part] = []
    while len(parts) < most and (part := store.read_arrays(_name(len(parts)))):
        parts.append(part)
    return parts


def _vectors(
    store: Store, models: Models, task: Task, parts: Sequence[Part]
) -> dict[str, AcceptanceVector]:
    chosen = models.chosen
    try:
        samples = {rule: _samples(parts, rule) for rule in RULES}
        width = int(parts[0].content["width"])
        measured = Calibration(samples, width, task.generation, chosen.target, chosen.draft)
        vectors = {rule: measured.vector(rule) for rule in RULES}
    except (KeyError, TypeError, ValueError, RuntimeError, InputError) as error:
        raise store.unusable(_name(0)) from error
    return {rule: replace(vector, name=vector_name(rule)) for rule, vector in vectors.items()}


def _samples(parts: Sequence[Part], rule: str) -> list[RankedText]:
    return [
        RankedText(
            torch.from_numpy(part.content[f"{rule}.{place}.acceptance"]),
            torch.from_numpy(part.content[f"{rule}.{place}.ranks"]),
        )
        for part in parts
        for place in range(int(part.content["texts"]))
    ]


def _reached(
    parts: Sequence[Part], bounds: Sequence[tuple[int, int]], total: int, limit: float
) -> Reached:
    used = bounds[len(parts) - 1][1]
    positions = sum(
        len(ranks)
        for part in parts
        for key, ranks in part.content.items()
        if key.startswith(RULES[0]) and key.endswith("ranks")
    )
    words = f"{used} of {total} prompts, {positions:,} positions"
    return Reached(STAGE, sum(part.seconds for part in parts), limit, words)
