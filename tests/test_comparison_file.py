"""The file of a comparison: what is written is read back, and nothing wrong is taken."""

import csv
import json

import pytest
from comparisons import comparison_of, steady

from sequoia_core import files
from sequoia_core.cli import main
from sequoia_core.errors import FileFormatError
from sequoia_core.measure.comparison import BASELINE
from sequoia_core.measure.comparison_file import (
    parse_comparison,
    read_comparison,
    to_csv,
    to_dict,
    to_json,
    write_comparison,
)
from sequoia_core.measure.summary import verdict

COMPARISON = steady(2, sequoia=2.0, hf_generate=0.9)


def parsed(content: object):
    return parse_comparison(json.dumps(content).encode(), "theirs.json")


def test_a_comparison_comes_back_as_it_was(tmp_path):
    write_comparison(tmp_path / "kept.json", COMPARISON)
    assert read_comparison(tmp_path / "kept.json") == COMPARISON
    assert parse_comparison(to_json(COMPARISON).encode(), "kept") == COMPARISON
    assert json.loads(to_json(COMPARISON))["complete"]


def test_rows_are_there_for_scripts():
    rows = {row["method"]: row for row in to_dict(COMPARISON)["rows"]}
    tree = rows["sequoia"]
    assert (tree["speedup"], tree["speedup_low"], tree["speedup_high"]) == (2, 2, 2)
    assert (tree["predicted_speedup"], tree["tokens_per_step"]) == (2.5, 3)
    assert rows["hf-generate"]["decode_speedup"] is None


def test_the_table_has_a_row_for_every_run():
    rows = list(csv.DictReader(to_csv(COMPARISON).splitlines()))
    assert len(rows) == len(COMPARISON.runs) == 12
    second = rows[1]
    assert [second[name] for name in ("method", "prompt", "repeat")] == ["sequoia", "1", "1"]
    assert float(second["speedup"]) == 2
    assert float(second["verify_seconds"]) == 0.25
    assert rows[2]["verify_seconds"] == ""


def edited(path: str, value: object) -> dict:
    """The file's content with the value at a path such as runs.1.seconds changed."""
    content = json.loads(to_json(COMPARISON))
    place = content
    *way, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    for part in way:
        place = place[part]
    place[last] = value
    return content


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("format", "sequoia-plan", "is not a sequoia-benchmark file"),
        ("version", 2, "only version 1 can be read"),
        ("entries", [], "entries must have 1 to 200 entries, got 0"),
        ("entries.1.method", "magic", "entries[1].method must be one of"),
        ("entries.1.method", ["chain"], "entries[1].method must be one of"),
        ("entries.1.method", BASELINE, "entries must name each method once a temperature"),
        ("entries.1", 7, "entries[1] must be an object, got int"),
        ("entries.1.budget", 0, "entries[1].budget must be between 1 and"),
        ("entries.1.level_sizes", [1, -2], "entries[1].level_sizes must be between 1"),
        ("entries.1.predicted_speedup", "2", "entries[1].predicted_speedup must be a number"),
        ("entries.1.acceptance_temperature", -1, "acceptance_temperature must be between 0"),
        ("entries.1.hardware_target", 5, "entries[1].hardware_target must be a text"),
        ("entries.0.temperature", 11, "entries[0].temperature must be between 0 and 10, got 11"),
        ("prompts", [1], "prompts[0] must be a text"),
        ("prompts", "two", "prompts must be a list, got str"),
        ("repeats", 0, "repeats must be between 1 and"),
        ("top_p", 0, "Top-p must be above 0"),
        ("seed", -1, "seed must be between 0"),
        ("max_new_tokens", 1.5, "max_new_tokens must be a whole number"),
        ("target", None, "target must be a text"),
        ("versions", [], "versions must be an object"),
        ("runs", [], "runs must have 1 to 100000 entries, got 0"),
        ("runs.1", None, "runs[1] must be an object"),
        ("runs.1.method", "chain", "runs[1] must be of one of the entries, got chain"),
        ("runs.1.temperature", 0.6, "got sequoia at temperature 0.6"),
        ("runs.1.prompt", 2, "runs[1].prompt must be between 0 and 1, got 2"),
        ("runs.1.repeat", 2, "runs[1].repeat must be between 0 and 1, got 2"),
        ("runs.1.repeat", 1, "runs must have each of"),
        ("runs.1.tokens", 0, "runs[1].tokens must be between 1"),
        ("runs.1.steps", True, "runs[1].steps must be a whole number"),
        ("runs.1.seconds", 0, "runs[1].seconds must be between"),
        ("runs.1.seconds", float("inf"), "runs[1].seconds must be finite"),
        ("runs.1.decode_seconds", 0.6, "runs[1].decode_seconds must be between 1e-09 and 0.5"),
        ("runs.1.parts", [1, 2, 3, 4], "runs[1].parts must be an object"),
        ("runs.1.parts.draft", -1, "runs[1].parts.draft must be between 0 and 0.5, got -1"),
        ("runs.1.hits", 5, "runs[1].hits must be between 0 and 4, got 5"),
        ("runs.1.shared_tokens", 13, "runs[1].shared_tokens must be between 0 and 12, got 13"),
    ],
)
def test_a_wrong_value_is_named_with_its_field(path, value, words):
    with pytest.raises(FileFormatError, match=r"theirs\.json") as caught:
        parsed(edited(path, value))
    assert words in str(caught.value)


def without(name: str) -> dict:
    content = to_dict(COMPARISON)
    del content[name]
    return content


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("runs", "files of earlier versions keep averages alone"),
        ("entries", "the field 'entries' is missing"),
        ("prompts", "the field 'prompts' is missing"),
        ("seed", "seed must be a whole number"),
        ("target", "the field 'target' is missing"),
    ],
)
def test_a_field_that_must_be_there_is_missed(name, words):
    with pytest.raises(FileFormatError) as caught:
        parsed(without(name))
    assert words in str(caught.value)


def test_runs_without_plain_decoding_beside_them_are_refused():
    content = to_dict(comparison_of({BASELINE: [[1.0]], "chain": [[0.5]]}))
    content["entries"].pop(0)
    content["runs"].pop(0)
    with pytest.raises(FileFormatError, match="entries must hold autoregressive at temperature 0"):
        parsed(content)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"{", "not valid JSON"),
        (b"[]", "must hold one JSON object"),
        (b'{"\xff"', "not JSON text in UTF-8"),
        (b"[" * 200_000, "lists in lists"),
    ],
)
def test_what_is_no_such_file_is_said_to_be_none(data, words):
    with pytest.raises(FileFormatError, match=words):
        parse_comparison(data, "theirs.json")


def test_a_file_that_is_too_large_is_not_even_parsed(monkeypatch):
    monkeypatch.setattr(files, "MAX_BYTES", 1000)
    with pytest.raises(FileFormatError, match="at most 0 are read"):
        parse_comparison(b" " * 1001, "theirs.json")


def test_the_command_shows_what_any_of_the_two_has_written(tmp_path, capsys):
    write_comparison(tmp_path / "kept.json", COMPARISON)
    assert main(["bench", "--show", str(tmp_path / "kept.json")]) == 0
    shown = capsys.readouterr().out
    assert "big with small, float32, a machine, 1 thread, 2 prompts, 2 repeats" in shown
    assert "| sequoia | 24.0 | 2.00 (2.00 to 2.00) | 2.00, 2.50 | 3.00, 2.60 |" in shown
    assert all(sentence in shown for sentence in verdict(COMPARISON))
    assert main(["bench", "--show", str(tmp_path / "none.json")]) == 2
    assert "it does not exist" in capsys.readouterr().err
