"""`generate`: continue a prompt, speculatively or plainly."""

from argparse import ArgumentParser, Namespace
from dataclasses import asdict
from typing import Any

from sequoia_core.commands._methods import Planned, add_planning_arguments, planned_method
from sequoia_core.commands._models import (
    Say,
    add_model_arguments,
    add_parallel_argument,
    add_sampling_arguments,
    load_named_pair,
    memory_line,
    sampling_settings,
    with_peak,
)
from sequoia_core.commands._prompts import add_chat_argument, encoded, typed_prompt
from sequoia_core.decode.engine import Engine, Run
from sequoia_core.decode.trace import StepTrace
from sequoia_core.decode.trace_file import write_trace
from sequoia_core.errors import InputError
from sequoia_core.files import check_writable
from sequoia_core.measure.recording import plain_run, record_run
from sequoia_core.plan.methods import NAMES


def add_parser(subparsers: Any) -> ArgumentParser:
    """Declare the command's options; returns its parser."""
    parser = subparsers.add_parser(
        "generate",
        description="Continue a prompt with a decoding method, and tell how fast that was.",
    )
    parser.add_argument("--prompt", required=True, help="text to continue")
    add_chat_argument(parser)
    add_model_arguments(parser)
    add_parallel_argument(parser)
    parser.add_argument("--method", default="sequoia", help=f"one of: {', '.join(NAMES)}")
    parser.add_argument("--budget", type=int, help="tokens of a target pass; default: planned")
    parser.add_argument("--depth", type=int, help="draft passes in a step; default: planned")
    add_planning_arguments(parser)
    add_sampling_arguments(parser)
    parser.add_argument("--trace", metavar="FILE", help="write every step's tree to this file")
    parser.add_argument(
        "--with-plain",
        action="store_true",
        help="measure plain decoding too and keep it in the trace: the dashboard's race needs it",
    )
    return parser


def run(arguments: Namespace, progress: Say) -> dict[str, Any]:
    """Generate; returns the text and how it came about."""
    settings = sampling_settings(arguments)
    typed_prompt(arguments.prompt)
    _check_trace(arguments)
    planned = planned_method(
        arguments.method, arguments, progress, budget=arguments.budget, depth=arguments.depth
    )
    pair = load_named_pair(arguments, progress)
    [prompt] = encoded(pair, [arguments.prompt], arguments.chat)
    traced = bool(arguments.trace)
    engine = Engine(pair)
    generation = engine.run(prompt, settings, planned.method, trace=traced)
    steps = list(generation)
    if traced:
        _write_trace(arguments, engine, generation, steps)
        progress(f"wrote {arguments.trace}")
    return with_peak(_result(planned, generation), pair)


def _check_trace(arguments: Namespace) -> None:
    """Refuse a trace that cannot be written before anything is loaded for it."""
    if arguments.trace:
        check_writable(arguments.trace)
    elif arguments.with_plain:
        raise InputError("--with-plain is kept in the trace, so name its file with --trace.")


def _write_trace(
    arguments: Namespace, engine: Engine, generation: Run, steps: list[StepTrace]
) -> None:
    plain = plain_run(generation, engine) if arguments.with_plain else None
    run = record_run(generation, steps, prompt=arguments.prompt, plain=plain)
    write_trace(arguments.trace, run)


def _result(planned: Planned, generation: Run) -> dict[str, Any]:
    summary = generation.summary()
    return {
        "text": summary.text,
        "token_ids": summary.token_ids,
        "steps": summary.steps,
        "tokens_per_step": summary.tokens_per_step,
        "seconds": summary.decode_seconds,
        "prefill_seconds": summary.prefill_seconds,
        "tokens_per_second": summary.tokens_per_second,
        "method": planned.method.name,
        "rule": planned.method.rule.name,
        "budget": planned.method.budget,
        "depth": planned.method.depth,
        "planned_with": planned.basis,
        "stopped": summary.stopped,
        "decisions": [asdict(decision) for decision in summary.decisions],
        "target": generation.pair.target_name,
        "draft": generation.pair.draft_name,
        "device": str(generation.pair.device),
        "dtype": generation.pair.dtype,
    }


def describe(result: dict[str, Any]) -> str:
    """The text, lines of figures and of memory, and one for each decision where there were any."""
    lines = [
        f"step {decision['step'] + 1}: {decision['after']}, since {decision['reason']}"
        for decision in result["decisions"]
    ]
    figures = (
        f"{result['text']}\n\n{result['method']}: {len(result['token_ids'])} tokens in "
        f"{result['steps']} steps of a tree of {result['budget']} (depth {result['depth']}), "
        f"{result['tokens_per_step']:.2f} tokens per step, "
        f"{result['tokens_per_second']:.1f} tokens/s"
    )
    return "\n".join([figures, memory_line(result), *lines])
