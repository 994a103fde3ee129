"""`profile`: measure this machine's seconds by token count for a pair."""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from typing import Any

from sequoia_core.commands._models import (
    Say,
    add_model_arguments,
    add_parallel_argument,
    load_named_pair,
    memory_line,
    with_peak,
)
from sequoia_core.decode.loading import resolve_device
from sequoia_core.decode.packing import native_dtypes
from sequoia_core.decode.pair import ModelPair
from sequoia_core.errors import InputError
from sequoia_core.files import check_number, check_writable, write_json
from sequoia_core.measure.profiler import (
    CONTEXT,
    LIMIT_SECONDS,
    REPEATS,
    fastest,
    profile_pair,
)
from sequoia_core.plan.agreement import agreement
from sequoia_core.plan.hardware import HardwareProfile, hardware_from_dict, load_hardware
from sequoia_core.plan.knee import knee
from sequoia_core.plan.measurement_words import measurement_words

LONGEST_LIMIT = 86_400

OFFLOADED = "offload: the target's layers were streamed from main memory in every pass"


def add_parser(subparsers: Any) -> ArgumentParser:
    """Declare the command's options; returns its parser."""
    parser = subparsers.add_parser(
        "profile",
        description="Measure how long passes of a pair take on this machine, by their number of "
        "tokens. The file is what plan, generate and bench take as --hardware.",
    )
    add_model_arguments(parser)
    add_parallel_argument(parser)
    parser.add_argument(
        "--context",
        default=str(CONTEXT),
        metavar="N[,N...]",
        help="tokens that the text has before the pass, one length or several: 128,512; the "
        "first is planned with",
    )
    parser.add_argument("--max-tokens", type=int, default=1024, help="largest pass to measure")
    parser.add_argument("--repeats", type=int, default=REPEATS, help="passes of every size")
    parser.add_argument(
        "--limit",
        type=float,
        metavar="SECONDS",
        help="most time for the passes, though three rounds are made in any case; "
        f"default: {LIMIT_SECONDS['cpu']:g} on a CPU, {LIMIT_SECONDS['cuda']:g} on a GPU",
    )
    parser.add_argument(
        "--against", metavar="FILE", help="say how far an earlier profile of this machine is off"
    )
    parser.add_argument("--out", required=True, help="file to write")
    return parser


def run(arguments: Namespace, progress: Say) -> dict[str, Any]:
    """Measure and write a `sequoia-hardware` file; returns its content and the memory used.

    The dtype `auto` is the one in which the target is fastest here. With --against the result has
    the field `against` too.
    """
    check_writable(arguments.out)
    earlier = load_hardware(arguments.against) if arguments.against else None
    contexts = _contexts(arguments.context)
    if arguments.limit is not None:
        check_number(arguments.limit, "--limit", low=0, high=LONGEST_LIMIT)
    for name, value in (("--max-tokens", arguments.max_tokens), ("--repeats", arguments.repeats)):
        if value < 1:
            raise InputError(f"{name} must be at least 1, got {value}.")
    # Loading makes room for the longest.
    arguments.context = max(contexts)
    pair, choice = _fastest_pair(arguments, contexts[0], progress)
    profile = profile_pair(
        pair,
        context_length=contexts[0],
        further_contexts=contexts[1:],
        max_tokens=arguments.max_tokens,
        repeats=arguments.repeats,
        limit_seconds=arguments.limit,
        progress=_once(progress),
    )
    result = profile.to_dict()
    notes = [OFFLOADED] if pair.offloaded else []
    result["basis"] = "; ".join([result["basis"], *notes, *filter(None, [choice])])
    write_json(arguments.out, result)
    result = with_peak(result, pair)
    return result | {"against": _against(earlier, profile)} if earlier else result


def _against(earlier: HardwareProfile, profile: HardwareProfile) -> dict[str, Any]:
    """Whether two measurements agree; `agrees` is None where they are not of the same."""
    found = agreement(profile, earlier)
    if found is None:
        return {
            "name": earlier.name,
            "agrees": None,
            "words": f"{earlier.name} is of another device, dtype, pair or context length, so "
            "there is nothing to compare.",
        }
    return {
        "name": earlier.name,
        "agrees": found.agrees,
        "target_median": found.target.median,
        "draft_median": found.draft.median,
        "words": found.words,
    }


def _contexts(text: str) -> list[int]:
    try:
        lengths = [int(part) for part in text.split(",")]
    except ValueError:
        raise InputError(
            f"--context takes whole numbers, as in 128 or 128,512, got {text!r}."
        ) from None
    if min(lengths) < 1 or len(set(lengths)) < len(lengths):
        raise InputError(f"--context takes each length once, and none below 1, got {text!r}.")
    return lengths


def _once(say: Say) -> Callable[[float, str], None]:
    """Progress as lines, one for each new thing that is said."""
    last = ""

    def tell(fraction: float, text: str) -> None:
        nonlocal last
        if text != last:
            say(f"{fraction:4.0%}  {text}")
        last = text

    return tell


def _fastest_pair(
    arguments: Namespace, context_length: int, progress: Say
) -> tuple[ModelPair, str]:
    """The pair to profile, and why its dtype: `auto` on a CPU tries every dtype that it has."""
    dtypes = native_dtypes()
    on_cpu = resolve_device(arguments.device).type == "cpu"
    if arguments.dtype != "auto" or not on_cpu or len(dtypes) == 1:
        return load_named_pair(arguments, progress), ""
    pairs = []
    for dtype in dtypes:
        progress(f"loading in {dtype}")
        pairs.append(load_named_pair(Namespace(**vars(arguments) | {"dtype": dtype}), progress))
    return fastest(pairs, min(context_length, CONTEXT))


def describe(result: dict[str, Any]) -> str:
    """Seconds by token count, for people, and how good the measurement was."""
    profile = hardware_from_dict(result)
    lines = [
        f"{result['device']}, {result['dtype']}",
        f"{result['target_model']} with {result['draft_model']}",
    ]
    for entry in (result, *result.get("contexts", ())):
        lines.append(f"context {entry['context_length']}")
        for curve in ("target_seconds", "draft_seconds"):
            points = "  ".join(f"{n}: {seconds * 1e3:.2f}" for n, seconds in entry[curve])
            lines.append(f"{curve.removesuffix('_seconds')}, milliseconds by tokens: {points}")
    lines.append(f"{knee(profile).words}")
    lines.append(f"beside the passes: {result['overhead_seconds'] * 1e3:.2f} ms a step")
    against = [result["against"]["words"]] if "against" in result else []
    return "\n".join([*lines, memory_line(result), *measurement_words(profile), *against])
