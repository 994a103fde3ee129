"""`generate`: continue a prompt, speculatively or plainly."""

from argparse import ArgumentParser, Namespace
from dataclasses import asdict
from typing import Any

from sequoia_core.commands._models import (
    Say,
    add_hardware_argument,
    add_model_arguments,
    add_sampling_arguments,
    load_named_pair,
    named_hardware,
    sampling_settings,
)
from sequoia_core.commands._prompts import add_chat_argument, encoded
from sequoia_core.decode.engine import Engine, Run
from sequoia_core.decode.trace import StepTrace
from sequoia_core.errors import InputError
from sequoia_core.files import tagged, write_json
from sequoia_core.plan.acceptance import load_acceptance
from sequoia_core.plan.hardware import load_hardware
from sequoia_core.plan.optimizer import make_plan
from sequoia_core.plan.presets import DEFAULT_HARDWARE, bundled_acceptance
from sequoia_core.tree.token_tree import TokenTree

METHODS = ("sequoia", "autoregressive")


def add_parser(subparsers: Any) -> ArgumentParser:
    """Declare the command's options; returns its parser."""
    parser = subparsers.add_parser("generate", description="Continue a prompt.")
    parser.add_argument("--prompt", required=True, help="text to continue")
    add_chat_argument(parser)
    add_model_arguments(parser)
    parser.add_argument("--method", default="sequoia", help=f"one of: {', '.join(METHODS)}")
    parser.add_argument("--budget", type=int, help="tokens per target pass; default: planned")
    parser.add_argument("--depth", type=int, help="draft passes; default: planned")
    parser.add_argument("--acceptance", help="preset or file to plan with")
    add_hardware_argument(parser)
    add_sampling_arguments(parser)
    parser.add_argument("--trace", metavar="FILE", help="write every step's tree to this file")
    return parser


def run(arguments: Namespace, progress: Say) -> dict[str, Any]:
    """Generate; returns the text and how it came about."""
    settings = sampling_settings(arguments)
    tree = _tree(arguments)
    pair = load_named_pair(arguments, progress)
    [prompt] = encoded(pair, [arguments.prompt], arguments.chat)
    generation = Engine(pair).run(prompt, settings, tree, trace=bool(arguments.trace))
    steps = list(generation)
    if arguments.trace:
        write_json(arguments.trace, _trace(generation, steps))
        progress(f"wrote {arguments.trace}")
    return _result(arguments, generation)


def _tree(arguments: Namespace) -> TokenTree:
    """The planned tree for what the user fixed; plain decoding is a tree of one node."""
    if arguments.method not in METHODS:
        raise InputError(
            f"There is no method '{arguments.method}'; choose one of {', '.join(METHODS)}."
        )
    if arguments.method == "autoregressive":
        return TokenTree([-1])
    acceptance = load_acceptance(arguments.acceptance or bundled_acceptance(arguments.temperature))
    fixed = arguments.budget is not None and arguments.depth is not None
    # Where both are fixed the profile chooses nothing, so any will do.
    hardware = load_hardware(DEFAULT_HARDWARE) if fixed else named_hardware(arguments)
    return make_plan(acceptance, hardware, budget=arguments.budget, depth=arguments.depth).tree


def _result(arguments: Namespace, generation: Run) -> dict[str, Any]:
    summary = generation.summary()
    return {
        "text": summary.text,
        "token_ids": summary.token_ids,
        "steps": summary.steps,
        "tokens_per_step": summary.tokens_per_step,
        "seconds": summary.decode_seconds,
        "prefill_seconds": summary.prefill_seconds,
        "tokens_per_second": summary.tokens_per_second,
        "method": arguments.method,
        "budget": generation.tree.size,
        "depth": generation.tree.depth,
        "stopped": summary.stopped,
        "target": generation.pair.target_name,
        "draft": generation.pair.draft_name,
        "device": str(generation.pair.device),
        "dtype": generation.pair.dtype,
    }


def _trace(generation: Run, steps: list[StepTrace]) -> dict[str, Any]:
    """The content of a `sequoia-trace` file."""
    summary = generation.summary()
    return tagged(
        "trace",
        {
            "settings": asdict(generation.settings),
            "target": generation.pair.target_name,
            "draft": generation.pair.draft_name,
            "prompt_ids": generation.prompt_ids,
            "parents": generation.tree.parents.tolist(),
            "text": summary.text,
            "steps": [asdict(step) for step in steps],
            "timings": {
                "prefill_seconds": summary.prefill_seconds,
                "decode_seconds": summary.decode_seconds,
            },
        },
    )


def describe(result: dict[str, Any]) -> str:
    """The text, then one line of figures."""
    return (
        f"{result['text']}\n\n{result['method']}: {len(result['token_ids'])} tokens in "
        f"{result['steps']} steps of a tree of {result['budget']} (depth {result['depth']}), "
        f"{result['tokens_per_step']:.2f} tokens per step, "
        f"{result['tokens_per_second']:.1f} tokens/s"
    )
