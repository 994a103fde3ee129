"""Hardware profiles: how long one pass of each model takes for a number of tokens."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
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
    check_object,
    check_text,
    read_as,
    tagged,
    write_json,
)
from sequoia_core.plan.measurement import (
    MachineFigures,
    Measurement,
    Noise,
    machine_from,
    measurement_from,
    noise_from,
)
from sequoia_core.plan.presets import DEFAULT_HARDWARE

FOLDER = "hardware"
ORIGINS = ("measured", "modelled", "derived")
MAX_POINTS = 4096
MAX_TOKENS = 10**7
MAX_SECONDS = 10**6
MAX_CONTEXTS = 64
NESTED = ("name", "contexts", "noise", "machine", "measurement")

Curve = tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True)
class ContextCurves:
    """The two curves behind another number of committed tokens. Raises InputError."""

    context_length: int
    target_seconds: Curve
    draft_seconds: Curve

    def __post_init__(self) -> None:
        check_integer(self.context_length, "context_length", low=0, high=MAX_TOKENS)
        for curve in ("target_seconds", "draft_seconds"):
            object.__setattr__(self, curve, _curve(getattr(self, curve), curve))

    def to_dict(self) -> dict[str, Any]:
        """An entry of the field `contexts`."""
        curves = ("target_seconds", "draft_seconds")
        points = {curve: [list(point) for point in getattr(self, curve)] for curve in curves}
        return {"context_length": self.context_length, **points}


@dataclass(frozen=True, slots=True)
class HardwareProfile:
    """Seconds of a pass by its tokens, for one device, pair and context length.

    target_seconds, draft_seconds: ((tokens, seconds), ...) with ascending tokens.
    overhead_seconds: what a speculative step costs beside the passes (sampling, verification).
    plain_overhead_seconds: the same for a step of plain decoding.
    origin: measured, modelled or derived; basis: what the numbers rest on.
    contexts: the curves at further context lengths, ascending. noise, machine, measurement: what a
    measured profile says of its own measurement; None in older files and where nothing was
    measured. Raises InputError that names the field.
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
    contexts: tuple[ContextCurves, ...] = ()
    noise: Noise | None = None
    machine: MachineFigures | None = None
    # Not part of what a plan is made from, and long: left out of hash and comparison.
    measurement: Measurement | None = field(default=None, compare=False)
    name: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        for curve in ("target_seconds", "draft_seconds"):
            object.__setattr__(self, curve, _curve(getattr(self, curve), curve))
        for seconds in ("overhead_seconds", "plain_overhead_seconds"):
            check_number(getattr(self, seconds), seconds, low=0, high=MAX_SECONDS)
        check_integer(self.context_length, "context_length", low=0, high=MAX_TOKENS)
        check_choice(self.origin, "origin", ORIGINS)
        for name in ("device", "dtype", "basis", "target_model", "draft_model", "name"):
            check_text(getattr(self, name), name)
        object.__setattr__(self, "contexts", _contexts(self.contexts, self.context_length))

    @property
    def context_lengths(self) -> tuple[int, ...]:
        """Committed tokens that the curves were taken behind, ascending."""
        return tuple(sorted([self.context_length, *(one.context_length for one in self.contexts)]))

    @property
    def warning(self) -> str:
        """One sentence for whoever plans with a noisy measurement; empty for all others."""
        if self.noise is None or not self.noise.noisy:
            return ""
        return (
            f"The measurement behind {self.name or 'this profile'} was {self.noise.words}; measure "
            "again while nothing else runs."
        )

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

    def at_context(self, context_length: int) -> "HardwareProfile":
        """The profile behind so many committed tokens: straight lines between those measured.

        Below the shortest context measured its curves hold, beyond the longest its own; the
        result says which length it is for. Raises InputError.
        """
        check_integer(context_length, "context length", low=0, high=MAX_TOKENS)
        if not self.contexts:
            return self
        known = sorted([*self.contexts, self._own_curves()], key=lambda one: one.context_length)
        lengths = [one.context_length for one in known]
        wanted = min(max(context_length, lengths[0]), lengths[-1])
        place = bisect_left(lengths, wanted)
        exact = lengths[place] == wanted
        chosen = known[place] if exact else _between(known[place - 1], known[place], wanted)
        return replace(
            self,
            context_length=chosen.context_length,
            target_seconds=chosen.target_seconds,
            draft_seconds=chosen.draft_seconds,
            contexts=(),
        )

    def _own_curves(self) -> ContextCurves:
        return ContextCurves(self.context_length, self.target_seconds, self.draft_seconds)

    def to_dict(self) -> dict[str, Any]:
        """The content of a `sequoia-hardware` file; what is not known is left out."""
        fields = {key: getattr(self, key) for key in self.__slots__ if key not in NESTED}
        for curve in ("target_seconds", "draft_seconds"):
            fields[curve] = [list(point) for point in fields[curve]]
        if self.contexts:
            fields["contexts"] = [one.to_dict() for one in self.contexts]
        for key in ("noise", "measurement"):
            if getattr(self, key) is not None:
                fields[key] = getattr(self, key).to_dict()
        if self.machine is not None:
            fields["machine"] = asdict(self.machine)
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
    check_object(content, "a profile")
    for required in ("device", "target_seconds", "draft_seconds", "origin"):
        if content.get(required) is None:
            raise InputError(f"the field {required!r} is missing.")
    known = [key for key in HardwareProfile.__slots__ if key != "name"]
    fields = {key: content[key] for key in known if content.get(key) is not None}
    readers = {
        "contexts": _contexts_from,
        "noise": noise_from,
        "machine": machine_from,
        "measurement": measurement_from,
    }
    for key in readers.keys() & fields.keys():
        fields[key] = readers[key](fields[key])
    return HardwareProfile(**fields, name=name)


def load_hardware(name_or_path: str | Path) -> HardwareProfile:
    """A bundled preset by name, or a `sequoia-hardware` file; errors name file and field."""
    path = find_preset(name_or_path, FOLDER)
    return read_as(path, FOLDER, partial(hardware_from_dict, name=path.stem))


def list_hardware_presets() -> list[str]:
    """Names of the bundled profiles, sorted; the default first, since pickers begin with it."""
    return sorted(preset_names(FOLDER), key=lambda name: (name != DEFAULT_HARDWARE, name))


def _contexts_from(content: Any) -> tuple[ContextCurves, ...]:
    """The `contexts` of a file; errors name the entry."""
    curves = []
    for index, entry in enumerate(check_list(content, "contexts", low=0, high=MAX_CONTEXTS)):
        where = f"contexts[{index}]"
        check_object(entry, where)
        try:
            curves.append(ContextCurves(*(entry.get(key) for key in ContextCurves.__slots__)))
        except InputError as error:
            raise InputError(f"{where}: {error}") from error
    return tuple(curves)


def _contexts(given: Sequence[ContextCurves], own: int) -> tuple[ContextCurves, ...]:
    """Ascending; InputError where two are of one length."""
    ordered = tuple(sorted(given, key=lambda one: one.context_length))
    lengths = [own, *(one.context_length for one in ordered)]
    for length in lengths:
        if lengths.count(length) > 1:
            raise InputError(f"contexts must be of different lengths, got {length} twice.")
    return ordered


def _between(below: ContextCurves, above: ContextCurves, context_length: int) -> ContextCurves:
    """Curves of a length between two others', at all sizes that either of them has."""
    span = above.context_length - below.context_length
    share = (context_length - below.context_length) / span

    def mixed(one: Curve, other: Curve) -> Curve:
        sizes = sorted({tokens for tokens, _ in (*one, *other)})
        seconds = (1 - share) * interpolate(one, sizes) + share * interpolate(other, sizes)
        return tuple(zip(sizes, seconds.tolist(), strict=True))

    return ContextCurves(
        context_length,
        mixed(below.target_seconds, above.target_seconds),
        mixed(below.draft_seconds, above.draft_seconds),
    )


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
