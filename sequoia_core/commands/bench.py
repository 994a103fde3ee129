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

from sequoia_core.commands._models import (
    Say,
    add_hardware_argument,
    add_model_arguments,
    add_sampling_arguments,
    by_fraction,
    load_named_pair,
    named_hardware,
    sampling_settings,
)
from sequoia_core.commands._prompts import add_chat_argument, encoded, read_prompts
from sequoia_core.decode.engine import GenerationSettings
from sequoia_core.decode.pair import ModelPair, Prompt
from sequoia_core.errors import InputError
from sequoia_core.files import check_writable, tagged, write_json
from sequoia_core.measure.benchmark import BASELINE, Method, benchmark
from sequoia_core.measure.methods import (
    hf_assisted,
    hf_generate,
    tree_method,
    tuned_assistant_tokens,
)
from sequoia_core.measure.profiler import device_name
from sequoia_core.plan.acceptance import load_acceptance
from sequoia_core.plan.optimizer import make_plan
from sequoia_core.plan.presets import bundled_acceptance
from sequoia_core.tree.token_tree import TokenTree

METHODS = (BASELINE, "chain", "sequoia", "hf-generate", "hf-assisted")
PROMPTS = 10


def add_parser(subparsers: Any) -> ArgumentParser:
    """Declare the command's options; returns its parser."""
    parser = subparsers.add_parser("bench", description="Compare methods by measuring them.")
    add_model_arguments(parser)
    parser.add_argument("--methods", default=",".join(METHODS), help="comma-separated")
    parser.add_argument("--prompts", help="JSON lines with a 'text' each; default: bundled ones")
    parser.add_argument("--acceptance", help="preset or file to plan with")
    add_hardware_argument(parser)
    add_chat_argument(parser)
    add_sampling_arguments(parser)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", help="also write the result to this file")
    return parser


def run(arguments: Namespace, progress: Say) -> dict[str, Any]:
    """Measure; returns the content of a `sequoia-benchmark` file."""
    if arguments.out:
        check_writable(arguments.out)
    names = _names(arguments.methods)
    settings = sampling_settings(arguments)
    prompts = read_prompts(Path(arguments.prompts) if arguments.prompts else None)
    plans = _plans(arguments, names)
    pair = load_named_pair(arguments, progress)
    prompts = encoded(pair, prompts, arguments.chat)
    # The last prompts tune Hugging Face's constant, so that it is not judged on what tuned it.
    methods = _methods(pair, settings, names, plans, prompts[-3:], progress)
    rows = benchmark(
        methods,
        prompts[:PROMPTS],
        repeats=arguments.repeats,
        predicted={name: plan.speedup for name, plan in plans.items()},
        progress=by_fraction(progress),
    )
    result = tagged("benchmark", _content(arguments, pair, plans, rows))
    if arguments.out:
        write_json(arguments.out, result)
    return result


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in METHODS]
    if unknown:
        raise InputError(f"There is no method '{unknown[0]}'; choose from {', '.join(METHODS)}.")
    return list(dict.fromkeys([BASELINE, *names]))


def _plans(arguments: Namespace, names: list[str]) -> dict[str, Any]:
    """The best tree of each planned family."""
    families = [name for name in names if name in ("chain", "sequoia")]
    if not families:
        return {}
    acceptance = load_acceptance(arguments.acceptance or bundled_acceptance(arguments.temperature))
    hardware = named_hardware(arguments)
    return {family: make_plan(acceptance, hardware, family=family) for family in families}


def _methods(
    pair: ModelPair,
    settings: GenerationSettings,
    names: list[str],
    plans: dict[str, Any],
    tuning_prompts: list[Prompt],
    progress: Say,
) -> dict[str, Method]:
    methods: dict[str, Method] = {}
    for name in names:
        if name in plans:
            methods[name] = tree_method(pair, settings, plans[name].tree)
        elif name == BASELINE:
            methods[name] = tree_method(pair, settings, TokenTree([-1]))
        elif name == "hf-generate":
            methods[name] = hf_generate(pair, settings)
        else:
            progress("tuning hf-assisted")
            count = tuned_assistant_tokens(pair, settings, tuning_prompts)
            progress(f"hf-assisted drafts {count} tokens")
            methods[name] = hf_assisted(pair, settings, count)
    return methods


def _content(
    arguments: Namespace, pair: ModelPair, plans: dict[str, Any], rows: list
) -> dict[str, Any]:
    return {
        "rows": [asdict(row) for row in rows],
        "trees": {
            name: {"budget": plan.budget, "depth": plan.depth, "level_sizes": plan.level_sizes}
            for name, plan in plans.items()
        },
        "temperature": arguments.temperature,
        "top_p": arguments.top_p,
        "max_new_tokens": arguments.max_new_tokens,
        "repeats": arguments.repeats,
        "target": pair.target_name,
        "draft": pair.draft_name,
        "dtype": pair.dtype,
        "machine": device_name(pair.device),
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
        "| method | tokens/s | tokens per step | speedup (lowest to highest) | predicted |",
        "|---|---|---|---|---|",
    ]
    for row in result["rows"]:
        predicted = row["predicted_speedup"]
        lines.append(
            f"| {row['method']} | {row['tokens_per_second']:.1f} | {row['tokens_per_step']:.2f} | "
            f"{row['speedup']:.2f} ({row['speedup_low']:.2f} to {row['speedup_high']:.2f}) | "
            f"{'' if predicted is None else f'{predicted:.2f}'} |"
        )
    return "\n".join(lines)
