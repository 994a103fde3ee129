"""`tune`: profile, calibrate, plan and benchmark a pair on this machine, and write a report."""

import hashlib
import json
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from sequoia_core.assets import asset
from sequoia_core.commands._models import (
    Say,
    add_drawing_arguments,
    add_model_arguments,
    add_parallel_argument,
    load_named_pair,
    set_threads,
)
from sequoia_core.commands._prompts import add_chat_argument, encoded, read_prompts
from sequoia_core.commands.bench import PROMPT_FILE, PROMPTS
from sequoia_core.decode.engine import GenerationSettings
from sequoia_core.decode.loading import resolve_device, resolve_dtype
from sequoia_core.decode.packing import native_dtypes
from sequoia_core.decode.pair import ModelPair, PairSpec
from sequoia_core.errors import InputError
from sequoia_core.files import check_text
from sequoia_core.measure.profiler import CONTEXT
from sequoia_core.measure.tune.amounts import DEFAULT, QUICK, Amounts
from sequoia_core.measure.tune.machine import machine_words
from sequoia_core.measure.tune.stages import tune
from sequoia_core.measure.tune.store import REPORT_FILE
from sequoia_core.measure.tune.task import Task
from sequoia_core.measure.tune.texts import hold_out
from sequoia_core.report.report import report_from_dict
from sequoia_core.report.words import headline, measured_words, predicted_words

NEW_TOKENS, QUICK_NEW_TOKENS = 128, 64
MAX_ROUNDS = 1000
# Options that no measurement depends on, and those that stand in the settings in other words.
APART = {
    "command", "json", "out", "fresh", "prompts", "device", "threads", "target", "draft", "leader",
}  # fmt: skip


def add_parser(subparsers: Any) -> ArgumentParser:
    """Declare the command's options; returns its parser."""
    parser = subparsers.add_parser(
        "tune",
        description="Profile, calibrate, plan and benchmark in one go. Stopped at any point, the "
        "same command goes on from there.",
    )
    add_model_arguments(parser)
    add_parallel_argument(parser)
    parser.add_argument("--out", required=True, help="folder for everything that comes of it")
    parser.add_argument(
        "--prompts",
        help="JSON lines with a 'text' each; a quarter is kept to measure with; default: bundled",
    )
    add_chat_argument(parser)
    add_drawing_arguments(parser)
    parser.add_argument(
        "--max-new-tokens",
        "--new-tokens",
        dest="new_tokens",
        type=int,
        help=f"written after a prompt; default {NEW_TOKENS}, with --quick {QUICK_NEW_TOKENS}",
    )
    parser.add_argument("--repeats", type=int, help="most rounds of the benchmark")
    parser.add_argument("--quick", action="store_true", help="about a minute, and less sure")
    parser.add_argument(
        "--fresh", action="store_true", help="throw away what an earlier run left in the folder"
    )
    return parser


def run(arguments: Namespace, progress: Say) -> dict[str, Any]:
    """Tune; returns the content of the `sequoia-report` file with the `files` written."""
    task = _task(arguments, progress)
    try:
        tuned = tune(task, arguments.out, fresh=arguments.fresh, say=progress)
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt(
            "stopped; the same command goes on from here, with what is finished kept in "
            f"{arguments.out}"
        ) from stop
    return tuned.content | {"files": {name: str(path) for name, path in tuned.files.items()}}


def _task(arguments: Namespace, progress: Say) -> Task:
    """What the options ask for, checked; nothing is loaded yet."""
    set_threads(arguments.threads)
    leader = arguments.leader
    device = leader.device if leader else resolve_device(arguments.device)
    machine = machine_words(device, leader.parts if leader else 1)
    name = check_text(Path(arguments.out).resolve().name, "--out")
    _check_pair(arguments)
    resolve_dtype(arguments.dtype, device)
    amounts, generation = _amounts(arguments), _generation(arguments)
    calibration, judged = _prompts(arguments.prompts)
    sizes = {
        "context": CONTEXT,
        "max_tokens": amounts.max_tokens,
        "max_new_tokens": generation.max_new_tokens,
    }

    def load(dtype: str) -> ModelPair:
        named = Namespace(**vars(arguments) | sizes | {"dtype": dtype})
        return load_named_pair(named, lambda line: None)

    return Task(
        name=name,
        load=load,
        dtypes=_dtypes(arguments.dtype, device),
        encode=lambda pair, prompts: encoded(pair, prompts, arguments.chat),
        calibration=calibration,
        benchmark=judged,
        generation=generation,
        amounts=amounts,
        settings=_settings(arguments, machine, generation, amounts, calibration, judged),
        machine=machine,
    )


def _check_pair(arguments: Namespace) -> None:
    """Refuse half a pair, and a cost that there is no shape of, before anything is written."""
    spec = PairSpec(
        arguments.target,
        arguments.draft,
        target_cost=arguments.like,
        draft_cost=arguments.draft_like,
    )
    _ = spec.shapes


def _amounts(arguments: Namespace) -> Amounts:
    amounts = QUICK if arguments.quick else DEFAULT
    if arguments.repeats is None:
        return amounts
    if not 1 <= arguments.repeats <= MAX_ROUNDS:
        raise InputError(f"--repeats must be between 1 and {MAX_ROUNDS}, got {arguments.repeats}.")
    return replace(amounts, rounds=arguments.repeats)


def _generation(arguments: Namespace) -> GenerationSettings:
    usual = QUICK_NEW_TOKENS if arguments.quick else NEW_TOKENS
    return GenerationSettings(
        temperature=arguments.temperature,
        top_p=arguments.top_p,
        max_new_tokens=usual if arguments.new_tokens is None else arguments.new_tokens,
        seed=arguments.seed,
    )


def _prompts(named: str | None) -> tuple[list[str], list[str]]:
    """Texts to calibrate on and others to measure with."""
    if named:
        return hold_out(read_prompts(Path(named)))
    return read_prompts(None), read_prompts(asset(PROMPT_FILE))[:PROMPTS]


def _dtypes(asked: str, device: torch.device) -> list[str]:
    """Those to choose from: on a CPU `auto` is whichever of its own is fastest."""
    if asked == "auto" and device.type == "cpu":
        return native_dtypes()
    return [asked]


def _settings(
    arguments: Namespace,
    machine: Mapping[str, str],
    generation: GenerationSettings,
    amounts: Amounts,
    calibration: Sequence[str],
    judged: Sequence[str],
) -> dict[str, Any]:
    """All that measurements depend on: none of another run with others is mixed with these."""
    options = {
        name: value
        for name, value in vars(arguments).items()
        if name not in APART and isinstance(value, str | int | float | None)
    }
    texts = json.dumps([list(calibration), list(judged)]).encode()
    return {
        "target": arguments.target or "bundled",
        "draft": arguments.draft or "bundled",
        **options,
        "new_tokens": generation.max_new_tokens,
        "repeats": amounts.rounds,
        "prompts": f"{len(calibration)} and {len(judged)} texts, "
        f"{hashlib.sha256(texts).hexdigest()[:8]}",
        **{name: machine[name] for name in ("device", "torch", "transformers")},
    }


def describe(result: dict[str, Any]) -> str:
    """The answer, how sure it is, where the files are and how the dashboard opens them."""
    report, files = report_from_dict(result), result["files"]
    return "\n".join(
        [
            headline(report),
            f"{predicted_words(report)} {measured_words(report)}".strip(),
            report.plan.verdict.words,
            "",
            *(f"wrote {path}" for path in files.values()),
            "",
            f"To see it all: open {files['report.html']} in a browser, or `make run`, Plan, "
            f"“Add a file”, {files[REPORT_FILE]}",
        ]
    )
