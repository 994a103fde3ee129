"""Hardware profiles: straight lines between points, honest ends, checked files."""

import json

import numpy as np
import pytest

from sequoia_core.errors import FileFormatError, InputError
from sequoia_core.plan.hardware import (
    HardwareProfile,
    interpolate,
    list_hardware_presets,
    load_hardware,
)
from sequoia_core.plan.presets import DEFAULT_HARDWARE

VALID = {
    "format": "sequoia-hardware",
    "version": 1,
    "device": "test",
    "origin": "measured",
    "target_seconds": [[1, 1.0], [4, 2.5], [8, 2.0]],
    "draft_seconds": [[2, 0.1], [4, 0.2]],
}


def profile(**fields) -> HardwareProfile:
    content = {k: v for k, v in (VALID | fields).items() if k not in ("format", "version")}
    return HardwareProfile(**content)


def test_times_lie_on_straight_lines_between_measured_points():
    assert profile().target(np.array([1, 2, 3, 4, 6, 8])).tolist() == [1, 1.5, 2, 2.5, 2.25, 2]


def test_below_the_first_point_its_time_holds():
    assert profile().draft(1) == 0.1


def test_beyond_the_last_point_the_last_slope_goes_on_but_never_down():
    assert profile().draft(6) == pytest.approx(0.3)
    assert profile().target(100) == 2.0
    assert interpolate(((5, 1.5),), 100) == 1.5


def test_numbers_give_numbers_and_arrays_keep_their_shape():
    assert isinstance(profile().target(3), float)
    assert profile().target(np.ones((2, 3), dtype=int)).shape == (2, 3)


def test_a_profile_survives_its_file(tmp_path):
    before = profile(overhead_seconds=0.01, context_length=256, dtype="float32", basis="a test")
    before.save(tmp_path / "mine.json")
    after = load_hardware(tmp_path / "mine.json")
    assert after.name == "mine"
    assert after.to_dict() == before.to_dict()


def test_every_bundled_profile_loads_and_the_default_comes_first():
    names = list_hardware_presets()
    assert names[0] == DEFAULT_HARDWARE
    assert names[1:] == sorted(names[1:])
    for name in names:
        assert load_hardware(name).name == name


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"device": 3}, "device must be a text"),
        ({"origin": "guessed"}, "origin must be one of measured, modelled, derived"),
        ({"target_seconds": []}, "target_seconds must have 1 to 4096 entries"),
        ({"target_seconds": [1.0]}, r"target_seconds\[0\] must be a list"),
        ({"draft_seconds": [[1]]}, r"draft_seconds\[0\] must have 2 to 2 entries"),
        ({"draft_seconds": [[0, 1.0]]}, r"draft_seconds\[0\] tokens must be between 1"),
        ({"draft_seconds": [[1.5, 1.0]]}, r"draft_seconds\[0\] tokens must be a whole number"),
        ({"target_seconds": [[2, 1.0], [2, 1.0]]}, r"target_seconds\[1\] tokens .* above"),
        ({"target_seconds": [[1, 0.0]]}, r"target_seconds\[0\] seconds must be between"),
        ({"target_seconds": [[1, float("inf")]]}, "seconds must be finite"),
        ({"overhead_seconds": -1}, "overhead_seconds must be between 0"),
        ({"context_length": -1}, "context_length must be between 0"),
    ],
)
def test_bad_fields_are_named_with_their_file(tmp_path, fields, message):
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(VALID | fields), encoding="utf-8")
    with pytest.raises(FileFormatError, match=rf"bad\.json: .*{message}"):
        load_hardware(path)


def test_missing_fields_and_unknown_names_are_refused(tmp_path):
    path = tmp_path / "bad.json"
    path.write_text(json.dumps({k: v for k, v in VALID.items() if k != "device"}))
    with pytest.raises(FileFormatError, match="'device' is missing"):
        load_hardware(path)
    with pytest.raises(InputError, match="No hardware preset or file is called 'nope'"):
        load_hardware("nope")
