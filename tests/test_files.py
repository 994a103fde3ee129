"""Tagged JSON: formats and versions are checked, and a file is replaced at once or not at all."""

import pytest

from sequoia_core.assets import asset, find_preset
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


def test_what_is_written_is_read_back(tmp_path):
    content = tagged("plan", {"budget": 4, "name": "Bäume"})
    write_json(tmp_path / "a.json", content)
    assert read_json(tmp_path / "a.json", "plan") == content
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_a_failed_write_leaves_the_old_file_and_no_scraps(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    write_json(path, tagged("plan", {"budget": 1}))

    def full_disk(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("sequoia_core.files.os.fsync", full_disk)
    with pytest.raises(InputError, match="No space left"):
        write_json(path, tagged("plan", {"budget": 2}))
    assert read_json(path, "plan")["budget"] == 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.json"]


def test_numbers_that_json_lacks_are_never_written(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"speedup": float("nan")})
    assert not list(tmp_path.iterdir())


def test_writing_into_a_missing_folder_is_a_clear_error(tmp_path):
    with pytest.raises(InputError, match=r"Cannot write .*nowhere"):
        write_json(tmp_path / "nowhere" / "a.json", {})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "not valid JSON"),
        (b'{"format": ', "line 1, column 12"),
        (b"\xff\xfe\x00", "UTF-8"),
        (b"[" * 100_000, "not JSON text"),
        (b"[1]", "one JSON object, got list"),
        (b'{"n": ' + b"9" * 5000 + b"}", "a whole number of thousands of digits"),
        (b"{}", "not a sequoia-plan file: its format is 'no format field'"),
        (b'{"format": "sequoia-trace", "version": 1}', "its format is 'sequoia-trace'"),
        (b'{"format": "sequoia-plan"}', "version None, but only version 1"),
        (b'{"format": "sequoia-plan", "version": 2}', "version 2, but only version 1"),
        (b'{"format": "sequoia-plan", "version": true}', "version True"),
    ],
)
def test_files_of_another_kind_are_refused(tmp_path, text, message):
    path = tmp_path / "a.json"
    path.write_bytes(text)
    with pytest.raises(FileFormatError, match=message):
        read_json(path, "plan")


def test_missing_files_folders_and_assets_are_named(tmp_path):
    with pytest.raises(FileFormatError, match=r"none\.json: it does not exist"):
        read_json(tmp_path / "none.json", "plan")
    with pytest.raises(FileFormatError, match="Cannot read"):
        read_json(tmp_path, "plan")
    with pytest.raises(FileFormatError, match="'models/none' is missing"):
        asset("models/none")
    with pytest.raises(InputError, match=r"'none'; presets are: .*paper-appendix-e"):
        find_preset("none", "acceptance")
    for impossible in ("", "x" * 5000, "a\0b"):
        with pytest.raises(InputError, match="No acceptance preset or file"):
            find_preset(impossible, "acceptance")


@pytest.mark.parametrize(
    ("check", "message"),
    [
        (lambda: check_number("1", "f"), "f must be a number, got '1'"),
        (lambda: check_number(True, "f"), "f must be a number"),
        (lambda: check_number(float("nan"), "f"), "f must be finite"),
        (lambda: check_number(10**400, "f"), "f must be finite, got a whole number of 401 digits"),
        (lambda: check_number(-(10**400), "f"), "f must be finite"),
        (lambda: check_number(2, "f", low=0, high=1), "f must be between 0 and 1, got 2"),
        (lambda: check_number(-1, "f", low=0), "f must be at least 0, got -1"),
        (lambda: check_number(3, "f", high=2), "f must be at most 2, got 3"),
        (lambda: check_integer(1.0, "f", low=0, high=2), "f must be a whole number, got 1.0"),
        (lambda: check_integer(3, "f", low=0, high=2), "f must be between 0 and 2, got 3"),
        (lambda: check_text(None, "f"), "f must be a text"),
        (lambda: check_list("ab", "f", low=0, high=2), "f must be a list"),
        (lambda: check_list([], "f", low=1, high=2), "f must have 1 to 2 entries, got 0"),
    ],
)
def test_bad_values_are_refused_by_field(check, message):
    with pytest.raises(InputError, match=message):
        check()
