"""Trees as other tools write them: lists of child ranks (Medusa), Sequoia's growmap."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sequoia_core.errors import FileFormatError, InputError
from sequoia_core.files import shown
from sequoia_core.tree.token_tree import MAX_NODES, TokenTree

GROWMAP_FIELDS = ("roots", "branches", "Successors", "mask", "depth", "size")


def to_paths(tree: TokenTree) -> list[list[int]]:
    """Child ranks from the root to every node but the root, breadth-first (Medusa's choices).

    >>> to_paths(TokenTree([-1, 0, 0, 1]))
    [[0], [1], [0, 0]]
    """
    paths: list[list[int]] = [[]]
    for parent, rank in zip(tree.parents[1:].tolist(), tree.ranks[1:].tolist(), strict=True):
        paths.append([*paths[parent], rank])
    return paths[1:]


def from_paths(paths: Sequence[Sequence[int]]) -> TokenTree:
    """The tree whose nodes are reached by these lists of child ranks, given in any order.

    Raises InputError if a path is not a list of ranks, stands twice, or lacks its parent or its
    preceding sibling.

    >>> from_paths([[0, 0], [1], [0]]).parents.tolist()
    [-1, 0, 0, 1]
    """
    if not isinstance(paths, list | tuple) or len(paths) >= MAX_NODES:
        raise InputError(f"Paths must be a list of at most {MAX_NODES - 1} lists of child ranks.")
    ordered = sorted((_path(index, path) for index, path in enumerate(paths)), key=_breadth_first)
    ids: dict[tuple[int, ...], int] = {(): 0}
    parents = [-1]
    for path in ordered:
        _check_place(path, ids)
        parents.append(ids[path[:-1]])
        ids[path] = len(ids)
    return TokenTree(parents)


def _path(index: int, path: Any) -> tuple[int, ...]:
    whole = isinstance(path, list | tuple) and all(
        isinstance(rank, int) and not isinstance(rank, bool) and rank >= 0 for rank in path
    )
    if not whole or not path:
        raise InputError(f"Path {index} must be a list of ranks from 0 up, got {path!r:.60}.")
    return tuple(path)


def _breadth_first(path: tuple[int, ...]) -> tuple[int, tuple[int, ...]]:
    return len(path), path


def _check_place(path: tuple[int, ...], ids: Mapping[tuple[int, ...], int]) -> None:
    if path in ids:
        raise InputError(f"The path {shown(list(path))} stands twice in the list.")
    if path[:-1] not in ids:
        raise InputError(
            f"The path {shown(list(path))} needs its parent {shown(list(path[:-1]))} in the list."
        )
    before = (*path[:-1], path[-1] - 1)
    if path[-1] and before not in ids:
        raise InputError(
            f"The path {shown(list(path))} needs its sibling {shown(list(before))} in the list."
        )


def to_growmap(tree: TokenTree) -> dict[str, Any]:
    """Sequoia's growmap as plain JSON values.

    roots: node ids level by level; branches: child counts likewise; Successors: child ids of each
    node; mask: [n][n] of 0 and 1, 1 where the column is the row's node or an ancestor of it;
    depth: [n], the root's is 0; size: n.

    >>> to_growmap(TokenTree([-1, 0, 0]))["branches"]
    [[2], [0, 0]]
    """
    ends = np.cumsum(tree.level_sizes)[:-1]
    return {
        "roots": [level.tolist() for level in np.split(np.arange(tree.size), ends)],
        "branches": [level.tolist() for level in np.split(tree.child_counts, ends)],
        "Successors": [list(tree.children(node)) for node in range(tree.size)],
        "mask": tree.visible.astype(int).tolist(),
        "depth": tree.depths.tolist(),
        "size": tree.size,
    }


def from_growmap(growmap: Mapping[str, Any]) -> TokenTree:
    """The tree of a growmap; Successors decide, and every other field must agree with them.

    Raises FileFormatError, naming the field, for anything missing or contradictory.
    """
    for field in GROWMAP_FIELDS:
        if not isinstance(growmap, Mapping) or field not in growmap:
            raise FileFormatError(f"The growmap lacks the field {field!r}.")
    tree = _from_successors(growmap["Successors"])
    expected = to_growmap(tree)
    for field in GROWMAP_FIELDS:
        if not _same(growmap[field], expected[field]):
            raise FileFormatError(f"The growmap's {field!r} contradicts its 'Successors'.")
    return tree


def _from_successors(successors: Any) -> TokenTree:
    if not isinstance(successors, list) or not 1 <= len(successors) <= MAX_NODES:
        raise FileFormatError(f"The growmap's 'Successors' must list 1 to {MAX_NODES} nodes.")
    parents = [-1]
    for node, children in enumerate(successors):
        count = len(children) if isinstance(children, list) else -1
        expected = list(range(len(parents), len(parents) + count))
        if children != expected or len(parents) + count > len(successors):
            raise FileFormatError(
                f"The growmap's Successors[{node}] must be the next free node ids in order, "
                f"got {children!r:.60}."
            )
        parents += [node] * len(children)
    if len(parents) != len(successors):
        raise FileFormatError(
            f"The growmap's 'Successors' list {len(successors)} nodes but reach {len(parents)}."
        )
    try:
        return TokenTree(parents)
    except InputError as error:
        raise FileFormatError(f"The growmap's 'Successors' form no tree: {error}") from error


def _same(found: Any, expected: Any) -> bool:
    """Equal as nested lists of numbers; 1.0 and True count as 1."""
    try:
        return found == expected
    except (TypeError, ValueError):
        return False
