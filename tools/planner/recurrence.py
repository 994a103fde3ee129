"""The recurrence of the dynamic program as it is written down, loop by loop, and nothing else."""

import numpy as np

from sequoia_core.plan.acceptance import AcceptanceVector

NONE = float("-inf")


def recurrence(
    acceptance: AcceptanceVector, max_budget: int, max_depth: int, max_branch: int
) -> np.ndarray:
    """Greatest expected tokens of n nodes at most d deep, float64 [N + 1, D + 1]; -inf if none.

    E_b[n] = max over m of E_{b-1}[n - m] + p[b] * best[m, d - 1] and best = max over b, by the
    root's depth (Sequoia, arXiv 2402.12374v3, algorithm 1 and its depth-limited variant).
    """
    rows = acceptance.rows[: max(1, max_depth), :max_branch].tolist()
    leaf = [NONE, 1.0] + [NONE] * (max_budget - 1)
    best = {(row, 0): leaf for row in range(len(rows))}
    for levels in range(1, max_depth + 1):
        for row in range(min(len(rows), max_depth - levels + 1)):
            below = best[min(row + 1, len(rows) - 1), levels - 1]
            best[row, levels] = _best_roots(rows[row], below)
    return np.array([best[0, levels] for levels in range(max_depth + 1)]).T


def _best_roots(chances: list[float], below: list[float]) -> list[float]:
    sizes = range(len(below))
    forest = [NONE, 1.0] + [NONE] * (len(below) - 2)
    best = forest
    for chance in chances:
        # A chance of zero must not turn what does not exist into zero times infinity.
        gains = [chance * worth if worth > NONE else NONE for worth in below]
        forest = [max((forest[n - m] + gains[m] for m in range(1, n)), default=NONE) for n in sizes]
        best = [max(pair) for pair in zip(best, forest, strict=True)]
    return best
