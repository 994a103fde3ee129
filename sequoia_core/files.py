"""JSON files that say what they are: format check on reading, atomic replacement on writing."""

import json
import math
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sequoia_core.errors import FileFormatError, InputError

VERSION = 1
# Whole numbers beyond it are none that a float can be.
LARGEST = 10**300


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
        found = _short(content.get("format", "no format field"))
        raise FileFormatError(f"{source} is not a {expected} file: its format is {found}.")
    if content.get("version") != VERSION or isinstance(content.get("version"), bool):
        raise FileFormatError(
            f"{source} has {expected} version {_short(content.get('version'))}, but only version "
            f"{VERSION} can be read."
        )
    return content


def parse_json(text: str | bytes, source: str) -> Any:
    """Parse JSON text; FileFormatError names `source`, the line and the column."""
    try:
        return json.loads(text)
    except (UnicodeDecodeError, RecursionError) as error:
        raise FileFormatError(f"{source} is not JSON text in UTF-8.") from error
    except json.JSONDecodeError as error:
        raise FileFormatError(
            f"{source} is not valid JSON: {error.msg} at line {error.lineno}, column {error.colno}."
        ) from error
    except ValueError as error:
        raise FileFormatError(f"{source} holds a whole number of thousands of digits.") from error


def read_json(path: str | Path, kind: str) -> dict[str, Any]:
    """Read a `sequoia-<kind>` file; FileFormatError if it is missing, broken or another kind."""
    try:
        text = Path(path).read_bytes()
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        reason = "it does not exist" if missing else error.strerror or "it is unreadable"
        raise FileFormatError(f"Cannot read {path}: {reason}.") from error
    return check_tag(parse_json(text, str(path)), kind, str(path))


def write_json(path: str | Path, content: Mapping[str, Any]) -> None:
    """Replace `path` by `content` at once: a reader sees the old file or the new, never a part.

    Raises InputError if the folder is missing or cannot be written to.
    """
    lines = [f"{_dump(str(field))}: {_dump(value)}" for field, value in content.items()]
    write_bytes(path, ("{\n " + ",\n ".join(lines) + "\n}\n").encode())


def write_bytes(path: str | Path, data: bytes) -> None:
    """Replace `path` by `data` at once, as write_json does; InputError if it cannot be written."""
    try:
        _replace(Path(path), data)
    except OSError as error:
        raise InputError(f"Cannot write {path}: {error.strerror or error}.") from error


def check_writable(path: str | Path) -> None:
    """Refuse an output file whose folder is missing, before long work is done for it.

    Raises InputError.
    """
    path = Path(path)
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise InputError(f"Cannot write {path}: its folder must exist, and it must be a file.")


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _replace(path: Path, data: bytes) -> None:
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp's mode is private to the owner; a result is meant to be shared.
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def check_number(
    value: Any, field: str, *, low: float = -math.inf, high: float = math.inf
) -> float:
    """A finite number within [low, high] as float; InputError names the field otherwise."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"{field} must be a number, got {_short(value)}.")
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
        raise InputError(f"{field} must be a whole number, got {_short(value)}.")
    if not low <= value <= high:
        raise InputError(f"{field} must be between {low} and {high}, got {value}.")
    return int(value)


def check_text(value: Any, field: str) -> str:
    """A string of at most 2,000 characters; InputError names the field otherwise."""
    if not isinstance(value, str) or len(value) > 2000:
        raise InputError(f"{field} must be a text of at most 2000 characters.")
    return value


def check_list(value: Any, field: str, *, low: int, high: int) -> list[Any]:
    """A list with low..high entries; InputError names the field otherwise."""
    if not isinstance(value, list | tuple):
        raise InputError(f"{field} must be a list, got {_short(value)}.")
    if not low <= len(value) <= high:
        raise InputError(f"{field} must have {low} to {high} entries, got {len(value)}.")
    return list(value)


def _range(low: float, high: float) -> str:
    if high == math.inf:
        return f"at least {low:g}"
    if low == -math.inf:
        return f"at most {high:g}"
    return f"between {low:g} and {high:g}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
