"""`import-growmap`: turn the reference's .pt growmap into a JSON file, checked in full."""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from typing import Any

from sequoia_core.commands._growmap import read_growmap
from sequoia_core.files import check_writable, write_json
from sequoia_core.plan.exports.tree_files import growmap_content
from sequoia_core.tree.token_tree import TokenTree


def add_parser(subparsers: Any) -> ArgumentParser:
    """Declare the command's options; returns its parser."""
    parser = subparsers.add_parser("import-growmap", description="Convert a .pt growmap to JSON.")
    parser.add_argument("file", help="growmap of the reference implementation, a .pt file")
    parser.add_argument("--out", required=True, help="file to write")
    return parser


def run(arguments: Namespace, progress: Callable[[str], None]) -> dict[str, Any]:
    """Convert; returns the content of the `sequoia-growmap` file that it writes."""
    check_writable(arguments.out)
    tree = read_growmap(arguments.file)
    content = growmap_content(tree)
    write_json(arguments.out, content)
    progress(f"wrote {arguments.out}")
    return content


def describe(result: dict[str, Any]) -> str:
    """The tree in one line."""
    tree = TokenTree([-1] + [node for node, ids in enumerate(result["Successors"]) for _ in ids])
    levels = " ".join(map(str, tree.level_sizes))
    return f"budget {tree.size}, depth {tree.depth}, levels {levels}"
