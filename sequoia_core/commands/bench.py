"""`bench`: every method side by side, interleaved, against our own plain decoding."""

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sequoia_core.assets import asset
from sequoia_core.commands._methods import add_planning_arguments
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
from sequoia_core.decode.loading import resolve_device
from sequoia_core.decode.packing import native_dtypes
from sequoia_core.decode.pair import ModelPair
from sequoia_core.decode.settings import GenerationSettings
from sequoia_core.errors import InputError, ModelError
from sequoia_core.files import check_writable, write_json
from sequoia_core.measure.compare import check_prompts, compare, make_arms
from sequoia_core.measure.comparison import (
    BASELINE,
    HF_PACKED,
    NAMES,
    USUAL,
    Comparison,
    Run,
    check_amount,
    temperatures_in,
)
from sequoia_core.measure.comparison_file import read_comparison, to_dict, write_comparison
from sequoia_core.measure.proposal import Proposal, propose
from sequoia_core.measure.recording import origin_of
from sequoia_core.plan.acceptance import load_acceptance
from sequoia_core.plan.hardware import load_hardware
from sequoia_core.plan.methods import METHODS, rule_fits
from sequoia_core.plan.methods import NAMES as ENGINE_NAMES
from sequoia_core.plan.presets import bundled_acceptance

# Openings that no bundled acceptance vector was calibrated on: ten to judge, three to tune with.
PROMPT_FILE = "bench_prompts.jsonl"
PROMPTS, TUNING_PROMPTS = 10, 3


def add_parser(subparsers: Any) -> ArgumentParser:
    """Declare the command's options; returns its parser."""
    parser = subparsers.add_parser(
        "bench", description="Measure methods side by side on the same prompts, in turn."
    )
    add_model_arguments(parser)
    add_parallel_argument(parser)
    parser.add_argument(
        "--methods",
        help=f"comma-separated; default: {','.join(USUAL)}, with --tensor-parallel ours alone; "
        f"besides {' and '.join(HF_PACKED)}, Hugging Face's on weights as this engine packs them "
        "for a CPU",
    )
    parser.add_argument(
        "--prompts",
        help=f"JSON lines with a 'text' each, of which the first {PROMPTS} are measured on and the "
        f"last {TUNING_PROMPTS} tune assisted generation; default: bundled ones",
    )
    add_planning_arguments(parser)
    add_chat_argument(parser)
    add_sampling_arguments(parser)
    parser.add_argument("--temperatures", help="several, comma-separated, instead of --temperature")
    # None: the bundled profile of the dtype that is measured in.
    parser.set_defaults(hardware=None)
    parser.add_argument(
        "--repeats", type=int, default=5, help="of every prompt, all methods side by side"
    )
    parser.add_argument(
        "--out",
        help="also write the result to this file; what is done where it breaks off goes beside it",
    )
    parser.add_argument(
        "--show",
        metavar="FILE",
        help="measure nothing, and show a file of this command or of the Compare page",
    )
    return parser


def run(arguments: Namespace, progress: Say) -> dict[str, Any]:
    """Measure; returns the content of a `sequoia-benchmark` file."""
    if arguments.show:
        return to_dict(read_comparison(arguments.show))
    if arguments.out:
        check_writable(arguments.out)
    names = _names(arguments.methods, arguments.tensor_parallel)
    temperatures = _temperatures(arguments)
    prompts = read_prompts(Path(arguments.prompts) if arguments.prompts else asset(PROMPT_FILE))
    check_amount(len(names) * len(temperatures), min(len(prompts), PROMPTS), arguments.repeats)
    if len(prompts) > PROMPTS and arguments.prompts:
        progress(f"measuring on the first {PROMPTS} of {len(prompts)} prompts")
    arguments.dtype, arguments.hardware = _dtype_and_hardware(arguments)
    if warning := load_hardware(arguments.hardware).warning:
        progress(warning)
    proposals = [
        _proposal(name, temperature, arguments, progress)
        for temperature in temperatures
        for name in names
    ]
    settings = sampling_settings(arguments)
    pair = load_named_pair(arguments, progress)
    comparison = _measured(arguments, pair, settings, proposals, prompts, progress)
    result = with_peak(to_dict(comparison), pair)
    if arguments.out:
        write_json(arguments.out, result)
    return result


def _measured(
    arguments: Namespace,
    pair: ModelPair,
    settings: GenerationSettings,
    proposals: Sequence[Proposal],
    prompts: list[str],
    progress: Say,
) -> Comparison:
    ids, tell = encoded(pair, prompts, arguments.chat), by_fraction(progress)
    check_prompts(pair, ids, settings)
    origin = origin_of(pair)
    # The last prompts tune Hugging Face's constant: where there are enough, others than judge it.
    arms = make_arms(pair, proposals, settings, ids[-TUNING_PROMPTS:], progress=tell)
    planned = Comparison(
        entries=tuple(arm.entry for arm in arms),
        prompts=tuple(prompts[:PROMPTS]),
        repeats=arguments.repeats,
        settings=settings,
        origin=origin,
    )
    done: list[Run] = []
    options = {"repeats": arguments.repeats, "seed": settings.seed, "progress": tell}
    try:
        compare(arms, ids[:PROMPTS], keep=done.extend, **options)
    except (KeyboardInterrupt, ModelError) as error:
        if not (arguments.out and done):
            raise
        part = Path(arguments.out).with_suffix(".partial.json")
        write_comparison(part, replace(planned, runs=tuple(done)))
        words = str(error).rstrip(".") or "interrupted"
        raise type(error)(f"{words}; the {len(done)} runs that were done are in {part}") from error
    return replace(planned, runs=tuple(done))


def _names(text: str | None, parallel: bool) -> list[str]:
    methods = ENGINE_NAMES if parallel else NAMES
    usual = [name for name in methods if name in USUAL]
    names = usual if text is None else [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in methods]
    if unknown and unknown[0] in NAMES:
        raise InputError(
            f"{unknown[0]} runs on one device here; leave it out, or leave out --tensor-parallel."
        )
    if unknown:
        raise InputError(f"There is no method '{unknown[0]}'; choose from {', '.join(NAMES)}.")
    return list(dict.fromkeys([BASELINE, *names]))


def _temperatures(arguments: Namespace) -> list[float]:
    if arguments.temperatures is None:
        return [arguments.temperature]
    return temperatures_in(arguments.temperatures)


def _proposal(name: str, temperature: float, arguments: Namespace, say: Say) -> Proposal:
    """The method with the best tree of its family; `say` tells of a vector of another rule."""
    hardware = load_hardware(arguments.hardware)
    if name not in METHODS:
        return propose(name, temperature, None, hardware)
    rule = METHODS[name].rule
    acceptance = load_acceptance(arguments.acceptance or bundled_acceptance(temperature, rule))
    proposal = propose(name, temperature, acceptance, hardware)
    if not rule_fits(name, acceptance):
        say(f"{name} is planned with {acceptance.name}, which holds for {acceptance.rule}")
    return proposal


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


def describe(result: dict[str, Any]) -> str:
    """The rows as Markdown tables, one a temperature, for people and for docs."""
    rows = result["rows"]
    lines = [
        f"{result['target']} with {result['draft']}, {result['dtype']}, {result['machine']}, "
        f"{len(result['prompts'])} prompts, {result['repeats']} repeats; "
        f"{json.dumps(result['versions'])}",
    ]
    for temperature in dict.fromkeys(row["temperature"] for row in rows):
        lines += [
            "",
            f"Temperature {temperature:g}:",
            "",
            "| method | tokens/s | speedup (interval) | of decoding alone, predicted "
            "| tokens per step, predicted |",
            "|---|---|---|---|---|",
        ]
        lines += [_line(row) for row in rows if row["temperature"] == temperature]
    memory = [memory_line(result)] if "peak_memory_bytes" in result else []
    return "\n".join([*lines, "", *result["verdict"], *memory])


def _line(row: dict[str, Any]) -> str:
    decode = _beside(row["decode_speedup"], row["predicted_speedup"])
    steps = _beside(row["tokens_per_step"], row["predicted_tokens_per_step"])
    return (
        f"| {row['method']} | {row['tokens_per_second']:.1f} | "
        f"{row['speedup']:.2f} ({row['speedup_low']:.2f} to {row['speedup_high']:.2f}) | "
        f"{decode} | {steps} |"
    )


def _beside(measured: float | None, predicted: float | None) -> str:
    """What was measured, and what was predicted where something was."""
    figures = [f"{figure:.2f}" for figure in (measured, predicted) if figure is not None]
    return ", ".join(figures)
