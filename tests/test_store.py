"""What pages keep: files by kind and name, for all sessions, within limits, in one folder."""

import threading

import pytest

from pages import _data_folder, _store
from pages._data_folder import data_folder, kept_words
from pages._store import ACCEPTANCE, COMPARISONS, LIMITS, RUNS, Limit, Store
from sequoia_core.errors import FileFormatError, InputError


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / "kept")


@pytest.fixture
def small(monkeypatch) -> None:
    """Two files of a kind, of nine bytes at most."""
    monkeypatch.setattr(_store, "LIMITS", dict.fromkeys(LIMITS, Limit(2, 9)))


@pytest.mark.parametrize(
    "name", ["a b", "../../etc/passwd", ".hidden", "100%25 or 50%", "söl / 🌲", "a:b*c?", "🌲" * 60]
)
def test_any_name_that_can_be_shown_is_a_file_below_the_folder_and_comes_back(store, name):
    kept = store.put(RUNS, name, b"x")
    assert name.startswith(kept)
    assert store.names(RUNS) == [kept]
    assert store.read(RUNS, kept) == b"x"
    [file] = [path for path in store.root.rglob("*") if path.is_file()]
    assert file.parent == store.root / RUNS
    store.delete(RUNS, kept)
    assert store.names(RUNS) == []


def test_asking_makes_nothing_and_what_is_kept_is_its_owner_s_alone(store):
    assert store.names(RUNS) == []
    assert not store.root.exists()
    store.put(RUNS, "one", b"x")
    assert (store.root / RUNS).stat().st_mode & 0o77 == 0


def test_equal_names_get_numbers_also_when_they_come_at_once(store):
    threads = [threading.Thread(target=store.put, args=(RUNS, "run", b"x")) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(store.names(RUNS)) == {"run", *(f"run ({number})" for number in range(2, 9))}
    assert store.put(RUNS, "other", b"x", taken={"other"}) == "other (2)"


def test_names_come_by_age_and_a_new_name_changes_no_place(store):
    for name in ("b", "c", "a"):
        store.put(COMPARISONS, name, b"x")
    assert store.names(COMPARISONS) == ["b", "c", "a"]
    assert store.rename(COMPARISONS, "c", " a ") == "a (2)"
    assert store.names(COMPARISONS) == ["b", "a (2)", "a"]
    assert store.rename(COMPARISONS, "a", "  ") == "a"
    with pytest.raises(InputError, match="“gone” cannot be renamed"):
        store.rename(COMPARISONS, "gone", "new")
    assert store.names(COMPARISONS) == ["b", "a (2)", "a"]


def test_a_full_kind_refuses_more_and_runs_make_room_by_age(store, small):
    for name in ("one", "two"):
        store.put(ACCEPTANCE, name, b"x")
        store.put_newest(RUNS, name, b"x")
    with pytest.raises(InputError, match="2 files of acceptance are kept, the most there may be"):
        store.put(ACCEPTANCE, "three", b"x")
    assert store.put_newest(RUNS, "three", b"x") == "three"
    assert store.names(RUNS) == ["two", "three"]
    with pytest.raises(InputError, match="at most"):
        store.put_newest(RUNS, "large", b"x" * 10)
    assert store.names(RUNS) == ["two", "three"]


def test_files_put_there_by_hand_are_read_up_to_the_limits(store, small):
    folder = store.root / RUNS
    folder.mkdir(parents=True)
    for index in range(4):
        (folder / f"{index}.json").write_bytes(b"x" * (10 * (index == 3) or 1))
    (folder / "empty.json").touch()
    (folder / "no%2.json").write_bytes(b"x")
    (folder / "folder.json").mkdir()
    assert len(store.names(RUNS)) == 2
    with pytest.raises(FileFormatError, match=r"3\.json has 0\.0 MB, and at most 0 are read"):
        store.read(RUNS, "3")
    store.put_newest(RUNS, "new", b"x")
    assert len([path for path in folder.glob("*.json") if path.is_file()]) <= 4


def test_other_content_keeps_the_name_and_what_was_deleted_meanwhile_is_kept_anew(store):
    name = store.put(COMPARISONS, "long", b"half")
    assert store.replace(COMPARISONS, name, b"whole") == name
    assert store.read(COMPARISONS, name) == b"whole"
    store.delete(COMPARISONS, name)
    with pytest.raises(FileFormatError, match="is not among the kept files any more"):
        store.read(COMPARISONS, name)
    assert store.replace(COMPARISONS, name, b"all") == name
    assert store.read(COMPARISONS, name) == b"all"


def test_a_folder_that_takes_nothing_is_one_sentence_and_leaves_no_empty_name(store, monkeypatch):
    def full(path, data):
        raise InputError(f"Cannot write {path}: No space left on device.")

    monkeypatch.setattr(_store, "write_bytes", full)
    with pytest.raises(InputError, match="No space left"):
        store.put(RUNS, "one", b"x")
    assert list((store.root / RUNS).iterdir()) == []
    (store.root / COMPARISONS).write_text("a file where the folder would be")
    with pytest.raises(InputError, match="Cannot write to"):
        store.put(COMPARISONS, "one", b"x")


def test_the_folder_is_the_variable_s_or_the_usual_one(tmp_path, monkeypatch):
    assert data_folder() == tmp_path / "data"
    assert kept_words() == f"All of it is kept in `{tmp_path / 'data'}` on this machine until " + (
        "you delete it."
    )
    monkeypatch.delenv("SEQUOIA_DATA")
    monkeypatch.setattr(_data_folder.sys, "platform", "linux")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    assert data_folder() == tmp_path / "share" / "sequoia-explorer"
    monkeypatch.setenv("XDG_DATA_HOME", "relative/paths/do/not/count")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert data_folder() == tmp_path / ".local" / "share" / "sequoia-explorer"
    assert "`~/.local/share/sequoia-explorer`" in kept_words()
    monkeypatch.setattr(_data_folder.sys, "platform", "darwin")
    assert data_folder().is_relative_to(tmp_path / "Library")


def test_without_a_folder_to_write_in_things_last_as_long_as_the_dashboard(tmp_path, monkeypatch):
    monkeypatch.setenv("SEQUOIA_DATA", "")
    temporary = data_folder()
    assert temporary.is_dir()
    assert "goes when the dashboard ends" in kept_words()
    (tmp_path / "file").touch()
    monkeypatch.setenv("SEQUOIA_DATA", str(tmp_path / "file" / "below"))
    assert data_folder() == temporary
    assert "cannot be written to, so all of it goes" in kept_words()
