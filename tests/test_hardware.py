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
from sequoia_core.plan.measurement_words import measurement_words
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


def test_a_file_of_before_has_nothing_of_its_measurement_and_is_written_as_it_was(tmp_path):
    before = profile(overhead_seconds=0.01)
    assert (before.contexts, before.noise, before.machine, before.measurement) == ((), *[None] * 3)
    assert not {"contexts", "noise", "machine", "measurement"} & before.to_dict().keys()
    assert (before.context_lengths, before.warning) == ((0,), "")
    assert measurement_words(before) == []


SHAPE = {
    **{"name": "toy", "layers": 2, "hidden": 8, "intermediate": 16, "heads": 2, "kv_heads": 1},
    **{"head_dim": 4, "vocab": 32, "dtype": "float32", "weight_bits": 32},
}
WHOLE = {
    "context_length": 128,
    "contexts": [
        {
            "context_length": 512,
            "target_seconds": [[1, 2.0], [8, 3.0]],
            "draft_seconds": [[2, 0.2]],
        }
    ],
    "noise": {"noisy": True, "median_difference": 0.21, "share_beyond": 0.8, "limit": 0.1},
    "machine": {"bandwidth": 3e10, "flops": 1e11, "layer_seconds": 2e-4, "pass_seconds": 1e-4},
    "measurement": {
        "date": "2026-11-24",
        "torch": "2.13.0",
        "memory_bytes": 3e10,
        "peak_bytes": 1e9,
        "rounds": 9,
        "refined": 12,
        "unrefined": [{"model": "target", "low": 640, "high": 768, "difference": 0.24}],
        "target_quartiles": [[1, 0.9, 1.0, 1.1, 9]],
        "target_shape": SHAPE,
        "something_of_a_later_version": 3,
    },
}


def test_what_a_profile_says_of_its_measurement_survives_its_file(tmp_path):
    path = tmp_path / "whole.json"
    path.write_text(json.dumps(VALID | WHOLE), encoding="utf-8")
    read = load_hardware(path)
    read.save(tmp_path / "again.json")
    assert load_hardware(tmp_path / "again.json").to_dict() == read.to_dict()
    assert read.measurement.target_shape.parameters > 0
    assert read.noise.noisy
    assert "whole was noisy: its two halves differ by 21% at the median" in read.warning
    words = " ".join(measurement_words(read))
    assert "12 sizes added" in words
    assert "target between 640 and 768 tokens (24%)" in words
    assert "30.0 GB/s" in words


def test_another_context_is_read_from_the_contexts_around_it(tmp_path):
    path = tmp_path / "whole.json"
    path.write_text(json.dumps(VALID | WHOLE), encoding="utf-8")
    read = load_hardware(path)
    assert read.context_lengths == (128, 512)
    assert (read.target(8), read.at_context(512).target(8)) == (2.0, 3.0)
    between = read.at_context(320)
    assert between.context_length == 320
    assert between.target_seconds == ((1, 1.5), (4, pytest.approx(2.4642857)), (8, 2.5))
    assert between.draft(4) == pytest.approx(0.2)
    assert read.at_context(4).context_length == 128
    assert read.at_context(10_000).target_seconds == read.at_context(512).target_seconds
    alone = profile(context_length=64)
    assert alone.at_context(900).to_dict() == alone.to_dict()


@pytest.mark.parametrize(
    ("where", "value", "message"),
    [
        (("contexts",), 3, "contexts must be a list"),
        (("contexts", 0), [], r"contexts\[0\] must be an object"),
        (("contexts", 0, "target_seconds"), None, r"contexts\[0\]: target_seconds must be a list"),
        (("contexts", 0, "context_length"), -1, r"contexts\[0\]: context_length must be between"),
        (("contexts", 0, "context_length"), 128, "different lengths, got 128 twice"),
        (("noise",), True, "noise must be an object"),
        (("noise", "median_difference"), "much", "noise.median_difference must be a number"),
        (("noise", "median_difference"), None, "'noise.median_difference' is missing"),
        (("noise", "share_beyond"), 1.5, "noise.share_beyond must be between 0 and 1"),
        (("machine", "flops"), 0, "machine.flops must be between"),
        (("machine", "bandwidth"), None, "'machine.bandwidth' is missing"),
        (("machine", "launch"), "later", "machine.launch must be one of in turn, ahead"),
        (("measurement",), "yes", "measurement must be an object"),
        (("measurement", "torch"), 2, "measurement.torch must be a text"),
        (("measurement", "offload"), 1, "measurement.offload must be true or false"),
        (("measurement", "rounds"), 1.5, "measurement.rounds must be a whole number"),
        (("measurement", "peak_bytes"), -1, "measurement.peak_bytes must be between"),
        (
            ("measurement", "unrefined", 0, "model"),
            "both",
            r"unrefined\[0\].model must be one of target, draft",
        ),
        (("measurement", "unrefined", 0, "high"), 640, r"unrefined\[0\].high must be between 641"),
        (("measurement", "target_quartiles", 0), [1, 2], r"target_quartiles\[0\] must have 5"),
        (("measurement", "target_quartiles", 0, 1), 1.05, r"\[0\] must have ascending quartiles"),
        (("measurement", "target_shape", "layers"), 0, "target_shape.layers must be between 1"),
        (("measurement", "target_shape", "tied"), 1, "target_shape.tied must be true or false"),
        (("measurement", "target_shape", "dtype"), "int3", "dtype must be one of"),
    ],
)
def test_a_bad_field_of_the_measurement_is_named(tmp_path, where, value, message):
    content = json.loads(json.dumps(VALID | WHOLE))
    place = content
    for step in where[:-1]:
        place = place[step]
    place[where[-1]] = value
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(FileFormatError, match=rf"bad\.json: .*{message}"):
        load_hardware(path)


def test_missing_fields_and_unknown_names_are_refused(tmp_path):
    path = tmp_path / "bad.json"
    path.write_text(json.dumps({k: v for k, v in VALID.items() if k != "device"}))
    with pytest.raises(FileFormatError, match="'device' is missing"):
        load_hardware(path)
    path.write_text(json.dumps(VALID | {"draft_seconds": None}))
    with pytest.raises(FileFormatError, match="'draft_seconds' is missing"):
        load_hardware(path)
    with pytest.raises(InputError, match="No hardware preset or file is called 'nope'"):
        load_hardware("nope")
