"""The command line: picks the command, prints its result, turns errors into one line and a code."""

import argparse
import importlib
import json
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from types import ModuleType
from typing import NoReturn

from sequoia_core.errors import EndedElsewhereError, InputError, ProcessError, SequoiaError

# Name and one-line help. Module sequoia_core.commands.<name> offers add_parser(subparsers) ->
# parser, run(arguments, progress) -> dict of JSON values, describe(result) -> text for people, and
# where a result can be bad news status(result) -> exit code.
COMMANDS = {
    "plan": "choose the best token tree for an acceptance vector and a hardware profile",
    "generate": "continue a prompt, speculatively or plainly",
    "calibrate": "measure a pair's acceptance vector",
    "export": "take a plan to other tools and serving engines",
    "import-growmap": "convert a .pt growmap of the reference implementation to JSON",
    "import-acceptance": "turn a serving engine's counters into an acceptance vector",
    "profile": "measure this machine's seconds by token count",
    "model-hardware": "model a GPU that you do not have, for a pair",
    "bench": "measure every method side by side",
    "tune": "profile, calibrate, plan and benchmark in one go, with a report",
    "verify": "check that every method is lossless for a pair",
    "stand-in": "give the bundled pair the cost of a larger one, its text unchanged",
}

EXIT_OK, EXIT_BAD_INPUT, EXIT_INTERRUPTED = 0, 2, 130
LONGEST_LINE = 1200


class _Parser(argparse.ArgumentParser):
    """An argument parser whose errors are exceptions, so that they end up as one line."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message} (see {self.prog} --help)")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0, 2 for bad input, 130 when interrupted.

    A command whose result can be a failed check says so with 1. Of several processes that torchrun
    has started, the first prints; the others do so only where it cannot say what has happened.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    place, count = _place()
    try:
        _check_words(argv)
        command = next((word for word in argv if word in COMMANDS), None)
        module = _module(command) if command else None
        arguments = _parser(command, module).parse_args(argv)
        result = _run(module, arguments, count)
    except SequoiaError as error:
        if place and not isinstance(error, ProcessError):
            # torchrun ends the others when one fails, and the first must have time to say why.
            return EXIT_OK
        if not isinstance(error, EndedElsewhereError):
            _say_error(str(error))
        return EXIT_BAD_INPUT
    except KeyboardInterrupt as stop:
        if not place:
            # A command that can be taken up again says so.
            _say_error(f"{str(stop) or 'interrupted'}.")
        return EXIT_INTERRUPTED
    if result is None:
        return EXIT_OK
    text = json.dumps(result, allow_nan=False) if arguments.json else module.describe(result)
    if not _show(text):
        return EXIT_BAD_INPUT
    return module.status(result) if hasattr(module, "status") else EXIT_OK


def _place() -> tuple[int, int]:
    """This process's number, and how many torchrun has started; 0 and 1 without it."""
    rank, count = os.environ.get("RANK"), os.environ.get("WORLD_SIZE")
    return (int(rank), int(count)) if rank and count else (0, 1)


def _run(module: ModuleType, arguments: argparse.Namespace, count: int) -> dict | None:
    """The command's result; None in a process whose result another one prints."""
    if count == 1:
        return module.run(arguments, _progress)
    from sequoia_core.commands._processes import run_in_processes

    return run_in_processes(module, arguments, _progress)


def _check_words(argv: Sequence[str]) -> None:
    """Refuse values that are empty, as those of unset variables of a shell are."""
    for before, word in zip(["", *argv], argv, strict=False):
        name, equals, value = word.partition("=")
        if not word or (name.startswith("--") and equals and not value):
            option = name or (before if before.startswith("--") else "An argument")
            raise InputError(f"{option} was given an empty text: give it a value or leave it out.")


def _show(text: str) -> bool:
    """Print; whether it could be. A reader that has gone away, such as `head`, is no error."""
    encoding = sys.stdout.encoding or "utf-8"
    try:
        # A terminal that lacks a sign is shown a question mark in its place.
        print(text.encode(encoding, "replace").decode(encoding), flush=True)
    except OSError as error:
        # The interpreter flushes once more on exit, and must then find somewhere to write.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            _say_error(f"Cannot print the result: {error.strerror or error}.")
            return False
    return True


def _say_error(text: str) -> None:
    """One line, however long the value is that it quotes."""
    words = " ".join(text.split())
    if len(words) > LONGEST_LINE:
        words = f"{words[: LONGEST_LINE - 300]} ... {words[-300:]}"
    print(f"error: {words}", file=sys.stderr, flush=True)


def _module(command: str) -> ModuleType:
    """Import the chosen command alone: planning must not wait for torch to load."""
    return importlib.import_module(f"sequoia_core.commands.{command.replace('-', '_')}")


def _parser(command: str | None, module: ModuleType | None) -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m sequoia_core",
        description="Plan, run and measure speculative decoding with token trees.",
        epilog="COMMAND --help tells what a command takes. The budget of a tree is the tokens of "
        "one target pass, its depth the draft passes before that. README.md shows where to begin.",
    )
    subparsers = parser.add_subparsers(dest="command", metavar="command", required=True)
    for name, help_text in COMMANDS.items():
        if name == command:
            chosen = module.add_parser(subparsers)
            chosen.add_argument(
                "--json", action="store_true", help="print the result as one JSON object"
            )
            _tell_defaults(chosen)
        else:
            subparsers.add_parser(name, help=help_text)
    return parser


def _tell_defaults(parser: argparse.ArgumentParser) -> None:
    """End the help of every option with its default, where it has one and does not tell."""
    for action in parser._actions:
        told = action.help and "default" in action.help
        if not told and isinstance(action.default, str | int | float) and action.nargs != 0:
            words = [*filter(None, [action.help]), f"default: {action.default}"]
            action.help = "; ".join(words)


def _progress(message: str) -> None:
    # Who reads along may go away; the work goes on.
    with suppress(BrokenPipeError):
        print(message, file=sys.stderr, flush=True)
