"""Statistics of single requests in a text: JSON responses, JSON lines, event streams, log lines."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from sequoia_core.errors import InputError
from sequoia_core.files import check_integer, check_list

MAX_LENGTH = 1024
MAX_COUNT = 10**12
MAX_DEPTH = 64


def request_fields(text: str, marks: Sequence[str], fields: Sequence[str]) -> list[dict[str, Any]]:
    """The objects that hold one of the fields `marks`, cut down to `fields`, one a request.

    Chunks of one stream repeat a request's running totals: of objects with the same id and place
    the last counts. Text that is no JSON is searched for `"field": value`, which finds the Python
    dictionaries that servers log.
    """
    found: dict[Any, dict[str, Any]] = {}
    rest = []
    for number, (value, source) in enumerate(_documents(text)):
        if source is not None:
            rest.append(source)
            continue
        for place, owner, item in _objects(value):
            if any(mark in item for mark in marks):
                key = (owner, place) if owner else (number, place)
                found[key] = {name: item[name] for name in fields if name in item}
    return [*found.values(), *_loose_fields("\n".join(rest), marks, fields)]


def count(item: dict[str, Any], name: str) -> int | None:
    """A whole number of at least 0, or None if the field is missing; InputError names it."""
    value = item.get(name)
    return None if value is None else check_integer(value, name, low=0, high=MAX_COUNT)


def counts(value: Any, name: str) -> list[int]:
    """A list of whole numbers of at least 0; InputError names the field."""
    entries = check_list(value, name, low=1, high=MAX_LENGTH)
    return [
        check_integer(entry, f"{name}[{j}]", low=0, high=MAX_COUNT)
        for j, entry in enumerate(entries)
    ]


def _documents(text: str) -> Iterator[tuple[Any, str | None]]:
    """(JSON value, None) of the whole text or of its lines, (None, line) for what is no JSON."""
    value = _parsed(text)
    if value is not None:
        yield value, None
        return
    for line in text.splitlines():
        value = _parsed(line.removeprefix("data:").strip())
        yield (value, None) if value is not None else (None, line)


def _parsed(text: str) -> Any:
    if text[:1] not in "{[" and text.lstrip()[:1] not in ("{", "["):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _objects(value: Any) -> Iterator[tuple[tuple[Any, ...], str, dict[str, Any]]]:
    """Every object in a JSON value with its place and the id of the nearest object around it."""
    waiting: list[tuple[tuple[Any, ...], str, Any]] = [((), "", value)]
    while waiting:
        place, owner, item = waiting.pop()
        if len(place) > MAX_DEPTH:
            raise InputError(f"The JSON is nested more than {MAX_DEPTH} deep.")
        if isinstance(item, dict):
            owner = item["id"] if isinstance(item.get("id"), str) else owner
            yield place, owner, item
            waiting += [((*place, name), owner, part) for name, part in item.items()]
        elif isinstance(item, list):
            waiting += [((*place, index), owner, part) for index, part in enumerate(item)]


def _loose_fields(text: str, marks: Sequence[str], fields: Sequence[str]) -> list[dict[str, Any]]:
    """Fields written as `"name": number` or `"name": [numbers]`, by order of appearance.

    The n-th value of every field belongs to the n-th request, if there are as many of them.
    """
    values = {name: _values(text, name) for name in fields}
    number = max((len(values[mark]) for mark in marks if mark in values), default=0)
    whole = {name: found for name, found in values.items() if len(found) == number}
    return [{name: found[index] for name, found in whole.items()} for index in range(number)]


def _values(text: str, name: str) -> list[Any]:
    pattern = rf"[\"']{re.escape(name)}[\"']\s*:\s*(\[[\d,\s]*\]|-?[\d.]+(?:[eE][-+]?\d+)?)"
    found = re.findall(pattern, text)
    return [_parsed(value) if value[0] == "[" else _number(value) for value in found]


def _number(text: str) -> int | float | None:
    try:
        return int(text) if text.isdigit() else float(text)
    except ValueError:
        return None
