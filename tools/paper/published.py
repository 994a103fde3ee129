"""What the paper prints, typed: tables 1 to 8 of Sequoia, arXiv 2402.12374v3."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

PUBLISHED = Path(__file__).with_name("published.json")
OFFLOAD = "L40 offload"


@dataclass(frozen=True, slots=True)
class Result:
    """One row of table 1, 2, 3 or 4.

    size: nodes with the root. levels: levels with the root's, so draft depth is levels - 1.
    tokens: mean tokens per step, the bonus included. milliseconds: between tokens, None where the
    table has no such column. rival_*: SpecInfer, 5 chains of 8 (table 2: 16 chains of 48).
    advantage: the column "vs SpecInfer", None where there is none.
    """

    tables: str
    hardware: str
    target: str
    draft: str
    temperature: float
    text: str
    size: int
    levels: int
    speedup: float
    tokens: float
    milliseconds: float | None
    rival_speedup: float
    rival_tokens: float
    advantage: float | None

    @property
    def block(self) -> tuple[str, str, float]:
        """Rows of one block share hardware, target and temperature, so their costs."""
        return self.hardware, self.target, self.temperature

    @property
    def cost(self) -> float:
        """Seconds of a step over those of a plain token: tokens / speedup."""
        return self.tokens / self.speedup

    @property
    def rival_cost(self) -> float:
        """The same for SpecInfer's tree."""
        return self.rival_tokens / self.rival_speedup

    @property
    def half_step(self) -> float:
        """Half the last printed digit of the speedups: table 2 prints one decimal, the rest two."""
        return 0.05 if self.hardware == OFFLOAD else 0.005


@dataclass(frozen=True, slots=True)
class Cell:
    """SpecInfer's speedup with `width` independent chains of `depth` tokens (tables 5 to 7)."""

    width: int
    depth: int
    speedup: float

    @property
    def size(self) -> int:
        """Nodes with the root."""
        return 1 + self.width * self.depth


@cache
def published() -> dict[str, Any]:
    """The transcription as it is stored."""
    return json.loads(PUBLISHED.read_text(encoding="utf-8"))


def results(*, offload: bool) -> tuple[Result, ...]:
    """The rows of table 2 (`offload`) or of tables 1, 3 and 4, in the paper's order."""
    rows = (Result(**row) for row in published()["results"])
    return tuple(row for row in rows if (row.hardware == OFFLOAD) == offload)


def blocks(rows: tuple[Result, ...]) -> dict[tuple[str, str, float], tuple[Result, ...]]:
    """The rows grouped by block, in order of first appearance."""
    keys = dict.fromkeys(row.block for row in rows)
    return {key: tuple(row for row in rows if row.block == key) for key in keys}


def grid(temperature: float) -> tuple[Cell, ...]:
    """All 30 cells of table 5 (temperature 0) or 6 (0.6)."""
    found = next(g for g in published()["specinfer_grid"] if g["temperature"] == temperature)
    return tuple(Cell(*cell) for cell in found["cells"])
