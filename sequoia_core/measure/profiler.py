"""Measuring how long this machine takes for n tokens: the hardware profile of a pair."""

import platform
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from statistics import median

import torch
import transformers

from sequoia_core.decode.engine import Engine, GenerationSettings, Run
from sequoia_core.decode.memory import peak_memory
from sequoia_core.decode.model import TreeModel
from sequoia_core.decode.pair import ModelPair
from sequoia_core.errors import InputError
from sequoia_core.measure.machine import measure_machine, total_bytes
from sequoia_core.measure.passes import step_seconds
from sequoia_core.measure.sweep import Progress, Sweep, judge_noise, undisturbed
from sequoia_core.plan.hardware import ContextCurves, HardwareProfile
from sequoia_core.plan.measurement import Measurement
from sequoia_core.plan.model_shape import ModelShape, shape_from_config
from sequoia_core.tree.token_tree import TokenTree

TARGET_GRID = (
    *range(1, 17),
    *(20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 128, 160, 192, 256, 320, 384, 512, 640, 768, 1024),
)
DRAFT_GRID = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
REPEATS = 9
CONTEXT = 128
MOST_CONTEXTS = 8
# What the passes may take, so that all is done within 3 minutes on a CPU and 2 on a GPU.
LIMIT_SECONDS = {"cpu": 150.0, "cuda": 95.0}
# Of the progress: the passes, then the steps.
PASSES_SHARE, STEPS_SHARE = 0.9, 0.97

# A small Sequoia tree (budget 16, depth 4) for the costs beside the passes.
REFERENCE_TREE = TokenTree([-1, 0, 0, 0, 0, 1, 1, 1, 2, 2, 5, 5, 6, 8, 10, 10])
REFERENCE_TEMPERATURE = 0.6
REFERENCE_TOKENS = 48
# Steps of a slow model go on until these are done; the rest is left out where time is up.
FEWEST_STEPS = 8
STEPS_SECONDS = 10.0


def profile_pair(
    pair: ModelPair,
    *,
    context_length: int = CONTEXT,
    max_tokens: int = 1024,
    repeats: int = REPEATS,
    progress: Progress = lambda fraction, text: None,
    further_contexts: Sequence[int] = (),
    limit_seconds: float | None = None,
) -> HardwareProfile:
    """Seconds of target and draft passes by token count, as decoding meets them.

    A target pass comes after a few draft passes, a draft pass after the target's or another
    draft pass, and the plain pass of one token after another one: a pass on its own finds its
    weights in the caches and takes less. Masks are those of a tree. Repeats are interleaved:
    every round visits all sizes in a new order, so that a disturbance does not fall on one size.
    Then sizes are added where neighbours differ by more than 10 %, the widest gap first, until
    none is left or `limit_seconds` (None: LIMIT_SECONDS of the device) are over.
    A GPU is waited for after the target's pass alone, as in decoding: see `timing.DeviceLaps`.
    The overhead is all the rest of a step, whatever the engine's own watch makes of it.
    context_length, further_contexts: committed tokens before the pass; the overhead is that of
    the first. Raises InputError where one of them and the reference run do not fit the pair's
    context.
    """
    started = time.perf_counter()
    contexts = _checked_contexts(pair, [context_length, *further_contexts])
    given = LIMIT_SECONDS.get(pair.device.type, LIMIT_SECONDS["cpu"])
    limit = given if limit_seconds is None else limit_seconds
    sweeps = []
    for index, length in enumerate(contexts):
        share = PASSES_SHARE / len(contexts)
        left = limit - (time.perf_counter() - started)
        until = time.perf_counter() + left / (len(contexts) - index)
        tell = _within(progress, index * share, share, length if index or contexts[1:] else None)
        sweeps.append(_sweep(pair, length, max_tokens, repeats, until, tell))
    steps = _steps(pair, contexts[0], _within(progress, PASSES_SHARE, STEPS_SHARE - PASSES_SHARE))
    machine = None
    if pair.target.devices == 1:
        # Of several, one's figures are not the target's.
        progress(STEPS_SHARE, "Bandwidth and FLOP/s of this machine")
        static = pair.target.static
        captured = static is not None and not static.refused
        machine = measure_machine(pair.device, pair.target.dtype, captured=captured)
    profile = _profile(pair, contexts, sweeps, steps)
    took = time.perf_counter() - started
    progress(1.0, "Done")
    return replace(
        profile,
        machine=machine,
        measurement=replace(profile.measurement, took_seconds=took, limit_seconds=float(limit)),
    )


def _checked_contexts(pair: ModelPair, contexts: Sequence[int]) -> list[int]:
    longest = pair.context_length - 64
    for length in contexts:
        if not 1 <= length <= longest:
            raise InputError(
                f"The context length must be between 1 and {longest} for this pair, got {length}."
            )
        if list(contexts).count(length) > 1:
            raise InputError(f"Each context length can be measured once, got {length} twice.")
    if len(contexts) > MOST_CONTEXTS:
        raise InputError(
            f"At most {MOST_CONTEXTS} context lengths are measured, got {len(contexts)}."
        )
    return list(contexts)


def _within(progress: Progress, start: float, share: float, context: int | None = None) -> Progress:
    """Progress of a part of the work; `context` is named where there are several."""
    words = "" if context is None else f"Context {context:,}: "
    return lambda fraction, text: progress(start + share * fraction, words + text)


def _sweep(
    pair: ModelPair,
    context_length: int,
    max_tokens: int,
    repeats: int,
    until: float,
    progress: Progress,
) -> Sweep:
    """All passes behind `context_length` committed tokens."""
    models = {"target": pair.target, "draft": pair.draft}
    sizes = {
        "target": [n for n in TARGET_GRID if n <= max_tokens],
        "draft": [n for n in DRAFT_GRID if n <= max_tokens],
    }
    for name, model in models.items():
        model.reset(context_length + sizes[name][-1])
        model.append(_prompt(context_length))
    sweep = Sweep(
        lambda passes: step_seconds(pair, [(models[name], tokens) for name, tokens in passes]),
        sizes,
        clock=time.perf_counter,
        until=until,
        progress=progress,
    )
    sweep.run(repeats)
    return sweep


def _profile(
    pair: ModelPair, contexts: list[int], sweeps: list[Sweep], steps: "Steps"
) -> HardwareProfile:
    """What was measured, without the machine's own figures."""
    curves = [
        ContextCurves(length, sweep.curve("target"), sweep.curve("draft"))
        for length, sweep in zip(contexts, sweeps, strict=True)
    ]
    return HardwareProfile(
        device=device_name(pair.device, pair.target.devices),
        dtype=pair.dtype,
        context_length=contexts[0],
        target_seconds=curves[0].target_seconds,
        draft_seconds=curves[0].draft_seconds,
        overhead_seconds=steps.tree_seconds,
        plain_overhead_seconds=steps.plain_seconds,
        origin="measured",
        basis="; ".join([_basis(sweeps[0]), *_refused(pair)]),
        target_model=pair.target_name,
        draft_model=pair.draft_name,
        contexts=tuple(curves[1:]),
        noise=judge_noise([sweep.seconds for sweep in sweeps]),
        measurement=_measurement(pair, sweeps, steps),
    )


def _measurement(pair: ModelPair, sweeps: list[Sweep], steps: "Steps") -> Measurement:
    return Measurement(
        date=date.today().isoformat(),
        python=platform.python_version(),
        torch=torch.__version__,
        transformers=transformers.__version__,
        memory_bytes=float(total_bytes(pair.device)),
        # The device's own comes first; there is none where the system does not tell.
        peak_bytes=float(next(iter(peak_memory(pair.device).values()), 0)),
        rounds=sweeps[0].rounds,
        refined=sum(sweep.added for sweep in sweeps),
        unrefined=tuple(gap for sweep in sweeps for gap in sweep.gaps()),
        target_quartiles=sweeps[0].quartiles("target"),
        draft_quartiles=sweeps[0].quartiles("draft"),
        sample_seconds=steps.sample_seconds,
        commit_seconds=steps.commit_seconds,
        rest_seconds=steps.rest_seconds,
        target_shape=_shape(pair.target, pair.dtype),
        draft_shape=_shape(pair.draft, pair.dtype),
        offload=pair.offloaded,
    )


def _shape(model: TreeModel, dtype: str) -> ModelShape | None:
    """The model's sizes as its configuration has them; None where its work cannot be counted."""
    config = model.config.to_dict() | {"dtype": dtype, "torch_dtype": None}
    try:
        return shape_from_config(config, name=model.name, source="the model's configuration")
    except InputError:
        return None


def fastest(
    pairs: list[ModelPair], context_length: int, repeats: int = REPEATS
) -> tuple[ModelPair, str]:
    """The pair whose target takes least for one token and for a small tree, and the figures.

    pairs: the same models in several dtypes. Passes are interleaved.
    """
    sizes = (1, REFERENCE_TREE.size)
    for pair in pairs:
        pair.target.reset(context_length + REFERENCE_TREE.size)
        pair.target.append(_prompt(context_length))
    seconds = {(pair.dtype, n): [] for pair in pairs for n in sizes}
    for round_ in range(repeats + 1):
        for pair in pairs:
            for n in sizes:
                (spent,) = step_seconds(pair, [(pair.target, n)])
                if round_:
                    seconds[pair.dtype, n].append(spent)
    totals = {pair.dtype: [undisturbed(seconds[pair.dtype, n]) for n in sizes] for pair in pairs}
    figures = ", ".join(
        f"{dtype} {one * 1e3:.1f} and {tree * 1e3:.1f}" for dtype, (one, tree) in totals.items()
    )
    text = f"dtype by milliseconds for {sizes[0]} and {sizes[1]} target tokens: {figures}"
    return min(pairs, key=lambda pair: sum(totals[pair.dtype])), text


def device_name(device: torch.device, count: int = 1) -> str:
    """The GPU's name, or the CPU's with the number of threads in use; of several, how many."""
    several = f"{count} x " if count > 1 else ""
    if device.type == "cuda":
        return several + torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"{several}{_cpu_name()}, {threads} thread{'s' if threads > 1 else ''}"


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _prompt(tokens: int) -> list[int]:
    return [1 + i % 7 for i in range(tokens)]


@dataclass(frozen=True, slots=True)
class Steps:
    """Seconds beside the passes: of a plain step, of one with the reference tree.

    The latter's parts: sampling with verification, commit, and the rest. Lower quartiles each, as
    those of the passes are: see `undisturbed`.
    """

    plain_seconds: float
    tree_seconds: float
    sample_seconds: float
    commit_seconds: float
    rest_seconds: float


def _steps(pair: ModelPair, context_length: int, progress: Progress) -> Steps:
    """Run the reference steps, plain and with a tree."""
    settings = GenerationSettings(
        temperature=REFERENCE_TEMPERATURE, max_new_tokens=REFERENCE_TOKENS
    )
    parts = []
    # Texts of nonsense end early; here they go on, as the passes of a text do.
    endless = Engine(replace(pair, end_tokens=frozenset()))
    for index, tree in enumerate((TokenTree([-1]), REFERENCE_TREE)):
        run = endless.run(_prompt(context_length), settings, tree, trace=False)
        # The first step has the reading of the prompt in it.
        next(run)
        spent = _beside_passes(run, lambda i=index: progress(i / 2, "Sampling and verification"))
        parts.append([undisturbed(part) for part in zip(*spent, strict=True)])
    return Steps(parts[0][0], *parts[1])


def _beside_passes(
    run: Run, tell: Callable[[], None]
) -> Iterator[tuple[float, float, float, float]]:
    """Of each step the wall seconds without its passes; then sampling, commit, and the rest."""
    begun = time.perf_counter()
    count = 0
    while count < FEWEST_STEPS or time.perf_counter() - begun < STEPS_SECONDS:
        tell()
        started = time.perf_counter()
        step = next(run, None)
        if step is None:
            return
        count += 1
        beside = time.perf_counter() - started - step.seconds.draft - step.seconds.verify
        sample, commit = step.seconds.sample, step.seconds.commit
        yield beside, sample, commit, max(0.0, beside - sample - commit)


def _refused(pair: ModelPair) -> list[str]:
    """Which models' passes were to be captured and are launched anew each time, and why."""
    return [
        f"no CUDA graphs for {model.name}: {model.static.refused}"
        for model in (pair.target, pair.draft)
        if model.static is not None and model.static.refused
    ]


def _basis(sweep: Sweep) -> str:
    spreads = [
        (high - low) / middle
        for model in ("target", "draft")
        for _, low, middle, high, _ in sweep.quartiles(model)
    ]
    return (
        f"lower quartile of {sweep.rounds} or more interleaved passes a size, interquartile range "
        f"{median(spreads):.0%} of the median; overhead at temperature {REFERENCE_TEMPERATURE} "
        f"with a tree of {REFERENCE_TREE.size} nodes; torch {torch.__version__}, transformers "
        f"{transformers.__version__}, {date.today().isoformat()}"
    )
