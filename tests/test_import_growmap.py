"""import-growmap: the reference's files come in whole, everything else stays out unopened."""

import json
import pickle
import random
from pathlib import Path

import pytest
import torch

from sequoia_core.cli import main
from sequoia_core.commands._growmap import growmap_bytes, read_growmap
from sequoia_core.errors import FileFormatError
from sequoia_core.plan.exports.tree_files import load_growmap
from sequoia_core.tree.families import chain, expansion
from sequoia_core.tree.formats import to_growmap
from sequoia_core.tree.token_tree import TokenTree


def random_tree(seed: int, size: int = 60) -> TokenTree:
    rng = random.Random(seed)
    parents = [-1]
    for node in range(1, size):
        parents.append(rng.randint(max(parents[-1], 0), min(node - 1, max(parents[-1], 0) + 3)))
    return TokenTree(parents)


def reference_growmap(tree: TokenTree) -> dict:
    """A growmap grown level by level, as the reference's tree search builds its own."""
    size = tree.size
    mask = torch.zeros(size, size).long()
    successors, depth = [[] for _ in range(size)], [0] * size
    mask[0, 0] = 1
    for node in range(1, size):
        parent = int(tree.parents[node])
        successors[parent].append(node)
        depth[node] = depth[parent] + 1
        mask[node] = mask[parent]
        mask[node, node] = 1
    roots = [[n for n in range(size) if depth[n] == level] for level in range(max(depth) + 1)]
    branches = [[len(successors[node]) for node in level] for level in roots]
    return {
        "roots": roots,
        "branches": branches,
        "Successors": successors,
        "mask": mask,
        "depth": torch.LongTensor(depth),
        "size": size,
    }


def refusal(capsys, path: Path, out: Path) -> str:
    assert main(["import-growmap", str(path), "--out", str(out)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert not out.exists()
    return captured.err


class Trap:
    """Unpickled without care, this creates the file it names."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize(
    "tree", [TokenTree([-1]), chain(3), expansion([4, 2]), *map(random_tree, range(5))], ids=repr
)
def test_the_reference_s_files_become_json_that_reads_back(tree, legacy, tmp_path, capsys):
    source, out = tmp_path / "tree.pt", tmp_path / "tree.json"
    torch.save(reference_growmap(tree), source, _use_new_zipfile_serialization=not legacy)
    assert main(["import-growmap", str(source), "--out", str(out), "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content == json.loads(out.read_text())
    assert (content["format"], content["version"]) == ("sequoia-growmap", 1)
    assert load_growmap(out) == tree


@pytest.mark.parametrize("seed", range(4))
def test_what_is_written_for_torch_is_what_the_reference_builds(seed, tmp_path):
    tree = random_tree(seed)
    path = tmp_path / "tree.pt"
    path.write_bytes(growmap_bytes(tree))
    written, built = torch.load(path, weights_only=True), reference_growmap(tree)
    assert written.keys() == built.keys()
    for field, value in built.items():
        same = torch.equal if isinstance(value, torch.Tensor) else list.__eq__
        assert written[field] == value if field == "size" else same(written[field], value), field
    assert read_growmap(path) == tree


def test_people_read_the_tree_in_one_line(tmp_path, capsys):
    source = tmp_path / "tree.pt"
    source.write_bytes(growmap_bytes(expansion([3, 1])))
    assert main(["import-growmap", str(source), "--out", str(tmp_path / "tree.json")]) == 0
    assert capsys.readouterr().out == "budget 7, depth 2, levels 1 3 3\n"


@pytest.mark.parametrize("torch_file", [True, False], ids=["torch.save", "pickle"])
def test_a_file_with_code_in_it_is_refused_and_never_run(torch_file, tmp_path, capsys):
    path, flag = tmp_path / "trap.pt", tmp_path / "flag"
    content = to_growmap(chain(2)) | {"mask": Trap(flag)}
    if torch_file:
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps(content))
    assert "is no growmap" in refusal(capsys, path, tmp_path / "tree.json")
    assert not flag.exists()
    pickle.loads(pickle.dumps(Trap(flag)))
    assert flag.exists(), "the trap would not have caught anybody"


@pytest.mark.parametrize(
    "data", [b"", b"PK\x03\x04 broken", b"{}", b"\x80\x04K\x01.", bytes(range(256)) * 9]
)
def test_bytes_that_are_no_growmap_are_one_line(data, tmp_path, capsys):
    path = tmp_path / "tree.pt"
    path.write_bytes(data)
    message = refusal(capsys, path, tmp_path / "tree.json")
    assert "is no growmap" in message or "must hold a dict" in message


@pytest.mark.parametrize("content", [[1, 2], torch.zeros(3), 7, None])
def test_other_things_that_torch_saves_are_named(content, tmp_path, capsys):
    path = tmp_path / "tree.pt"
    torch.save(content, path)
    message = refusal(capsys, path, tmp_path / "tree.json")
    assert f"must hold a dict, got {type(content).__name__}" in message


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("mask", torch.ones(4, 4).long(), "'mask' contradicts"),
        ("mask", torch.full((4, 4), float("nan")), "'mask' contradicts"),
        ("mask", torch.zeros(1).expand(10**6, 10**6), "at most 4096 a side"),
        ("mask", torch.zeros(2, 2, 2), "at most 4096 a side"),
        ("mask", torch.ones(4, 4, device="meta"), "'mask' must be plain whole numbers"),
        ("mask", torch.ones(4, 4).to_sparse(), "'mask' must be plain whole numbers"),
        ("depth", torch.tensor([0, 1, 1, 1]), "'depth' contradicts"),
        ("depth", torch.tensor([0j, 1, 1, 2]), "at most 4096 a side"),
        ("size", 5, "'size' contradicts"),
        ("size", "4", "'size' contradicts"),
        ("Successors", [[1, 2], [3], []], "Successors[1]"),
        ("Successors", [[1, 2], [3], [], [], []], "list 5 nodes but reach 4"),
        ("Successors", [[2, 1], [3], [], []], r"Successors[0]"),
        ("Successors", torch.tensor([1, 2]), "Successors[0]"),
        ("roots", [[0], [1, 2]], "'roots' contradicts"),
        ("branches", [[2], [1, 0], [1]], "'branches' contradicts"),
    ],
)
def test_corrupted_growmaps_are_refused_by_field(field, value, message, tmp_path, capsys):
    path = tmp_path / "tree.pt"
    torch.save(reference_growmap(TokenTree([-1, 0, 0, 1])) | {field: value}, path)
    assert message in refusal(capsys, path, tmp_path / "tree.json")


def test_a_missing_field_a_missing_file_and_a_missing_folder_are_named(tmp_path, capsys):
    path, out = tmp_path / "tree.pt", tmp_path / "tree.json"
    growmap = reference_growmap(chain(2))
    del growmap["depth"]
    torch.save(growmap, path)
    assert "lacks the field 'depth'" in refusal(capsys, path, out)
    assert "Cannot read" in refusal(capsys, tmp_path / "nowhere.pt", out)
    assert "Cannot write" in refusal(capsys, path, tmp_path / "nowhere" / "tree.json")


def test_files_too_large_for_any_growmap_are_not_read(tmp_path):
    path = tmp_path / "tree.pt"
    with path.open("wb") as file:
        file.truncate(2**30)
    with pytest.raises(FileFormatError, match=r"1073\.7 MB, and at most 168 are read"):
        read_growmap(path)
