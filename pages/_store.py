"""What visitors make and add, as JSON files by kind and name, for all sessions and restarts.

No streamlit: the worker's thread keeps here what it has made, whether or not its visitor is still
there. Files are those that pages offer for download and can be read, replaced and deleted by hand.
"""

import threading
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from sequoia_core.errors import FileFormatError, InputError
from sequoia_core.files import MAX_BYTES, write_bytes

ACCEPTANCE, HARDWARE, TREES, SHAPES = "acceptance", "hardware", "trees", "shapes"
COMPARISONS, RUNS = "comparisons", "runs"
INPUTS = (ACCEPTANCE, HARDWARE, TREES, SHAPES)
MAX_NAME, MAX_NAME_BYTES = 60, 180
# What file systems do not take in a name, and what would hide in it.
UNFIT = frozenset('/\\:*?"<>|%')
# Names are chosen and taken in one go.
_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Limit:
    """How many files of a kind are kept and shown, and how large one may be."""

    most: int
    most_bytes: int


LIMITS = dict.fromkeys(INPUTS, Limit(32, 5_000_000)) | {
    COMPARISONS: Limit(20, MAX_BYTES),
    RUNS: Limit(20, MAX_BYTES),
}


@dataclass(frozen=True, slots=True)
class Store:
    """The files below one folder, which is made when something is first kept in it."""

    root: Path

    def names(self, kind: str) -> list[str]:
        """The newest of this kind, the very newest last."""
        return self._all(kind)[-LIMITS[kind].most :]

    def stamp(self, kind: str, name: str) -> tuple[str, int, int]:
        """The file's path and what changes with its content; FileFormatError if there is none."""
        path = self._path(kind, name)
        try:
            stat = path.stat()
        except OSError as error:
            raise FileFormatError(f"{path.name} is not among the kept files any more.") from error
        return str(path), stat.st_mtime_ns, stat.st_size

    def read(self, kind: str, name: str) -> bytes:
        """The file's bytes. Raises FileFormatError for one that is missing or too large."""
        path, _, size = self.stamp(kind, name)
        most = LIMITS[kind].most_bytes
        if size > most:
            raise FileFormatError(
                f"{path} has {size / 1e6:.1f} MB, and at most {most / 1e6:.0f} are read."
            )
        try:
            return Path(path).read_bytes()
        except OSError as error:
            raise FileFormatError(f"Cannot read {path}: {error.strerror or error}.") from error

    def put(self, kind: str, stem: str, data: bytes, *, taken: Collection[str] = ()) -> str:
        """Keep `data` under a name near `stem`, none of `taken`; returns the name.

        Raises InputError where the kind is full, or the data too large to be read back.
        """
        _check_size(kind, stem, data)
        most = LIMITS[kind].most
        if len(self.names(kind)) >= most:
            raise InputError(f"{most} files of {kind} are kept, the most there may be: delete one.")
        name = self._take(kind, stem, taken)
        try:
            write_bytes(self._path(kind, name), data)
        except InputError:
            self._path(kind, name).unlink(missing_ok=True)
            raise
        return name

    def same(self, kind: str, stem: str, data: bytes) -> str | None:
        """The name under which these very bytes are kept already, if it is near `stem`."""
        stem = printable(stem) or kind
        for name in self.names(kind):
            near = name == stem or name.startswith(f"{stem} (")
            if near and self.stamp(kind, name)[2] == len(data) and self.read(kind, name) == data:
                return name
        return None

    def put_newest(self, kind: str, stem: str, data: bytes) -> str:
        """As `put`, but where the kind is full the oldest goes."""
        _check_size(kind, stem, data)
        kept = self._all(kind)
        for name in kept[: max(len(kept) - LIMITS[kind].most + 1, 0)]:
            self.delete(kind, name)
        return self.put(kind, stem, data)

    def replace(self, kind: str, name: str, data: bytes) -> str:
        """Other content for a kept name, kept anew where that is gone. Returns its name."""
        if name not in self.names(kind):
            return self.put(kind, name, data)
        write_bytes(self._path(kind, name), data)
        return name

    def rename(self, kind: str, name: str, wished: str) -> str:
        """Give one another name near `wished`; returns it. An empty wish changes nothing."""
        if not wished.strip() or wished.strip() == name:
            return name
        new = self._take(kind, wished)
        try:
            self._path(kind, name).replace(self._path(kind, new))
        except OSError as error:
            self.delete(kind, new)
            raise InputError(f"“{name}” cannot be renamed: {error.strerror or error}.") from error
        return new

    def delete(self, kind: str, name: str) -> None:
        """Forget one; it may be gone already. Raises InputError where it cannot go."""
        path = self._path(kind, name)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise InputError(f"Cannot delete {path}: {error.strerror or error}.") from error

    def _take(self, kind: str, stem: str, taken: Collection[str] = ()) -> str:
        """A free name, held by an empty file until its content comes."""
        stem = printable(stem) or kind
        folder = self.root / kind
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with _lock:
                for name in (stem, *(f"{stem} ({number})" for number in range(2, 1000))):
                    path = self._path(kind, name)
                    if name not in taken and not path.exists():
                        path.touch(exist_ok=False)
                        return name
        except OSError as error:
            raise InputError(f"Cannot write to {folder}: {error.strerror or error}.") from error
        raise InputError(f"There are 999 files called “{stem}” already: choose another name.")

    def _all(self, kind: str) -> list[str]:
        """Names of all files of this kind by age, those beyond the limit included."""
        found = []
        for path in (self.root / kind).glob("*.json"):
            name = unquote(path.name.removesuffix(".json"))
            try:
                stat = path.stat()
            except OSError:
                continue  # Deleted this very moment by another tab.
            # An empty one is a name taken, whose content is on its way.
            if stat.st_size and path.is_file() and self._path(kind, name) == path:
                found.append((stat.st_mtime_ns, name))
        return [name for _, name in sorted(found)]

    def _path(self, kind: str, name: str) -> Path:
        safe = "".join(f"%{ord(c):02X}" if c in UNFIT else c for c in name)
        if safe.startswith("."):
            safe = f"%2E{safe[1:]}"
        return self.root / kind / f"{safe}.json"


def _check_size(kind: str, stem: str, data: bytes) -> None:
    most = LIMITS[kind].most_bytes
    if len(data) > most:
        raise InputError(
            f"“{stem}” has {len(data) / 1e6:.1f} MB, and at most {most / 1e6:.0f} are kept."
        )


def printable(name: str) -> str:
    """The name as it can be shown and be a file's: at most 60 characters and 180 bytes of it."""
    shown = "".join(c for c in name if c.isprintable()).strip()[:MAX_NAME]
    return shown.encode()[:MAX_NAME_BYTES].decode(errors="ignore").strip()
