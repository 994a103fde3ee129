"""Tidy layout: nothing overlaps, parents are centred, deep trees are no problem."""

import numpy as np
import pytest

from sequoia_core.tree.families import chain, chains, expansion, k_ary
from sequoia_core.tree.layout import tidy_layout
from sequoia_core.tree.token_tree import TokenTree


def random_tree(generator: np.random.Generator, size: int, reach: float) -> TokenTree:
    """A random breadth-first tree; a small reach makes it broad, a large one deep."""
    jitter = generator.integers(0, size, size - 1) * (1 - reach)
    ids = np.arange(size - 1)
    return TokenTree([-1, *np.sort(np.maximum(0, ids - jitter.astype(int))).tolist()])


def check(tree: TokenTree) -> None:
    layout = tidy_layout(tree)
    assert layout.x.dtype == layout.y.dtype == np.float32
    assert np.array_equal(layout.y, tree.depths)
    for depth in range(tree.depth + 1):
        level = layout.x[tree.depths == depth]
        assert np.all(np.diff(level) >= 1 - 1e-3), f"level {depth} is out of order or overlaps"
    for node in range(tree.size):
        children = layout.x[list(tree.children(node))]
        if len(children):
            assert layout.x[node] == pytest.approx((children[0] + children[-1]) / 2, abs=1e-3)


@pytest.mark.parametrize("seed", range(12))
def test_random_trees_are_tidy(seed):
    generator = np.random.default_rng(seed)
    size = int(generator.integers(1, 300))
    check(random_tree(generator, size, reach=float(generator.choice([0.0, 0.5, 0.95]))))


@pytest.mark.parametrize("tree", [chain(0), k_ary(2, 6), chains(5, 8), expansion([3, 1, 4, 2])])
def test_families_are_tidy(tree):
    check(tree)


def test_a_narrow_subtree_tucks_in_beside_a_deep_one():
    deep_and_leaf = tidy_layout(TokenTree([-1, 0, 0, 1, 1, 1]))
    assert deep_and_leaf.x[2] - deep_and_leaf.x[1] == pytest.approx(1.0)


def test_a_chain_of_2000_hangs_straight_down():
    layout = tidy_layout(chain(2000))
    assert np.all(layout.x == 0)
    assert layout.y[-1] == 2000


def test_a_deep_comb_is_laid_out_without_nesting_calls():
    parents = [-1, 0, 0]
    while len(parents) < 4001:
        parents += [len(parents) - 2] * 2
    check_comb = tidy_layout(TokenTree(parents))
    assert np.all(np.isfinite(check_comb.x))
    assert check_comb.x.max() - check_comb.x.min() <= 2001
