"""A finished plan: the tree, what it promises, what it beats; and its file."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sequoia_core.errors import InputError
from sequoia_core.files import (
    check_integer,
    check_list,
    check_number,
    check_object,
    check_text,
    field_of,
    read_as,
    shown,
    tagged,
    write_json,
)
from sequoia_core.plan.rivals import CHAIN
from sequoia_core.plan.verdict import FamilyBest, Verdict, judge
from sequoia_core.tree.token_tree import MAX_NODES, TokenTree

# Of tokens, seconds and speedups: what a file may hold such that their ratios are numbers too.
LEAST, MOST = 1e-12, 1e12


@dataclass(frozen=True, slots=True)
class Optimum:
    """The best budget and depth, and the ranges around them within 2 % of the best speedup."""

    budget: int
    depth: int
    speedup: float
    budget_low: int
    budget_high: int
    depth_low: int
    depth_high: int


@dataclass(frozen=True, slots=True, eq=False)
class SpeedupGrid:
    """Every budget n and depth limit d: expected tokens and speedup, float64 [N + 1, D + 1].

    nan where no tree exists, so the whole of row 0.
    """

    expected_tokens: np.ndarray
    speedup: np.ndarray

    def thin(
        self, rows: int = 96, keep: Iterable[int] = ()
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(budgets [r], depths [D + 1], speedup [r, D + 1]) for a heat map.

        The budgets are all small ones and then ever sparser ones, at most `rows`, and those to
        `keep`, which the grid must have.
        """
        last = len(self.speedup) - 1
        spread = np.geomspace(1, last, rows).round().astype(int)
        budgets = np.unique(np.concatenate([spread, np.fromiter(keep, int)]))
        return budgets, np.arange(self.speedup.shape[1]), self.speedup[budgets]


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """A tree for an acceptance vector and a hardware profile, with its promises.

    expected_tokens: mean tokens per step. speedup: tokens per second over plain decoding's.
    step_seconds, plain_seconds: one step with the tree, one step without.
    acceptance, hardware: names of the inputs. families: the best of every family, sequoia first.
    speedup_error: half-width of the speedup's 95 % interval, None if the vector has no errors.
    gain_error: the same for the verdict's gain of the best tree over the best chain.
    grid: None in a plan read from a file.
    """

    family: str
    tree: TokenTree
    expected_tokens: float
    speedup: float
    step_seconds: float
    plain_seconds: float
    batch_size: int
    acceptance: str
    hardware: str
    families: tuple[FamilyBest, ...]
    optimum: Optimum
    speedup_error: float | None = None
    gain_error: float | None = None
    grid: SpeedupGrid | None = None

    @property
    def budget(self) -> int:
        """Tokens in one target pass, the root included."""
        return self.tree.size

    @property
    def depth(self) -> int:
        """Draft passes in one step."""
        return self.tree.depth

    @property
    def level_sizes(self) -> list[int]:
        return self.tree.level_sizes

    @property
    def speculates(self) -> bool:
        """False where plain decoding is the plan: nothing is drafted."""
        return self.budget > 1

    @property
    def best_chain(self) -> FamilyBest | None:
        """The fastest chain; None where the limits leave room for none."""
        return next((best for best in self.families if best.family == CHAIN), None)

    @property
    def over_chain(self) -> float | None:
        """This plan's speedup over the best chain's, 1.0 if equal; None without a chain."""
        chain = self.best_chain
        return self.speedup / chain.speedup if chain else None

    @property
    def verdict(self) -> Verdict:
        """Best chain, best tree and the difference: the answer to "should I speculate, and how"."""
        return judge(self.families, self.gain_error)

    def to_dict(self) -> dict[str, Any]:
        """The content of a `sequoia-plan` file."""
        return tagged(
            "plan",
            {
                "verdict": self.verdict.to_dict(),
                "family": self.family,
                "budget": self.budget,
                "depth": self.depth,
                "expected_tokens": self.expected_tokens,
                "speedup": self.speedup,
                "speedup_error": self.speedup_error,
                "over_chain": self.over_chain,
                "step_seconds": self.step_seconds,
                "plain_seconds": self.plain_seconds,
                "batch_size": self.batch_size,
                "acceptance": self.acceptance,
                "hardware": self.hardware,
                "level_sizes": self.level_sizes,
                "parents": self.tree.parents.tolist(),
                "families": {best.family: asdict(best) for best in self.families},
                "optimum": asdict(self.optimum),
            },
        )

    def save(self, path: str | Path) -> None:
        """Write a `sequoia-plan` file, atomically."""
        write_json(path, self.to_dict())


def load_plan(path: str | Path) -> Plan:
    """Read a `sequoia-plan` file; FileFormatError names the file and the field."""
    return read_as(path, "plan", plan_from_dict)


def plan_from_dict(content: Mapping[str, Any]) -> Plan:
    """Build a plan from a file's content; InputError names a missing or bad field."""
    tree = TokenTree(_parents(field_of(content, "parents")))
    for name, true in (("budget", tree.size), ("depth", tree.depth)):
        if field_of(content, name) != true:
            raise InputError(f"{name} is {shown(content[name])}, but the tree's is {true}.")
    families = field_of(content, "families")
    check_object(families, "families")
    verdict = check_object(content.get("verdict") or {}, "verdict")
    return Plan(
        family=check_text(field_of(content, "family"), "family"),
        tree=tree,
        expected_tokens=_positive(content, "expected_tokens"),
        speedup=_positive(content, "speedup"),
        step_seconds=_positive(content, "step_seconds"),
        plain_seconds=_positive(content, "plain_seconds"),
        batch_size=check_integer(field_of(content, "batch_size"), "batch_size", low=1, high=10**6),
        acceptance=check_text(field_of(content, "acceptance"), "acceptance"),
        hardware=check_text(field_of(content, "hardware"), "hardware"),
        families=tuple(_family(name, best) for name, best in families.items()),
        optimum=_optimum(field_of(content, "optimum")),
        speedup_error=_error(content, "speedup_error"),
        gain_error=_error(verdict, "gain_error", "verdict."),
    )


def _positive(content: Any, name: str, where: str = "") -> float:
    return check_number(field_of(content, name, where), f"{where}{name}", low=LEAST, high=MOST)


def _error(content: Any, name: str, where: str = "") -> float | None:
    """An interval's half-width, which files of older versions and vectors without errors lack."""
    value = content.get(name)
    return None if value is None else check_number(value, f"{where}{name}", low=0, high=MOST)


def _whole(content: Any, name: str, where: str) -> int:
    return check_integer(field_of(content, name, where), f"{where}{name}", low=0, high=MAX_NODES)


def _parents(values: Any) -> list[int]:
    entries = check_list(values, "parents", low=1, high=MAX_NODES)
    return [
        check_integer(entry, f"parents[{node}]", low=-1, high=MAX_NODES)
        for node, entry in enumerate(entries)
    ]


def _family(name: str, content: Any) -> FamilyBest:
    check_text(name, "a name in families", 100)
    where = f"families.{name}."
    return FamilyBest(
        family=name,
        budget=_whole(content, "budget", where),
        depth=_whole(content, "depth", where),
        expected_tokens=_positive(content, "expected_tokens", where),
        speedup=_positive(content, "speedup", where),
        shape=check_text(field_of(content, "shape", where), f"{where}shape"),
    )


def _optimum(content: Any) -> Optimum:
    where = "optimum."
    whole = {name: _whole(content, name, where) for name in Optimum.__slots__ if name != "speedup"}
    return Optimum(speedup=_positive(content, "speedup", where), **whole)
