"""A finished tuning: profile, acceptance, plan and measurement of one pair on one machine."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from sequoia_core.errors import InputError
from sequoia_core.files import (
    check_list,
    check_number,
    check_object,
    check_text,
    field_of,
    read_as,
    tagged,
    write_json,
)
from sequoia_core.plan.acceptance import RULES, AcceptanceVector, acceptance_from_dict
from sequoia_core.plan.hardware import HardwareProfile, hardware_from_dict
from sequoia_core.plan.plan import Plan, plan_from_dict
from sequoia_core.report.measured import (
    CHAIN_ROW,
    PLAIN_ROW,
    TREE_ROW,
    MeasuredRow,
    Ratio,
    check_scalars,
    check_texts,
    gain_from,
    rows_from,
)

KIND = "report"
# Names of the parts in the folder of a tuning, as the plan refers to them.
HARDWARE_NAME = "hardware"
CANDIDATES = (TREE_ROW, CHAIN_ROW)
MAX_SECONDS = 1e8

Value = TypeVar("Value")


def vector_name(rule: str) -> str:
    """The name of a rule's vector in the folder of a tuning."""
    return f"acceptance.{rule}"


@dataclass(frozen=True, slots=True)
class Reached:
    """How far a measurement went: seconds taken, the most it was given, and what came of it."""

    stage: str
    seconds: float
    limit_seconds: float
    words: str

    def __post_init__(self) -> None:
        check_text(self.stage, "stage")
        check_number(self.seconds, "seconds", low=0, high=MAX_SECONDS)
        check_number(self.limit_seconds, "limit_seconds", low=0, high=MAX_SECONDS)
        check_text(self.words, "words")


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """All that one tuning measured and planned.

    vectors: by rule, sequoia among them. plan: the answer, whose tree is the root alone where
    nothing is predicted to beat plain decoding. candidates: the best tree (`sequoia`) and the best
    chain (`chain`) as plans, where there are any; they were measured whatever the answer is.
    rows: the measurement; gain: its tree over its chain, prompt by prompt. reached: how far each
    stage went. settings: the options it was made with; machine: words about it, both by name.
    created: date and time, ISO 8601.
    Raises InputError that names the field.
    """

    name: str
    created: str
    settings: Mapping[str, Any]
    machine: Mapping[str, str]
    hardware: HardwareProfile
    vectors: Mapping[str, AcceptanceVector]
    plan: Plan
    candidates: Mapping[str, Plan]
    rows: tuple[MeasuredRow, ...]
    reached: tuple[Reached, ...]
    gain: Ratio | None = None

    def __post_init__(self) -> None:
        check_text(self.name, "name")
        _check_date(self.created)
        if TREE_ROW not in self.vectors:
            raise InputError(f"acceptance must hold a vector of the rule {TREE_ROW}.")
        measured = {row.method for row in self.rows} - {PLAIN_ROW}
        if not measured <= set(self.candidates):
            missing = sorted(measured - set(self.candidates))
            raise InputError(f"candidates must hold the plan of {missing[0]}, which was measured.")

    @property
    def vector(self) -> AcceptanceVector:
        """The vector that the plan rests on."""
        return self.vectors[TREE_ROW]

    @property
    def target(self) -> str:
        """The target's name."""
        return self.vector.target

    @property
    def draft(self) -> str:
        """The draft's name."""
        return self.vector.draft

    def row(self, method: str) -> MeasuredRow | None:
        """The measurement of a method, None if it was not measured."""
        return next((row for row in self.rows if row.method == method), None)

    def to_dict(self) -> dict[str, Any]:
        """The content of a `sequoia-report` file."""
        return tagged(
            KIND,
            {
                "name": self.name,
                "created": self.created,
                "verdict": self.plan.verdict.to_dict(),
                "settings": dict(self.settings),
                "machine": dict(self.machine),
                "reached": [
                    {name: getattr(each, name) for name in Reached.__slots__}
                    for each in self.reached
                ],
                "plan": self.plan.to_dict(),
                "candidates": {name: plan.to_dict() for name, plan in self.candidates.items()},
                "benchmark": {
                    "rows": [row.to_dict() for row in self.rows],
                    "tree_over_chain": self.gain.to_dict() if self.gain else None,
                },
                "hardware": self.hardware.to_dict(),
                "acceptance": {rule: vector.to_dict() for rule, vector in self.vectors.items()},
            },
        )

    def save(self, path: str | Path) -> None:
        """Write a `sequoia-report` file, atomically."""
        write_json(path, self.to_dict())


def load_report(path: str | Path) -> Report:
    """Read a `sequoia-report` file; FileFormatError names the file and the field."""
    return read_as(path, KIND, report_from_dict)


def report_from_dict(content: Mapping[str, Any]) -> Report:
    """Build a report from a file's content; InputError names a missing or bad field."""
    hardware = _part("hardware", _object(content, "hardware"), hardware_from_dict)
    return Report(
        name=check_text(field_of(content, "name"), "name"),
        created=check_text(field_of(content, "created"), "created"),
        settings=check_scalars(field_of(content, "settings"), "settings", 64),
        machine=check_texts(field_of(content, "machine"), "machine", 64),
        hardware=replace(hardware, name=HARDWARE_NAME),
        vectors=_vectors(_object(content, "acceptance")),
        plan=_part("plan", _object(content, "plan"), plan_from_dict),
        candidates=_candidates(_object(content, "candidates")),
        rows=rows_from(field_of(content, "benchmark")),
        gain=gain_from(content["benchmark"]),
        reached=_reached(field_of(content, "reached")),
    )


def _object(content: Any, name: str) -> dict[str, Any]:
    return check_object(field_of(content, name), name)


def _part(where: str, content: Any, read: Callable[[Mapping[str, Any]], Value]) -> Value:
    """A part by its own reader, its errors headed by where it stands."""
    check_object(content, where)
    try:
        return read(content)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def _vectors(content: Mapping[str, Any]) -> dict[str, AcceptanceVector]:
    """By rule, in the order that rules have everywhere."""
    unknown = [rule for rule in content if rule not in RULES]
    if unknown:
        raise InputError(f"acceptance has rules {', '.join(RULES)}, not {unknown[0]!r:.60}.")
    vectors = {}
    for rule in filter(content.__contains__, RULES):
        vector = _part(f"acceptance.{rule}", content[rule], acceptance_from_dict)
        if vector.rule != rule:
            raise InputError(f"acceptance.{rule}: rule is {vector.rule!r}.")
        vectors[rule] = replace(vector, name=vector_name(rule))
    return vectors


def _candidates(content: Mapping[str, Any]) -> dict[str, Plan]:
    unknown = [name for name in content if name not in CANDIDATES]
    if unknown:
        raise InputError(f"candidates are {', '.join(CANDIDATES)}, not {unknown[0]!r:.60}.")
    return {
        name: _part(f"candidates.{name}", part, plan_from_dict) for name, part in content.items()
    }


def _reached(value: Any) -> tuple[Reached, ...]:
    entries = check_list(value, "reached", low=0, high=16)
    return tuple(_part(f"reached[{i}]", entry, _one_reached) for i, entry in enumerate(entries))


def _one_reached(content: Mapping[str, Any]) -> Reached:
    return Reached(**{name: field_of(content, name) for name in Reached.__slots__})


def _check_date(text: str) -> None:
    try:
        datetime.fromisoformat(text)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"created must be a date and time as 2030-01-31T12:00:00, got {text!r:.60}."
        ) from error
