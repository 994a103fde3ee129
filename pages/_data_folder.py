"""Where what a visitor makes is kept: a folder of the user's own, which outlives the server."""

import os
import sys
import tempfile
from functools import cache
from pathlib import Path

VARIABLE = "SEQUOIA_DATA"
FOLDER = "sequoia-explorer"


def data_folder() -> Path:
    """$SEQUOIA_DATA, else the user's data folder; a temporary one where neither can be written.

    An empty $SEQUOIA_DATA asks for the temporary one, which goes when the dashboard ends.
    """
    folder = _wished()
    return folder if folder is not None and _writable(folder) else Path(_temporary().name)


def kept_words() -> str:
    """Where things are kept and for how long, in one sentence of Markdown."""
    wished = _wished()
    if wished is None:
        return f"`{VARIABLE}` is empty, so all of it goes when the dashboard ends."
    if not _writable(wished):
        return (
            f"`{_shown(wished)}` cannot be written to, so all of it goes when the dashboard ends."
        )
    return f"All of it is kept in `{_shown(wished)}` on this machine until you delete it."


def _wished() -> Path | None:
    named = os.environ.get(VARIABLE)
    if named is not None:
        return Path(named).expanduser().absolute() if named.strip() else None
    if sys.platform == "darwin":
        return _home() / "Library" / "Application Support" / FOLDER
    usual = os.environ.get("XDG_DATA_HOME", "")
    return (Path(usual) if usual.startswith("/") else _home() / ".local" / "share") / FOLDER


def _home() -> Path:
    return Path("~").expanduser()


def _writable(folder: Path) -> bool:
    """Whether it is a folder to write in, or could be made; nothing is made by asking."""
    try:
        nearest = next(each for each in (folder, *folder.parents) if each.exists())
    except OSError:
        return False
    return nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)


@cache
def _temporary() -> tempfile.TemporaryDirectory:
    return tempfile.TemporaryDirectory(prefix=f"{FOLDER}-")


def _shown(folder: Path) -> str:
    """The path as a user writes it."""
    home = _home()
    return f"~/{folder.relative_to(home)}" if folder.is_relative_to(home) else str(folder)
