"""Measuring how long this machine takes for n tokens: the hardware profile of a pair."""

import platform
import random
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from statistics import median, quantiles

import torch
import transformers

from sequoia_core.decode.engine import Engine, GenerationSettings, Run
from sequoia_core.decode.model import TreeModel
from sequoia_core.decode.pair import ModelPair
from sequoia_core.decode.timing import now
from sequoia_core.errors import InputError
from sequoia_core.plan.hardware import HardwareProfile
from sequoia_core.tree.token_tree import TokenTree

Progress = Callable[[float, str], None]

TARGET_GRID = (
    *range(1, 17),
    *(20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 128, 160, 192, 256, 320, 384, 512, 640, 768, 1024),
)
DRAFT_GRID = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
REPEATS = 9
CONTEXT = 128

DRAFT_PASSES = 4

# A small Sequoia tree (budget 16, depth 4) for the costs beside the passes.
REFERENCE_TREE = TokenTree([-1, 0, 0, 0, 0, 1, 1, 1, 2, 2, 5, 5, 6, 8, 10, 10])
REFERENCE_TEMPERATURE = 0.6


def profile_pair(
    pair: ModelPair,
    *,
    context_length: int = CONTEXT,
    max_tokens: int = 1024,
    repeats: int = REPEATS,
    progress: Progress = lambda fraction, text: None,
) -> HardwareProfile:
    """Seconds of target and draft passes by token count, as decoding meets them.

    A target pass comes after a few draft passes, a draft pass after the target's or another
    draft pass, and the plain pass of one token after another one: a pass on its own finds its
    weights in the caches and takes less. Masks are those of a tree. Repeats are interleaved:
    every round visits all sizes in a new order, so that a disturbance does not fall on one size.
    The overhead is all the rest of a step, whatever the engine's own watch makes of it.
    context_length: committed tokens before the pass. Raises InputError where context_length and
    the reference run do not fit the pair's context.
    """
    if not 1 <= context_length <= pair.context_length - 64:
        raise InputError(
            f"The context length must be between 1 and {pair.context_length - 64} for this pair, "
            f"got {context_length}."
        )
    target_sizes = [n for n in TARGET_GRID if n <= max_tokens]
    draft_sizes = [n for n in DRAFT_GRID if n <= max_tokens]
    for model, most in ((pair.target, target_sizes[-1]), (pair.draft, draft_sizes[-1])):
        model.reset(context_length + most)
        model.append(_prompt(context_length))
    seconds = _interleaved(pair, target_sizes, draft_sizes, repeats, progress)
    progress(0.9, "Sampling, verification and commit")
    plain, overhead = _overheads(pair, context_length)
    progress(1.0, "Done")
    return HardwareProfile(
        device=device_name(pair.device, pair.target.devices),
        dtype=pair.dtype,
        context_length=context_length,
        target_seconds=_curve(seconds, "target"),
        draft_seconds=_curve(seconds, "draft"),
        overhead_seconds=overhead,
        plain_overhead_seconds=plain,
        origin="measured",
        basis=_basis(seconds, repeats),
        target_model=pair.target_name,
        draft_model=pair.draft_name,
    )


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
                spent = _pass_seconds(pair.target, n)
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


Timings = dict[tuple[str, int], list[float]]


def _prompt(tokens: int) -> list[int]:
    return [1 + i % 7 for i in range(tokens)]


def _interleaved(
    pair: ModelPair,
    target_sizes: list[int],
    draft_sizes: list[int],
    repeats: int,
    progress: Progress,
) -> Timings:
    """Seconds of every size, at least `repeats` of each; one more round before warms up."""
    order = random.Random(0)
    seconds: Timings = {("target", n): [] for n in target_sizes}
    seconds |= {("draft", n): [] for n in draft_sizes}
    drafts = _endless(draft_sizes, order)
    for round_ in range(repeats + 1):
        progress(0.9 * round_ / (repeats + 1), f"Round {round_} of {repeats}")
        before = {key: len(times) for key, times in seconds.items()}
        for n in order.sample(target_sizes, len(target_sizes)):
            if n == 1:
                _pass_seconds(pair.target, 1)
            else:
                for width in (next(drafts) for _ in range(DRAFT_PASSES)):
                    seconds["draft", width].append(_pass_seconds(pair.draft, width))
            seconds["target", n].append(_pass_seconds(pair.target, n))
        for width in draft_sizes:
            # Few target sizes are too few steps for all widths.
            if len(seconds["draft", width]) == before["draft", width]:
                seconds["draft", width].append(_pass_seconds(pair.draft, width))
        if not round_:
            seconds = {key: [] for key in seconds}
    return seconds


def _endless(sizes: list[int], order: random.Random) -> Iterator[int]:
    """All sizes in a random order, again and again."""
    while True:
        yield from order.sample(sizes, len(sizes))


def _pass_seconds(model: TreeModel, tokens: int) -> float:
    """One forward pass over `tokens` uncommitted tokens, which are then forgotten."""
    tree = TokenTree([-1, *(node // 2 for node in range(tokens - 1))])
    ids = torch.randint(model.vocab, (tokens,), device=model.device)
    positions = torch.from_numpy(tree.depths).long().to(model.device) + model.length
    visible = torch.from_numpy(tree.visible).to(model.device)
    started = now(model.device)
    model.forward(ids, positions, visible)
    spent = now(model.device) - started
    model.commit([])
    return spent


def _curve(seconds: Timings, model: str) -> tuple[tuple[int, float], ...]:
    return tuple((n, undisturbed(times)) for (owner, n), times in seconds.items() if owner == model)


def undisturbed(times: list[float]) -> float:
    """The lower quartile. Other work on the machine only ever adds time, and more often to a long
    pass than to a short one, so that medians would make large trees look dearer than they are.
    """
    return sorted(times)[len(times) // 4]


def _overheads(pair: ModelPair, context_length: int) -> tuple[float, float]:
    """Median seconds beside the passes, of a plain step and of a step with the reference tree."""
    settings = GenerationSettings(temperature=REFERENCE_TEMPERATURE, max_new_tokens=48)
    spent = []
    for tree in (TokenTree([-1]), REFERENCE_TREE):
        run = Engine(pair).run(_prompt(context_length), settings, tree, trace=False)
        # The first step has the reading of the prompt in it.
        next(run)
        spent.append(median(_beside_passes(run)))
    return spent[0], spent[1]


def _beside_passes(run: Run) -> Iterator[float]:
    """Wall seconds of each step without those of its passes."""
    while True:
        started = time.perf_counter()
        step = next(run, None)
        if step is None:
            return
        yield time.perf_counter() - started - step.seconds.draft - step.seconds.verify


def _basis(seconds: Timings, repeats: int) -> str:
    spreads = []
    for times in seconds.values():
        low, middle, high = quantiles(times, n=4) if len(times) > 1 else (times * 3)
        spreads.append((high - low) / middle)
    return (
        f"lower quartile of {repeats} or more interleaved passes a size, interquartile range "
        f"{median(spreads):.0%} of the median; overhead at temperature {REFERENCE_TEMPERATURE} "
        f"with a tree of {REFERENCE_TREE.size} nodes; torch {torch.__version__}, transformers "
        f"{transformers.__version__}, {date.today().isoformat()}"
    )
