"""Distributions after temperature and top-p, and draws without replacement."""

from itertools import permutations

import pytest
import torch
from scipy.stats import chisquare

from sequoia_core.decode.randomness import RACES_AHEAD, Randomness
from sequoia_core.decode.sampling import (
    BELOW_ONE,
    distribution,
    draft_distribution,
    draw_by_inversion,
    draw_without_replacement,
    nucleus,
    race_times,
)

# A correct sampler fails a test at this level once in 10,000 seeds, and the seeds are fixed.
LEVEL = 1e-4


def test_temperature_zero_puts_all_mass_on_the_first_largest_logit():
    assert distribution(torch.tensor([1.0, 3.0, 3.0]), 0, 1.0).tolist() == [0, 1, 0]


def test_temperature_divides_the_logits():
    logits = torch.tensor([0.0, 1.0, 2.0])
    assert torch.allclose(distribution(logits, 0.5, 1.0), (logits * 2).softmax(-1))


@pytest.mark.parametrize(
    ("top_p", "expected"),
    [
        (1e-6, [0, 0, 1, 0]),
        (0.4, [0, 0, 1, 0]),
        (0.41, [0, 0.3 / 0.7, 0.4 / 0.7, 0]),
        (0.95, [0.1, 0.3, 0.4, 0.2]),
    ],
)
def test_nucleus_keeps_the_smallest_set_that_reaches_top_p(top_p, expected):
    probs = torch.tensor([0.1, 0.3, 0.4, 0.2], dtype=torch.float64)
    assert nucleus(probs, top_p).tolist() == pytest.approx(expected)


def test_nucleus_agrees_with_hugging_face():
    from transformers import TopPLogitsWarper

    logits = torch.randn(50, 30, generator=torch.Generator().manual_seed(0)) * 2
    for top_p in (0.2, 0.5, 0.8, 0.95):
        theirs = TopPLogitsWarper(top_p)(None, logits.clone()).softmax(-1)
        assert torch.allclose(distribution(logits, 1.0, top_p), theirs, atol=1e-6)


def test_draft_distribution_has_no_mass_too_small_to_draw():
    probs = draft_distribution(torch.tensor([0.0, 50.0]), 1.0, 1.0)
    assert probs.tolist() == [0, 1]


def orders(probs: torch.Tensor, count: int, draws: int) -> dict[tuple[int, ...], int]:
    generator = torch.Generator().manual_seed(7)
    times = race_times(draws, len(probs), generator)
    drawn = draw_without_replacement(probs.expand(draws, -1), count, times)
    seen: dict[tuple[int, ...], int] = {}
    for row in drawn.tolist():
        seen[tuple(row)] = seen.get(tuple(row), 0) + 1
    return seen


def test_draws_without_replacement_come_in_the_order_of_drawing_one_by_one():
    probs = torch.tensor([0.5, 0.3, 0.15, 0.05])
    seen = orders(probs, 3, 20_000)
    expected = {}
    for order in permutations(range(4), 3):
        left, chance = 1.0, 1.0
        for token in order:
            chance *= float(probs[token]) / left
            left -= float(probs[token])
        expected[order] = chance * 20_000
    observed = [seen.get(order, 0) for order in expected]
    assert chisquare(observed, list(expected.values()), sum_check=False).pvalue > LEVEL


def test_draws_beyond_the_mass_are_uniform_over_the_rest():
    seen = orders(torch.tensor([0.0, 1.0, 0.0, 0.0]), 3, 12_000)
    assert {order[0] for order in seen} == {1}
    assert len(seen) == 6
    assert chisquare(list(seen.values())).pvalue > LEVEL


def test_every_draw_is_a_different_token():
    times = race_times(100, 6, torch.Generator())
    drawn = draw_without_replacement(torch.full((100, 6), 1 / 6), 6, times)
    assert all(sorted(row) == list(range(6)) for row in drawn.tolist())


def test_the_largest_uniform_number_still_finds_a_token_with_mass():
    generator = torch.Generator().manual_seed(5)
    probs = torch.rand(2000, 7, generator=generator) * torch.logspace(-30, 2, 2000)[:, None]
    probs[:, 5:] = 0
    uniform = torch.full((2000, 1), 1 - BELOW_ONE, dtype=torch.float64)
    assert set(draw_by_inversion(probs, uniform).flatten().tolist()) == {4}


def test_uniform_numbers_stay_below_one_by_what_inversion_asks_for(monkeypatch):
    largest = 1 - torch.finfo(torch.float64).eps / 2
    monkeypatch.setattr(
        torch, "rand", lambda shape, **_: torch.full(shape, largest, dtype=torch.float64)
    )
    assert Randomness.seeded(0, torch.device("cpu"))._uniforms(1).item() == 1 - BELOW_ONE


@pytest.mark.parametrize("rows", [1, 3])
def test_no_race_is_run_twice(rows):
    random, seen = Randomness.seeded(0, torch.device("cpu")), []
    for vocab in (7, 7, 5, 7):
        for _ in range(RACES_AHEAD // vocab + 2 if vocab == 5 else 4):
            seen += [tuple(times.tolist()) for times in random._times(rows, vocab)]
    assert len(set(seen)) == len(seen)


def test_the_same_seed_draws_the_same_token():
    probs = torch.full((1000,), 1e-3)
    cpu = torch.device("cpu")
    tokens = [Randomness.seeded(3, cpu).token(probs) for _ in range(2)]
    assert tokens[0] == tokens[1]
