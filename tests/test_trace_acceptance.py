"""Acceptance counted from a trace: by hand, and against the exact law of a context-free pair."""

import numpy as np
import pytest
import torch
from tabular import tabular_pair
from traces import traced_step

from sequoia_core.decode.engine import Engine
from sequoia_core.decode.settings import GenerationSettings
from sequoia_core.decode.trace_acceptance import trace_acceptance
from sequoia_core.errors import InputError
from sequoia_core.measure import ranks
from sequoia_core.tree.families import k_ary
from sequoia_core.tree.token_tree import TokenTree

# Root with three children; the first has two, the second one; that one has one.
PARENTS = [-1, 0, 0, 0, 1, 1, 2, 6]


def test_every_node_on_the_walk_counts_once_for_each_child_it_had():
    steps = [
        traced_step(0, 0, PARENTS, [1, 5]),  # ranks 0, 1, then a leaf
        traced_step(1, 0, PARENTS, [2]),  # rank 1, then its only child rejected
        traced_step(2, 0, PARENTS, [2, 6, 7]),  # ranks 1, 0, 0, then a leaf
        traced_step(3, 0, PARENTS, []),  # all three rejected
    ]
    found = trace_acceptance(steps)
    assert found.offers.tolist() == [[4, 4, 4], [3, 1, 0], [1, 0, 0]]
    assert found.counts.tolist() == [[1, 2, 0], [1, 1, 0], [1, 0, 0]]
    assert found.by_rank.rates.tolist() == [3 / 8, 3 / 5, 0]
    assert found.by_depth.rates.tolist() == [1 / 4, 1 / 3, 1]
    assert found.nodes.tolist() == [4, 3, 1]


def test_errors_are_binomial_and_never_nought():
    steps = [traced_step(i, 0, [-1, 0], [1] if i < 75 else []) for i in range(100)]
    rate = trace_acceptance(steps).by_rank
    assert rate.rates[0] == 0.75
    assert rate.standard_errors[0] == pytest.approx(np.sqrt(0.75 * 0.25 / 100), rel=0.02)
    assert trace_acceptance(steps[:1]).by_rank.standard_errors[0] > 0.3


def test_a_rank_that_no_node_on_the_walk_had_is_unknown():
    found = trace_acceptance([traced_step(0, 0, [-1, 0, 1, 1], [])])
    assert found.by_rank.offered.tolist() == [1]
    found = trace_acceptance([traced_step(0, 0, PARENTS, [])])
    assert found.by_depth.offered.tolist() == [1]


@pytest.mark.parametrize("steps", [[], [traced_step(0, 0, [-1], [])]], ids=["none", "plain"])
def test_a_run_that_drafted_nothing_has_no_acceptance(steps):
    with pytest.raises(InputError, match="drafted anything"):
        trace_acceptance(steps)


def test_a_long_run_finds_the_acceptance_that_calibration_computes():
    """A context-free pair, so p[k] is one exact number: 4.5 standard errors leave 1 in 10^5."""
    target, draft = np.log([0.5, 0.2, 0.2, 0.1]), np.log([0.25, 0.45, 0.2, 0.1])
    pair = tabular_pair(4, lambda context: target, lambda context: draft)
    runs = (GenerationSettings(temperature=1.0, max_new_tokens=60, seed=seed) for seed in range(16))
    engine, tree = Engine(pair), k_ary(2, 3)
    found = trace_acceptance([step for run in runs for step in engine.run([1], run, tree)])
    exact = _calibrated(np.exp(target), np.exp(draft), 2)
    for rates, expected in (
        (found.by_rank, exact),
        (found.by_depth, np.full(3, exact[0])),
    ):
        assert len(rates.rates) == len(expected)
        assert np.all(np.abs(rates.rates - expected) < 4.5 * rates.standard_errors)


def _calibrated(target: np.ndarray, draft: np.ndarray, width: int) -> np.ndarray:
    """Calibration's own estimate of p[k] with every other source of noise averaged away."""
    positions = 20_000
    generator = torch.Generator().manual_seed(0)
    target_rows, draft_rows = (torch.tensor(row).repeat(positions, 1) for row in (target, draft))
    tokens = torch.multinomial(target_rows, 1, generator=generator)[:, 0]
    ranked = ranks.sequoia(target_rows, draft_rows, tokens, width, generator)
    return ranked.acceptance.mean(0).numpy()


def test_trees_of_different_steps_are_counted_together():
    grown = [traced_step(0, 0, [-1, 0, 0], [2]), traced_step(1, 0, [-1, 0, 1], [1])]
    found = trace_acceptance(grown)
    assert TokenTree([-1, 0, 1]).depth == len(found.nodes) == 2
    assert found.by_rank.accepted.tolist() == [1, 1]
    assert found.by_rank.offered.tolist() == [3, 1]
