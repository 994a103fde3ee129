"""Runs of the real engine by every method, recorded, written and read back."""

import pytest
from fakes import tiny_pair

from sequoia_core.decode.engine import Engine
from sequoia_core.decode.methods import GROWN_RULES, NAMES, named_method
from sequoia_core.decode.settings import GenerationSettings
from sequoia_core.decode.trace_file import parse_trace, trace_text
from sequoia_core.errors import InputError
from sequoia_core.measure.recording import plain_run, record_run
from sequoia_core.tree.families import chain, k_ary
from sequoia_core.tree.token_tree import TokenTree

TREES = {"autoregressive": TokenTree([-1]), "chain": chain(3)}


@pytest.mark.parametrize("method", NAMES)
@pytest.mark.parametrize(("temperature", "ends"), [(0.0, False), (0.8, True)])
def test_what_a_method_did_comes_back_from_its_trace(method, temperature, ends):
    """Reading checks every verdict anew, so this also checks the traces of all methods."""
    engine = Engine(tiny_pair(context=40, ends=ends))
    settings = GenerationSettings(temperature=temperature, top_p=0.9, max_new_tokens=36, seed=5)
    chosen = named_method(method, TREES.get(method, k_ary(2, 2)))
    run = engine.run([1, 2, 3], settings, chosen)
    steps = list(run)
    plain = plain_run(run, engine)
    kept = record_run(run, steps, prompt="t1 t2 t3", plain=plain)
    assert parse_trace(trace_text(kept).encode(), "run.json") == kept
    assert (kept.tree is None) == (method in GROWN_RULES)
    assert kept.summary.token_ids == [token for step in kept.steps for token in step.committed]
    assert len(kept.ranks.ranks) == len(kept.summary.token_ids)
    assert len(plain.seconds) == len(plain.pieces) == len(plain.token_ids)
    if temperature == 0:
        assert plain.token_ids == kept.summary.token_ids


def test_a_plain_run_is_ended_by_whoever_waits_for_it():
    engine = Engine(tiny_pair())
    run = engine.run([1], GenerationSettings(max_new_tokens=8), chain(2))
    list(run)
    told = []

    def report(tokens: int) -> bool:
        told.append(tokens)
        return tokens < 3

    assert plain_run(run, engine, report=report) is None
    assert told == [1, 2, 3]


def test_a_run_without_a_step_is_not_kept():
    run = Engine(tiny_pair()).run([1], GenerationSettings(max_new_tokens=8), chain(2))
    with pytest.raises(InputError, match="made no step"):
        record_run(run, [])
