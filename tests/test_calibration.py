"""Acceptance vectors against what they stand for: the run's own acceptance."""

import numpy as np
import pytest
from fakes import tiny_pair

from sequoia_core.decode.engine import Engine, GenerationSettings
from sequoia_core.errors import InputError
from sequoia_core.measure.calibration import calibrate
from sequoia_core.tree.token_tree import TokenTree

PROMPTS = ["t1 t2", "t3", "t4 t5", "t6 t7 t1"]


def first_step_acceptance(pair, settings: dict, children: int, runs: int) -> float:
    """Share of first steps that accept a child, over seeds."""
    tree = TokenTree([-1, *[0] * children])
    accepted = 0
    for seed in range(runs):
        run = Engine(pair).run("t1 t2", GenerationSettings(seed=seed, **settings), tree)
        accepted += bool(next(run).accepted)
        run.close()
    return accepted / runs


def test_the_vector_sums_to_one_when_every_token_is_a_child():
    settings = GenerationSettings(temperature=1.0, max_new_tokens=10)
    vector = calibrate(tiny_pair(), PROMPTS, settings)
    assert vector.probabilities.shape == (8,)
    assert vector.probabilities.sum() == pytest.approx(1, abs=1e-5)


def test_equal_models_accept_the_first_child():
    pair = tiny_pair()
    pair.draft = type(pair.draft)(pair.target.model, "twin")
    vector = calibrate(pair, PROMPTS, GenerationSettings(temperature=0.8, max_new_tokens=8))
    assert vector.probabilities[0] == pytest.approx(1, abs=1e-4)


def test_at_temperature_zero_the_vector_counts_ranks():
    pair = tiny_pair()
    settings = GenerationSettings(max_new_tokens=12)
    vector = calibrate(pair, PROMPTS, settings)
    counts = np.zeros(8)
    for prompt in PROMPTS:
        run = Engine(pair).run(prompt, settings, TokenTree([-1, *[0] * 8]))
        for step in run:
            # With every token a child, the root's accepted child is the next token's rank; the
            # bonus after it comes without a rank, so only one token a step is counted.
            counts[step.accepted[0] - 1] += 1
    observed = vector.probabilities * 48
    assert observed.round(9).tolist() == observed.round().tolist()
    assert observed.sum() == pytest.approx(48)
    assert (observed >= counts - 1e-9).all() or counts.sum() < 48


def test_the_vector_predicts_the_first_step_of_a_run():
    pair = tiny_pair(seed=4)
    settings = {"temperature": 1.0, "max_new_tokens": 1}
    vector = calibrate(pair, ["t1 t2"] * 200, GenerationSettings(**settings), width=2)
    measured = first_step_acceptance(pair, settings, 2, 800)
    # Four standard errors of 800 coins.
    assert measured == pytest.approx(float(vector.probabilities.sum()), abs=4 * 0.5 / 800**0.5)


def test_errors_are_over_prompts_and_shrink_with_more_of_them():
    pair = tiny_pair()
    settings = GenerationSettings(temperature=1.0, max_new_tokens=10)
    few = calibrate(pair, PROMPTS[:2], settings)
    many = calibrate(pair, PROMPTS * 8, settings)
    assert many.standard_errors[:3].sum() < few.standard_errors[:3].sum()
    assert (many.target, many.draft, many.prompts) == ("tiny target", "tiny draft", 32)


def test_one_prompt_is_too_few():
    with pytest.raises(InputError, match="at least 2 prompts"):
        calibrate(tiny_pair(), ["t1"], GenerationSettings())


def test_progress_rises_to_one():
    fractions = []
    calibrate(
        tiny_pair(),
        PROMPTS,
        GenerationSettings(max_new_tokens=2),
        progress=lambda fraction, text: fractions.append(fraction),
    )
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
