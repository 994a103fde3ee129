"""Families of tree shapes: chains, bundles of chains, k-ary trees, SpecInfer's expansions."""

from collections.abc import Sequence

import numpy as np

from sequoia_core.errors import InputError
from sequoia_core.tree.token_tree import MAX_NODES, TokenTree


def expansion(widths: Sequence[int]) -> TokenTree:
    """Every node of level l gets widths[l] children: SpecInfer's <k1, k2, ...> (arXiv 2305.09781).

    Raises InputError for a width below 1 or a tree of more than MAX_NODES nodes.

    >>> expansion([2, 1]).parents.tolist()
    [-1, 0, 0, 1, 2]
    """
    parents, level = [np.array([-1])], np.array([0])
    size = 1
    for index, width in enumerate(widths):
        _check(f"Width {index + 1}", width)
        if size + len(level) * width > MAX_NODES:
            raise InputError(f"The expansion {_short(widths)} has more than {MAX_NODES} nodes.")
        parents.append(np.repeat(level, width))
        level = np.arange(size, size + len(parents[-1]))
        size += len(level)
    return TokenTree(np.concatenate(parents))


def chain(depth: int) -> TokenTree:
    """One path of `depth` drafted tokens: classic speculative decoding; 0 is plain decoding.

    >>> chain(2).parents.tolist()
    [-1, 0, 1]
    """
    _check("A chain's depth", depth, low=0)
    return expansion([1] * depth)


def chains(count: int, depth: int) -> TokenTree:
    """`count` independent paths of `depth` tokens that share only the root.

    >>> chains(2, 2).parents.tolist()
    [-1, 0, 0, 1, 2]
    """
    _check("The number of chains", count)
    _check("The chains' depth", depth)
    return expansion([count] + [1] * (depth - 1))


def k_ary(branch: int, depth: int) -> TokenTree:
    """The complete tree in which every node above `depth` has `branch` children.

    >>> k_ary(3, 2).level_sizes
    [1, 3, 9]
    """
    _check("A k-ary tree's branch", branch)
    _check("A k-ary tree's depth", depth, low=0)
    return expansion([branch] * depth)


def _check(what: str, value: int, low: int = 1) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise InputError(f"{what} must be a whole number, got {value!r}.")
    if not low <= value < MAX_NODES:
        raise InputError(f"{what} must be between {low} and {MAX_NODES - 1}, got {value}.")


def _short(widths: Sequence[int]) -> str:
    return f"<{', '.join(map(str, widths[:8]))}{', ...' if len(widths) > 8 else ''}>"
