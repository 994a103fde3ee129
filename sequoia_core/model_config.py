"""A model's config.json, as Hugging Face writes it: found, read, and its sizes checked."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sequoia_core.errors import FileFormatError, InputError
from sequoia_core.files import check_integer, parse_json, read_bytes

MAX_SIZE = 10**7


def find_config(text: str) -> Path | None:
    """The file that a path means, itself or in a model's folder; None where there is none."""
    try:
        path = Path(text).expanduser()
        path = path / "config.json" if path.is_dir() else path
        return path if text and path.is_file() else None
    except (OSError, ValueError, RuntimeError):
        # Text that no file system would take, or the home of a user who is not here.
        return None


def read_config(path: Path) -> dict[str, Any]:
    """The file's content. Raises FileFormatError."""
    config = parse_json(read_bytes(path), str(path))
    if not isinstance(config, dict):
        raise FileFormatError(f"{path} must hold one JSON object, as a model's config.json does.")
    return config


def model_name(path: Path) -> str:
    """What to call the model: its folder's name, for the file is called alike in all of them."""
    return path.absolute().parent.name if path.name == "config.json" else path.stem


def size_of(config: Mapping[str, Any], field: str, default: int | None = None) -> int:
    """A size from 1 to MAX_SIZE, by default where the file has none. InputError names the field."""
    value = config.get(field)
    if value is None and default is None:
        raise InputError(f"the field '{field}' is missing.")
    return check_integer(default if value is None else value, field, low=1, high=MAX_SIZE)
