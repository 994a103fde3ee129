"""Hardware profiles: how long one pass of each model takes for a number of tokens."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sequoia_core.assets import find_preset, preset_names
from sequoia_core.errors import FileFormatError, InputError
from sequoia_core.files import (
    check_integer,
    check_list,
    check_number,
    check_text,
    read_json,
    tagged,
    write_json,
)
from sequoia_core.plan.presets import DEFAULT_HARDWARE

FOLDER = "hardware"
ORIGINS = ("measured", "modelled", "derived")
MAX_POINTS = 4096
MAX_TOKENS = 10**7
MAX_SECONDS = 10**6

Curve = tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True)
class HardwareProfile:
    """Seconds of a pass by its tokens, for one device, pair and context length.

    target_seconds, draft_seconds: ((tokens, seconds), ...) with ascending tokens.
    overhead_seconds: what a speculative step costs beside the passes (sampling, verification).
    plain_overhead_seconds: the same for a step of plain decoding.
    origin: measured, modelled or derived; basis: what the numbers rest on.
    Raises InputError that names the field.
    """

    device: str
    target_seconds: Curve
    draft_seconds: Curve
    overhead_seconds: float = 0.0
    plain_overhead_seconds: float = 0.0
    dtype: str = ""
    context_length: int = 0
    origin: str = "measured"
    basis: str = ""
    target_model: str = ""
    draft_model: str = ""
    name: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        for curve in ("target_seconds", "draft_seconds"):
            object.__setattr__(self, curve, _curve(getattr(self, curve), curve))
        for seconds in ("overhead_seconds", "plain_overhead_seconds"):
            check_number(getattr(self, seconds), seconds, low=0, high=MAX_SECONDS)
        check_integer(self.context_length, "context_length", low=0, high=MAX_TOKENS)
        if self.origin not in ORIGINS:
            raise InputError(f"origin must be one of {', '.join(ORIGINS)}, got {self.origin!r}.")
        for name in ("device", "dtype", "basis", "target_model", "draft_model", "name"):
            check_text(getattr(self, name), name)

    @property
    def last_tokens(self) -> int:
        """Tokens of the largest target pass known; beyond it the last slope is continued."""
        return self.target_seconds[-1][0]

    def target(self, tokens: int | np.ndarray) -> float | np.ndarray:
        """Seconds of one target pass over `tokens` tokens; arrays give arrays."""
        return interpolate(self.target_seconds, tokens)

    def draft(self, tokens: int | np.ndarray) -> float | np.ndarray:
        """Seconds of one draft pass over `tokens` tokens; arrays give arrays."""
        return interpolate(self.draft_seconds, tokens)

    def to_dict(self) -> dict[str, Any]:
        """The content of a `sequoia-hardware` file."""
        fields = {key: getattr(self, key) for key in self.__slots__ if key != "name"}
        for curve in ("target_seconds", "draft_seconds"):
            fields[curve] = [list(point) for point in fields[curve]]
        return tagged("hardware", fields)

    def save(self, path: str | Path) -> None:
        """Write a `sequoia-hardware` file, atomically."""
        write_json(path, self.to_dict())


def interpolate(curve: Curve, tokens: int | np.ndarray) -> float | np.ndarray:
    """Seconds at `tokens`: straight lines between neighbouring points, never smoothed.

    Below the first point the first value holds; beyond the last point the last slope goes on,
    but never downwards, since more tokens cannot be counted on to take less time.

    >>> interpolate(((1, 1.0), (3, 2.0)), np.array([1, 2, 3, 5])).tolist()
    [1.0, 1.5, 2.0, 3.0]
    """
    xs = np.array([point[0] for point in curve], dtype=np.float64)
    ys = np.array([point[1] for point in curve], dtype=np.float64)
    wanted = np.asarray(tokens, dtype=np.float64)
    slope = max(0.0, (ys[-1] - ys[-2]) / (xs[-1] - xs[-2])) if len(xs) > 1 else 0.0
    seconds = np.interp(wanted, xs, ys) + slope * np.maximum(0.0, wanted - xs[-1])
    return float(seconds) if np.ndim(tokens) == 0 else seconds


def hardware_from_dict(content: Mapping[str, Any], *, name: str = "") -> HardwareProfile:
    """Build a profile from a file's content; InputError names a missing or bad field."""
    for required in ("device", "target_seconds", "draft_seconds", "origin"):
        if required not in content:
            raise InputError(f"the field {required!r} is missing.")
    known = [key for key in HardwareProfile.__slots__ if key != "name"]
    fields = {key: content[key] for key in known if content.get(key) is not None}
    return HardwareProfile(**fields, name=name)


def load_hardware(name_or_path: str | Path) -> HardwareProfile:
    """A bundled preset by name, or a `sequoia-hardware` file; errors name file and field."""
    path = find_preset(name_or_path, FOLDER)
    content = read_json(path, FOLDER)
    try:
        return hardware_from_dict(content, name=path.stem)
    except InputError as error:
        raise FileFormatError(f"{path}: {error}") from error


def list_hardware_presets() -> list[str]:
    """Names of the bundled profiles, sorted; the default first, since pickers begin with it."""
    return sorted(preset_names(FOLDER), key=lambda name: (name != DEFAULT_HARDWARE, name))


def _curve(points: Sequence[Sequence[float]], name: str) -> Curve:
    checked: list[tuple[int, float]] = []
    for index, point in enumerate(check_list(points, name, low=1, high=MAX_POINTS)):
        where = f"{name}[{index}]"
        tokens, seconds = check_list(point, where, low=2, high=2)
        check_number(tokens, f"{where} tokens", low=1, high=MAX_TOKENS)
        if tokens != int(tokens) or (checked and tokens <= checked[-1][0]):
            raise InputError(
                f"{where} tokens must be a whole number above the point before, got {tokens}."
            )
        check_number(seconds, f"{where} seconds", low=1e-9, high=MAX_SECONDS)
        checked.append((int(tokens), float(seconds)))
    return tuple(checked)
