"""The best chain for an engine that takes no tree, and the draft length by batch size."""

from dataclasses import dataclass

import numpy as np

from sequoia_core.plan.acceptance import AcceptanceVector
from sequoia_core.plan.cost import CostModel
from sequoia_core.plan.empirical import settle
from sequoia_core.plan.expected import path_values
from sequoia_core.plan.hardware import HardwareProfile
from sequoia_core.tree.families import chain

MAX_LENGTH = 32


@dataclass(frozen=True, slots=True)
class ChainPlan:
    """A chain of drafted tokens with its promises; length 0 is plain decoding.

    rates: for every position the chance that it and all before it are accepted.
    best_length, best_speedup: the best chain that drafts at all, for when none pays.
    """

    length: int
    rates: tuple[float, ...]
    expected_tokens: float
    speedup: float
    best_length: int
    best_speedup: float


def best_chain(
    acceptance: AcceptanceVector,
    hardware: HardwareProfile,
    *,
    batch_size: int = 1,
    max_length: int = MAX_LENGTH,
) -> ChainPlan:
    """The fastest chain by the cost model, from the first rank's acceptance; shorter of equals.

    Where the vector has path statistics, they say how often ranks of 0 follow each other from
    where the chain's own steps start.
    """
    cost, longest = CostModel(hardware, batch_size), chain(max_length)
    if acceptance.paths is None:
        rates = path_values(longest, acceptance)[1:]
    else:
        model = settle(
            acceptance,
            lambda model: chain(int(_speedups(model.path_values(longest)[1:], cost)[1].argmax())),
        )
        rates = model.path_values(longest)[1:]
    expected, speedups = _speedups(rates, cost)
    length = int(speedups.argmax())
    best = 1 + int(speedups[1:].argmax())
    return ChainPlan(
        length=length,
        rates=tuple(rates[:length].tolist()),
        expected_tokens=float(expected[length]),
        speedup=float(speedups[length]),
        best_length=best,
        best_speedup=float(speedups[best]),
    )


def _speedups(rates: np.ndarray, cost: CostModel) -> tuple[np.ndarray, np.ndarray]:
    """Expected tokens and speedup of the chains of length 0, 1, .. by their reach chances."""
    expected = 1 + np.concatenate([[0.0], np.cumsum(rates)])
    lengths = np.arange(len(expected))
    passes = np.tri(len(lengths), len(rates), -1, dtype=np.int64)
    return expected, cost.speedup(expected, cost.seconds(lengths + 1, passes))


def chain_schedule(
    acceptance: AcceptanceVector, hardware: HardwareProfile, *, max_batch_size: int
) -> list[tuple[int, int, int]]:
    """(first batch size, last batch size, best chain's length), covering 1 .. max_batch_size."""
    ranges: list[tuple[int, int, int]] = []
    for batch_size in range(1, max_batch_size + 1):
        length = best_chain(acceptance, hardware, batch_size=batch_size).length
        first = ranges.pop()[0] if ranges and ranges[-1][2] == length else batch_size
        ranges.append((first, batch_size, length))
    return ranges
