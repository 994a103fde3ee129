"""Measuring how long this machine takes for n tokens: the hardware profile of a pair."""

import platform
import random
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from statistics import median, quantiles

import torch
import transformers

from sequoia_core.decode.engine import Engine, GenerationSettings
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
    """Median seconds of target and draft passes by token count, with the mask decoding uses.

    Repeats are interleaved: every round visits all sizes in a new order, so that a disturbance
    does not fall on one size. context_length: committed tokens before the pass. Raises InputError
    where context_length and the reference run do not fit the pair's context.
    """
    if not 1 <= context_length <= pair.context_length - 64:
        raise InputError(
            f"The context length must be between 1 and {pair.context_length - 64} for this pair, "
            f"got {context_length}."
        )
    sizes = [(pair.target, n) for n in TARGET_GRID if n <= max_tokens]
    sizes += [(pair.draft, n) for n in DRAFT_GRID if n <= max_tokens]
    seconds = _interleaved(sizes, context_length, repeats, progress)
    progress(0.9, "Sampling, verification and commit")
    plain, overhead = _overheads(pair, context_length, repeats)
    progress(1.0, "Done")
    return HardwareProfile(
        device=device_name(pair.device),
        dtype=pair.dtype,
        context_length=context_length,
        target_seconds=_curve(seconds, pair.target),
        draft_seconds=_curve(seconds, pair.draft),
        overhead_seconds=overhead,
        plain_overhead_seconds=plain,
        origin="measured",
        basis=_basis(seconds, repeats),
        target_model=pair.target_name,
        draft_model=pair.draft_name,
    )


def device_name(device: torch.device) -> str:
    """The GPU's name, or the CPU's with the number of threads in use."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{_cpu_name()}, {torch.get_num_threads()} threads"


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


Sizes = Sequence[tuple[TreeModel, int]]
Timings = dict[tuple[int, int], list[float]]


def _interleaved(sizes: Sizes, context_length: int, repeats: int, progress: Progress) -> Timings:
    """Seconds of every size, `repeats` of each; one more round before warms up."""
    order = random.Random(0)
    for model in {id(model): model for model, _ in sizes}.values():
        model.reset(context_length + max(n for m, n in sizes if m is model))
        model.append([1 + i % 7 for i in range(context_length)])
    seconds: Timings = {(id(model), n): [] for model, n in sizes}
    for round_ in range(repeats + 1):
        progress(0.9 * round_ / (repeats + 1), f"Round {round_} of {repeats}")
        for model, n in order.sample(sizes, len(sizes)):
            spent = _pass_seconds(model, n)
            if round_:
                seconds[id(model), n].append(spent)
    return seconds


def _pass_seconds(model: TreeModel, tokens: int) -> float:
    """One forward pass over `tokens` uncommitted tokens, which are then forgotten."""
    ids = torch.randint(model.vocab, (tokens,), device=model.device)
    positions = torch.full((tokens,), model.length, device=model.device)
    visible = torch.eye(tokens, dtype=torch.bool, device=model.device)
    started = now(model.device)
    model.forward(ids, positions, visible)
    spent = now(model.device) - started
    model.commit([])
    return spent


def _curve(seconds: Timings, model: TreeModel) -> tuple[tuple[int, float], ...]:
    return tuple((n, median(times)) for (owner, n), times in seconds.items() if owner == id(model))


def _overheads(pair: ModelPair, context_length: int, repeats: int) -> tuple[float, float]:
    """Median seconds beside the passes, of a plain step and of a step with the reference tree."""
    prompt = [1 + i % 7 for i in range(context_length)]
    settings = GenerationSettings(temperature=REFERENCE_TEMPERATURE, max_new_tokens=48)
    spent = []
    for tree in (TokenTree([-1]), REFERENCE_TREE):
        steps = Engine(pair).run(prompt, settings, tree, trace=False)
        spent.append(median(step.seconds.sample + step.seconds.commit for step in steps))
    return spent[0], spent[1]


def _basis(seconds: Timings, repeats: int) -> str:
    spreads = []
    for times in seconds.values():
        low, middle, high = quantiles(times, n=4) if len(times) > 1 else (times * 3)
        spreads.append((high - low) / middle)
    return (
        f"median of {repeats} interleaved passes a size, interquartile range "
        f"{median(spreads):.0%} of it; overhead at temperature {REFERENCE_TEMPERATURE} with a tree "
        f"of {REFERENCE_TREE.size} nodes; torch {torch.__version__}, transformers "
        f"{transformers.__version__}, {date.today().isoformat()}"
    )
