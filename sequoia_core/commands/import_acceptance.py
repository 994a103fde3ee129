"""`import-acceptance`: an acceptance vector from what a serving engine counted."""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from sequoia_core.errors import FileFormatError, InputError
from sequoia_core.files import check_writable, reason_of, write_json
from sequoia_core.plan.counters.registry import AUTO, ENGINES, MAX_CHARACTERS, read_counters

STANDARD_INPUT = "-"


def add_parser(subparsers: Any) -> ArgumentParser:
    """Declare the command's options; returns its parser."""
    parser = subparsers.add_parser(
        "import-acceptance", description="Turn a serving engine's counters into a vector."
    )
    parser.add_argument("file", help="metrics text, log or response of a server; - for stdin")
    parser.add_argument("--engine", default=AUTO, help=f"one of: {AUTO}, {', '.join(ENGINES)}")
    parser.add_argument("--before", help="earlier scrape of the metrics text, to subtract")
    parser.add_argument(
        "--draft-tokens", type=int, help="drafted tokens a step, where the text does not say"
    )
    parser.add_argument("--out", required=True, help="file to write")
    return parser


def run(arguments: Namespace, progress: Callable[[str], None]) -> dict[str, Any]:
    """Read; returns the content of the `sequoia-acceptance` file that it writes."""
    check_writable(arguments.out)
    if arguments.file == arguments.before == STANDARD_INPUT:
        raise InputError("Only one of the two texts can come from stdin.")
    reading = read_counters(
        _text(arguments.file),
        engine=arguments.engine,
        before=_text(arguments.before) if arguments.before else None,
        draft_tokens=arguments.draft_tokens,
    )
    result = reading.vector().to_dict() | {"counters": reading.to_dict()}
    write_json(arguments.out, result)
    progress(f"wrote {arguments.out}")
    return result


def describe(result: dict[str, Any]) -> str:
    """Rates by depth with their errors, the means, and what to know about them."""
    counters = result["counters"]
    steps = "an unknown number of" if counters["steps"] is None else f"{counters['steps']:.0f}"
    lines = [
        f"{counters['source']} of {counters['engine']}: {steps} steps, "
        f"{counters['mean_accepted']:.3f} of {counters['mean_drafted']:.3f} drafted tokens "
        "accepted a step",
        f"{'depth':>5} {'accepted if reached':>19} {'error':>7}",
    ]
    errors = result["standard_errors"] or [None] * len(result["probabilities"])
    for depth, (rate, error) in enumerate(zip(result["probabilities"], errors, strict=True), 1):
        place = _place(depth, counters["measured_depth"])
        lines.append(f"{place:>5} {_number(rate):>19.4f} {_error(error):>7}")
    return "\n".join([*lines, *(f"- {note}" for note in counters["notes"])])


def _place(depth: int, measured: int | None) -> str:
    if measured is None:
        return "any"
    return str(depth) if depth <= measured else "below"


def _number(value: float | list[float]) -> float:
    return value[0] if isinstance(value, list) else value


def _error(value: float | list[float] | None) -> str:
    return "unknown" if value is None else f"{_number(value):.4f}"


def _text(path: str) -> str:
    """The text of a file or of stdin, read no further than the limit allows."""
    try:
        if path == STANDARD_INPUT:
            return _decoded(sys.stdin.buffer)
        with Path(path).open("rb") as file:
            return _decoded(file)
    except (OSError, ValueError) as error:
        raise FileFormatError(f"Cannot read {path}: {reason_of(error)}.") from error


def _decoded(file: BinaryIO) -> str:
    return file.read(MAX_CHARACTERS + 1).decode("utf-8", errors="replace")
