"""A roofline of the very machine and pair that a profile was measured with, to hold against it.

Two kinds: from the data sheet of its GPU, with the shares and times that `model-hardware` assumes;
and from the bandwidth, FLOP/s and call times that were measured with the passes. The latter knows
every machine, and is a floor: no product of a real pass is as fast as the large ones.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from sequoia_core.assets import asset
from sequoia_core.errors import FileFormatError, InputError
from sequoia_core.plan.agreement import Difference, difference
from sequoia_core.plan.gpu import Efficiency, Gpu, gpu_reported_as
from sequoia_core.plan.hardware import HardwareProfile
from sequoia_core.plan.measurement import LAUNCHED, MODELS, MachineFigures
from sequoia_core.plan.model_shape import ModelShape, list_shapes, load_shape
from sequoia_core.plan.modelled import Modelled, model_profile
from sequoia_core.plan.roofline import Machine, pass_curve

SHEET, OWN = "data sheet", "measured figures"
# Where a profile does not say what the device has; nothing is checked against it.
SOME_MEMORY = 2**40


@dataclass(frozen=True, slots=True, eq=False)
class Twin:
    """A modelled profile beside a measured one, and how far it is off.

    kind: `data sheet` or `measured figures`. machine, target, draft: what the roofline is made
    from. rests_on: that in words. differences: of the modelled from the measured, target and draft.
    """

    kind: str
    profile: HardwareProfile
    machine: Machine
    target: ModelShape
    draft: ModelShape
    rests_on: str
    differences: tuple[Difference, Difference]

    @property
    def words(self) -> str:
        """What it rests on and how far it is off."""
        off = "; ".join(each.words for each in self.differences)
        return f"Modelled from {self.rests_on} it is off by: {off}."


def twins(measured: HardwareProfile) -> list[Twin]:
    """Every roofline that can be held against a measured profile: none where shape or machine are
    unknown.
    """
    shapes = pair_shapes(measured)
    if measured.origin != "measured" or shapes is None:
        return []
    target, draft = shapes
    made = [_from_sheet(measured, target, draft), _from_figures(measured, target, draft)]
    return [twin for twin in made if twin is not None]


def model_error(measured: HardwareProfile, modelled: Modelled) -> tuple[Difference, ...] | None:
    """How far a model made by hand is off a measurement; None where they are of other models."""
    shapes = pair_shapes(measured)
    if measured.origin != "measured" or shapes is None or measured.dtype != modelled.machine.dtype:
        return None
    if any(
        own.parameters != other.parameters
        for own, other in zip(shapes, (modelled.target, modelled.draft), strict=True)
    ):
        return None
    return tuple(difference(measured, modelled.profile, model) for model in MODELS)


def pair_shapes(profile: HardwareProfile) -> tuple[ModelShape, ModelShape] | None:
    """Shapes of target and draft: as the profile has them, else by their names; None if unknown."""
    facts = profile.measurement
    target = (facts and facts.target_shape) or _named_shape(profile.target_model)
    draft = (facts and facts.draft_shape) or _named_shape(profile.draft_model)
    if target is None or draft is None or profile.dtype == "":
        return None
    return target.stored_as(profile.dtype), draft.stored_as(profile.dtype)


def _named_shape(name: str) -> ModelShape | None:
    """Of a bundled model or a stand-in for a well-known one; names of files are not followed."""
    wanted = name.rpartition(" as ")[2]
    if wanted in list_shapes():
        return load_shape(wanted)
    folder = asset("models") / Path(wanted).name
    if not wanted or wanted != folder.name or not (folder / "config.json").is_file():
        return None
    try:
        return load_shape(folder)
    except (InputError, FileFormatError):
        return None


def _from_sheet(measured: HardwareProfile, target: ModelShape, draft: ModelShape) -> Twin | None:
    """With every share and time as `model-hardware` assumes it, sampling left out."""
    gpu = gpu_reported_as(measured.device)
    if gpu is None:
        return None
    ahead = measured.machine is not None and measured.machine.launch == LAUNCHED[1]
    try:
        modelled = model_profile(
            gpu,
            target,
            draft,
            dtype=measured.dtype,
            context_length=measured.context_length,
            launch="eager" if ahead else "graphs",
            offload=_offloaded(measured),
            assumed={"draw_seconds": 0.0},
        )
    except InputError:
        # The sheet has no figure for this dtype, or says that what was measured does not fit.
        return None
    return _twin(SHEET, measured, modelled.profile, modelled.machine, (target, draft))


def _from_figures(measured: HardwareProfile, target: ModelShape, draft: ModelShape) -> Twin | None:
    """With what the machine was measured to reach, all of it; the link is not measured."""
    if measured.machine is None or _offloaded(measured):
        return None
    machine = _machine(measured, measured.machine)
    # Where calls take their turn, a pass has some of its own beside its layers'.
    beside = measured.machine.pass_seconds if machine.launch == "graphs" else 0.0
    context = measured.context_length
    curves = [pass_curve(shape, machine, context, beside=beside) for shape in (target, draft)]
    profile = replace(
        measured,
        device=f"{measured.device} (modelled)",
        target_seconds=curves[0],
        draft_seconds=curves[1],
        origin="modelled",
        contexts=(),
        noise=None,
        machine=None,
        measurement=None,
    )
    return _twin(OWN, measured, profile, machine, (target, draft))


def _offloaded(measured: HardwareProfile) -> bool:
    return measured.measurement is not None and measured.measurement.offload


def _machine(measured: HardwareProfile, figures: MachineFigures) -> Machine:
    """The machine as a GPU of which all is reached."""
    in_turn = figures.launch == LAUNCHED[0]
    memory = measured.measurement.memory_bytes if measured.measurement else 0.0
    reached = Efficiency(
        memory=1,
        quantised_memory=1,
        compute=1,
        link=1,
        layer_seconds=figures.layer_seconds if in_turn else 0.0,
        compiled_layer_seconds=0.0,
        host_layer_seconds=0.0 if in_turn else figures.layer_seconds,
        draw_seconds=0.0,
        step_seconds=0.0,
    )
    gpu = Gpu(
        measured.device,
        memory or SOME_MEMORY,
        bandwidth=figures.bandwidth,
        flops={measured.dtype: figures.flops},
    )
    return Machine(gpu, measured.dtype, reached, launch="graphs" if in_turn else "eager")


def _twin(
    kind: str,
    measured: HardwareProfile,
    profile: HardwareProfile,
    machine: Machine,
    shapes: tuple[ModelShape, ModelShape],
) -> Twin:
    rests_on = {
        SHEET: f"the data sheet of {machine.gpu.name}",
        OWN: "this machine's own bandwidth, FLOP/s and call times",
    }[kind]
    differences = tuple(difference(measured, profile, model) for model in MODELS)
    return Twin(kind, profile, machine, *shapes, rests_on, differences)
