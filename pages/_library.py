"""What can be planned with: the bundled presets, and the files that this session has added."""

from dataclasses import replace
from typing import Any

import streamlit as st

from pages._file_kinds import ACCEPTANCE, HARDWARE, SHAPES, SHELVES, TREES, told
from sequoia_core.errors import FileFormatError, InputError
from sequoia_core.plan.acceptance import (
    AcceptanceVector,
    list_acceptance_presets,
    load_acceptance,
)
from sequoia_core.plan.counters.registry import read_counters
from sequoia_core.plan.hardware import (
    HardwareProfile,
    list_hardware_presets,
    load_hardware,
)
from sequoia_core.plan.model_shape import ModelShape, list_shapes, load_shape
from sequoia_core.tree.token_tree import TokenTree

MAX_BYTES = 5_000_000
MAX_FILES = 32


def acceptance_names() -> list[str]:
    """Vectors to choose from: the presets, then the session's own."""
    return [*list_acceptance_presets(), *_own(ACCEPTANCE)]


def hardware_names() -> list[str]:
    """Profiles to choose from: the presets, then the session's own."""
    return [*list_hardware_presets(), *_own(HARDWARE)]


def tree_names() -> list[str]:
    """Trees that the session has added."""
    return list(_own(TREES))


def acceptance(name: str) -> AcceptanceVector:
    """The vector of this name; a SequoiaError if there is none or it cannot be read."""
    return _own(ACCEPTANCE).get(name) or _preset(ACCEPTANCE, name)


def hardware(name: str) -> HardwareProfile:
    """The profile of this name; a SequoiaError if there is none or it cannot be read."""
    return _own(HARDWARE).get(name) or _preset(HARDWARE, name)


def tree(name: str) -> TokenTree | None:
    """The tree of this name, None if the session has added none."""
    return _own(TREES).get(name)


def shape_names() -> list[str]:
    """Models' shapes to choose from: the bundled, then the session's own."""
    return [*list_shapes(), *_own(SHAPES)]


def shape(name: str) -> ModelShape:
    """The shape of this name; a SequoiaError if there is none."""
    own = _own(SHAPES).get(name)
    if own is None and name not in list_shapes():
        raise InputError(f"There is no shape called {name!r}.")
    return own or load_shape(name)


def add_file(file_name: str, data: bytes) -> list[tuple[str, str]]:
    """Take in a vector, a profile, a plan, growmap, path list, a model's config.json, or all that
    a report holds.

    Returns (shelf, name) of each part. Nothing of an earlier file is lost: an equal name gets a
    number. Raises FileFormatError, with the field, for anything else.
    """
    if len(data) > MAX_BYTES:
        raise FileFormatError(
            f"{file_name} has {len(data) / 1e6:.1f} MB, and at most {MAX_BYTES / 1e6:.0f} are read."
        )
    parts = told(file_name, data)
    if sum(map(len, _library().values())) + len(parts) > MAX_FILES:
        raise InputError(f"This session holds {MAX_FILES} files, the most it keeps: reload it.")
    return [(shelf, _keep(shelf, stem, value)) for shelf, stem, value in parts]


def _keep(shelf: str, stem: str, value: Any) -> str:
    name = _free_name(shelf, stem)
    _own(shelf)[name] = value if shelf == TREES else replace(value, name=name)
    return name


def add_profile(profile: HardwareProfile, name: str) -> str:
    """Take in a profile that was measured or modelled here; returns the name it got."""
    name = _free_name(HARDWARE, name)
    _own(HARDWARE)[name] = replace(profile, name=name)
    return name


def is_own_profile(name: str) -> bool:
    """Whether the session has added it, so that it may delete it."""
    return name in _own(HARDWARE)


def delete_profile(name: str) -> None:
    """Forget a profile of the session's own; presets stay."""
    _own(HARDWARE).pop(name, None)


def add_counters(text: str) -> tuple[str, tuple[str, ...]]:
    """Take in what a serving engine counted. Returns the vector's name and what to know of it.

    Raises InputError where no engine's counters are found or they contradict each other.
    """
    reading = read_counters(text)
    name = _free_name(ACCEPTANCE, f"{reading.engine} counters")
    _own(ACCEPTANCE)[name] = reading.vector(name=name)
    return name, reading.notes


def _free_name(shelf: str, stem: str) -> str:
    taken = {*acceptance_names(), *hardware_names(), *tree_names(), *shape_names()}
    stem = "".join(c for c in stem if c.isprintable())[:60] or shelf
    numbered = (f"{stem} ({number})" for number in range(2, MAX_FILES + 2))
    return next(name for name in (stem, *numbered) if name not in taken)


def _library() -> dict[str, dict[str, Any]]:
    return st.session_state.setdefault("library", {shelf: {} for shelf in set(SHELVES.values())})


def _own(shelf: str) -> dict[str, Any]:
    return _library()[shelf]


@st.cache_resource(show_spinner=False, max_entries=128)
def _preset(shelf: str, name: str) -> Any:
    """A bundled preset, read once; names alone are looked up, so a link can name no path."""
    load, names = {
        ACCEPTANCE: (load_acceptance, list_acceptance_presets),
        HARDWARE: (load_hardware, list_hardware_presets),
    }[shelf]
    if name not in names():
        raise InputError(f"There is no {shelf} called {name!r}.")
    return load(name)
