"""Modelled beside measured: the same machine, the same pair, and how far one is off the other."""

from dataclasses import replace

import numpy as np
import pytest

from sequoia_core.plan.agreement import agreement, difference
from sequoia_core.plan.gpu import gpu_reported_as, list_gpus, load_gpu, typed_in_gpu
from sequoia_core.plan.hardware import HardwareProfile, load_hardware
from sequoia_core.plan.measurement import MachineFigures, Measurement
from sequoia_core.plan.model_shape import load_shape
from sequoia_core.plan.modelled import model_profile
from sequoia_core.plan.roofline import roofs
from sequoia_core.plan.twin import OWN, SHEET, model_error, pair_shapes, twins

FIGURES = MachineFigures(bandwidth=3e10, flops=1e11, layer_seconds=2e-4, pass_seconds=1e-4)
CPU = replace(load_hardware("cpu-2-cores"), machine=FIGURES, measurement=None)
SHAPES = load_shape("llama-2-7b"), load_shape("llama-68m")


def on_a_gpu(device: str = "NVIDIA H200", **how) -> HardwareProfile:
    """What a measurement would be that the data sheet's model meets to the last digit."""
    modelled = model_profile(
        load_gpu("h200"), *SHAPES, dtype="float16", assumed={"draw_seconds": 0.0}
    )
    fields = {
        "device": device,
        "origin": "measured",
        "basis": "",
        "measurement": Measurement(target_shape=SHAPES[0], draft_shape=SHAPES[1]),
    }
    return replace(modelled.profile, **fields | how)


def test_a_measurement_that_meets_its_data_sheet_is_off_by_nothing():
    [twin] = twins(on_a_gpu())
    assert (twin.kind, twin.machine.gpu.name) == (SHEET, "h200")
    assert [each.median for each in twin.differences] == [0.0, 0.0]
    slower = on_a_gpu(
        target_seconds=[(n, 1.25 * s) for n, s in on_a_gpu().target_seconds],
    )
    target, draft = twins(slower)[0].differences
    assert (target.median, target.worst) == (pytest.approx(0.2), pytest.approx(-0.2))
    assert draft.median == 0.0
    assert "data sheet of h200 it is off by: target 20% at the median" in twins(slower)[0].words


def test_a_machine_without_a_data_sheet_is_held_against_its_own_figures():
    [twin] = twins(CPU)
    assert (twin.kind, twin.profile.origin, twin.target.layers) == (OWN, "modelled", 8)
    sizes = np.array([1, 16, 256])
    roof = roofs(twin.target, twin.machine, sizes, CPU.context_length)
    # A pass is its layers' calls and its own, and then no less than either roof.
    beside = 8 * FIGURES.layer_seconds + FIGURES.pass_seconds
    assert np.all(twin.profile.target(sizes) >= np.maximum(*roof.values()) + beside - 1e-12)
    assert twin.profile.target(1) == pytest.approx(roof["memory"][0] + beside)


def test_calls_made_ahead_of_the_work_hide_behind_it():
    ahead = replace(FIGURES, launch="ahead", bandwidth=1e9)
    [_, own] = twins(on_a_gpu(machine=ahead))
    roof = roofs(own.target, own.machine, np.array([1]), 1024)
    assert own.profile.target(1) == pytest.approx(roof["memory"][0])
    slow = replace(ahead, layer_seconds=1.0)
    assert twins(on_a_gpu(machine=slow))[1].profile.target(1) == 32.0


def test_streamed_layers_are_held_against_the_sheets_link_and_nothing_else():
    facts = Measurement(target_shape=SHAPES[0], draft_shape=SHAPES[1], offload=True)
    [twin] = twins(on_a_gpu(measurement=facts, machine=FIGURES))
    assert (twin.kind, twin.machine.offload) == (SHEET, True)
    assert twin.profile.target(1) > on_a_gpu().target(1)


@pytest.mark.parametrize(
    "profile",
    [
        load_hardware("cpu-2-cores"),
        load_hardware("a100-llama-2-7b-paper-t0"),
        on_a_gpu("GPU of next year"),
        on_a_gpu(measurement=None, target_model="somebody's"),
        on_a_gpu(measurement=None, target_model="../stories-27m"),
        on_a_gpu(origin="modelled"),
        on_a_gpu("Tesla T4", dtype="bfloat16"),
    ],
)
def test_where_shape_or_machine_are_unknown_there_is_no_twin(profile):
    assert twins(replace(profile, machine=None)) == []


def test_shapes_are_known_by_the_names_of_bundled_models_and_stand_ins():
    target, draft = pair_shapes(CPU)
    assert (target.name, target.dtype, draft.name) == ("stories-27m", "float32", "stories-1m")
    as_7b = replace(CPU, target_model="stories-27m as llama-2-7b", draft_model="llama-68m")
    assert [shape.name for shape in pair_shapes(as_7b)] == ["llama-2-7b", "llama-68m"]
    assert pair_shapes(replace(CPU, target_model="")) is None


def test_a_gpu_typed_in_is_held_against_a_measurement_of_the_same_models_alone():
    gpu = typed_in_gpu(bandwidth=4800, tflops=989.4, memory=141, dtype="float16")
    modelled = model_profile(gpu, *SHAPES, dtype="float16", assumed={"draw_seconds": 0.0})
    assert model_error(on_a_gpu(), modelled)[0].median == pytest.approx(0.0)
    assert model_error(on_a_gpu(dtype="bfloat16"), modelled) is None
    assert model_error(CPU, modelled) is None
    assert model_error(on_a_gpu(origin="modelled"), modelled) is None


def test_drivers_names_lead_to_data_sheets_and_no_two_share_one():
    assert gpu_reported_as("NVIDIA H100 80GB HBM3").name == "h100-sxm"
    assert gpu_reported_as("NVIDIA H100 80GB HBM3e") is None
    for name in list_gpus():
        own = gpu_reported_as(load_gpu(name).device)
        assert own is None or own.name == name


def test_differences_are_taken_at_the_sizes_that_both_know():
    one = HardwareProfile("m", ((1, 1.0), (4, 1.0), (16, 2.0), (64, 9.0)), ((1, 1.0),))
    other = HardwareProfile("m", ((1, 1.1), (16, 1.5)), ((2, 0.5),))
    found = difference(one, other, "target")
    assert (found.sizes, found.worst_tokens, found.worst) == (3, 16, pytest.approx(-0.25))
    assert found.median == pytest.approx(0.18)
    assert difference(one, other, "draft").worst == -0.5


def test_two_measurements_of_one_machine_agree_or_say_by_how_much_not():
    again = replace(CPU, target_seconds=[(n, 1.04 * s) for n, s in CPU.target_seconds])
    found = agreement(CPU, again)
    assert found.agrees
    assert "agree: target 4% at the median" in found.words
    other = replace(CPU, draft_seconds=[(n, 1.3 * s) for n, s in CPU.draft_seconds])
    assert not agreement(CPU, other).agrees
    assert "draft 30% at the median" in agreement(CPU, other).words
    for change in ({"device": "another"}, {"dtype": "bfloat16"}, {"context_length": 7}):
        assert agreement(CPU, replace(CPU, **change)) is None
    assert agreement(*[replace(CPU, origin="modelled")] * 2) is None
