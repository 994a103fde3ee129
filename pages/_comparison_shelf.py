"""The comparisons of a session: measured here or loaded, kept while pages change."""

from collections.abc import Sequence
from pathlib import PurePath

import streamlit as st

from pages._comparing import Comparing
from sequoia_core.errors import InputError
from sequoia_core.measure.comparison import BASELINE, Comparison
from sequoia_core.measure.comparison_file import parse_comparison

MOST = 20
MAX_NAME = 60


def shelf() -> dict[str, Comparing]:
    """All by name, the newest last; those without a finished round included."""
    return st.session_state.setdefault("comparisons", {})


def names(*, live: bool) -> list[str]:
    """Names of those that can be shown, the newest first; live: one may be on its way."""
    coming = st.session_state.get("comparing") if live else None
    shown = reversed(shelf().items())
    return [name for name, kept in shown if kept is coming or kept.read() is not None]


def put(stem: str, record: Comparing) -> str:
    """Keep one under a name near `stem`, and show it. Raises InputError where the shelf is full."""
    _drop_empty()
    if len(shelf()) >= MOST:
        raise InputError(f"This session keeps {MOST} comparisons: delete one first.")
    name = _free(stem)
    shelf()[name] = record
    st.session_state.shown_comparison = name
    return name


def delete(name: str) -> None:
    shelf().pop(name, None)
    st.session_state.pop("shown_comparison", None)


def rename(name: str, wished: str) -> None:
    """Give one another name, in its place in the list; an empty wish changes nothing."""
    if not wished.strip() or wished.strip() == name:
        return
    new = _free(wished)
    kept = {new if own == name else own: record for own, record in shelf().items()}
    st.session_state.update(comparisons=kept, shown_comparison=new)


def load(file_name: str, data: bytes) -> str:
    """Take in a file. Returns its name. Raises FileFormatError with the field, InputError."""
    stem = PurePath(file_name).name
    comparison = parse_comparison(data, _printable(stem))
    return put(PurePath(stem).stem, Comparing(comparison, _printable(stem)))


def proposed_name(methods: Sequence[str], temperatures: Sequence[float]) -> str:
    """As in: sequoia, chain at 0, 0.6."""
    rivals = [method for method in methods if method != BASELINE] or [BASELINE]
    shown = ", ".join(rivals[:3]) + (f" and {len(rivals) - 3} more" if len(rivals) > 3 else "")
    return f"{shown} at {', '.join(f'{temperature:g}' for temperature in temperatures)}"


def file_stem(name: str, comparison: Comparison) -> str:
    """A file's name for downloads: words of the name, and the day."""
    words = "".join(c if c.isalnum() or c in ".-" else "-" for c in name)
    while "--" in words:
        words = words.replace("--", "-")
    return f"compare-{words.strip('-')}-{comparison.origin.created[:10]}".strip("-")


def _drop_empty() -> None:
    """Those that ended before their first round have nothing to show; one may be on its way."""
    coming = st.session_state.get("comparing")
    for name, kept in list(shelf().items()):
        if kept.read() is None and kept is not coming:
            del shelf()[name]


def _printable(text: str) -> str:
    return "".join(c for c in text if c.isprintable() and c not in "`*[]<>")[:80] or "the file"


def _free(stem: str) -> str:
    stem = "".join(c for c in stem if c.isprintable()).strip()[:MAX_NAME] or "comparison"
    numbered = (f"{stem} ({number})" for number in range(2, MOST + 3))
    return next(name for name in (stem, *numbered) if name not in shelf())
