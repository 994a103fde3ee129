"""The planned tree itself, for tools that take one: growmap, path list, expansion, GraphML."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from sequoia_core.errors import InputError
from sequoia_core.files import read_as, tagged
from sequoia_core.plan.exports.request import Export, Request
from sequoia_core.plan.exports.values import reach_chances
from sequoia_core.tree.formats import from_growmap, to_growmap, to_paths
from sequoia_core.tree.graph import to_graphml
from sequoia_core.tree.token_tree import TokenTree

GROWMAP = "growmap"
SPECINFER_MAX_TOKENS = 64


def growmap_content(tree: TokenTree) -> dict[str, Any]:
    """The content of a `sequoia-growmap` file: the six fields of the reference's growmap."""
    return tagged(GROWMAP, to_growmap(tree))


def load_growmap(path: str | Path) -> TokenTree:
    """Read a `sequoia-growmap` file into a tree; FileFormatError names the file and the field."""
    return read_as(path, GROWMAP, from_growmap)


def growmap_export(request: Request) -> Export:
    """Sequoia's growmap as JSON; the command line also writes it as a .pt file."""
    content = growmap_content(request.tree)
    return Export(
        to=GROWMAP,
        file_name="growmap.json",
        text=json.dumps(content) + "\n",
        fields={
            "checked_against": "Infini-AI-Lab/Sequoia 0ff3ff7, tree_search.py and demo_tree.pt",
            "cannot_take": "The reference reads the .pt form and draws the noise of sampling once "
            "a prompt, so above temperature 0 its runs differ from this engine's.",
            "content": content,
        },
    )


def paths_export(request: Request) -> Export:
    """The tree as a list of child ranks for every node: Medusa's and EAGLE-1's choices."""
    paths = to_paths(request.tree)
    return Export(
        to="paths",
        file_name="paths.json",
        text=json.dumps(paths) + "\n",
        fields={
            "checked_against": "FasterDecoding/Medusa e2a5d20, medusa_choices.py; EAGLE-1's "
            "choices.py has the same format",
            "cannot_take": "Current releases of vLLM, SGLang and TensorRT-LLM take no list of "
            "paths; Medusa needs one trained head for each level, and its heads do not see which "
            "sibling came before them.",
            "content": paths,
        },
    )


def expansion_widths(tree: TokenTree) -> list[int]:
    """Children by level if the tree is an expansion <k1, k2, ...> of SpecInfer (arXiv 2305.09781).

    Raises InputError that names the first node whose number of children differs on its level.

    >>> expansion_widths(TokenTree([-1, 0, 0, 1, 2]))
    [2, 1]
    """
    ends = np.cumsum(tree.level_sizes)
    widths = []
    for start, end in zip((ends - tree.level_sizes)[:-1], ends[:-1], strict=True):
        counts = tree.child_counts[start:end]
        odd = np.flatnonzero(counts != counts[0])
        if len(odd):
            raise InputError(
                f"The tree is no SpecInfer expansion: at depth {len(widths)} node {start} has "
                f"{counts[0]} children, but node {start + odd[0]} has {counts[odd[0]]}; plan with "
                "--family specinfer to get one."
            )
        widths.append(int(counts[0]))
    return widths


def specinfer_export(request: Request) -> Export:
    """SpecInfer's expansion configuration <k1, k2, ...>, if the tree is one."""
    widths = expansion_widths(request.tree)
    shape = f"<{','.join(map(str, widths))}>"
    warnings = []
    if request.tree.size > SPECINFER_MAX_TOKENS:
        warnings.append(
            f"The tree has {request.tree.size} tokens, but FlexFlow Serve is compiled for at most "
            f"{SPECINFER_MAX_TOKENS} (MAX_SPEC_TREE_TOKEN_NUM)."
        )
    return Export(
        to="specinfer",
        file_name="expansion.txt",
        text=shape + "\n",
        fields={
            "checked_against": "flexflow/flexflow-serve 9105e4532",
            "cannot_take": "FlexFlow Serve's --expansion-degree k means <1,1,k> only: other "
            "widths are set in code, one push_spec_infer_tree_width call a level.",
            "content": widths,
        },
        warnings=tuple(warnings),
    )


def graphml_export(request: Request) -> Export:
    """GraphML with depth, rank, parent, and path probabilities where a vector is at hand."""
    acceptance = request.acceptance
    chances = None if acceptance is None else reach_chances(request.tree, acceptance)
    warnings = ()
    if acceptance is None:
        warnings = (
            "No acceptance vector was found, so the nodes carry no path_probability: give "
            "--acceptance.",
        )
    text = to_graphml(request.tree, chances)
    return Export(
        to="graphml",
        file_name="tree.graphml",
        text=text,
        fields={
            "checked_against": "GraphML as networkx writes and reads it",
            "cannot_take": "GraphML keeps no order of children: read it from the attribute rank.",
            "content": text,
        },
        warnings=warnings,
    )
