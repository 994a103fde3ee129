"""The families a planned tree must beat: chains, bundles of chains, k-ary trees, expansions.

All of them are expansions: every node of a level has the same number of children. So one array of
children by level describes a member, and all members of a family are judged at once.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from sequoia_core.plan.acceptance import AcceptanceVector

CHAIN, CHAINS, K_ARY, SPECINFER = "chain", "kchains", "kary", "specinfer"
RIVALS = (CHAIN, CHAINS, K_ARY, SPECINFER)


@dataclass(frozen=True, slots=True, eq=False)
class Members:
    """m trees of one family.

    children: int [m, D], children of each node by level, 0 below the leaves.
    sizes, depths: int [m]. expected_tokens: float64 [m]. pass_widths: int [m, D].
    """

    children: np.ndarray
    sizes: np.ndarray
    depths: np.ndarray
    expected_tokens: np.ndarray
    pass_widths: np.ndarray


def shape_name(family: str, children: tuple[int, ...]) -> str:
    """A member in words.

    >>> shape_name("kchains", (4, 1, 1))
    '4 chains of 3'
    """
    if family == CHAIN:
        return f"chain of {len(children)}"
    if family == CHAINS:
        return f"{children[0]} chains of {len(children)}"
    if family == K_ARY:
        return f"{children[0]}-ary, {len(children)} deep"
    return f"<{', '.join(map(str, children))}>"


def rival_members(
    acceptance: AcceptanceVector, *, max_budget: int, max_depth: int, max_branch: int
) -> dict[str, Members]:
    """All members of each rival family that fit the limits; families without one are left out.

    Of SpecInfer's expansions, those are kept that give the most expected tokens for some budget
    and depth. Kept in memory by the vector's numbers.
    """
    rows = acceptance.rows
    return _cached_members(rows.tobytes(), rows.shape, max_budget, max_depth, max_branch)


@lru_cache(maxsize=8)
def _cached_members(
    data: bytes, shape: tuple[int, int], max_budget: int, max_depth: int, max_branch: int
) -> dict[str, Members]:
    rows = np.frombuffer(data).reshape(shape)
    branch = min(max_branch, shape[1], max(max_budget - 1, 1))
    depth = min(max_depth, max_budget - 1)
    if depth < 1:
        return {}
    prefix = np.concatenate([np.zeros((len(rows), 1)), np.cumsum(rows, axis=1)], axis=1)
    prefix = prefix[:depth, : branch + 1]
    counts, levels = range(2, branch + 1), range(1, depth + 1)
    configurations = {
        CHAIN: _stack(([1] * d for d in levels), depth),
        CHAINS: _stack(([k] + [1] * (d - 1) for k in counts for d in levels), depth),
        K_ARY: _stack(([k] * d for k in counts for d in levels if k**d < max_budget), depth),
        SPECINFER: _best_expansions(prefix, max_budget, depth),
    }
    judged = {
        family: _judge(children, prefix, max_budget) for family, children in configurations.items()
    }
    return {family: members for family, members in judged.items() if len(members.sizes)}


def _stack(configurations: Iterable[list[int]], depth: int) -> np.ndarray:
    padded = [children + [0] * (depth - len(children)) for children in configurations]
    return np.array(padded, dtype=np.int64).reshape(-1, depth)


def _judge(children: np.ndarray, prefix: np.ndarray, max_budget: int) -> Members:
    """Size, depth, expected tokens and pass widths of members; those over the budget go."""
    level_sizes = np.cumprod(children, axis=1)
    sizes = 1 + level_sizes.sum(axis=1)
    rows = np.minimum(np.arange(children.shape[1]), len(prefix) - 1)
    reach = np.cumprod(prefix[rows, children], axis=1)
    above = np.concatenate([np.ones_like(level_sizes[:, :1]), level_sizes[:, :-1]], axis=1)
    members = Members(
        children,
        sizes,
        (children > 0).sum(axis=1),
        1 + reach.sum(axis=1),
        np.where(children > 0, above, 0),
    )
    return _subset(members, np.flatnonzero(sizes <= max_budget))


def _subset(members: Members, keep: np.ndarray) -> Members:
    return Members(*(getattr(members, name)[keep] for name in Members.__slots__))


def _best_expansions(prefix: np.ndarray, max_budget: int, max_depth: int) -> np.ndarray:
    """The expansions with the most expected tokens for each budget and depth limit.

    A node with room for q descendants gives each of its k children room for q // k - 1, however
    wide its level, so U_l[q] = max over k of S_l[k] (1 + U_{l+1}[q // k - 1]) is exact, where
    S_l[k] is the chance that one of k children at level l is accepted.
    """
    last, branch = len(prefix) - 1, prefix.shape[1] - 1
    share = np.arange(max_budget)[:, None] // np.arange(1, branch + 1) - 1
    values = [[np.zeros(max_budget)] for _ in prefix]
    choices = [[np.zeros(max_budget, dtype=np.int64)] for _ in prefix]
    for remaining in range(1, max_depth + 1):
        for row in range(min(last, max_depth - remaining), -1, -1):
            below = values[min(row + 1, last)][remaining - 1]
            gains = np.where(share >= 0, prefix[row, 1:] * (1 + below[share]), 0.0)
            values[row].append(gains.max(axis=1))
            choices[row].append(gains.argmax(axis=1) + 1)
    found = [
        _follow(choices, values[0][limit], limit, max_depth) for limit in range(1, max_depth + 1)
    ]
    return np.concatenate(found)


def _follow(
    choices: list[list[np.ndarray]], value: np.ndarray, limit: int, max_depth: int
) -> np.ndarray:
    """Children by level at the budgets where one more node helps, [m, max_depth]."""
    room = 1 + np.flatnonzero(np.diff(value) > 0)
    children = np.zeros((len(room), max_depth), dtype=np.int64)
    for level in range(limit):
        choice = choices[min(level, len(choices) - 1)][limit - level][room]
        children[:, level] = np.where(room > 0, choice, 0)
        room = np.where(room > 0, room // choice - 1, 0)
    return children
