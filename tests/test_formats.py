"""Path lists and growmaps: round trips, and every field that can be wrong."""

import json

import pytest

from sequoia_core.errors import FileFormatError, InputError
from sequoia_core.tree.families import chain, expansion, k_ary
from sequoia_core.tree.formats import from_growmap, from_paths, to_growmap, to_paths
from sequoia_core.tree.token_tree import TokenTree

TREES = [TokenTree([-1]), TokenTree([-1, 0, 0, 1, 1, 2]), chain(9), k_ary(3, 3), expansion([4, 1])]


@pytest.mark.parametrize("tree", TREES, ids=repr)
def test_paths_survive_the_round_trip_in_any_order(tree):
    assert from_paths(to_paths(tree)[::-1]) == tree


@pytest.mark.parametrize("tree", TREES, ids=repr)
def test_growmaps_survive_json(tree):
    assert from_growmap(json.loads(json.dumps(to_growmap(tree)))) == tree


def test_a_growmap_lists_the_leaf_level_too():
    growmap = to_growmap(TokenTree([-1, 0, 0, 1]))
    assert growmap["roots"] == [[0], [1, 2], [3]]
    assert growmap["branches"] == [[2], [1, 0], [0]]
    assert growmap["Successors"] == [[1, 2], [3], [], []]
    assert growmap["mask"] == [[1, 0, 0, 0], [1, 1, 0, 0], [1, 0, 1, 0], [1, 1, 0, 1]]
    assert growmap["depth"] == [0, 1, 1, 2]


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        ("00", "must be a list"),
        ([[0], []], "Path 1 must be a list of ranks"),
        ([[0], [-1]], "Path 1"),
        ([[0], [True]], "Path 1"),
        ([[0], ["0"]], "Path 1"),
        ([[0], [0]], "stands twice"),
        ([[0], [1, 0]], r"needs its parent \[1\]"),
        ([[0], [2]], r"needs its sibling \[1\]"),
        ([[0]] * 4096, "at most 4095"),
    ],
)
def test_bad_paths_are_refused(paths, message):
    with pytest.raises(InputError, match=message):
        from_paths(paths)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("Successors", 3, "must list 1 to 4096"),
        ("Successors", [[1, 2], [3], [], [], []], "list 5 nodes but reach 4"),
        ("Successors", [[2, 1], [3], [], []], r"Successors\[0\]"),
        ("Successors", [[], [1, 2, 3], [], []], "form no tree"),
        ("Successors", [[1, 2], [3, 4, 5], [], []], r"Successors\[1\]"),
        ("Successors", [[1, 2], None, [], []], r"Successors\[1\].* got None"),
        ("roots", [[0], [1], [2, 3]], "'roots' contradicts"),
        ("branches", [[2], [1, 0]], "'branches' contradicts"),
        ("mask", [[1]], "'mask' contradicts"),
        ("depth", [1, 2, 2, 3], "'depth' contradicts"),
        ("size", 5, "'size' contradicts"),
    ],
)
def test_bad_growmaps_are_refused_by_field(field, value, message):
    growmap = to_growmap(TokenTree([-1, 0, 0, 1])) | {field: value}
    with pytest.raises(FileFormatError, match=message):
        from_growmap(growmap)


@pytest.mark.parametrize("field", ["roots", "mask", "size", "Successors"])
def test_a_missing_growmap_field_is_named(field):
    growmap = to_growmap(TokenTree([-1, 0]))
    del growmap[field]
    with pytest.raises(FileFormatError, match=f"lacks the field '{field}'"):
        from_growmap(growmap)
    with pytest.raises(FileFormatError, match="lacks the field"):
        from_growmap([])
