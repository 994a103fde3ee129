"""The checks that `verify` makes: they pass for what is lossless and fail for what is not."""

import json
from functools import partial

import numpy as np
import pytest
import torch
from fakes import tiny_pair
from scipy.stats import chisquare

from sequoia_core.cli import main
from sequoia_core.commands import verify
from sequoia_core.commands.calibrate import read_prompts
from sequoia_core.decode.engine import Engine, GenerationSettings
from sequoia_core.decode.pair import PairSpec, load_pair
from sequoia_core.decode.randomness import Randomness
from sequoia_core.measure import proof
from sequoia_core.measure.lookup import remembered
from sequoia_core.measure.proof import (
    GREEDY_TREE,
    PROVED,
    SAMPLED_TREE,
    chi_square,
    greedy_rows,
    method_with,
    sampled_rows,
)

SAMPLINGS = [(t, p) for t in (0.3, 0.6, 1.0) for p in (0.8, 1.0)]


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Short passes: threads would mostly wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def bundled():
    return load_pair(PairSpec(device="cpu", dtype="float32"))


def test_trees_planned_and_grown_write_hugging_faces_greedy_text(bundled):
    names = ["autoregressive", "sequoia", "specexec", "dynamic", "auto"]
    rows = greedy_rows(bundled, names, read_prompts(None)[:4], 32)
    assert [(row.method, row.identical, row.partings) for row in rows] == [
        (name, 4, []) for name in names
    ]


def test_first_two_tokens_follow_the_targets_law_on_the_bundled_pair(bundled):
    names, prompt = ["sequoia", "specinfer", "topk", "dynamic"], bundled.encode("Once upon a time")
    rows = sampled_rows(bundled, names, prompt, SAMPLINGS, runs=100)
    assert len(rows) == len(names) * len(SAMPLINGS)
    assert [row for row in rows if not row.passed] == []
    assert all(row.bins > 1 for row in rows)


@pytest.mark.parametrize("name", PROVED)
def test_first_two_tokens_follow_the_targets_law_on_a_random_pair(name):
    (row,) = sampled_rows(tiny_pair(vocab=5), [name], [1, 2], [(1.0, 1.0)], runs=600)
    assert row.passed, row
    assert row.bins > 5


def test_walks_on_the_device_follow_the_law_too(monkeypatch):
    monkeypatch.setattr(proof, "Engine", partial(Engine, on_device=True))
    names = ["sequoia", "specinfer", "topk", "dynamic"]
    rows = sampled_rows(tiny_pair(vocab=5), names, [1, 2], [(1.0, 0.9)], runs=400)
    assert [row for row in rows if not row.passed] == []


def test_a_rule_that_accepts_too_much_is_found(monkeypatch):
    monkeypatch.setattr(Randomness, "first_accepted", lambda self, chances: 0)
    names = ["sequoia", "specinfer", "topk", "dynamic"]
    rows = sampled_rows(tiny_pair(vocab=5), names, [1, 2], [(1.0, 1.0)], runs=600)
    # A sample of the target needs no coins.
    assert [row.method for row in rows if row.passed] == ["topk"]


def test_a_cache_that_forgets_is_found():
    """A commit that loses its last token must show up as another text."""
    pair = tiny_pair(vocab=12, ends=True)
    prompts = [f"t{a} t{b}" for a in range(1, 6) for b in range(1, 4)]
    (row,) = greedy_rows(pair, ["sequoia"], prompts, 12)
    assert (row.passed, row.identical) == (True, len(prompts))
    cache = pair.target.cache
    commit = cache.commit

    def forgetful(slots):
        commit(slots)
        for buffer in cache.storage:
            buffer[..., cache.length - 1, :] = 0

    cache.commit = forgetful
    (row,) = greedy_rows(pair, ["sequoia"], prompts, 12)
    assert not row.passed


def test_a_text_that_parts_without_a_tie_is_found(monkeypatch):
    pair = tiny_pair(vocab=8)
    theirs = proof._reference(pair, pair.encode("t1 t2"), 12)
    other = [*theirs[:5], (theirs[5] + 1) % 8, *theirs[6:]]
    monkeypatch.setattr(proof, "_reference", lambda *_: other)
    (row,) = greedy_rows(pair, ["sequoia"], ["t1 t2"], 12)
    assert not row.passed
    (parting,) = row.partings
    assert (parting.position, parting.ours, parting.theirs) == (5, theirs[5], other[5])
    assert parting.gap > 0.01
    monkeypatch.setattr(proof, "_reference", lambda *_: theirs[:5])
    (row,) = greedy_rows(pair, ["sequoia"], ["t1 t2"], 12)
    assert (row.partings[0].theirs, row.partings[0].gap, row.passed) == (-1, None, False)


def test_a_text_that_parts_between_equal_logits_is_a_near_tie(monkeypatch):
    pair = tiny_pair(vocab=8)
    with torch.no_grad():
        pair.target.model.lm_head.weight[7] = pair.target.model.lm_head.weight[3]
    theirs = [3] * 12
    monkeypatch.setattr(proof, "_reference", lambda *_: theirs)
    parting = proof.parting(pair, 0, [1, 2], [7, *theirs[1:]], theirs)
    assert (parting.gap, parting.near_tie) == (0, True)


def test_a_remembered_model_gives_the_engine_the_models_own_logits():
    """The same seed writes the same text on the models and on what is remembered of them."""
    pair, prompt = tiny_pair(vocab=8), [1, 2, 3]
    settings = GenerationSettings(temperature=1.0, max_new_tokens=20, seed=4)
    for name in PROVED:
        method = method_with(name, SAMPLED_TREE)
        wanted = [t for step in Engine(pair).run(prompt, settings, method) for t in step.committed]
        quick = tiny_pair(vocab=8)
        quick.target = remembered(pair.target, 8, longest=99)
        quick.draft = remembered(pair.draft, 8, longest=99)
        done = Engine(quick).run(prompt, settings, method)
        assert [t for step in done for t in step.committed] == wanted


def test_chi_square_is_scipys():
    seen = {(0, 1): 30, (1, 0): 25, (2, 2): 25, (9, 9): 20}
    law = {(0, 1): 0.25, (1, 0): 0.25, (2, 2): 0.3}
    bins, p_value = chi_square(seen, law, 100)
    assert bins == 4
    assert p_value == pytest.approx(chisquare([30, 25, 25, 20], [25, 25, 30, 20]).pvalue)


def test_a_rest_that_is_too_small_joins_the_rarest_text():
    seen = {(0, 1): 60, (1, 0): 38, (9, 9): 2}
    bins, p_value = chi_square(seen, {(0, 1): 0.6, (1, 0): 0.39}, 100)
    assert bins == 2
    assert p_value == pytest.approx(chisquare([60, 40], [60, 40]).pvalue)


def test_a_token_that_top_p_rules_out_fails_however_rare(monkeypatch):
    pair, texts = tiny_pair(vocab=5), proof._texts
    sampling = [(1.0, 0.3)]
    (row,) = sampled_rows(pair, ["topk"], [1, 2], sampling, runs=100)
    assert row.passed
    with torch.inference_mode():
        rare = int(pair.target.model(input_ids=torch.tensor([[1, 2]])).logits[0, -1].argmin())

    def with_one_more(*arguments):
        seen = texts(*arguments)
        seen[rare, 0] += 1
        return seen

    monkeypatch.setattr(proof, "_texts", with_one_more)
    (row,) = sampled_rows(pair, ["topk"], [1, 2], sampling, runs=100)
    assert row.p_value == 0


def test_a_certain_law_is_met():
    assert chi_square({(1, 1): 50}, {(1, 1): 1.0}, 50) == (1, 1.0)


def test_sampled_and_greedy_trees_branch():
    for tree in (GREEDY_TREE, SAMPLED_TREE):
        assert int(np.max(tree.child_counts)) > 1


SMALL = [
    "verify", "--device", "cpu", "--dtype", "float32", "--prompt-count", "1",
    "--max-new-tokens", "8", "--runs", "100", "--temperatures", "0.6", "--top-ps", "0.8",
    "--methods", "sequoia,specexec",
]  # fmt: skip


def test_the_command_gives_a_verdict_and_status_1_for_a_bad_one(capsys):
    assert main([*SMALL, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["verdict"] == "lossless"
    assert [row["method"] for row in result["greedy"]] == ["sequoia", "specexec"]
    assert all(row["passed"] for row in result["greedy"] + result["sampled"])
    assert "Verdict: lossless." in verify.describe(result)
    place = {"prompt": 0, "position": 4, "ours": 7, "theirs": -1, "gap": None, "near_tie": False}
    result["greedy"][0]["partings"] = [place]
    result["verdict"] = "not lossless"
    assert "prompt 1, token 5: 7 instead of -1, one text has ended" in verify.describe(result)
    assert verify.status(result) == 1


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--methods", "magic"], "no method 'magic'"),
        (["--methods", ","], "no method ''"),
        (["--methods", ""], "--methods was given an empty text"),
        (["--temperatures", "hot"], "--temperatures must be numbers"),
        (["--temperatures", "0"], "--temperatures"),
        (["--top-ps", "2"], "--top-ps"),
        (["--runs", "5"], "--runs"),
        (["--prompt-count", "0"], "--prompt-count"),
    ],
)
def test_bad_input_is_refused_in_one_line(capsys, argv, words):
    assert main(["verify", *argv]) == 2
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert words in message
