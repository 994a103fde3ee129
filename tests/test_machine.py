"""A machine's own figures are plausible; how fast it is, no test says."""

import pytest
import torch

from sequoia_core.decode.memory import available_bytes
from sequoia_core.measure import machine
from sequoia_core.measure.machine import measure_machine, total_bytes

CPU = torch.device("cpu")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_figures_of_this_machine_are_those_of_some_machine(monkeypatch, dtype):
    monkeypatch.setattr(machine, "LAST_SIDE", machine.FIRST_SIDE)
    monkeypatch.setattr(machine, "COPIED_BYTES", {"cpu": machine.LEAST_BYTES})
    figures = measure_machine(CPU, dtype)
    # Wide enough for any machine, and too narrow for a mistaken unit.
    assert 1e8 < figures.bandwidth < 1e14
    assert 1e7 < figures.flops < 1e16
    assert 0 <= figures.layer_seconds < 1
    assert 0 <= figures.pass_seconds < 1
    assert figures.launch == "in turn"


def test_the_memory_of_a_device_is_all_of_it():
    assert available_bytes(CPU) < total_bytes(CPU)
