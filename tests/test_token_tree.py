"""TokenTree: what it derives from its parents, and what it refuses."""

import numpy as np
import pytest

from sequoia_core.errors import InputError
from sequoia_core.tree.token_tree import MAX_NODES, TokenTree

TREE = TokenTree([-1, 0, 0, 0, 1, 1, 3, 5])


def test_levels_ranks_and_child_counts_follow_from_the_parents():
    assert TREE.level_sizes == [1, 3, 3, 1]
    assert TREE.ranks.tolist() == [0, 0, 1, 2, 0, 1, 0, 0]
    assert TREE.child_counts.tolist() == [3, 2, 0, 1, 0, 1, 0, 0]
    assert [list(TREE.children(node)) for node in (0, 1, 2, 5)] == [[1, 2, 3], [4, 5], [], [7]]


def test_draft_passes_are_as_wide_as_the_nodes_with_children():
    assert TREE.expanded_level_sizes == [1, 2, 1]
    assert TokenTree([-1]).expanded_level_sizes == []


def test_a_node_sees_exactly_its_path():
    for node in range(TREE.size):
        assert np.flatnonzero(TREE.visible[node]).tolist() == TREE.path(node)


def test_truncation_keeps_the_upper_levels():
    assert TREE.truncate(1) == TokenTree([-1, 0, 0, 0])
    assert TREE.truncate(0) == TokenTree([-1])
    assert TREE.truncate(9) == TREE


def test_parents_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        TREE.parents[1] = 0


@pytest.mark.parametrize(
    ("parents", "message"),
    [
        ([], "1 to 4096 nodes"),
        ([[-1, 0]], "flat list"),
        ([-1] + [0] * MAX_NODES, "1 to 4096 nodes"),
        ([-1.0, 0.0], "whole numbers"),
        ([0, 0], r"parents\[0\] must be -1"),
        ([-1, 1], r"parents\[1\] must be between 0 and 0, got 1"),
        ([-1, 0, -1], r"parents\[2\] must be between 0 and 1, got -1"),
        ([-1, 0, 1, 0], r"breadth-first order: parents\[3\] = 0"),
    ],
)
def test_bad_parents_are_refused_by_name(parents, message):
    with pytest.raises(InputError, match=message):
        TokenTree(parents)
