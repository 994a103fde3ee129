"""The comparisons there are: kept on this machine, and the one that is being measured."""

import json
from collections.abc import Sequence
from pathlib import PurePath

import streamlit as st

from pages import _library as library
from pages._comparing import Comparing, content
from pages._state import rejoin, server
from pages._store import COMPARISONS, LIMITS, printable
from sequoia_core.errors import InputError
from sequoia_core.measure.comparison import BASELINE, Comparison
from sequoia_core.measure.comparison_file import parse_comparison

MOST = LIMITS[COMPARISONS].most


def names(*, live: bool) -> list[str]:
    """Names of those that can be shown, the newest first; live: one may be on its way."""
    coming = st.session_state.get("comparing") if live else None
    unsaved = _unsaved()
    shown = [n for n, own in reversed(unsaved.items()) if own is coming or own.read() is not None]
    hidden = {own.kept for own in unsaved.values()} | set(shown)
    kept = reversed(library.store().names(COMPARISONS))
    return shown + [name for name in kept if name not in hidden]


def record(name: str) -> Comparing:
    """The one of this name; a SequoiaError where its file is gone or no longer fits."""
    own = _unsaved().get(name)
    return own or _parsed(name, *library.store().stamp(COMPARISONS, name))


def rejoin_linked() -> None:
    """Once a session, before anything is drawn: show what the link names, on its way or kept."""
    if "comparison_linked" in st.session_state:
        return
    name = st.session_state.comparison_linked = st.query_params.get("comparison", "")
    if found := rejoin(f"comparison {name}"):
        st.session_state.update(compare_job=found[0], comparing=found[1])
        _unsaved()[name] = found[1]
    st.session_state.setdefault("shown_comparison", name)


def put(stem: str, record: Comparing) -> str:
    """Name one that is about to be measured, and show it. Raises InputError if there is no room."""
    unsaved = _unsaved()
    for name, own in list(unsaved.items()):
        if own.read() is None:  # It ended before its first round, so there is nothing to show.
            del unsaved[name]
    if len(names(live=False)) >= MOST:
        raise InputError(f"{MOST} comparisons are kept, the most there may be: delete one first.")
    record.name = _free(stem)
    unsaved[record.name] = record
    st.session_state.shown_comparison = record.name
    return record.name


def delete(name: str) -> None:
    """Forget one, on disk as well. Raises InputError where it cannot go."""
    own = _unsaved().pop(name, None)
    library.store().delete(COMPARISONS, name if own is None else own.kept or name)
    st.session_state.pop("shown_comparison", None)


def rename(name: str, wished: str) -> None:
    """Give one another name; an empty wish changes nothing. Raises InputError."""
    st.session_state.shown_comparison = library.store().rename(COMPARISONS, name, wished)


def load(file_name: str, data: bytes) -> str:
    """Take in a file. Returns its name. Raises FileFormatError with the field, InputError."""
    stem = PurePath(file_name).name
    source = _printable(stem)
    text, kept = content(parse_comparison(data, source), source), library.store()
    wished = PurePath(stem).stem
    name = kept.same(COMPARISONS, wished, text)
    name = name or kept.put(COMPARISONS, wished, text, taken=_unsaved())
    st.session_state.shown_comparison = name
    return name


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


def _unsaved() -> dict[str, Comparing]:
    """The session's own that are on their way, or could not be kept; by name, the newest last."""
    own: dict[str, Comparing] = st.session_state.setdefault("comparisons", {})
    job = st.session_state.get("compare_job")
    live = st.session_state.get("comparing") if job is not None and job.active else None
    for name, record in list(own.items()):
        if record.kept and record is not live:
            del own[name]
            if st.session_state.get("shown_comparison") == name:
                st.session_state.shown_comparison = record.kept
    return own


@st.cache_resource(show_spinner=False, max_entries=4)
def _parsed(name: str, path: str, changed: int, size: int) -> Comparing:
    """The one in a kept file, read again only once the file has changed."""
    data = library.store().read(COMPARISONS, name)
    comparison = parse_comparison(data, path)
    source = json.loads(data).get("loaded_from", "")
    return Comparing(comparison, _printable(source) if isinstance(source, str) and source else "")


def _printable(text: str) -> str:
    return "".join(c for c in text if c.isprintable() and c not in "`*[]<>")[:80] or "the file"


def _free(stem: str) -> str:
    live = {name.partition(" ")[2] for name in server().live}
    taken = {*_unsaved(), *library.store().names(COMPARISONS), *live}
    stem = printable(stem) or "comparison"
    numbered = (f"{stem} ({number})" for number in range(2, 2 * MOST + len(live) + 2))
    return next(name for name in (stem, *numbered) if name not in taken)
