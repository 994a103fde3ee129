"""The measured side of a report: one row a method, read from a file and checked."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sequoia_core.errors import InputError
from sequoia_core.files import (
    check_choice,
    check_integer,
    check_list,
    check_number,
    check_object,
    check_text,
)
from sequoia_core.tree.token_tree import MAX_NODES

# What a plan's tree and chain are called among the rows, and what they are compared with.
TREE_ROW, CHAIN_ROW, PLAIN_ROW = "sequoia", "chain", "autoregressive"
ROWS = (PLAIN_ROW, CHAIN_ROW, TREE_ROW)
MAX_RATE = 1e9


@dataclass(frozen=True, slots=True)
class MeasuredRow:
    """One method over all prompts, against plain decoding of the same prompts and rounds.

    tokens_per_second: of whole calls, the median. speedup: of whole calls, the median over prompts;
    speedup_low, speedup_high: the slowest and the fastest prompt. decode_speedup: without the
    reading of the prompt, which is what a plan predicts; decode_low, decode_high: its 95 % interval
    with prompts as the independent units, None for fewer than six. predicted_speedup,
    predicted_tokens_per_step: None for plain decoding. Raises InputError that names the field.
    """

    method: str
    budget: int
    depth: int
    tokens_per_second: float
    tokens_per_step: float
    speedup: float
    speedup_low: float
    speedup_high: float
    decode_speedup: float
    decode_low: float | None = None
    decode_high: float | None = None
    predicted_speedup: float | None = None
    predicted_tokens_per_step: float | None = None

    def __post_init__(self) -> None:
        check_choice(self.method, "method", ROWS)
        check_integer(self.budget, "budget", low=1, high=MAX_NODES)
        check_integer(self.depth, "depth", low=0, high=self.budget - 1)
        for name in self.__slots__[3:9]:
            check_number(getattr(self, name), name, low=0, high=MAX_RATE)
        for name in self.__slots__[9:]:
            if getattr(self, name) is not None:
                check_number(getattr(self, name), name, low=0, high=MAX_RATE)
        _check_order(self.speedup_low, self.speedup, self.speedup_high, "speedup")
        if (self.decode_low is None) != (self.decode_high is None):
            raise InputError("decode_low and decode_high must be both there or both absent.")
        if self.decode_low is not None:
            _check_order(self.decode_low, self.decode_speedup, self.decode_high, "decode_speedup")

    def to_dict(self) -> dict[str, Any]:
        """The row as JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Ratio:
    """A ratio of two rates, and its 95 % interval over prompts: None for fewer than six."""

    value: float
    low: float | None
    high: float | None

    def __post_init__(self) -> None:
        check_number(self.value, "value", low=0, high=MAX_RATE)
        if (self.low is None) != (self.high is None):
            raise InputError("low and high must be both there or both absent.")
        if self.low is not None:
            for name in ("low", "high"):
                check_number(getattr(self, name), name, low=0, high=MAX_RATE)
            _check_order(self.low, self.value, self.high, "value")

    @property
    def is_settled(self) -> bool:
        """Whether the interval leaves out 1."""
        return self.low is not None and not self.low <= 1 <= self.high

    def to_dict(self) -> dict[str, Any]:
        """The ratio as JSON values."""
        return asdict(self)


def _check_order(low: float, middle: float, high: float, name: str) -> None:
    slack = 1e-9 * max(1.0, abs(middle))
    if not (low <= middle + slack and middle <= high + slack):
        raise InputError(f"{name} is {middle:g}, outside its own limits {low:g} and {high:g}.")


def rows_from(content: Any) -> tuple[MeasuredRow, ...]:
    """The rows of a report's benchmark; InputError names row and field.

    Plain decoding must be there, and no method twice.
    """
    check_object(content, "benchmark")
    entries = check_list(content.get("rows"), "benchmark.rows", low=1, high=len(ROWS))
    rows = tuple(_row(entry, f"benchmark.rows[{index}]") for index, entry in enumerate(entries))
    names = [row.method for row in rows]
    if PLAIN_ROW not in names or len(set(names)) < len(names):
        raise InputError(
            f"benchmark.rows must hold {PLAIN_ROW} and no method twice, got {', '.join(names)}."
        )
    return rows


def gain_from(content: Mapping[str, Any]) -> Ratio | None:
    """The measured tree over the measured chain, of a report's benchmark; None without."""
    gain, where = content.get("tree_over_chain"), "benchmark.tree_over_chain"
    if gain is None:
        return None
    if not isinstance(gain, Mapping) or "value" not in gain:
        raise InputError(f"{where} must be an object with value, low and high.")
    try:
        return Ratio(gain["value"], gain.get("low"), gain.get("high"))
    except InputError as error:
        raise InputError(f"{where}.{error}") from error


def _row(entry: Any, where: str) -> MeasuredRow:
    check_object(entry, where)
    fields = {name: entry[name] for name in MeasuredRow.__slots__ if name in entry}
    missing = [name for name in MeasuredRow.__slots__[:9] if name not in fields]
    if missing:
        raise InputError(f"{where}.{missing[0]} is missing.")
    try:
        return MeasuredRow(**fields)
    except InputError as error:
        raise InputError(f"{where}.{error}") from error


def check_texts(value: Any, name: str, most: int) -> dict[str, str]:
    """An object of short texts; InputError names the field."""
    if not isinstance(value, Mapping) or len(value) > most:
        raise InputError(f"{name} must be an object of at most {most} texts.")
    return {
        check_text(key, f"a name in {name}"): check_text(text, f"{name}.{key}")
        for key, text in value.items()
    }


def check_scalars(value: Any, name: str, most: int) -> dict[str, Any]:
    """An object of texts, finite numbers, truth values and nulls; InputError names the field."""
    if not isinstance(value, Mapping) or len(value) > most:
        raise InputError(f"{name} must be an object of at most {most} values.")
    for key, entry in value.items():
        where = f"{name}.{check_text(key, f'a name in {name}')}"
        if isinstance(entry, str):
            check_text(entry, where)
        elif isinstance(entry, int | float) and not isinstance(entry, bool):
            check_number(entry, where)
        elif not isinstance(entry, bool | None):
            raise InputError(f"{where} must be a text, a number, true, false or null.")
    return dict(value)
