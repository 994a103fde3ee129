"""Where the bundled files are: models, acceptance vectors, hardware profiles, prompts."""

from pathlib import Path

from sequoia_core.errors import FileFormatError, InputError

ASSETS = Path(__file__).resolve().parent.parent / "assets"


def asset(relative: str) -> Path:
    """Path of a bundled file or folder; FileFormatError if this copy lacks it."""
    path = ASSETS / relative
    if not path.exists():
        raise FileFormatError(
            f"The bundled asset {relative!r} is missing from {ASSETS}; restore the repository's "
            "assets folder."
        )
    return path


def preset_names(folder: str) -> list[str]:
    """Names of the JSON presets in assets/<folder>, sorted; empty if the folder is missing."""
    return sorted(path.stem for path in (ASSETS / folder).glob("*.json"))


def find_preset(name_or_path: str | Path, folder: str) -> Path:
    """The file that a preset's name or a path means; a preset's name wins.

    Raises InputError, listing the presets, if it is neither.
    """
    text = str(name_or_path).strip()
    names = preset_names(folder)
    if text in names:
        return ASSETS / folder / f"{text}.json"
    if text and _is_file(text):
        return Path(text)
    known = ", ".join(names) or "none in this copy"
    raise InputError(f"No {folder} preset or file is called {text!r}; presets are: {known}.")


def _is_file(text: str) -> bool:
    """Whether the text names a file; text that no file system would take names none."""
    try:
        return Path(text).is_file()
    except (OSError, ValueError):
        return False
