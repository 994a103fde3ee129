"""Acceptance vectors: every number is checked, files and presets load."""

import json

import numpy as np
import pytest

from sequoia_core.errors import FileFormatError, InputError
from sequoia_core.plan.acceptance import (
    AcceptanceVector,
    list_acceptance_presets,
    load_acceptance,
)

VALID = {"format": "sequoia-acceptance", "version": 1, "rule": "sequoia", "probabilities": [0.5]}


def test_a_vector_survives_its_file(tmp_path):
    vector = AcceptanceVector(
        "topk",
        [[0.5, 0.25], [0.25, 0.125]],
        temperature=0.6,
        top_p=0.9,
        standard_errors=[[0.01, 0.02], [0.03, 0.04]],
        target="a",
        draft="b",
        prompts=7,
        origin="test",
    )
    vector.save(tmp_path / "mine.json")
    loaded = load_acceptance(tmp_path / "mine.json")
    assert loaded.name == "mine"
    assert loaded.to_dict() == vector.to_dict()
    assert loaded.at_depth(0).tolist() == [0.5, 0.25]
    assert loaded.at_depth(5).tolist() == [0.25, 0.125]


def test_bundled_presets_load_and_the_papers_vector_is_complete():
    names = list_acceptance_presets()
    assert {"paper-appendix-e", "reference-repository"} <= set(names)
    for name in names:
        assert load_acceptance(name).name == name
    paper = load_acceptance("paper-appendix-e")
    assert paper.ranks == 31
    assert paper.probabilities.sum() == pytest.approx(0.9928)


def test_a_vector_is_monotone_only_if_every_row_is():
    assert AcceptanceVector("sequoia", [[0.5, 0.5], [0.1, 0.0]]).is_monotone
    assert not AcceptanceVector("sequoia", [[0.5, 0.5], [0.1, 0.2]]).is_monotone


def test_probabilities_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        AcceptanceVector("sequoia", np.array([0.5])).probabilities[0] = 1


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"rule": "magic"}, "rule must be one of sequoia, specinfer, topk, got 'magic'"),
        ({"probabilities": 0.5}, "probabilities must be a list"),
        ({"probabilities": []}, "probabilities must have 1 to 1024 entries, got 0"),
        ({"probabilities": [0.0] * 1025}, "got 1025"),
        ({"probabilities": [0.5, -0.1]}, r"probabilities\[1\] must be between 0 and 1, got -0.1"),
        ({"probabilities": [1.5]}, r"probabilities\[0\] must be between 0 and 1"),
        ({"probabilities": [float("nan")]}, r"probabilities\[0\] must be finite"),
        ({"probabilities": ["0.5"]}, r"probabilities\[0\] must be a number"),
        ({"probabilities": [0.7, 0.4]}, "must sum to at most 1.* got 1.1"),
        ({"probabilities": [[0.5], [0.5, 0.1]]}, r"probabilities\[1\] must have 1 entries"),
        ({"probabilities": [[0.5], 0.5]}, r"probabilities\[1\] must be a list"),
        ({"probabilities": [[0.5, 0.1], [0.9, 0.2]]}, r"probabilities\[1\] must sum"),
        ({"probabilities": [[0.1]] * 65}, "1 to 64 entries"),
        ({"standard_errors": [0.1, 0.1]}, "standard_errors must have the shape"),
        ({"standard_errors": [2]}, r"standard_errors\[0\] must be between"),
        ({"temperature": -1}, "temperature must be between 0"),
        ({"top_p": 1.5}, "top_p must be between 0 and 1"),
        ({"prompts": 1.5}, "prompts must be a whole number"),
        ({"target": 3}, "target must be a text"),
    ],
)
def test_bad_fields_are_named_with_their_file(tmp_path, fields, message):
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(VALID | fields), encoding="utf-8")
    with pytest.raises(FileFormatError, match=rf"bad\.json: .*{message}"):
        load_acceptance(path)


def test_missing_fields_and_unknown_versions_are_refused(tmp_path):
    path = tmp_path / "bad.json"
    path.write_text(json.dumps({k: v for k, v in VALID.items() if k != "rule"}))
    with pytest.raises(FileFormatError, match="'rule' is missing"):
        load_acceptance(path)
    path.write_text(json.dumps(VALID | {"version": 2}))
    with pytest.raises(FileFormatError, match="only version 1"):
        load_acceptance(path)
    with pytest.raises(InputError, match="No acceptance preset or file is called 'nope'"):
        load_acceptance("nope")
