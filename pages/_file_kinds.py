"""Files that a visitor may add: what kind one is, what it holds, and how each part is kept."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from pages._store import ACCEPTANCE, HARDWARE, SHAPES, TREES
from sequoia_core.errors import FileFormatError
from sequoia_core.files import check_tag, naming, parse_json, shown, tagged
from sequoia_core.plan.acceptance import acceptance_from_dict
from sequoia_core.plan.hardware import hardware_from_dict
from sequoia_core.plan.model_shape import shape_from_config
from sequoia_core.plan.plan import plan_from_dict
from sequoia_core.report.report import Report, report_from_dict
from sequoia_core.tree.formats import from_growmap, from_paths, to_growmap

PATHS, CONFIG, REPORT = "paths", "config", "report"
# Files of others, which have no format tag.
UNTAGGED = (PATHS, CONFIG)
# Files that other pages take.
ELSEWHERE = {"benchmark": "Compare", "trace": "Explore"}
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
    REPORT: report_from_dict,
}


@dataclass(frozen=True, slots=True)
class Part:
    """What one file holds of one shelf: the name wished, the value, and the bytes to keep."""

    shelf: str
    stem: str
    value: Any
    data: bytes


def part(shelf: str, stem: str, value: Any) -> Part:
    """A vector, a profile or a tree as it is kept: in the format that pages offer and take."""
    content = tagged("growmap", to_growmap(value)) if shelf == TREES else value.to_dict()
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Part(shelf, stem, value, text.encode())


def told(file_name: str, data: bytes) -> list[Part]:
    """All that a file holds. Raises FileFormatError, with the field, for what is none of ours."""
    content = parse_json(data, file_name)
    kind = _kind(content, file_name)
    if kind not in UNTAGGED:
        check_tag(content, kind, file_name)
    with naming(file_name):
        value = READERS[kind](content)
    if kind == REPORT:
        return _parts(value)
    stem = _stem(file_name, content)
    if kind == CONFIG:
        return [Part(SHAPES, stem, value, data)]
    return [part(SHELVES[kind], stem, value)]


def page_for(data: bytes, *, here: str) -> str:
    """A sentence that names the page which takes a file of this kind; empty for the kind `here`."""
    try:
        content = parse_json(data, "")
    except FileFormatError:
        return ""
    kind = str(content.get("format")).removeprefix("sequoia-") if isinstance(content, dict) else ""
    page = ELSEWHERE.get(kind) or ("Plan" if kind in READERS and kind not in UNTAGGED else "")
    return f" The page {page} takes it." if page and kind != here else ""


def _parts(report: Report) -> list[Part]:
    """A report's profile and vectors, and its tree where it speculates."""
    found = [
        part(HARDWARE, report.name, report.hardware),
        *(part(ACCEPTANCE, f"{report.name} {rule}", v) for rule, v in report.vectors.items()),
    ]
    if report.plan.speculates:
        found.append(part(TREES, f"{report.name} tree", report.plan.tree))
    return found


def _kind(content: Any, file_name: str) -> str:
    if isinstance(content, list):
        return PATHS
    tag = content.get("format") if isinstance(content, dict) else None
    if tag is None and isinstance(content, dict) and "model_type" in content:
        return CONFIG
    kind = str(tag).removeprefix("sequoia-")
    if kind not in READERS or kind in UNTAGGED:
        known = ", ".join(f"sequoia-{name}" for name in READERS if name not in UNTAGGED)
        raise FileFormatError(
            f"{file_name} is none of the files that planning takes ({known}, a list of paths, a "
            f"model's config.json): its format is {shown(tag)}."
            + (f" The page {ELSEWHERE[kind]} takes it." if kind in ELSEWHERE else "")
        )
    return kind


def _stem(file_name: str, content: Any) -> str:
    """The file's own name; of a config.json, as all of them are called, the model's in it."""
    own = PurePath(file_name).stem
    named = content.get("_name_or_path") if own == "config" and isinstance(content, dict) else None
    return str(named or own).rpartition("/")[2] or own
