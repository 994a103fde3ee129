"""Tagged JSON: formats and versions are checked, and a file is replaced at once or not at all."""

import json
import os
from pathlib import Path

import pytest

from sequoia_core import files
from sequoia_core.assets import asset, find_preset
from sequoia_core.errors import FileFormatError, InputError
from sequoia_core.files import (
    check_integer,
    check_list,
    check_number,
    check_object,
    check_text,
    check_writable,
    field_of,
    parse_as,
    read_as,
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


def test_an_output_is_tried_before_long_work_and_nothing_of_the_trial_stays(tmp_path, monkeypatch):
    check_writable(tmp_path / "a.json")
    (tmp_path / "b.json").write_text("earlier")
    check_writable(tmp_path / "b.json")
    assert [path.name for path in tmp_path.iterdir()] == ["b.json"]
    assert (tmp_path / "b.json").read_text() == "earlier"
    for wrong in (
        tmp_path,
        tmp_path / "no" / "a.json",
        tmp_path / "b.json" / "a",
        "x" * 999,
        "a\0",
    ):
        with pytest.raises(InputError, match="Cannot write"):
            check_writable(wrong)
        with pytest.raises(InputError, match="Cannot write"):
            write_json(wrong, {})

    def read_only(**options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("sequoia_core.files.tempfile.mkstemp", read_only)
    with pytest.raises(InputError, match="Permission denied"):
        check_writable(tmp_path / "a.json")


def test_a_link_stays_one_and_a_pipe_is_written_into(tmp_path):
    (tmp_path / "link.json").symlink_to(tmp_path / "real.json")
    write_json(tmp_path / "link.json", {"budget": 1})
    assert (tmp_path / "link.json").is_symlink()
    assert json.loads((tmp_path / "real.json").read_text()) == {"budget": 1}
    os.mkfifo(tmp_path / "pipe")
    check_writable(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    write_json(tmp_path / "pipe", {"budget": 2})
    assert json.loads(os.read(reader, 1000)) == {"budget": 2}
    os.close(reader)
    assert (tmp_path / "pipe").is_fifo()


def test_writing_into_a_missing_folder_is_a_clear_error(tmp_path):
    with pytest.raises(InputError, match=r"Cannot write .*nowhere"):
        write_json(tmp_path / "nowhere" / "a.json", {})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "not valid JSON"),
        (b'{"format": ', "line 1, column 12"),
        (b"\xff\xfe\x00", "UTF-8"),
        (b"[" * 100_000, "lists in lists, too many"),
        (b'{"n": {"a": 1, "b": 2, "a": 3}}', "has the field 'a' twice in one object"),
        (b'{"format": ' + b"[" * 900 + b"]" * 900 + b"}", r"its format is \[+\.\.\.\]+\."),
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


def test_no_more_is_read_of_a_file_than_the_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MAX_BYTES", 1000)
    (tmp_path / "a.json").write_bytes(b" " * 2_000_000)
    with pytest.raises(FileFormatError, match=r"a\.json has 2\.0 MB, and at most 0 are read"):
        read_json(tmp_path / "a.json", "plan")
    if (endless := Path("/dev/zero")).exists():
        with pytest.raises(FileFormatError, match="/dev/zero has"):
            read_json(endless, "plan")
    with pytest.raises(FileFormatError, match=r"upload has 0\.0 MB"):
        parse_as(b" " * 1001, "upload", "plan", dict)


def test_a_bad_value_is_headed_by_its_file(tmp_path):
    write_json(tmp_path / "a.json", tagged("plan", {"budget": 4}))

    def build(content):
        return check_integer(content["budget"], "budget", low=5, high=6)

    with pytest.raises(FileFormatError, match=r"a\.json: budget must be between 5 and 6, got 4"):
        read_as(tmp_path / "a.json", "plan", build)


def test_content_too_deep_to_be_looked_at_is_refused_by_file():
    def endless(content):
        return endless(content)

    with pytest.raises(FileFormatError, match="upload holds lists in lists"):
        parse_as(b'{"format": "sequoia-plan", "version": 1}', "upload", "plan", endless)


def test_missing_files_folders_and_assets_are_named(tmp_path):
    with pytest.raises(FileFormatError, match=r"none\.json: it does not exist"):
        read_json(tmp_path / "none.json", "plan")
    with pytest.raises(FileFormatError, match=r"Cannot read .*: it is a folder, not a file"):
        read_json(tmp_path, "plan")
    for impossible in ("x" * 5000, "a\0b"):
        with pytest.raises(FileFormatError, match="Cannot read"):
            read_json(impossible, "plan")
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
        (lambda: check_integer(10**4000, "f", low=0, high=2), r"got 1000\d+\.\.\.\.$"),
        (lambda: check_text(None, "f"), "f must be a text"),
        (lambda: check_text("x" * 11, "f", 10), "f must be a text of at most 10 characters"),
        (lambda: check_text("\ud83d", "f"), "f must be text in UTF-8, and it holds half"),
        (lambda: check_object([], "f"), "f must be an object, got list"),
        (lambda: field_of({}, "f", "steps[0]."), r"the field 'steps\[0\].f' is missing"),
        (lambda: field_of(None, "f"), "the field 'f' is missing"),
        (lambda: check_list("ab", "f", low=0, high=2), "f must be a list"),
        (lambda: check_list([], "f", low=1, high=2), "f must have 1 to 2 entries, got 0"),
    ],
)
def test_bad_values_are_refused_by_field(check, message):
    with pytest.raises(InputError, match=message):
        check()
