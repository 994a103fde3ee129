"""`generate`: continue a prompt, speculatively or plainly."""

from argparse import ArgumentParser, Namespace
from dataclasses import asdict
from typing import Any

from sequoia_core.commands._methods import Planned, add_planning_arguments, planned_method
from sequoia_core.commands._models import (
    Say,
    add_model_arguments,
    add_sampling_arguments,
    load_named_pair,
    sampling_settings,
)
from sequoia_core.decode.drafting import StaticTree
from sequoia_core.decode.engine import Engine, Run
from sequoia_core.decode.trace import StepTrace
from sequoia_core.files import tagged, write_json
from sequoia_core.plan.methods import AUTO, NAMES


def add_parser(subparsers: Any) -> ArgumentParser:
    """Declare the command's options; returns its parser."""
    parser = subparsers.add_parser("generate", description="Continue a prompt.")
    parser.add_argument("--prompt", required=True, help="text to continue")
    add_model_arguments(parser)
    parser.add_argument("--method", default="sequoia", help=f"one of: {', '.join(NAMES)}")
    parser.add_argument("--budget", type=int, help="tokens per target pass; default: planned")
    parser.add_argument("--depth", type=int, help="draft passes; default: planned")
    add_planning_arguments(parser)
    add_sampling_arguments(parser)
    parser.add_argument("--trace", metavar="FILE", help="write every step's tree to this file")
    return parser


def run(arguments: Namespace, progress: Say) -> dict[str, Any]:
    """Generate; returns the text and how it came about."""
    settings = sampling_settings(arguments)
    planned = planned_method(
        arguments.method, arguments, progress, budget=arguments.budget, depth=arguments.depth
    )
    pair = load_named_pair(arguments, progress)
    traced = bool(arguments.trace)
    generation = Engine(pair).run(arguments.prompt, settings, planned.method, trace=traced)
    steps = list(generation)
    if arguments.trace:
        write_json(arguments.trace, _trace(generation, steps))
        progress(f"wrote {arguments.trace}")
    return _result(planned, generation)


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


def _trace(generation: Run, steps: list[StepTrace]) -> dict[str, Any]:
    """The content of a `sequoia-trace` file; parents are None where every step has its own tree."""
    summary = generation.summary()
    method = generation.method
    static = isinstance(method.shape, StaticTree) and generation.steering.name != AUTO
    return tagged(
        "trace",
        {
            "settings": asdict(generation.settings),
            "target": generation.pair.target_name,
            "draft": generation.pair.draft_name,
            "prompt_ids": generation.prompt_ids,
            "method": generation.steering.name,
            "rule": method.rule.name,
            "parents": method.shape.tree.parents.tolist() if static else None,
            "text": summary.text,
            "decisions": [asdict(decision) for decision in summary.decisions],
            "steps": [asdict(step) for step in steps],
            "timings": {
                "prefill_seconds": summary.prefill_seconds,
                "decode_seconds": summary.decode_seconds,
            },
        },
    )


def describe(result: dict[str, Any]) -> str:
    """The text, then one line of figures, and one for each decision where there were any."""
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
    return "\n".join([figures, *lines])
