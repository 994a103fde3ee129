"""`profile`: measure this machine's seconds by token count for a pair."""

from argparse import ArgumentParser, Namespace
from typing import Any

from sequoia_core.commands._models import (
    Say,
    add_model_arguments,
    add_parallel_argument,
    by_fraction,
    load_named_pair,
    memory_line,
    with_peak,
)
from sequoia_core.decode.loading import resolve_device
from sequoia_core.decode.packing import native_dtypes
from sequoia_core.decode.pair import ModelPair
from sequoia_core.files import check_writable, write_json
from sequoia_core.measure.profiler import CONTEXT, REPEATS, fastest, profile_pair

OFFLOADED = "offload: the target's layers were streamed from main memory in every pass"


def add_parser(subparsers: Any) -> ArgumentParser:
    """Declare the command's options; returns its parser."""
    parser = subparsers.add_parser("profile", description="Measure this machine for a pair.")
    add_model_arguments(parser)
    add_parallel_argument(parser)
    parser.add_argument("--context", type=int, default=CONTEXT, help="tokens before the pass")
    parser.add_argument("--max-tokens", type=int, default=1024, help="largest pass to measure")
    parser.add_argument("--repeats", type=int, default=REPEATS, help="passes of every size")
    parser.add_argument("--out", required=True, help="file to write")
    return parser


def run(arguments: Namespace, progress: Say) -> dict[str, Any]:
    """Measure and write a `sequoia-hardware` file; returns its content and the memory used.

    The dtype `auto` is the one in which the target is fastest here.
    """
    check_writable(arguments.out)
    pair, choice = _fastest_pair(arguments, progress)
    profile = profile_pair(
        pair,
        context_length=arguments.context,
        max_tokens=arguments.max_tokens,
        repeats=arguments.repeats,
        progress=by_fraction(progress),
    )
    result = profile.to_dict()
    notes = [OFFLOADED] if pair.offloaded else []
    result["basis"] = "; ".join([result["basis"], *notes, *filter(None, [choice])])
    write_json(arguments.out, result)
    return with_peak(result, pair)


def _fastest_pair(arguments: Namespace, progress: Say) -> tuple[ModelPair, str]:
    """The pair to profile, and why its dtype: `auto` on a CPU tries every dtype that it has."""
    dtypes = native_dtypes()
    on_cpu = resolve_device(arguments.device).type == "cpu"
    if arguments.dtype != "auto" or not on_cpu or len(dtypes) == 1:
        return load_named_pair(arguments, progress), ""
    pairs = []
    for dtype in dtypes:
        progress(f"loading in {dtype}")
        pairs.append(load_named_pair(Namespace(**vars(arguments) | {"dtype": dtype}), progress))
    return fastest(pairs, min(arguments.context, CONTEXT))


def describe(result: dict[str, Any]) -> str:
    """Seconds by token count, for people."""
    lines = [
        f"{result['device']}, {result['dtype']}, context {result['context_length']}",
        f"{result['target_model']} with {result['draft_model']}",
    ]
    for curve in ("target_seconds", "draft_seconds"):
        points = "  ".join(f"{n}: {seconds * 1e3:.2f}" for n, seconds in result[curve])
        lines.append(f"{curve.removesuffix('_seconds')}, milliseconds by tokens: {points}")
    lines.append(f"beside the passes: {result['overhead_seconds'] * 1e3:.2f} ms a step")
    lines.append(memory_line(result))
    return "\n".join(lines)
