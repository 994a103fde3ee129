"""JSON files that say what they are: format check on reading, atomic replacement on writing.

Reading trusts nothing. A file that is missing, too large, broken, of another kind or of another
version is a FileFormatError in one sentence, and so is a bad value in it (`naming`).
"""

import json
import math
import os
import reprlib
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sequoia_core.errors import FileFormatError, InputError

VERSION = 1
# The most that is read of a file, from a disk or an upload: room for the longest comparison.
MAX_BYTES = 40_000_000
# Whole numbers beyond it are none that a float can be.
LARGEST = 10**300
MAX_TEXT = 2000

Value = TypeVar("Value")


def tagged(kind: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The file's content: `fields` headed by the format tag and version of `kind`.

    >>> tagged("plan", {"budget": 4})
    {'format': 'sequoia-plan', 'version': 1, 'budget': 4}
    """
    return {"format": f"sequoia-{kind}", "version": VERSION, **fields}


def check_tag(content: Any, kind: str, source: str) -> dict[str, Any]:
    """Return `content` if it is a JSON object of the format `sequoia-<kind>`, version 1.

    `source` names the file in the error. Raises FileFormatError.
    """
    expected = f"sequoia-{kind}"
    if not isinstance(content, dict):
        raise FileFormatError(f"{source} must hold one JSON object, got {type(content).__name__}.")
    if content.get("format") != expected:
        found = shown(content.get("format", "no format field"))
        raise FileFormatError(f"{source} is not a {expected} file: its format is {found}.")
    if content.get("version") != VERSION or isinstance(content.get("version"), bool):
        raise FileFormatError(
            f"{source} has {expected} version {shown(content.get('version'))}, but only version "
            f"{VERSION} can be read."
        )
    return content


def parse_json(text: str | bytes, source: str) -> Any:
    """Parse JSON text in which no object has a field twice.

    FileFormatError names `source`, and where the text breaks off the line and the column. NaN and
    Infinity pass, so that the check of the number can name its field.
    """
    try:
        return json.loads(text, object_pairs_hook=_object_of)
    except _TwiceError as error:
        raise FileFormatError(f"{source} has the field {error} twice in one object.") from error
    except UnicodeDecodeError as error:
        raise FileFormatError(f"{source} is not JSON text in UTF-8.") from error
    except RecursionError as error:
        raise _too_deep(source) from error
    except json.JSONDecodeError as error:
        raise FileFormatError(
            f"{source} is not valid JSON: {error.msg} at line {error.lineno}, column {error.colno}."
        ) from error
    except ValueError as error:
        raise FileFormatError(f"{source} holds a whole number of thousands of digits.") from error


class _TwiceError(Exception):
    """The name of a field of which only the last value would be seen."""


def _object_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))
        raise _TwiceError(shown(twice))
    return content


@contextmanager
def naming(source: str | Path) -> Iterator[None]:
    """Head errors about a file's content by the file's name, as FileFormatErrors."""
    try:
        yield
    except (InputError, FileFormatError) as error:
        raise FileFormatError(f"{source}: {error}") from error
    except RecursionError as error:
        # What could just be parsed may still be too deep to be looked at, or shown in an error.
        raise _too_deep(source) from error


def _too_deep(source: str | Path) -> FileFormatError:
    return FileFormatError(f"{source} holds lists in lists, too many to be read.")


def read_bytes(path: str | Path, most: int | None = None) -> bytes:
    """A whole file of at most so many bytes, MAX_BYTES by default.

    No more is read of one that has no end. FileFormatError if it is missing, larger or a folder.
    """
    most = MAX_BYTES if most is None else most
    try:
        with Path(path).open("rb") as file:
            data = file.read(most + 1)
            size = os.fstat(file.fileno()).st_size
    except (OSError, ValueError) as error:
        raise FileFormatError(f"Cannot read {path}: {reason_of(error)}.") from error
    _check_size(max(size, len(data)), path, most)
    return data


def reason_of(error: OSError | ValueError) -> str:
    """Why a path could not be opened, as the end of a sentence."""
    if isinstance(error, FileNotFoundError):
        return "it does not exist"
    if isinstance(error, IsADirectoryError):
        return "it is a folder, not a file"
    return getattr(error, "strerror", None) or "it cannot be the name of a file"


def _check_size(size: int, source: str | Path, most: int) -> None:
    if size > most:
        raise FileFormatError(
            f"{source} has {size / 1e6:.1f} MB, and at most {most / 1e6:.0f} are read."
        )


def read_json(path: str | Path, kind: str) -> dict[str, Any]:
    """Read a `sequoia-<kind>` file; FileFormatError if it is missing, broken or another kind."""
    return check_tag(parse_json(read_bytes(path), str(path)), kind, str(path))


def read_as(path: str | Path, kind: str, build: Callable[[dict[str, Any]], Value]) -> Value:
    """What `build` makes of a `sequoia-<kind>` file; FileFormatError names file and field."""
    content = read_json(path, kind)
    with naming(path):
        return build(content)


def parse_as(
    data: bytes, source: str, kind: str, build: Callable[[dict[str, Any]], Value]
) -> Value:
    """What `build` makes of a file's bytes, as read_as; `source` is the file's name."""
    _check_size(len(data), source, MAX_BYTES)
    content = check_tag(parse_json(data, source), kind, source)
    with naming(source):
        return build(content)


def write_json(path: str | Path, content: Mapping[str, Any]) -> None:
    """Replace `path` by `content` at once: a reader sees the old file or the new, never a part.

    Raises InputError if the folder is missing or cannot be written to.
    """
    lines = [f"{_dump(str(field))}: {_dump(value)}" for field, value in content.items()]
    write_bytes(path, ("{\n " + ",\n ".join(lines) + "\n}\n").encode())


def write_bytes(path: str | Path, data: bytes) -> None:
    """Replace `path` by `data` at once, as write_json does; InputError if it cannot be written."""
    with _writing(path) as target:
        if target.exists() and not target.is_file():
            # A pipe, or a device such as /dev/null, which a new file must not take the place of.
            target.write_bytes(data)
        else:
            _replace(target, data)


def check_writable(path: str | Path) -> None:
    """Refuse an output file that could not be written, before long work is done for it.

    Raises InputError.
    """
    with _writing(path) as target:
        if not target.exists() or target.is_file():
            descriptor, temporary = _beside(target)
            os.close(descriptor)
            temporary.unlink()


@contextmanager
def _writing(path: str | Path) -> Iterator[Path]:
    """Where a link leads, to be written; what is wrong with it becomes an InputError."""
    try:
        target = Path(os.path.realpath(path))
        if target.is_dir():
            raise InputError(f"Cannot write {path}: it is a folder; name a file in it.")
        yield target
    except FileNotFoundError as error:
        raise InputError(f"Cannot write {path}: its folder does not exist.") from error
    except (OSError, ValueError) as error:
        raise InputError(f"Cannot write {path}: {reason_of(error)}.") from error


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _beside(path: Path) -> tuple[int, Path]:
    """A new file in the same folder, open for writing."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    return descriptor, Path(temporary)


def _replace(path: Path, data: bytes) -> None:
    descriptor, temporary = _beside(path)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp's mode is private to the owner; a result is meant to be shared.
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def check_number(
    value: Any, field: str, *, low: float = -math.inf, high: float = math.inf
) -> float:
    """A finite number within [low, high] as float; InputError names the field otherwise."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"{field} must be a number, got {shown(value)}.")
    if isinstance(value, int) and abs(value) > LARGEST:
        raise InputError(f"{field} must be finite, got a whole number of {len(str(value))} digits.")
    if not math.isfinite(value):
        raise InputError(f"{field} must be finite, got {value}.")
    if not low <= value <= high:
        raise InputError(f"{field} must be {_range(low, high)}, got {value:g}.")
    return float(value)


def check_integer(value: Any, field: str, *, low: int, high: int) -> int:
    """A whole number within low..high; InputError names the field, the value and the limits."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise InputError(f"{field} must be a whole number, got {shown(value)}.")
    if not low <= value <= high:
        raise InputError(f"{field} must be between {low} and {high}, got {shown(value)}.")
    return int(value)


def check_text(value: Any, field: str, high: int = MAX_TEXT) -> str:
    """A text of at most `high` characters, all of which UTF-8 has; InputError names the field."""
    if not isinstance(value, str) or len(value) > high:
        raise InputError(f"{field} must be a text of at most {high} characters.")
    # Half of a surrogate pair can stand in JSON, and then be neither printed nor written.
    if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
        raise InputError(f"{field} must be text in UTF-8, and it holds half a character.")
    return value


def check_list(value: Any, field: str, *, low: int, high: int) -> list[Any]:
    """A list with low..high entries; InputError names the field otherwise."""
    if not isinstance(value, list | tuple):
        raise InputError(f"{field} must be a list, got {shown(value)}.")
    if not low <= len(value) <= high:
        raise InputError(f"{field} must have {low} to {high} entries, got {len(value)}.")
    return list(value)


def check_object(value: Any, field: str) -> dict[str, Any]:
    """An object of JSON; InputError names the field otherwise."""
    if not isinstance(value, dict):
        raise InputError(f"{field} must be an object, got {type(value).__name__}.")
    return value


def check_choice(value: Any, field: str, known: Collection[str]) -> str:
    """One of the texts that are `known`; InputError names the field and lists them otherwise."""
    if not isinstance(value, str) or value not in known:
        raise InputError(f"{field} must be one of {', '.join(known)}, got {shown(value)}.")
    return value


def check_flag(value: Any, field: str) -> bool:
    """True or false; InputError names the field otherwise."""
    if not isinstance(value, bool):
        raise InputError(f"{field} must be true or false, got {shown(value)}.")
    return value


def field_of(content: Any, field: str, within: str = "") -> Any:
    """A field that must be there; InputError names it. `within` heads its name: "steps[0]."."""
    if not isinstance(content, Mapping) or field not in content:
        raise InputError(f"the field '{within}{field}' is missing.")
    return content[field]


def _range(low: float, high: float) -> str:
    if high == math.inf:
        return f"at least {low:g}"
    if low == -math.inf:
        return f"at most {high:g}"
    return f"between {low:g} and {high:g}"


def shown(value: Any) -> str:
    """A value as errors show it, however long or deep it is: at most 40 characters."""
    text = str(value) if hasattr(value, "__index__") else _SHOWN.repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


_SHOWN = reprlib.Repr()
_SHOWN.maxstring = _SHOWN.maxlong = _SHOWN.maxother = 80
