"""Files that a session may add: what kind one is, which shelf it belongs to, and what it holds."""

from collections.abc import Callable
from pathlib import PurePath
from typing import Any

from sequoia_core.errors import FileFormatError, InputError
from sequoia_core.files import check_tag, parse_json
from sequoia_core.plan.acceptance import acceptance_from_dict
from sequoia_core.plan.hardware import hardware_from_dict
from sequoia_core.plan.model_shape import shape_from_config
from sequoia_core.plan.plan import plan_from_dict
from sequoia_core.tree.formats import from_growmap, from_paths

ACCEPTANCE, HARDWARE, TREES, SHAPES = "acceptance", "hardware", "trees", "shapes"
PATHS, CONFIG = "paths", "config"
# Files of others, which have no format tag.
UNTAGGED = (PATHS, CONFIG)
SHELVES = {
    "acceptance": ACCEPTANCE,
    "hardware": HARDWARE,
    "plan": TREES,
    "growmap": TREES,
    PATHS: TREES,
    CONFIG: SHAPES,
}
READERS: dict[str, Callable[[Any], Any]] = {
    "acceptance": acceptance_from_dict,
    "hardware": hardware_from_dict,
    "plan": lambda content: plan_from_dict(content).tree,
    "growmap": from_growmap,
    PATHS: from_paths,
    CONFIG: shape_from_config,
}


def told(file_name: str, data: bytes) -> tuple[str, Any]:
    """Which shelf a file belongs to, and what it holds."""
    content = parse_json(data, file_name)
    kind = _kind(content, file_name)
    if kind not in UNTAGGED:
        check_tag(content, kind, file_name)
    try:
        return SHELVES[kind], READERS[kind](content)
    except (InputError, FileFormatError) as error:
        raise FileFormatError(f"{file_name}: {error}") from error


def _kind(content: Any, file_name: str) -> str:
    if isinstance(content, list):
        return PATHS
    tag = content.get("format") if isinstance(content, dict) else None
    if tag is None and isinstance(content, dict) and "model_type" in content:
        return CONFIG
    kind = str(tag).removeprefix("sequoia-")
    if kind not in SHELVES or kind in UNTAGGED:
        known = ", ".join(f"sequoia-{name}" for name in SHELVES if name not in UNTAGGED)
        raise FileFormatError(
            f"{file_name} is none of the files that planning takes ({known}, a list of paths, a "
            f"model's config.json): its format is {tag!r}."
        )
    return kind


def stem(file_name: str, data: bytes) -> str:
    """The file's own name; of a config.json, as all of them are called, the model's in it."""
    own = PurePath(file_name).stem
    content = parse_json(data, file_name) if own == "config" else None
    named = content.get("_name_or_path") if isinstance(content, dict) else None
    return str(named or own).rpartition("/")[2] or own
