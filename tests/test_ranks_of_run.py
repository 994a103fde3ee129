"""The rank sequence of a finished run: against the run's own steps, and what cannot be ranked."""

import numpy as np
import pytest
from fakes import tiny_pair

from sequoia_core.decode.engine import Engine, GenerationSettings
from sequoia_core.errors import InputError
from sequoia_core.measure.calibration import measure_acceptance
from sequoia_core.measure.ranks_of_run import rank_run
from sequoia_core.plan.replay import replay
from sequoia_core.tree.families import chain, k_ary
from sequoia_core.tree.token_tree import TokenTree

PROMPT = "t1 t2"


def finished(pair, settings: GenerationSettings, tree: TokenTree):
    run = Engine(pair).run(PROMPT, settings, tree)
    return run, [len(step.committed) for step in run]


@pytest.mark.parametrize("ends", [False, True])
@pytest.mark.parametrize("tree", [chain(4), k_ary(2, 3), TokenTree([-1])], ids=repr)
def test_at_temperature_zero_replay_finds_the_steps_that_any_tree_takes_on_the_text(tree, ends):
    for seed in range(3):
        pair, settings = tiny_pair(ends=ends, seed=seed), GenerationSettings(max_new_tokens=30)
        run, _ = finished(pair, settings, TokenTree([-1, 0, 0, 1]))
        paths = rank_run(pair, run.prompt_ids, run.token_ids, settings)
        assert (paths.width, paths.positions) == (pair.vocab, len(run.token_ids))
        other, steps = finished(pair, settings, tree)
        assert other.token_ids == run.token_ids
        assert replay(tree, paths).steps == len(steps)


def test_at_temperature_zero_the_target_is_not_asked():
    pair, settings = tiny_pair(), GenerationSettings(max_new_tokens=12)
    run, _ = finished(pair, settings, chain(2))
    pair.target.forward = None
    assert rank_run(pair, run.prompt_ids, run.token_ids, settings).positions == 12


@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_a_text_of_the_calibration_has_the_ranks_that_calibration_gave_it(temperature):
    pair = tiny_pair(seed=2)
    settings = GenerationSettings(temperature=temperature, max_new_tokens=20, seed=6)
    known = measure_acceptance(pair, [PROMPT, "t3"], settings, width=3).samples["sequoia"][0].ranks
    run, _ = finished(pair, settings, TokenTree([-1]))
    paths = rank_run(pair, run.prompt_ids, run.token_ids, settings, width=3)
    assert paths.sequences[0].tolist() == known.tolist()


def test_above_temperature_zero_the_ranks_have_the_law_of_the_runs_own_steps():
    pair, tree = tiny_pair(seed=1), TokenTree([-1, 0, 0])
    ranked, accepted = [], []
    for seed in range(400):
        settings = GenerationSettings(temperature=0.8, max_new_tokens=1, seed=seed)
        run = Engine(pair).run(PROMPT, settings, tree, trace=False)
        accepted.append(next(run).accepted[:1])
        paths = rank_run(pair, run.prompt_ids, run.token_ids, settings, width=2)
        ranked.append(int(paths.sequences[0][0]))
    for rank in (0, 1):
        found, wanted = (
            np.mean([r == rank for r in ranked]),
            np.mean([a == [rank + 1] for a in accepted]),
        )
        # Four standard errors of two samples of 400 coins.
        assert abs(found - wanted) < 4 * (0.5 / 400) ** 0.5


@pytest.mark.parametrize(
    ("prompt_ids", "token_ids", "sentence"),
    [
        ([], [1], "prompt is empty"),
        ([1], [], "text is empty"),
        ([1], [8], "text holds token 8, outside the vocabulary of 8"),
        ([-1], [1], "prompt holds token -1"),
        ([1] * 30, [1] * 35, "65 tokens, more than the context of 64"),
    ],
)
def test_what_no_run_of_the_pair_wrote_is_refused(prompt_ids, token_ids, sentence):
    with pytest.raises(InputError, match=sentence):
        rank_run(tiny_pair(), prompt_ids, token_ids, GenerationSettings())
