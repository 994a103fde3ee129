"""Replay: by hand, against the engine's own steps, and what cannot be replayed."""

import numpy as np
import pytest
from fakes import tiny_pair

from sequoia_core.commands.calibrate import read_prompts
from sequoia_core.decode.engine import Engine, GenerationSettings
from sequoia_core.decode.pair import PairSpec, bundled_models_present, load_pair
from sequoia_core.errors import InputError
from sequoia_core.measure.calibration import calibrate
from sequoia_core.plan.acceptance import load_acceptance
from sequoia_core.plan.paths import PathStatistics
from sequoia_core.plan.presets import bundled_acceptance
from sequoia_core.plan.replay import ratio_over_texts, replay, replay_everywhere
from sequoia_core.tree.families import chain, k_ary
from sequoia_core.tree.token_tree import TokenTree

PROMPTS = ["t1 t2", "t3", "t4 t5", "t6 t7 t1"]
LOPSIDED = TokenTree([-1, 0, 0, 0, 1, 1, 2, 4, 4, 7])
TREES = [TokenTree([-1]), chain(4), k_ary(2, 3), LOPSIDED]


def test_a_text_replayed_by_hand():
    # Root with two children, the first of which has one: [0 0 | bonus] [1 | bonus] [bonus] [0].
    tree = TokenTree([-1, 0, 0, 1])
    text = [0, 0, 5, 1, 0, -1, 0]
    outcome = replay(tree, [text])
    assert (outcome.steps, outcome.tokens, outcome.standard_error) == (4, 7, None)
    assert outcome.tokens_per_step == 7 / 4
    assert replay(TokenTree([-1]), [text]).steps == 7
    everywhere = replay_everywhere(tree, [text])
    # From each position: 3, 2, 1, 2, 2, 1 and, at the end, 1 token.
    assert (everywhere.tokens, everywhere.steps) == (12, 7)


def test_the_standard_error_is_over_texts():
    tokens, steps = np.array([10, 12, 20]), np.array([5, 4, 10])
    ratio = 42 / 19
    spread = sum((t - ratio * s) ** 2 for t, s in zip(tokens, steps, strict=True)) / 2
    outcome = ratio_over_texts(tokens, steps)
    assert outcome.tokens_per_step == pytest.approx(ratio)
    assert outcome.standard_error == pytest.approx((3 * spread) ** 0.5 / 19)


@pytest.mark.parametrize("ends", [False, True])
@pytest.mark.parametrize("tree", TREES, ids=repr)
def test_at_temperature_zero_replay_counts_the_steps_of_the_run(tree, ends):
    for seed in range(3):
        pair, settings = tiny_pair(ends=ends, seed=seed), GenerationSettings(max_new_tokens=21)
        paths = calibrate(pair, PROMPTS, settings).paths
        for prompt, ranks in zip(PROMPTS, paths.sequences, strict=True):
            run = Engine(pair).run(prompt, settings, tree)
            steps = [len(step.committed) for step in run]
            outcome = replay(tree, PathStatistics(paths.width, [ranks]))
            assert (outcome.steps, outcome.tokens) == (len(steps), sum(steps))


@pytest.mark.skipif(not bundled_models_present(), reason="the bundled models are not here")
def test_replay_counts_the_steps_of_the_bundled_pair():
    pair = load_pair(PairSpec(device="cpu", dtype="float32"))
    prompts = ["Once upon a time there was", "The king said"]
    settings = GenerationSettings(max_new_tokens=24)
    paths = calibrate(pair, prompts, settings, width=4).paths
    tree = k_ary(3, 2)
    for prompt, ranks in zip(prompts, paths.sequences, strict=True):
        run = Engine(pair).run(prompt, settings, tree, trace=False)
        assert len(list(run)) == replay(tree, PathStatistics(4, [ranks])).steps


def test_above_temperature_zero_replayed_and_measured_tokens_agree():
    pair, tree = tiny_pair(seed=1), k_ary(2, 3)
    prompts = PROMPTS * 10
    settings = GenerationSettings(temperature=0.8, max_new_tokens=24)
    outcome = replay(tree, calibrate(pair, prompts, settings, width=3).paths)
    runs = []
    for index, prompt in enumerate(prompts):
        own = GenerationSettings(temperature=0.8, max_new_tokens=24, seed=1000 + index)
        run = Engine(pair).run(prompt, own, tree, trace=False)
        runs.append((24, len(list(run))))
    measured = ratio_over_texts(*map(np.array, zip(*runs, strict=True)))
    spread = (outcome.standard_error**2 + measured.standard_error**2) ** 0.5
    assert abs(outcome.tokens_per_step - measured.tokens_per_step) < 4 * spread
    # The claim is worth something only if the spread is small.
    assert spread < 0.1 * measured.tokens_per_step


@pytest.mark.skipif(not bundled_models_present(), reason="the bundled models are not here")
@pytest.mark.parametrize("temperature", [0.6, 1.0])
def test_runs_of_the_bundled_pair_agree_with_the_replay_of_its_calibration(temperature):
    pair, length = load_pair(PairSpec(device="cpu", dtype="float32")), 40
    paths, tree = load_acceptance(bundled_acceptance(temperature)).paths, k_ary(2, 3)
    # Texts of the same length, so that their ends cut as much off replays as off runs.
    cut = PathStatistics(paths.width, [ranks[:length] for ranks in paths.sequences])
    outcome, runs = replay(tree, cut), []
    for index, prompt in enumerate(read_prompts(None)[::3]):
        own = GenerationSettings(temperature=temperature, max_new_tokens=length, seed=77 + index)
        run = Engine(pair).run(prompt, own, tree, trace=False)
        steps = len(list(run))
        runs.append((len(run.token_ids), steps))
    measured = ratio_over_texts(*map(np.array, zip(*runs, strict=True)))
    spread = (outcome.standard_error**2 + measured.standard_error**2) ** 0.5
    assert abs(outcome.tokens_per_step - measured.tokens_per_step) < 4 * spread
    assert spread < 0.08 * measured.tokens_per_step


def test_a_tree_wider_than_the_record_is_refused():
    with pytest.raises(InputError, match=r"3 children, but .* recorded with 2"):
        replay(k_ary(3, 1), PathStatistics(2, [[0, 1]]))


@pytest.mark.parametrize("sequences", [[], [[]], [[0.5]], [[-2]], "no", [3], [[2000]]])
def test_what_is_no_list_of_ranks_is_refused(sequences):
    with pytest.raises(InputError, match=r"paths\.sequences"):
        replay(chain(2), sequences)
