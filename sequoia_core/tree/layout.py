"""Tidy drawing of a token tree: levels in rows, parents centred, subtrees packed, no overlap.

The rules are Reingold and Tilford's (1981). Each subtree keeps the outline of its left and of its
right side; siblings are packed from left to right as close as the outlines allow. Two outlines are
compared only as deep as the shallower one goes, so the whole is O(n), and no call nests.
"""

from dataclasses import dataclass

import numpy as np

from sequoia_core.tree.token_tree import TokenTree


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """Positions in node order: x [n] float32, siblings at least 1 apart; y [n] float32, depth."""

    x: np.ndarray
    y: np.ndarray


@dataclass(slots=True)
class _Outline:
    """One side of a subtree: xs[-1] belongs to the top level, xs[0] to the deepest.

    Real positions are xs + shift: a subtree moves in O(1). Deepest first, because parents are
    added at the end.
    """

    xs: list[float]
    shift: float = 0.0


def tidy_layout(tree: TokenTree) -> Layout:
    """Lay out a tree; the root is at x = 0, y = 0 and levels grow downwards in y.

    >>> tidy_layout(TokenTree([-1, 0, 0, 1])).x.tolist()
    [0.0, -0.5, 0.5, -0.5]
    """
    offsets = _offsets(tree)
    x = np.zeros(tree.size, dtype=np.float64)
    start = 1
    for width in tree.level_sizes[1:]:
        level = slice(start, start + width)
        x[level] = x[tree.parents[level]] + offsets[level]
        start += width
    return Layout(x.astype(np.float32), tree.depths.astype(np.float32))


def _offsets(tree: TokenTree) -> np.ndarray:
    """Position of each node relative to its parent, [n]; children are done before parents."""
    offsets = np.zeros(tree.size, dtype=np.float64)
    left: list[_Outline | None] = [None] * tree.size
    right: list[_Outline | None] = [None] * tree.size
    for node in range(tree.size - 1, -1, -1):
        children = tree.children(node)
        if not children:
            left[node], right[node] = _Outline([0.0]), _Outline([0.0])
            continue
        positions = _pack([left[child] for child in children], [right[child] for child in children])
        middle = (positions[0] + positions[-1]) / 2
        offsets[children.start : children.stop] = np.array(positions) - middle
        left[node] = _crown(left[children[0]], -middle)
        right[node] = _crown(right[children[0]], -middle)
        for child in children:
            left[child] = None
            right[child] = None
        left[node].xs.append(-left[node].shift)
        right[node].xs.append(-right[node].shift)
    return offsets


def _pack(lefts: list[_Outline], rights: list[_Outline]) -> list[float]:
    """Place siblings from left to right; the outlines of the whole end in lefts[0], rights[0]."""
    positions = [0.0]
    for left, right in zip(lefts[1:], rights[1:], strict=True):
        position = _clearance(rights[0], left)
        left.shift += position
        right.shift += position
        lefts[0].xs, lefts[0].shift = _outer(lefts[0], left)
        rights[0].xs, rights[0].shift = _outer(right, rights[0])
        positions.append(position)
    return positions


def _clearance(right: _Outline, left: _Outline) -> float:
    """Least shift of `left`'s subtree that keeps it 1 apart from `right`'s on every level."""
    common = min(len(right.xs), len(left.xs))
    gaps = zip(right.xs[-common:], left.xs[-common:], strict=True)
    return max(inner - outer for inner, outer in gaps) + right.shift - left.shift + 1


def _outer(near: _Outline, far: _Outline) -> tuple[list[float], float]:
    """Outline seen from `near`'s side: near's where it reaches, far's below that."""
    reach = len(near.xs)
    if reach >= len(far.xs):
        return near.xs, near.shift
    move = near.shift - far.shift
    far.xs[-reach:] = [x + move for x in near.xs]
    return far.xs, far.shift


def _crown(outline: _Outline, shift: float) -> _Outline:
    """The same outline in the parent's frame."""
    return _Outline(outline.xs, outline.shift + shift)
