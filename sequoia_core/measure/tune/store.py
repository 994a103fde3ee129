"""The folder of a tuning: finished parts with the settings they were taken under, and results.

A part is written at once or not at all, so a run that is killed leaves finished parts only, and
the next run with the same settings goes on from them.
"""

import hashlib
import io
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sequoia_core.errors import FileFormatError, InputError
from sequoia_core.files import check_number, read_json, reason_of, tagged, write_bytes, write_json
from sequoia_core.plan.acceptance import RULES
from sequoia_core.report.report import HARDWARE_NAME, vector_name

PARTS, SETTINGS, LOCK = "parts", "settings.json", "lock"
REPORT_FILE, PAGE_FILE = "report.json", "report.html"
HARDWARE_FILE, PLAN_FILE, BENCHMARK_FILE = f"{HARDWARE_NAME}.json", "plan.json", "benchmark.json"
RESULTS = (
    HARDWARE_FILE,
    *(f"{vector_name(rule)}.json" for rule in RULES),
    PLAN_FILE,
    BENCHMARK_FILE,
    REPORT_FILE,
    PAGE_FILE,
)
MAX_SECONDS = 1e8


@dataclass(frozen=True, slots=True)
class Part:
    """A finished measurement: its content, the seconds it took, and how long ago it ended."""

    content: Any
    seconds: float
    age_seconds: float

    @property
    def ago(self) -> str:
        """Its age for people."""
        return f"{spell(self.age_seconds)} ago"


def spell(seconds: float) -> str:
    """A span of time in one unit.

    >>> spell(0.2), spell(61), spell(7200), spell(200000)
    ('a moment', '1 minute', '2 hours', '2 days')
    """
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1)):
        count = round(seconds / size)
        if seconds >= size:
            return f"{count} {unit}{'s' if count != 1 else ''}"
    return "a moment"


class Store:
    """Parts and results of one tuning in `folder`. Make one with `open_store`."""

    def __init__(self, folder: Path, fingerprint: str):
        self.folder, self._parts, self._fingerprint = folder, folder / PARTS, fingerprint

    def read(self, name: str) -> Part | None:
        """A finished part, None if there is none yet. Raises FileFormatError for a broken one."""
        path = self._parts / f"{name}.json"
        if not path.exists():
            return None
        content = read_json(path, "tune-part")
        self._check(content.get("settings"), path)
        seconds = _seconds(content.get("seconds"), path)
        return Part(content.get("content"), seconds, _age(path))

    def write(self, name: str, content: Any, seconds: float) -> None:
        """Keep a finished part."""
        fields = {"settings": self._fingerprint, "seconds": seconds, "content": content}
        write_json(self._parts / f"{name}.json", tagged("tune-part", fields))

    def read_arrays(self, name: str) -> Part | None:
        """The same for a part of arrays: its content is a dict of them."""
        path = self._parts / f"{name}.npz"
        if not path.exists():
            return None
        try:
            with np.load(path, allow_pickle=False) as archive:
                arrays = {key: archive[key] for key in archive.files}
            self._check(str(arrays.pop("settings")), path)
            seconds = _seconds(float(arrays.pop("seconds")), path)
        except FileFormatError:
            raise
        except Exception as error:
            # Changed bytes fail in zipfile, zlib or numpy in any of a dozen ways.
            raise _unusable(path, "it cannot be read") from error
        return Part(arrays, seconds, _age(path))

    def write_arrays(self, name: str, arrays: Mapping[str, np.ndarray], seconds: float) -> None:
        """Keep a finished part of arrays."""
        file = io.BytesIO()
        np.savez_compressed(file, settings=self._fingerprint, seconds=seconds, **arrays)
        write_bytes(self._parts / f"{name}.npz", file.getvalue())

    def publish(self, name: str, content: Mapping[str, Any]) -> Path:
        """Write a result as JSON; returns its path."""
        write_json(self.folder / name, content)
        return self.folder / name

    def publish_text(self, name: str, text: str) -> Path:
        """Write a result that is text; returns its path."""
        write_bytes(self.folder / name, text.encode())
        return self.folder / name

    def unusable(self, name: str) -> FileFormatError:
        """The error for a part whose content is not what its stage wrote."""
        return _unusable(self._parts / name, "its content is not what a tuning writes")

    def _check(self, fingerprint: Any, path: Path) -> None:
        if fingerprint != self._fingerprint:
            raise _unusable(path, "it was taken under other settings")


@contextmanager
def open_store(
    folder: str | Path, settings: Mapping[str, Any], *, fresh: bool = False
) -> Iterator[Store]:
    """The store of a folder for these settings, for this process alone while the block runs.

    The folder is made if it is missing. fresh: throw away what an earlier tuning left there, and
    nothing else. Raises InputError where the folder holds parts of other settings, naming the
    differences, where results in it are no tuning's, and where another process is at work in it;
    FileFormatError for broken parts.
    """
    folder = Path(folder)
    parts = folder / PARTS
    try:
        if not (parts / SETTINGS).exists():
            _check_free(folder)
        parts.mkdir(parents=True, exist_ok=True)
        (parts / LOCK).touch()
    except (OSError, ValueError) as error:
        raise InputError(
            f"Cannot write in the folder {folder}: {reason_of(error)}; choose another one with "
            "--out."
        ) from error
    with _alone(parts / LOCK, folder):
        if fresh:
            _clear(folder)
        _sweep(folder)
        _settle(parts / SETTINGS, settings, folder)
        yield Store(folder, fingerprint_of(settings))


def fingerprint_of(settings: Mapping[str, Any]) -> str:
    """A short name for settings: equal for equal ones, whatever their order."""
    text = json.dumps(settings, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _settle(path: Path, settings: Mapping[str, Any], folder: Path) -> None:
    """Note the settings of a new tuning, or compare them with those it was begun with."""
    if not path.exists() or not _parts_of(path.parent):
        # Where nothing was measured there is nothing to mix: a mistyped name is simply mended.
        write_json(path, tagged("tune-settings", {"settings": dict(settings)}))
        return
    begun = read_json(path, "tune-settings").get("settings")
    if not isinstance(begun, dict):
        raise _unusable(path, "it holds no settings")
    differing = [
        f"{name} {_said(begun.get(name))} (now {_said(settings.get(name))})"
        for name in dict.fromkeys([*begun, *settings])
        if begun.get(name) != settings.get(name)
    ]
    if differing:
        raise InputError(
            f"The tuning in {folder} was begun with {', '.join(differing)}: give the same again to "
            "go on from there, another folder to keep both, or --fresh to start over."
        )


def _said(value: Any) -> str:
    """A setting's value, short; none for one that is not given."""
    if value is None or isinstance(value, bool):
        return {None: "none", True: "on", False: "off"}[value]
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _check_free(folder: Path) -> None:
    """Results that no tuning wrote are somebody's: they are not overwritten."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file: give --out a folder.")
    foreign = [name for name in RESULTS if (folder / name).exists()]
    if foreign:
        raise InputError(
            f"{folder} holds a {foreign[0]} that no tuning left there: choose another folder, or "
            "move the file away."
        )


def _clear(folder: Path) -> None:
    """Remove what a tuning leaves, whatever stage it got to."""
    parts = folder / PARTS
    for path in [parts / SETTINGS, *_parts_of(parts), *(folder / name for name in RESULTS)]:
        path.unlink(missing_ok=True)


def _parts_of(parts: Path) -> list[Path]:
    """Everything that was finished, whatever its settings."""
    return [*(path for path in parts.glob("*.json") if path.name != SETTINGS), *parts.glob("*.npz")]


def _sweep(folder: Path) -> None:
    """Remove halves of files that a killed process was writing (`files.write_bytes` names them)."""
    for name in RESULTS:
        for path in folder.glob(f".{name}.*"):
            path.unlink(missing_ok=True)
    for path in (folder / PARTS).glob(".*"):
        path.unlink(missing_ok=True)


@contextmanager
def _alone(path: Path, folder: Path) -> Iterator[None]:
    """Hold the folder's lock, which the system takes back from a process that dies."""
    try:
        import fcntl
    except ImportError:
        # No such locks on this system: two tunings in one folder are then the user's to avoid.
        yield
        return
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(
                f"Another tuning is at work in {folder}: wait for it, or choose another folder."
            ) from error
        except OSError:
            # A file system without locks, as some network drives are.
            yield
            return
        yield
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_UN)


def _seconds(value: Any, path: Path) -> float:
    try:
        return check_number(value, "seconds", low=0, high=MAX_SECONDS)
    except InputError as error:
        raise _unusable(path, str(error).rstrip(".")) from error


def _unusable(path: Path, why: str) -> FileFormatError:
    return FileFormatError(f"{path} cannot be gone on from, {why}: start over with --fresh.")


def _age(path: Path) -> float:
    return max(0.0, time.time() - path.stat().st_mtime)
