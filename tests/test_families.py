"""Shape families: the trees their names promise, and what they refuse."""

import pytest

from sequoia_core.errors import InputError
from sequoia_core.tree.families import chain, chains, expansion, k_ary


def test_a_chain_has_one_node_a_level():
    assert chain(4).level_sizes == [1] * 5
    assert chain(0).size == 1


def test_the_papers_five_chains_of_eight_have_41_nodes():
    tree = chains(5, 8)
    assert tree.size == 41
    assert tree.level_sizes == [1] + [5] * 8


def test_a_k_ary_tree_is_complete():
    tree = k_ary(3, 3)
    assert tree.level_sizes == [1, 3, 9, 27]
    assert set(tree.child_counts.tolist()) == {0, 3}


def test_specinfers_default_expansion_branches_on_its_third_level():
    assert expansion([1, 1, 3, 1, 1, 1, 1, 1]).level_sizes == [1, 1, 1, 3, 3, 3, 3, 3, 3]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: chain(-1), "between 0 and 4095, got -1"),
        (lambda: chain(1.5), "whole number, got 1.5"),
        (lambda: chain(5000), "got 5000"),
        (lambda: chains(0, 3), "number of chains must be between 1"),
        (lambda: chains(3, 0), "depth must be between 1"),
        (lambda: chains(64, 64), "more than 4096 nodes"),
        (lambda: k_ary(2, 12), "more than 4096 nodes"),
        (lambda: expansion([2, 0]), "Width 2 must be between 1"),
        (lambda: expansion([True]), "whole number, got True"),
    ],
)
def test_impossible_shapes_are_refused(build, message):
    with pytest.raises(InputError, match=message):
        build()
