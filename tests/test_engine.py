"""Whole runs: the same tokens as plain decoding, every way to end, bad input."""

import json
from itertools import product
from pathlib import Path

import pytest
import torch
from fakes import tiny_pair
from scipy.stats import chisquare

from sequoia_core.decode.engine import Engine, GenerationSettings
from sequoia_core.decode.pair import PairSpec, load_pair
from sequoia_core.decode.self_test import SelfTest
from sequoia_core.errors import InputError, ModelError
from sequoia_core.tree.token_tree import TokenTree

PLAIN = TokenTree([-1])
BUSHY = TokenTree([-1, 0, 0, 0, 1, 1, 2, 4, 4, 5, 7])
PROMPTS = Path(__file__).parent / "story_prompts.json"


@pytest.fixture(scope="module")
def bundled():
    return load_pair(PairSpec(device="cpu", dtype="float32"))


@pytest.fixture(scope="module")
def tiny():
    return Engine(tiny_pair())


def tokens(engine: Engine, tree: TokenTree, prompt, **settings) -> list[int]:
    run = engine.run(prompt, GenerationSettings(**settings), tree, trace=False)
    return [token for step in run for token in step.committed]


@pytest.mark.parametrize("prompt", json.loads(PROMPTS.read_text(encoding="utf-8")))
def test_greedy_trees_give_the_tokens_of_plain_decoding_and_of_generate(bundled, prompt):
    engine = Engine(bundled)
    ours = tokens(engine, BUSHY, prompt, max_new_tokens=64)
    assert ours == tokens(engine, PLAIN, prompt, max_new_tokens=64)
    ids = torch.tensor([bundled.encode(prompt)])
    with torch.inference_mode():
        theirs = bundled.target.model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=64, do_sample=False
        )
    assert ours == theirs[0, ids.shape[1] :].tolist()


@pytest.mark.parametrize("seed", range(6))
def test_greedy_trees_equal_plain_decoding_on_random_models(seed):
    engine = Engine(tiny_pair(vocab=12, seed=seed))
    for tree in (BUSHY, TokenTree([-1, 0, 1, 2, 3]), TokenTree([-1, *[0] * 12])):
        assert tokens(engine, tree, [1, 2, 3], max_new_tokens=50) == tokens(
            engine, PLAIN, [1, 2, 3], max_new_tokens=50
        )


def test_sampled_trees_follow_the_targets_distribution():
    """All 64 texts of 3 tokens against their exact chance: steps share no noise."""
    engine = Engine(tiny_pair(vocab=4, seed=3))
    settings = {"temperature": 1.2, "top_p": 0.95, "max_new_tokens": 3}
    counts = dict.fromkeys(product(range(4), repeat=3), 0)
    draws = 2000
    tree = TokenTree([-1, 0, 0, 1])
    for seed in range(draws):
        counts[tuple(tokens(engine, tree, [2], seed=seed, **settings))] += 1
    expected = {text: exact_chance(engine, text) * draws for text in counts}
    kept = [text for text in counts if expected[text] >= 5]
    observed = [counts[text] for text in kept] + [draws - sum(counts[text] for text in kept)]
    wanted = [expected[text] for text in kept] + [draws - sum(expected[text] for text in kept)]
    assert chisquare(observed, wanted, sum_check=False).pvalue > 1e-4


def exact_chance(engine: Engine, text: tuple[int, ...]) -> float:
    from sequoia_core.decode.sampling import distribution

    with torch.inference_mode():
        logits = engine.pair.target.model(input_ids=torch.tensor([[2, *text]])).logits[0]
    probs = distribution(logits, 1.2, 0.95)
    return float(torch.stack([probs[i, token] for i, token in enumerate(text)]).prod())


def test_the_same_seed_gives_the_same_text_and_another_seed_another(tiny):
    settings = {"temperature": 1.0, "max_new_tokens": 30}
    first = tokens(tiny, BUSHY, [1], seed=5, **settings)
    assert first == tokens(tiny, BUSHY, [1], seed=5, **settings)
    assert first != tokens(tiny, BUSHY, [1], seed=6, **settings)


def test_noise_is_fresh_in_every_step():
    """With the same noise each step a pair that ignores its context would repeat one text."""
    pair = tiny_pair(vocab=8)
    for model in (pair.target, pair.draft):
        with torch.no_grad():
            model.model.lm_head.weight.zero_()
    engine = Engine(pair)
    run = engine.run([1], GenerationSettings(temperature=1.0, max_new_tokens=60), BUSHY)
    drafted = {tuple(step.nodes.token_id[1:]) for step in run}
    assert len(drafted) > 5


def test_a_steps_parts_fit_together(tiny):
    run = tiny.run([1, 2], GenerationSettings(temperature=0.9, max_new_tokens=40), BUSHY)
    text = [1, 2]
    for index, step in enumerate(run):
        nodes = step.nodes
        assert (step.index, step.prefix_length) == (index, len(text) - 1)
        assert nodes.token_id[0] == text[-1]
        assert nodes.parent == BUSHY.parents.tolist()
        path = [nodes.token_id[node] for node in step.accepted]
        assert step.committed == [*path, step.bonus.token_id][: len(step.committed)]
        assert [i for i, s in enumerate(nodes.status) if s == "accepted"] == [0, *step.accepted]
        assert step.bonus.source == (
            "residual" if len(BUSHY.children(step.accepted[-1] if step.accepted else 0)) else "leaf"
        )
        assert all(0 <= prob <= 1 for prob in nodes.draft_prob + nodes.target_prob)
        assert min(step.seconds.draft, step.seconds.verify) > 0
        text += step.committed
    assert text[2:] == run.token_ids
    assert run.summary().stopped == "token limit"
    assert len(run.token_ids) == 40


def test_rejected_children_are_those_tried_before_the_accepted_one(tiny):
    run = tiny.run([1], GenerationSettings(temperature=1.0, max_new_tokens=40), BUSHY)
    for step in run:
        for node in step.accepted:
            parent = step.nodes.parent[node]
            for sibling in BUSHY.children(parent):
                wanted = "rejected" if sibling < node else "unreached"
                assert sibling == node or step.nodes.status[sibling] == wanted


def test_an_end_of_text_token_inside_a_path_ends_the_text_there():
    engine = Engine(tiny_pair(vocab=4, ends=True, seed=2))
    cut = 0
    for seed in range(40):
        run = engine.run(
            [1], GenerationSettings(temperature=2.0, max_new_tokens=30, seed=seed), BUSHY
        )
        steps = list(run)
        assert 0 not in run.token_ids[:-1]
        if run.summary().stopped == "end of text":
            assert run.token_ids[-1] == 0
            cut += len(steps[-1].committed) <= len(steps[-1].accepted)
    assert cut, "no run ended inside an accepted path: the test saw nothing"


@pytest.mark.parametrize("limit", [1, 2, 5, 17])
def test_max_new_tokens_is_met_exactly(tiny, limit):
    assert len(tokens(tiny, BUSHY, [3], max_new_tokens=limit)) == limit


def test_a_run_may_fill_the_context_to_its_last_token():
    engine = Engine(tiny_pair(context=24))
    for temperature in (0.0, 1.0):
        settings = {"temperature": temperature, "max_new_tokens": 20}
        assert len(tokens(engine, BUSHY, [1, 2, 3, 4], **settings)) == 20
    assert tokens(engine, BUSHY, [1, 2, 3, 4], max_new_tokens=20) == tokens(
        engine, PLAIN, [1, 2, 3, 4], max_new_tokens=20
    )


def test_closing_a_run_keeps_what_was_written(tiny):
    run = tiny.run([1, 2], GenerationSettings(max_new_tokens=50), BUSHY)
    first = next(run)
    run.close()
    assert list(run) == []
    assert run.token_ids == first.committed
    assert run.summary().stopped == "cancelled"


def test_a_tree_of_1024_nodes_decodes(tiny):
    wide = TokenTree([-1] + [0] * 8 + [node for node in range(1, 128) for _ in range(8)][:1015])
    assert tokens(tiny, wide, [1], max_new_tokens=12) == tokens(tiny, PLAIN, [1], max_new_tokens=12)


def test_a_long_prompt_is_read_in_chunks_to_the_same_effect():
    engine = Engine(tiny_pair(context=2048))
    prompt = [i % 7 + 1 for i in range(1300)]
    ids = torch.tensor([prompt])
    with torch.inference_mode():
        wanted = int(engine.pair.target.model(input_ids=ids).logits[0, -1].argmax())
    assert tokens(engine, BUSHY, prompt, max_new_tokens=3)[0] == wanted


@pytest.mark.parametrize("prompt", ["", "   \n", []])
def test_an_empty_prompt_is_refused(tiny, prompt):
    with pytest.raises(InputError, match="prompt is empty"):
        tiny.run(prompt, GenerationSettings(), PLAIN)


def test_a_prompt_longer_than_the_context_is_refused_with_both_numbers(tiny):
    with pytest.raises(InputError, match=r"100 tokens and the model's context 64"):
        tiny.run([1] * 100, GenerationSettings(), PLAIN)


def test_too_many_new_tokens_are_refused_with_what_would_fit(tiny):
    with pytest.raises(InputError, match="at most 54 new tokens"):
        tiny.run([1] * 10, GenerationSettings(max_new_tokens=55), PLAIN)


def test_tokens_outside_the_vocabulary_are_refused(tiny):
    with pytest.raises(InputError, match="token 8 is outside"):
        tiny.run([8], GenerationSettings(), PLAIN)


def test_more_children_than_tokens_are_refused(tiny):
    with pytest.raises(InputError, match="9 children but the vocabulary only 8"):
        tiny.run([1], GenerationSettings(max_new_tokens=5), TokenTree([-1, *[0] * 9]))


def test_a_model_without_tree_attention_still_takes_chains():
    pair = tiny_pair()
    pair.shape_support = SelfTest(False, "It does not follow a tree mask.")
    engine = Engine(pair)
    with pytest.raises(ModelError, match="does not follow a tree mask"):
        engine.run([1], GenerationSettings(max_new_tokens=9), BUSHY)
    assert len(tokens(engine, TokenTree([-1, 0, 1]), [1], max_new_tokens=9)) == 9


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", -1),
        ("temperature", float("nan")),
        ("temperature", 11),
        ("top_p", 0),
        ("top_p", 1.5),
        ("max_new_tokens", 0),
        ("seed", -1),
    ],
)
def test_settings_out_of_range_are_refused_with_the_value(field, value):
    with pytest.raises(InputError, match=str(value)):
        GenerationSettings(**{field: value})
