"""The race: a run against plain decoding of its prompt, replayed with the times measured."""

from itertools import accumulate
from pathlib import Path
from typing import Any

import streamlit as st

from pages._generate import RunView
from pages._text import LEGEND, origins
from sequoia_core.plan.methods import PLAIN

FOLDER = Path(__file__).resolve().parent.parent / "assets" / "race_view"

_mount = st.components.v2.component(
    "sequoia_race",
    html=(FOLDER / "race_view.html").read_text(encoding="utf-8"),
    css=(FOLDER / "race_view.css").read_text(encoding="utf-8"),
    js=(FOLDER / "race_view.js").read_text(encoding="utf-8"),
)


def race(view: RunView) -> None:
    """The two runs side by side; where the visitor is in them outlives reruns of the page."""
    _mount(data=race_data(view), key="race_view")
    st.html(LEGEND)
    st.caption(
        "Every token appears when it was written in the two runs that were measured, one after the "
        "other on this machine. Both clocks start once the prompt has been read."
        if not view.source
        else "Every token appears when it was written in the two runs that the file keeps. Both "
        "clocks start once the prompt has been read."
    )


def why_no_race(view: RunView) -> str:
    """Empty where there is a race to show, else why there is none."""
    if view.request.method == PLAIN:
        return "This run is plain decoding itself, so it has nobody to race against."
    if view.plain is None or not view.plain.token_ids:
        return "No plain run was measured beside this run, so there is no race to show."
    if not view.measured_speedup:
        return "The times of these runs are all zero, so there is no race to show."
    return ""


def race_data(view: RunView) -> dict[str, Any]:
    """What the component draws. ends[i]: seconds from the start to the end of step i."""
    plain, request = view.plain, view.request
    run = [
        [list(token) for token in zip(origins(step), pieces, strict=False)]
        for step, pieces in zip(view.steps, view.pieces, strict=True)
    ]
    lanes = [
        _lane(
            "run",
            f"{request.method}, {request.tree.size:,} nodes",
            request.prompt,
            run,
            [step.seconds.total for step in view.steps],
        ),
        _lane(
            "plain",
            "plain decoding",
            request.prompt,
            [[["plain", piece]] for piece in plain.pieces],
            plain.seconds,
        ),
    ]
    return {
        "id": str(hash((view.source, *lanes[0]["ends"], *lanes[1]["ends"]))),
        "lanes": lanes,
        "seconds": max(lane["ends"][-1] for lane in lanes),
        "verdict": verdict(view),
    }


def verdict(view: RunView) -> str:
    """How it ended, in one sentence; per token where the two texts differ in length."""
    own, plain = view.tokens, len(view.plain.token_ids)
    ratio, mine, theirs = view.measured_speedup, view.seconds, view.plain.decode_seconds
    if own == plain:
        return f"{ratio:.2f}×: {mine:.2f} s against {theirs:.2f} s for {own} tokens."
    return (
        f"{ratio:.2f}× per token: {own} tokens in {mine:.2f} s against {plain} in {theirs:.2f} s; "
        "the plain text ended elsewhere."
    )


def _lane(
    kind: str, name: str, prompt: str, steps: list[list[list[str]]], seconds: list[float]
) -> dict[str, Any]:
    ends = [round(end, 6) for end in accumulate(seconds)]
    return {"kind": kind, "name": name, "prompt": prompt, "steps": steps, "ends": ends}
