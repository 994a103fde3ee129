"""Acceptance vectors: how often the k-th drafted child of a node is the one that gets accepted."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sequoia_core.assets import find_preset, preset_names
from sequoia_core.errors import InputError
from sequoia_core.files import (
    check_choice,
    check_integer,
    check_list,
    check_number,
    check_text,
    field_of,
    read_as,
    tagged,
    write_json,
)
from sequoia_core.plan.paths import PathStatistics, paths_from_dict

FOLDER = "acceptance"
RULES = ("sequoia", "specinfer", "topk")
MAX_RANKS = 1024
MAX_ROWS = 64
SUM_TOLERANCE = 1e-6
OPTIONAL = (
    "temperature",
    "top_p",
    "standard_errors",
    "target",
    "draft",
    "prompts",
    "by_depth",
)


@dataclass(frozen=True, slots=True, eq=False)
class AcceptanceVector:
    """p[k] = chance that child k, in draw order, is *the* accepted one; the sum is at most 1.

    rule: the verification the numbers hold for: sequoia, specinfer or topk.
    probabilities: float64 [ranks], or [rows, ranks] by the parent's depth; below the last row the
        last row holds (Sequoia, arXiv 2402.12374v3, section 3 and appendix). Read-only.
    standard_errors: float64 of the same shape, or None if unknown.
    temperature, top_p: the sampling they were measured at, or None if not stated.
    prompts: texts measured on, 0 if not stated. origin: where the numbers come from.
    by_depth: float64 [rows, ranks], the rates at a node whose ancestors were all accepted, by its
        depth, or None. paths: the rank sequences behind the numbers, or None.
    Raises InputError that names the field.
    """

    rule: str
    probabilities: np.ndarray
    temperature: float | None = None
    top_p: float | None = None
    standard_errors: np.ndarray | None = None
    target: str = ""
    draft: str = ""
    prompts: int = 0
    origin: str = ""
    name: str = field(default="", kw_only=True)
    by_depth: np.ndarray | None = field(default=None, kw_only=True)
    paths: PathStatistics | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        check_choice(self.rule, "rule", RULES)
        probabilities = _matrix(self.probabilities, "probabilities")
        _check_sums(probabilities, "probabilities")
        object.__setattr__(self, "probabilities", probabilities)
        if self.standard_errors is not None:
            errors = _matrix(self.standard_errors, "standard_errors")
            if errors.shape != probabilities.shape:
                raise InputError(
                    f"standard_errors must have the shape of probabilities, "
                    f"{probabilities.shape}, got {errors.shape}."
                )
            object.__setattr__(self, "standard_errors", errors)
        self._check_statistics()
        if self.temperature is not None:
            check_number(self.temperature, "temperature", low=0, high=100)
        if self.top_p is not None:
            check_number(self.top_p, "top_p", low=0, high=1)
        check_integer(self.prompts, "prompts", low=0, high=10**9)
        for name in ("target", "draft", "origin", "name"):
            check_text(getattr(self, name), name)

    def _check_statistics(self) -> None:
        if self.by_depth is not None:
            rates = np.atleast_2d(_matrix(self.by_depth, "by_depth"))
            _check_sums(rates, "by_depth")
            object.__setattr__(self, "by_depth", rates)
        for name, ranks in (
            ("by_depth", None if self.by_depth is None else self.by_depth.shape[1]),
            ("paths.width", None if self.paths is None else self.paths.width),
        ):
            if ranks not in (None, self.ranks):
                raise InputError(
                    f"{name} must know {self.ranks} children like probabilities, got {ranks}."
                )

    @property
    def rows(self) -> np.ndarray:
        """The probabilities as [rows, ranks], one row for a vector that ignores depth."""
        return np.atleast_2d(self.probabilities)

    @property
    def ranks(self) -> int:
        """Children per node that the vector knows about."""
        return self.rows.shape[1]

    @property
    def is_monotone(self) -> bool:
        """Later siblings are never likelier: a best-first search then finds the best tree."""
        return bool(np.all(np.diff(self.rows, axis=1) <= 0))

    def at_depth(self, depth: int) -> np.ndarray:
        """Probabilities of the children of a node at `depth`, float64 [ranks]."""
        return self.rows[min(depth, len(self.rows) - 1)]

    def to_dict(self) -> dict[str, Any]:
        """The content of a `sequoia-acceptance` file."""
        errors, rates = self.standard_errors, self.by_depth
        return tagged(
            "acceptance",
            {
                "rule": self.rule,
                "probabilities": self.probabilities.tolist(),
                "standard_errors": None if errors is None else errors.tolist(),
                "temperature": self.temperature,
                "top_p": self.top_p,
                "target": self.target,
                "draft": self.draft,
                "prompts": self.prompts,
                "origin": self.origin,
                "by_depth": None if rates is None else rates.tolist(),
                "paths": None if self.paths is None else self.paths.to_dict(),
            },
        )

    def save(self, path: str | Path) -> None:
        """Write a `sequoia-acceptance` file, atomically."""
        write_json(path, self.to_dict())


def acceptance_from_dict(content: Mapping[str, Any], *, name: str = "") -> AcceptanceVector:
    """Build a vector from a file's content; InputError names a missing or bad field."""
    optional = {key: content[key] for key in OPTIONAL if content.get(key) is not None}
    if content.get("paths") is not None:
        optional["paths"] = paths_from_dict(content["paths"])
    return AcceptanceVector(
        field_of(content, "rule"),
        field_of(content, "probabilities"),
        **optional,
        origin=content.get("origin") or "",
        name=name,
    )


def load_acceptance(name_or_path: str | Path) -> AcceptanceVector:
    """A bundled preset by name, or a `sequoia-acceptance` file; errors name file and field."""
    path = find_preset(name_or_path, FOLDER)
    return read_as(path, FOLDER, partial(acceptance_from_dict, name=path.stem))


def list_acceptance_presets() -> list[str]:
    """Names of the bundled vectors."""
    return preset_names(FOLDER)


def _matrix(values: Any, name: str) -> np.ndarray:
    """A read-only float64 array, 1-D or 2-D, of numbers in [0, 1]."""
    values = values.tolist() if isinstance(values, np.ndarray) else values
    entries = check_list(values, name, low=1, high=MAX_RANKS)
    if isinstance(entries[0], list | tuple):
        array = np.array(_rows(entries, name), dtype=np.float64)
    else:
        array = np.array(_row(entries, name), dtype=np.float64)
    array.setflags(write=False)
    return array


def _rows(entries: list[Any], name: str) -> list[list[float]]:
    check_list(entries, name, low=1, high=MAX_ROWS)
    width = len(entries[0])
    rows = []
    for depth, entry in enumerate(entries):
        row = check_list(entry, f"{name}[{depth}]", low=1, high=MAX_RANKS)
        if len(row) != width:
            raise InputError(
                f"{name}[{depth}] must have {width} entries like {name}[0], got {len(row)}."
            )
        rows.append(_row(row, f"{name}[{depth}]"))
    return rows


def _row(entries: list[Any], name: str) -> list[float]:
    return [check_number(entry, f"{name}[{k}]", low=0, high=1) for k, entry in enumerate(entries)]


def _check_sums(probabilities: np.ndarray, name: str) -> None:
    sums = np.atleast_1d(probabilities.sum(axis=-1))
    wrong = np.flatnonzero(sums > 1 + SUM_TOLERANCE)
    if len(wrong):
        row = f"[{wrong[0]}]" if probabilities.ndim == 2 else ""
        raise InputError(
            f"{name}{row} must sum to at most 1, since one child at most is accepted, "
            f"got {sums[wrong[0]]:.6g}."
        )
