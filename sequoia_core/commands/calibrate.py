"""`calibrate`: measure a pair's acceptance vector on the target's own text."""

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from sequoia_core.commands._models import (
    Say,
    add_model_arguments,
    add_sampling_arguments,
    by_fraction,
    load_named_pair,
    sampling_settings,
)
from sequoia_core.commands._prompts import add_chat_argument, encoded, read_prompts
from sequoia_core.errors import InputError
from sequoia_core.files import check_writable, write_json
from sequoia_core.measure.calibration import WIDTH, calibrate
from sequoia_core.plan.acceptance import RULES


def add_parser(subparsers: Any) -> ArgumentParser:
    """Declare the command's options; returns its parser."""
    parser = subparsers.add_parser("calibrate", description="Measure the acceptance vector.")
    add_model_arguments(parser)
    parser.add_argument("--prompts", help="JSON lines with a 'text' each; default: bundled ones")
    add_chat_argument(parser)
    add_sampling_arguments(parser)
    parser.add_argument("--width", type=int, default=WIDTH, help="children drawn at a position")
    parser.add_argument("--rule", default="sequoia", help=f"verification: {', '.join(RULES)}")
    parser.add_argument("--out", required=True, help="file to write")
    return parser


def run(arguments: Namespace, progress: Say) -> dict[str, Any]:
    """Measure; returns the content of a `sequoia-acceptance` file, and writes it."""
    check_writable(arguments.out)
    if arguments.rule not in RULES:
        raise InputError(f"--rule must be one of {', '.join(RULES)}, got {arguments.rule!r}.")
    settings = sampling_settings(arguments)
    prompts = read_prompts(Path(arguments.prompts) if arguments.prompts else None)
    pair = load_named_pair(arguments, progress)
    vector = calibrate(
        pair,
        encoded(pair, prompts, arguments.chat),
        settings,
        width=arguments.width,
        rule=arguments.rule,
        progress=by_fraction(progress),
    )
    result = vector.to_dict()
    write_json(arguments.out, result)
    return result


def describe(result: dict[str, Any]) -> str:
    """The first entries with their standard errors, for people."""
    pairs = list(zip(result["probabilities"], result["standard_errors"], strict=True))[:8]
    entries = "  ".join(f"{p:.4f} ± {error:.4f}" for p, error in pairs)
    return (
        f"{result['target']} with {result['draft']} at temperature {result['temperature']}, "
        f"rule {result['rule']}\n"
        f"acceptance by child: {entries} ...\n"
        f"sum {sum(result['probabilities']):.4f} over {len(result['probabilities'])} children, "
        f"{result['origin']}"
    )
