"""What a measured profile says of its own measurement: spread, noise, machine, versions."""

from dataclasses import asdict, dataclass, fields
from typing import Any

from sequoia_core.errors import InputError
from sequoia_core.files import (
    check_choice,
    check_flag,
    check_integer,
    check_list,
    check_number,
    check_object,
    check_text,
)
from sequoia_core.plan.model_shape import ModelShape

NOISE_LIMIT = 0.10
MODELS = ("target", "draft")
LAUNCHED = ("in turn", "ahead")
MOST_BYTES = 1e18
MOST_PASSES = 10**6
LONGEST_SECONDS = 10**6
MOST_SIZES = 4096
MOST_TOKENS = 10**7

# tokens, first quartile, median and third quartile of the seconds, number of passes
Quartiles = tuple[tuple[int, float, float, float, int], ...]


@dataclass(frozen=True, slots=True)
class Noise:
    """How far two halves of one measurement are apart: what a second measurement would show.

    median_difference: over all sizes, of the larger half's seconds over the smaller's, less 1.
    share_beyond: of the sizes, those where that is more than `limit`.
    halves: which halves differed so, in words. Raises InputError.
    """

    median_difference: float
    share_beyond: float = 0.0
    halves: str = ""
    limit: float = NOISE_LIMIT

    def __post_init__(self) -> None:
        check_number(self.median_difference, "noise.median_difference", low=0, high=1e6)
        check_number(self.share_beyond, "noise.share_beyond", low=0, high=1)
        check_number(self.limit, "noise.limit", low=0, high=1e6)
        check_text(self.halves, "noise.halves")

    @property
    def noisy(self) -> bool:
        """Whether the halves differ by more than repeated profiles may."""
        return self.median_difference > self.limit

    @property
    def words(self) -> str:
        """The verdict in one clause."""
        words = (
            f"its {self.halves or 'two'} halves differ by {self.median_difference:.0%} at the "
            f"median, {self.share_beyond:.0%} of the sizes by more than {self.limit:.0%}"
        )
        return f"{'noisy' if self.noisy else 'quiet'}: {words}"

    def to_dict(self) -> dict[str, Any]:
        """The field `noise` of a profile's file."""
        return {"noisy": self.noisy} | asdict(self)


@dataclass(frozen=True, slots=True)
class MachineFigures:
    """What this machine reaches, measured beside the passes in the profile's dtype.

    bandwidth: bytes a second of a large copy or read, the faster. flops: FLOP/s of a large
    product. layer_seconds, pass_seconds: a layer and a whole pass of a model too small to have
    any work. launch: whether calls take their time `in turn` with the work, as on a CPU, or are
    made `ahead` of it. Raises InputError.
    """

    bandwidth: float
    flops: float
    layer_seconds: float
    pass_seconds: float
    launch: str = LAUNCHED[0]

    def __post_init__(self) -> None:
        check_number(self.bandwidth, "machine.bandwidth", low=1e6, high=1e18)
        check_number(self.flops, "machine.flops", low=1e6, high=1e20)
        for name in ("layer_seconds", "pass_seconds"):
            check_number(getattr(self, name), f"machine.{name}", low=0, high=10)
        check_choice(self.launch, "machine.launch", LAUNCHED)


@dataclass(frozen=True, slots=True)
class Gap:
    """Neighbouring sizes whose seconds differ by more than the refinement allows.

    difference: the larger seconds over the smaller, less 1. falls: the larger pass is the faster.
    """

    model: str
    low: int
    high: int
    difference: float
    falls: bool = False

    @property
    def middle(self) -> int:
        """The size halfway between."""
        return (self.low + self.high) // 2

    @property
    def sizes(self) -> tuple[int, int, int]:
        """The ends and the middle between them."""
        return self.low, self.middle, self.high

    @property
    def surprise(self) -> float:
        """By which factor the seconds change beyond growing as the tokens do: a cliff's is large.

        That of a slope is at most 1; where more tokens take less time, all of it is a surprise.
        """
        return (1 + self.difference) * (1 if self.falls else self.low / self.high)

    @property
    def words(self) -> str:
        """The place and the jump: "target between 640 and 768 tokens (24 %)"."""
        return f"{self.model} between {self.low:,} and {self.high:,} tokens ({self.difference:.0%})"


@dataclass(frozen=True, slots=True)
class Measurement:
    """When, with what and how thoroughly a profile was measured.

    python, torch, transformers: versions. memory_bytes: of the device; peak_bytes: the most that
    was in use. took_seconds: of the whole measurement; limit_seconds: what it was given.
    rounds: passes of every size of the first grid. refined: sizes added to it. unrefined: gaps
    that the time or the number of points did not reach. *_quartiles: spread of every size.
    sample_seconds, commit_seconds, rest_seconds: lower quartiles of what makes the overhead.
    *_shape: sizes of the models, None where their work cannot be counted. offload: the target's
    layers came over the link in every pass. Raises InputError.
    """

    date: str = ""
    python: str = ""
    torch: str = ""
    transformers: str = ""
    memory_bytes: float = 0.0
    peak_bytes: float = 0.0
    took_seconds: float = 0.0
    limit_seconds: float = 0.0
    rounds: int = 0
    refined: int = 0
    unrefined: tuple[Gap, ...] = ()
    target_quartiles: Quartiles = ()
    draft_quartiles: Quartiles = ()
    sample_seconds: float = 0.0
    commit_seconds: float = 0.0
    rest_seconds: float = 0.0
    target_shape: ModelShape | None = None
    draft_shape: ModelShape | None = None
    offload: bool = False

    def __post_init__(self) -> None:
        for name in ("date", "python", "torch", "transformers"):
            check_text(getattr(self, name), f"measurement.{name}")
        check_flag(self.offload, "measurement.offload")
        for name in ("memory_bytes", "peak_bytes"):
            check_number(getattr(self, name), f"measurement.{name}", low=0, high=MOST_BYTES)
        for part in fields(self):
            if part.name.endswith("_seconds"):
                where = f"measurement.{part.name}"
                check_number(getattr(self, part.name), where, low=0, high=LONGEST_SECONDS)
        for name in ("rounds", "refined"):
            check_integer(getattr(self, name), f"measurement.{name}", low=0, high=MOST_PASSES)

    def to_dict(self) -> dict[str, Any]:
        """The field `measurement` of a profile's file."""
        content = asdict(self)
        for name in ("target_quartiles", "draft_quartiles"):
            content[name] = [list(point) for point in content[name]]
        return content


def noise_from(content: Any) -> Noise:
    """The `noise` of a file; its `noisy` follows from the other two and is not read."""
    known = _known(content, "noise", Noise)
    if "median_difference" not in known:
        raise InputError("the field 'noise.median_difference' is missing.")
    return Noise(**known)


def machine_from(content: Any) -> MachineFigures:
    """The `machine` of a file."""
    known = _known(content, "machine", MachineFigures)
    for part in fields(MachineFigures):
        if part.name not in known and part.name != "launch":
            raise InputError(f"the field 'machine.{part.name}' is missing.")
    return MachineFigures(**known)


def measurement_from(content: Any) -> Measurement:
    """The `measurement` of a file; every field of it may be missing."""
    known = _known(content, "measurement", Measurement)
    for model in MODELS:
        name = f"{model}_quartiles"
        known[name] = _quartiles(known.get(name, ()), f"measurement.{name}")
        if f"{model}_shape" in known:
            known[f"{model}_shape"] = _shape(known[f"{model}_shape"], f"measurement.{model}_shape")
    gaps = check_list(known.get("unrefined", ()), "measurement.unrefined", low=0, high=MOST_SIZES)
    known["unrefined"] = tuple(
        _gap(gap, f"measurement.unrefined[{index}]") for index, gap in enumerate(gaps)
    )
    return Measurement(**known)


def _known(content: Any, name: str, kind: type) -> dict[str, Any]:
    """The fields of an object that `kind` has; others may stand beside them."""
    check_object(content, name)
    names = [part.name for part in fields(kind)]
    return {key: content[key] for key in names if content.get(key) is not None}


def _quartiles(points: Any, where: str) -> Quartiles:
    checked = []
    for index, point in enumerate(check_list(points, where, low=0, high=MOST_SIZES)):
        tokens, *seconds, passes = check_list(point, f"{where}[{index}]", low=5, high=5)
        check_integer(tokens, f"{where}[{index}] tokens", low=1, high=MOST_TOKENS)
        check_integer(passes, f"{where}[{index}] passes", low=1, high=MOST_PASSES)
        for value in seconds:
            check_number(value, f"{where}[{index}] seconds", low=0, high=LONGEST_SECONDS)
        if seconds != sorted(seconds):
            raise InputError(f"{where}[{index}] must have ascending quartiles, got {seconds}.")
        checked.append((tokens, *seconds, passes))
    return tuple(checked)


def _gap(content: Any, where: str) -> Gap:
    known = _known(content, where, Gap)
    check_choice(known.get("model"), f"{where}.model", MODELS)
    low = check_integer(known.get("low"), f"{where}.low", low=1, high=MOST_TOKENS)
    check_integer(known.get("high"), f"{where}.high", low=low + 1, high=MOST_TOKENS)
    check_number(known.get("difference"), f"{where}.difference", low=0, high=1e6)
    check_flag(known.get("falls", False), f"{where}.falls")
    return Gap(**known)


def _shape(content: Any, where: str) -> ModelShape:
    """A shape as a file of ours has it: whole, and every number in its range."""
    known = _known(content, where, ModelShape)
    for part in fields(ModelShape):
        value, name = known.get(part.name), f"{where}.{part.name}"
        if part.type is int:
            check_integer(0 if value is None else value, name, low=0, high=MOST_TOKENS)
        elif part.type is str and value is not None:
            check_text(value, name)
        elif part.type is bool and value is not None:
            check_flag(value, name)
    for name in ("layers", "hidden", "intermediate", "heads", "kv_heads", "head_dim", "vocab"):
        check_integer(known.get(name), f"{where}.{name}", low=1, high=MOST_TOKENS)
    check_text(known.get("name"), f"{where}.name")
    return ModelShape(**known).stored_as(known.get("dtype", "bfloat16"), known.get("weight_bits"))
