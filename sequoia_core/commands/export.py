"""`export`: take a plan to other tools: tree files, and launch lines of serving engines."""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sequoia_core.errors import InputError
from sequoia_core.files import check_writable, write_bytes
from sequoia_core.plan.exports.registry import (
    EXPORTS,
    TREE_FILES,
    accepted_rules,
    check_export,
    make_export,
)
from sequoia_core.plan.exports.request import DRAFT_SAMPLINGS, GREEDY, Request
from sequoia_core.plan.exports.source import growmap_request, plan_request
from sequoia_core.plan.exports.tree_files import GROWMAP


def add_parser(subparsers: Any) -> ArgumentParser:
    """Declare the command's options; returns its parser."""
    parser = subparsers.add_parser(
        "export", description="Write a plan as a tree file, or as a serving engine's launch line."
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--plan", help="plan file, from plan --out")
    source.add_argument("--growmap", help="growmap file, from import-growmap, instead of a plan")
    parser.add_argument("--to", required=True, help=f"one of: {', '.join(EXPORTS)}")
    parser.add_argument(
        "--out", help="file to write, for a growmap also a .pt file; default: print it"
    )
    parser.add_argument("--target", default="", help="target's name in the launch line")
    parser.add_argument("--draft", default="", help="draft's name in the launch line")
    parser.add_argument(
        "--acceptance",
        help="preset or file; default: what the plan names, or its bundled counterpart "
        "of the engine's rule",
    )
    parser.add_argument("--hardware", help="preset or file; default: what the plan names")
    parser.add_argument(
        "--batch-size", type=int, help="sequences decoded together; default: the plan's"
    )
    parser.add_argument(
        "--max-batch-size",
        type=int,
        default=64,
        help="largest batch that a draft length is planned for",
    )
    parser.add_argument(
        "--draft-sampling",
        default=GREEDY,
        help="how the engine draws drafts (vllm and tensorrt-llm), one of: "
        f"{', '.join(DRAFT_SAMPLINGS)}",
    )
    return parser


def run(arguments: Namespace, progress: Callable[[str], None]) -> dict[str, Any]:
    """Export; returns the parts and the file's text, and writes the file if asked."""
    _check_out(arguments)
    request = _request(arguments)
    export = make_export(arguments.to, request)
    if arguments.out:
        data = _torch_growmap(request) if _is_torch(arguments.out) else export.text.encode()
        write_bytes(arguments.out, data)
        progress(f"wrote {arguments.out}")
    said = [("note", note) for note in export.fields.get("notes", ())]
    for kind, sentence in said + [("warning", warning) for warning in export.warnings]:
        # Scripts carry their warnings as comments, so who sees the text has read them.
        if arguments.out or sentence not in export.text:
            progress(f"{kind}: {sentence}")
    return export.to_dict() | {"out": arguments.out}


def describe(result: dict[str, Any]) -> str:
    """The file itself; once it is written, what engine and version it is for."""
    if not result["out"]:
        return result["text"].rstrip("\n")
    return f"{result['to']}: checked against {result['checked_against']}"


def _check_out(arguments: Namespace) -> None:
    check_export(arguments.to)
    if not arguments.out:
        return
    check_writable(arguments.out)
    if _is_torch(arguments.out) and arguments.to != GROWMAP:
        raise InputError(f"Only a growmap can be written as .pt, not an export to {arguments.to}.")


def _is_torch(path: str) -> bool:
    return Path(path).suffix == ".pt"


def _request(arguments: Namespace) -> Request:
    options = {
        "acceptance": arguments.acceptance,
        "hardware": arguments.hardware,
        "batch_size": arguments.batch_size,
        "max_batch_size": arguments.max_batch_size,
        "target_model": arguments.target,
        "draft_model": arguments.draft,
        "draft_sampling": arguments.draft_sampling,
        "config_file": arguments.out or "",
    }
    if arguments.growmap:
        return growmap_request(arguments.growmap, **options)
    return plan_request(
        arguments.plan,
        needs_inputs=arguments.to not in TREE_FILES,
        rules=accepted_rules(arguments.to, arguments.draft_sampling),
        **options,
    )


def _torch_growmap(request: Request) -> bytes:
    """The reference's .pt file; torch loads only here, since planning must not wait for it."""
    from sequoia_core.commands._growmap import growmap_bytes

    return growmap_bytes(request.tree)
