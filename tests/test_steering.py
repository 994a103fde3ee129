"""Runs whose method changes between steps, on small real models."""

import numpy as np
import pytest
import torch
from fakes import tiny_pair

from sequoia_core.decode.engine import Engine, GenerationSettings, Run
from sequoia_core.decode.methods import grown_method, plain_method, static_method
from sequoia_core.decode.self_test import SelfTest
from sequoia_core.decode.steering import Fixed
from sequoia_core.measure.auto import Auto
from sequoia_core.plan.acceptance import AcceptanceVector
from sequoia_core.plan.hardware import HardwareProfile
from sequoia_core.tree.families import chain
from sequoia_core.tree.token_tree import TokenTree

PLAIN = plain_method()
BUSHY = static_method("sequoia", TokenTree([-1, 0, 0, 0, 1, 1, 2, 4, 4, 5, 7]))
SWITCHED = (PLAIN, BUSHY, static_method("chain", chain(4)), grown_method("dynamic", 12, 4))


class Shuffled(Fixed):
    """A method of `SWITCHED` for every step, chosen by a seed."""

    def __init__(self, seed: int, methods=SWITCHED):
        super().__init__(PLAIN)
        self._random, self._methods = np.random.default_rng(seed), methods
        self.slots = max(method.shape.slots for method in methods)
        self.drafts = True

    def next(self, _last, _tree):
        return self._methods[self._random.integers(len(self._methods))], None


def finished(pair, method, **settings) -> Run:
    run = Engine(pair).run([1, 2, 3], GenerationSettings(**settings), method)
    run.kept = list(run)
    return run


@pytest.mark.parametrize("seed", range(8))
def test_greedy_text_is_that_of_plain_decoding_however_methods_change(seed):
    pair = tiny_pair(vocab=12, seed=seed % 3)
    plain = finished(pair, PLAIN, max_new_tokens=55)
    run = finished(pair, Shuffled(seed), max_new_tokens=55)
    assert run.token_ids == plain.token_ids
    assert len({len(step.nodes.parent) for step in run.kept}) > 2


@pytest.mark.parametrize("seed", range(4))
def test_the_draft_that_was_left_out_catches_up_exactly(seed):
    """What it draws from after plain steps is what a draft that read every token would."""
    pair = tiny_pair(vocab=12)
    run = finished(pair, Shuffled(seed, (PLAIN, PLAIN, BUSHY)), max_new_tokens=40, temperature=1.0)
    text = [1, 2, 3]
    for step in run.kept:
        if len(step.nodes.parent) > 1:
            with torch.inference_mode():
                logits = pair.draft.model(input_ids=torch.tensor([text])).logits[0, -1, :12]
            expected = logits.softmax(-1)[step.nodes.token_id[1]]
            assert step.nodes.draft_prob[1] == pytest.approx(float(expected), abs=1e-5)
        text += step.committed


def test_plain_steps_leave_the_draft_alone():
    pair = tiny_pair(vocab=12)
    run = Engine(pair).run([1, 2, 3], GenerationSettings(max_new_tokens=9), Shuffled(0, (PLAIN,)))
    steps = list(run)
    assert pair.draft.length == 0
    assert all(step.seconds.draft == 0 for step in steps)


def profile(per_token: float) -> HardwareProfile:
    sizes = (1, 64)
    target = tuple((n, 0.01 + per_token * (n - 1)) for n in sizes)
    return HardwareProfile("here", target, ((1, 0.001), (64, 0.001)), name="h")


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("first", [0.05, 0.7])
def test_auto_runs_on_an_engine_and_writes_the_greedy_text_of_plain_decoding(first, temperature):
    pair = tiny_pair(vocab=12)
    auto = Auto(AcceptanceVector("sequoia", [first, 0.1, 0.05], name="a"), profile(0.0005))
    run = finished(pair, auto, max_new_tokens=60, temperature=temperature)
    assert len(run.token_ids) == 60
    if temperature == 0:
        assert run.token_ids == finished(pair, PLAIN, max_new_tokens=60).token_ids
    decided = [step.decision for step in run.kept if step.decision]
    assert tuple(decided) == run.summary().decisions
    assert decided[0].step == 0
    for step in run.kept:
        if step.decision:
            assert step.decision.step == step.index
            assert len(step.nodes.parent) <= step.decision.budget


def test_auto_keeps_to_chains_where_a_pair_takes_no_trees():
    pair = tiny_pair(vocab=12)
    pair.shape_support = SelfTest(False, "This model takes chains only.")
    vector = AcceptanceVector("sequoia", [0.4, 0.2, 0.1], name="a")
    auto = Auto(vector, profile(0.00001))
    assert auto.tree.child_counts.max() > 1
    run = finished(pair, auto, max_new_tokens=50)
    assert all(max(np.bincount(step.nodes.parent[1:], minlength=1)) <= 1 for step in run.kept)
    assert "cut to a chain" in run.summary().decisions[0].reason
