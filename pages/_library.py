"""What can be planned with: the bundled presets, and what was added on this machine."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import streamlit as st

from pages._data_folder import data_folder
from pages._file_kinds import Part, part, told
from pages._store import ACCEPTANCE, HARDWARE, INPUTS, LIMITS, SHAPES, TREES, Store
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

MAX_BYTES, MAX_FILES = LIMITS[ACCEPTANCE].most_bytes, LIMITS[ACCEPTANCE].most


def store() -> Store:
    """The files that outlive sessions."""
    return Store(data_folder())


def acceptance_names() -> list[str]:
    """Vectors to choose from: the presets, then those added."""
    return [*list_acceptance_presets(), *_own(ACCEPTANCE)]


def hardware_names() -> list[str]:
    """Profiles to choose from: the presets, then those added."""
    return [*list_hardware_presets(), *_own(HARDWARE)]


def tree_names() -> list[str]:
    """Trees that were added."""
    return _own(TREES)


def acceptance(name: str) -> AcceptanceVector:
    """The vector of this name; a SequoiaError if there is none or it cannot be read."""
    return _added(ACCEPTANCE, name) if is_own(ACCEPTANCE, name) else _preset(ACCEPTANCE, name)


def hardware(name: str) -> HardwareProfile:
    """The profile of this name; a SequoiaError if there is none or it cannot be read."""
    return _added(HARDWARE, name) if is_own(HARDWARE, name) else _preset(HARDWARE, name)


def tree(name: str) -> TokenTree | None:
    """The tree of this name, None if none was added; a SequoiaError if it cannot be read."""
    return _added(TREES, name) if is_own(TREES, name) else None


def shape_names() -> list[str]:
    """Models' shapes to choose from: the bundled, then those added."""
    return [*list_shapes(), *_own(SHAPES)]


def shape(name: str) -> ModelShape:
    """The shape of this name; a SequoiaError if there is none."""
    if is_own(SHAPES, name):
        return _added(SHAPES, name)
    if name not in list_shapes():
        raise InputError(f"There is no shape called {name!r}.")
    return load_shape(name)


def add_file(file_name: str, data: bytes) -> list[tuple[str, str]]:
    """Take in a vector, a profile, a plan, growmap, path list, a model's config.json, or all that
    a report holds.

    Returns (shelf, name) of each part. Nothing of an earlier file is lost: an equal name gets a
    number, unless the content is equal too. Raises FileFormatError, with the field, for the rest.
    """
    if len(data) > MAX_BYTES:
        raise FileFormatError(
            f"{file_name} has {len(data) / 1e6:.1f} MB, and at most {MAX_BYTES / 1e6:.0f} are read."
        )
    parts = told(file_name, data)
    check_room(len(parts))
    return [(each.shelf, _keep(store(), each)) for each in parts]


def profile_keeper() -> Callable[[HardwareProfile, str], str]:
    """What takes in a profile that was measured here, on the worker's thread; returns its name."""
    kept = store()
    return lambda profile, stem: _keep(kept, part(HARDWARE, stem, profile))


def add_profile(profile: HardwareProfile, stem: str) -> str:
    """Take in a profile that was modelled here; returns the name it got. Raises InputError."""
    check_room(1)
    return _keep(store(), part(HARDWARE, stem, profile))


def add_counters(text: str) -> tuple[str, tuple[str, ...]]:
    """Take in what a serving engine counted. Returns the vector's name and what to know of it.

    Raises InputError where no engine's counters are found or they contradict each other.
    """
    reading = read_counters(text)
    check_room(1)
    stem = f"{reading.engine} counters"
    return _keep(store(), part(ACCEPTANCE, stem, reading.vector(name=stem))), reading.notes


def own_names() -> list[tuple[str, str]]:
    """(shelf, name) of all that was added."""
    return [(shelf, name) for shelf in INPUTS for name in _own(shelf)]


def is_own(shelf: str, name: str) -> bool:
    """Whether it was added, so that it may be deleted."""
    return name in _own(shelf)


def delete(shelf: str, name: str) -> None:
    """Forget one that was added; presets stay. Raises InputError where it cannot go."""
    if is_own(shelf, name):
        store().delete(shelf, name)


def _keep(kept: Store, new: Part) -> str:
    """A name that is no preset's and on no shelf, since a note names it without its shelf."""
    if name := kept.same(new.shelf, new.stem, new.data):
        return name
    taken = {*_presets(), *(name for shelf in INPUTS for name in kept.names(shelf))}
    return kept.put(new.shelf, new.stem, new.data, taken=taken)


def check_room(count: int) -> None:
    """Raise InputError unless so many more files may be added."""
    if len(own_names()) + count > MAX_FILES:
        raise InputError(
            f"{MAX_FILES} added files are kept, the most there may be: delete some under “Added "
            "files” first."
        )


def _presets() -> set[str]:
    return {*list_acceptance_presets(), *list_hardware_presets(), *list_shapes()}


def _own(shelf: str) -> list[str]:
    return [name for name in store().names(shelf) if name not in _presets()]


def _added(shelf: str, name: str) -> Any:
    """What was added under this name. Raises FileFormatError for a file that no longer fits."""
    return _parsed(shelf, name, *store().stamp(shelf, name))


@st.cache_resource(show_spinner=False, max_entries=2 * MAX_FILES)
def _parsed(shelf: str, name: str, path: str, changed: int, size: int) -> Any:
    """The value in a kept file, read again only once the file has changed."""
    found = told(path, store().read(shelf, name))
    if [each.shelf for each in found] != [shelf]:
        raise FileFormatError(f"{path} is not what its folder is for: move it or delete it.")
    value = found[0].value
    return value if shelf == TREES else replace(value, name=name)


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
