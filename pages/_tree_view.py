"""The tree view: one component for planned and for decoded trees, and what it is fed."""

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

from sequoia_core.decode.trace import ACCEPTED, REJECTED, UNREACHED, Nodes, StepTrace
from sequoia_core.tree.layout import tidy_layout
from sequoia_core.tree.token_tree import TokenTree

FOLDER = Path(__file__).resolve().parent.parent / "assets" / "tree_view"
CODES = {"root": 0, ACCEPTED: 1, REJECTED: 2, UNREACHED: 3, "planned": 5}
HEIGHT = 440
SCRIPTS = ("tree_view", "arrange", "draw", "words", "input")

_mount = st.components.v2.component(
    "sequoia_tree_view",
    html=(FOLDER / "tree_view.html").read_text(encoding="utf-8"),
    css=(FOLDER / "tree_view.css").read_text(encoding="utf-8"),
    js="\n".join((FOLDER / f"{part}.js").read_text(encoding="utf-8") for part in SCRIPTS),
)


def tree_view(data: dict[str, Any], *, key: str) -> None:
    """Draw what `planned` or `decoded` made; zoom and selection outlive changes of the data."""
    _mount(data=data, key=key)


def planned(tree: TokenTree, reach: np.ndarray, *, height: int = HEIGHT) -> dict[str, Any]:
    """A planned tree. reach: [n], the probability that each node is on the accepted path."""
    return {
        **_topology(tree),
        "mode": "plan",
        "status": [CODES["root"]] + [CODES["planned"]] * (tree.size - 1),
        "label": ["", *(f"{value:.2f}" for value in reach[1:])],
        "weight": np.round(reach, 5).tolist(),
        "title": f"Planned tree of {tree.size} nodes, {tree.depth} deep",
        "height": height,
    }


def decoded(step: StepTrace) -> dict[str, Any]:
    """One step of a run: its drafted tree, the verdicts and the bonus token."""
    nodes = step.nodes
    tree = TokenTree(nodes.parent)
    return {
        **_topology(tree),
        "mode": "step",
        "step": step.index + 1,
        "status": [CODES["root"], *(CODES[status] for status in nodes.status[1:])],
        "label": [label(text) for text in nodes.text],
        "token": [quoted(text) for text in nodes.text],
        "id": nodes.token_id,
        "draft": _rounded(nodes.draft_prob),
        "target": _rounded(nodes.target_prob),
        "bonus": _bonus(step),
        "title": f"Step {step.index + 1}: {counts_text(step)}",
    }


def counts_text(step: StepTrace) -> str:
    """The step in one line of words."""
    status = step.nodes.status[1:]
    return (
        f"{status.count(ACCEPTED)} accepted, {status.count(REJECTED)} rejected, "
        f"{status.count(UNREACHED)} not reached, bonus token from the {step.bonus.source}"
    )


def step_table(nodes: Nodes) -> dict[str, list]:
    """The same step as columns of a table, one row a node."""
    depths = TokenTree(nodes.parent).depths.tolist()
    return {
        "node": list(range(len(nodes.parent))),
        "parent": nodes.parent,
        "depth": depths,
        "rank": [rank + 1 for rank in nodes.rank],
        "token": [quoted(text) for text in nodes.text],
        "id": nodes.token_id,
        "draft": nodes.draft_prob,
        "target": nodes.target_prob,
        "verdict": [
            "root",
            *(status.replace("unreached", "not reached") for status in nodes.status[1:]),
        ],
    }


def label(text: str) -> str:
    """A token short enough to stand beside its node."""
    shown = text.strip() or text.replace("\n", "↵").replace(" ", "␣")
    return shown if len(shown) <= 14 else shown[:13] + "…"


def quoted(text: str) -> str:
    """A token with its spaces and line breaks visible."""
    return "“" + text.replace("\n", "↵").replace("\t", "⇥") + "”"


@lru_cache(maxsize=64)
def _topology(tree: TokenTree) -> dict[str, Any]:
    layout = tidy_layout(tree)
    return {
        "layout": hash(tree) & 0xFFFFFFFF,
        "parent": tree.parents.tolist(),
        "rank": tree.ranks.tolist(),
        "column": tree.depths.tolist(),
        "row": np.round(layout.x.astype(float), 3).tolist(),
        "height": HEIGHT,
    }


def _bonus(step: StepTrace) -> dict[str, Any]:
    bonus = step.bonus
    return {
        "at": step.accepted[-1] if step.accepted else 0,
        "label": label(bonus.text),
        "token": quoted(bonus.text),
        "id": bonus.token_id,
        "source": bonus.source,
        "prob": float(bonus.prob),
    }


def _rounded(values: list[float]) -> list[float]:
    return [float(f"{value:.3g}") for value in values]
