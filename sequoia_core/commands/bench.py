"""`bench`: every method side by side, interleaved, against our own plain decoding."""

import json
import platform
from argparse import ArgumentParser, Namespace
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

import torch
import transformers

from sequoia_core.assets import asset
from sequoia_core.commands._methods import Planned, add_planning_arguments, planned_method
from sequoia_core.commands._models import (
    Say,
    add_model_arguments,
    add_parallel_argument,
    add_sampling_arguments,
    by_fraction,
    load_named_pair,
    memory_line,
    preset_hardware,
    sampling_settings,
    with_peak,
)
from sequoia_core.commands._prompts import add_chat_argument, encoded, read_prompts
from sequoia_core.decode.engine import GenerationSettings
from sequoia_core.decode.loading import resolve_device
from sequoia_core.decode.packing import native_dtypes
from sequoia_core.decode.pair import ModelPair, Prompt
from sequoia_core.errors import InputError
from sequoia_core.files import check_writable, tagged, write_json
from sequoia_core.measure.benchmark import BASELINE, Method, Prediction, benchmark
from sequoia_core.measure.methods import (
    engine_method,
    hf_assisted,
    hf_generate,
    tuned_assistant_tokens,
)
from sequoia_core.measure.profiler import device_name
from sequoia_core.plan.hardware import load_hardware
from sequoia_core.plan.methods import NAMES

METHODS = (*NAMES, "hf-generate", "hf-assisted")
# Openings that no bundled acceptance vector was calibrated on: ten to judge, three to tune with.
PROMPT_FILE = "bench_prompts.jsonl"
PROMPTS = 10


def add_parser(subparsers: Any) -> ArgumentParser:
    """Declare the command's options; returns its parser."""
    parser = subparsers.add_parser("bench", description="Compare methods by measuring them.")
    add_model_arguments(parser)
    add_parallel_argument(parser)
    parser.add_argument(
        "--methods",
        help=f"comma-separated; default: {','.join(METHODS)}, with --tensor-parallel ours alone",
    )
    parser.add_argument("--prompts", help="JSON lines with a 'text' each; default: bundled ones")
    add_planning_arguments(parser)
    add_chat_argument(parser)
    add_sampling_arguments(parser)
    # None: the bundled profile of the dtype that is measured in.
    parser.set_defaults(hardware=None)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", help="also write the result to this file")
    return parser


def run(arguments: Namespace, progress: Say) -> dict[str, Any]:
    """Measure; returns the content of a `sequoia-benchmark` file."""
    if arguments.out:
        check_writable(arguments.out)
    names = _names(arguments.methods, arguments.tensor_parallel)
    settings = sampling_settings(arguments)
    prompts = read_prompts(Path(arguments.prompts) if arguments.prompts else asset(PROMPT_FILE))
    arguments.dtype, arguments.hardware = _dtype_and_hardware(arguments)
    plans = {name: planned_method(name, arguments, progress) for name in names if name in NAMES}
    pair = load_named_pair(arguments, progress)
    prompts = encoded(pair, prompts, arguments.chat)
    # The last prompts tune Hugging Face's constant, so that it is not judged on what tuned it.
    methods = _methods(pair, settings, names, plans, prompts[-3:], progress)
    rows = benchmark(
        methods,
        prompts[:PROMPTS],
        repeats=arguments.repeats,
        predicted={name: _prediction(planned) for name, planned in plans.items()},
        progress=by_fraction(progress),
    )
    content = with_peak(_content(arguments, pair, plans, rows), pair)
    result = tagged("benchmark", content)
    if arguments.out:
        write_json(arguments.out, result)
    return result


def _names(text: str | None, parallel: bool) -> list[str]:
    methods = NAMES if parallel else METHODS
    names = methods if text is None else [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in methods]
    if unknown and unknown[0] in METHODS:
        raise InputError(
            f"{unknown[0]} runs on one device here; leave it out, or leave out --tensor-parallel."
        )
    if unknown:
        raise InputError(f"There is no method '{unknown[0]}'; choose from {', '.join(METHODS)}.")
    return list(dict.fromkeys([BASELINE, *names]))


def _dtype_and_hardware(arguments: Namespace) -> tuple[str, str]:
    """What to measure in and to plan with; `auto` is settled by a profile that is named, else it
    is the dtype in which plain decoding is fastest: nothing is compared with less than the best.
    """
    dtype, named = arguments.dtype, arguments.hardware
    if dtype == "auto" and resolve_device(arguments.device).type == "cpu":
        here = native_dtypes()
        profiled = load_hardware(named).dtype if named else ""
        dtype = profiled if profiled in here else here[-1]
    return dtype, named or preset_hardware(arguments, dtype)


def _prediction(planned: Planned) -> Prediction | None:
    """The plan's, where it speaks of this method."""
    if planned.predicted_speedup is None:
        return None
    return Prediction(planned.predicted_speedup, planned.plan.expected_tokens)


def _methods(
    pair: ModelPair,
    settings: GenerationSettings,
    names: list[str],
    plans: dict[str, Planned],
    tuning_prompts: list[Prompt],
    progress: Say,
) -> dict[str, Method]:
    methods: dict[str, Method] = {}
    for name in names:
        if name in plans:
            methods[name] = engine_method(pair, settings, plans[name].method)
        elif name == "hf-generate":
            methods[name] = hf_generate(pair, settings)
        else:
            progress("tuning hf-assisted")
            count = tuned_assistant_tokens(pair, settings, tuning_prompts)
            progress(f"hf-assisted drafts {count} tokens")
            methods[name] = hf_assisted(pair, settings, count)
    return methods


def _content(
    arguments: Namespace, pair: ModelPair, plans: dict[str, Planned], rows: list
) -> dict[str, Any]:
    return {
        "rows": [asdict(row) for row in rows],
        "trees": {
            name: {
                "budget": planned.method.budget,
                "depth": planned.method.depth,
                "rule": planned.method.rule.name,
                "planned_with": planned.basis,
                "level_sizes": planned.level_sizes,
            }
            for name, planned in plans.items()
            if planned.plan
        },
        "temperature": arguments.temperature,
        "top_p": arguments.top_p,
        "max_new_tokens": arguments.max_new_tokens,
        "repeats": arguments.repeats,
        "target": pair.target_name,
        "draft": pair.draft_name,
        "dtype": pair.dtype,
        "machine": device_name(pair.device, pair.target.devices),
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        },
        "date": date.today().isoformat(),
    }


def describe(result: dict[str, Any]) -> str:
    """The rows as a Markdown table, for people and for docs."""
    lines = [
        f"{result['target']} with {result['draft']}, {result['dtype']}, {result['machine']}, "
        f"temperature {result['temperature']}, {result['repeats']} repeats; "
        f"{json.dumps(result['versions'])}",
        "",
        "| method | tokens/s | speedup (lowest to highest) | of decoding alone, predicted "
        "| tokens per step, predicted |",
        "|---|---|---|---|---|",
    ]
    for row in result["rows"]:
        decode = _beside(row["decode_speedup"], row["predicted_speedup"])
        steps = _beside(row["tokens_per_step"], row["predicted_tokens_per_step"])
        lines.append(
            f"| {row['method']} | {row['tokens_per_second']:.1f} | "
            f"{row['speedup']:.2f} ({row['speedup_low']:.2f} to {row['speedup_high']:.2f}) | "
            f"{decode} | {steps} |"
        )
    return "\n".join([*lines, "", memory_line(result)])


def _beside(measured: float | None, predicted: float | None) -> str:
    """What was measured, and what was predicted where something was."""
    figures = [f"{figure:.2f}" for figure in (measured, predicted) if figure is not None]
    return ", ".join(figures)
