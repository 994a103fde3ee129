"""Methods by name, the trees that grow, and runs of every method on small random models."""

import itertools

import numpy as np
import pytest
import torch
from fakes import tiny_pair
from tabular import logits_after, random_table, tabular_pair

from sequoia_core.decode.engine import Engine, GenerationSettings, Run
from sequoia_core.decode.methods import (
    NAMES,
    Method,
    grown_method,
    plain_method,
    static_method,
)
from sequoia_core.decode.self_test import SelfTest
from sequoia_core.errors import InputError, ModelError
from sequoia_core.tree.families import chain, chains, expansion
from sequoia_core.tree.token_tree import TokenTree

METHODS = {
    "autoregressive": plain_method(),
    "chain": static_method("chain", chain(4)),
    "kchains": static_method("kchains", chains(3, 3)),
    "sequoia": static_method("sequoia", TokenTree([-1, 0, 0, 0, 1, 1, 2, 4, 4, 5, 7])),
    "specinfer": static_method("specinfer", expansion([2, 2, 1])),
    "topk": static_method("topk", expansion([3, 1, 1])),
    "specexec": grown_method("specexec", 12, 4),
    "dynamic": grown_method("dynamic", 12, 4),
}
BRANCHING = [name for name in NAMES if name not in ("autoregressive", "chain")]
GROWN = ("specexec", "dynamic")


def run(engine: Engine, method: Method, prompt=(1, 2, 3), **settings) -> Run:
    done = engine.run(list(prompt), GenerationSettings(**settings), method)
    done.kept = list(done)
    return done


@pytest.fixture(scope="module")
def tiny():
    return Engine(tiny_pair(vocab=12))


@pytest.mark.parametrize("name", NAMES)
def test_greedy_text_is_that_of_plain_decoding(tiny, name):
    plain = run(tiny, plain_method(), max_new_tokens=50).token_ids
    assert run(tiny, METHODS[name], max_new_tokens=50).token_ids == plain


@pytest.mark.parametrize("name", ["topk", "specexec"])
@pytest.mark.parametrize("seed", range(5))
def test_where_only_the_target_is_sampled_a_seed_writes_plain_decodings_text(tiny, name, seed):
    """One draw a token, from the same distribution: what was drafted leaves no mark on the text."""
    settings = {"temperature": 1.0, "top_p": 0.9, "max_new_tokens": 50, "seed": seed}
    plain = run(tiny, plain_method(), **settings).token_ids
    assert run(tiny, METHODS[name], **settings).token_ids == plain


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_steps_trace_tells_what_was_committed(tiny, name, temperature):
    done = run(tiny, METHODS[name], max_new_tokens=40, temperature=temperature)
    text = [1, 2, 3]
    for step in done.kept:
        tree, nodes = TokenTree(step.nodes.parent), step.nodes
        assert tree.size <= METHODS[name].budget
        assert tree.depth <= METHODS[name].depth
        assert nodes.rank == tree.ranks.tolist()
        assert nodes.token_id[0] == text[-1]
        path = [0, *step.accepted]
        assert all(nodes.parent[b] == a for a, b in itertools.pairwise(path))
        whole = [nodes.token_id[node] for node in step.accepted] + [step.bonus.token_id]
        assert step.committed == whole[: len(step.committed)]
        ends_open = bool(len(tree.children(path[-1])))
        assert step.bonus.source == ("residual" if ends_open else "leaf")
        assert all(0 <= p <= 1 for p in nodes.draft_prob + nodes.target_prob + [step.bonus.prob])
        text += step.committed
    assert text[3:] == done.token_ids
    assert len(done.token_ids) == 40


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_text_and_another_seed_another(tiny, name):
    settings = {"temperature": 1.0, "max_new_tokens": 30}
    first = run(tiny, METHODS[name], seed=5, **settings).token_ids
    assert first == run(tiny, METHODS[name], seed=5, **settings).token_ids
    assert first != run(tiny, METHODS[name], seed=6, **settings).token_ids


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_run_may_fill_the_context_to_its_last_token(name, temperature):
    engine = Engine(tiny_pair(context=24))
    settings = {"temperature": temperature, "max_new_tokens": 21}
    assert len(run(engine, METHODS[name], **settings).token_ids) == 21


@pytest.mark.parametrize("name", NAMES)
def test_a_text_ends_with_its_first_end_token(name):
    engine = Engine(tiny_pair(vocab=4, ends=True, seed=2))
    ended = 0
    for seed in range(20):
        done = run(engine, METHODS[name], temperature=2.0, max_new_tokens=30, seed=seed)
        assert 0 not in done.token_ids[:-1]
        ended += done.summary().stopped == "end of text"
    assert ended


@pytest.mark.parametrize("name", BRANCHING)
def test_a_pair_without_tree_attention_is_refused_by_every_branching_method(name):
    pair = tiny_pair()
    pair.shape_support = SelfTest(False, "It does not follow a tree mask.")
    with pytest.raises(ModelError, match="does not follow a tree mask"):
        Engine(pair).run([1], GenerationSettings(max_new_tokens=9), METHODS[name])


@pytest.mark.parametrize("name", GROWN)
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_grown_tree_keeps_to_its_budget_and_its_passes(name, temperature):
    engine = Engine(tiny_pair(vocab=12))
    for budget, depth in ((2, 1), (6, 5), (16, 3), (40, 6)):
        method = grown_method(name, budget, depth)
        passes = []
        hook = engine.pair.draft.model.register_forward_hook(lambda *_, p=passes: p.append(1))
        done = run(engine, method, temperature=temperature, max_new_tokens=30)
        hook.remove()
        assert len(passes) <= depth * done.steps + 2  # the prompt, and a first touch of the cache
        sizes = [len(step.nodes.parent) for step in done.kept]
        assert max(sizes) == budget


@pytest.mark.parametrize("name", GROWN)
def test_a_grown_trees_shape_follows_the_context(name):
    done = run(Engine(tiny_pair(vocab=12)), METHODS[name], temperature=0.7, max_new_tokens=40)
    assert len({tuple(step.nodes.parent) for step in done.kept}) > 3


def exhaustive_best(probs, budget: int, depth: int) -> float:
    """Greatest sum of path probabilities of budget - 1 nodes, from all paths up to `depth`."""
    paths, level = [], [((1,), 1.0)]
    for _ in range(depth):
        level = [
            ((*path, token), chance * share)
            for path, chance in level
            for token, share in enumerate(probs(path))
        ]
        paths += [chance for _, chance in level]
    return sum(sorted(paths, reverse=True)[: budget - 1])


@pytest.mark.parametrize("seed", range(4))
def test_specexec_with_room_in_its_beam_drafts_the_most_probable_paths_of_all(seed):
    pair = tabular_pair(4, random_table(4, seed), random_table(4, seed + 100, spread=2.0))

    def probs(path) -> np.ndarray:
        return logits_after(pair.draft, tuple(path)).softmax(-1).numpy()

    method = grown_method("specexec", 10, 3, beam=9)
    step = next(Engine(pair).run([1], GenerationSettings(max_new_tokens=9), method))
    tree, chances = TokenTree(step.nodes.parent), [1.0]
    for node in range(1, tree.size):
        path = [step.nodes.token_id[i] for i in tree.path(node)[:-1]]
        chances.append(chances[tree.parents[node]] * probs(path)[step.nodes.token_id[node]])
    assert sum(chances[1:]) == pytest.approx(exhaustive_best(probs, 10, 3))


def test_a_certain_draft_is_followed_as_a_chain_to_the_full_depth():
    """Draws that are certain tie with their own children: a parent must not give way to them."""
    table = random_table(4, 1, spread=0.0)

    def certain(context):
        return np.where(np.arange(4) == len(context) % 4, 100.0, table(context))

    pair = tabular_pair(4, table, certain)
    for name in GROWN:
        settings = GenerationSettings(temperature=1.0, max_new_tokens=9)
        step = next(Engine(pair).run([1], settings, grown_method(name, 6, 5)))
        assert step.nodes.parent == [-1, 0, 1, 2, 3, 4]


def test_twins_are_drafted_and_verified_as_nodes_of_their_own():
    table = random_table(3, 1)
    pair = tabular_pair(3, table, lambda context: np.array([3.0, 0.0, 0.0]))
    method = static_method("specinfer", expansion([3]))
    done = run(Engine(pair), method, prompt=(1,), temperature=1.0, max_new_tokens=40)
    siblings = [step.nodes.token_id[1:] for step in done.kept]
    assert any(len(set(tokens)) < len(tokens) for tokens in siblings)


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: static_method("magic", chain(2)), "no method 'magic'"),
        (lambda: grown_method("sequoia", 8, 2), "no method 'sequoia'"),
        (lambda: grown_method("specexec", 5000, 2), "2 to 4096 tokens, got 5000"),
        (lambda: grown_method("dynamic", 8, 8), "1 to 7 deep, got 8"),
        (lambda: grown_method("dynamic", 8, 3, beam=0), "beam must be at least 1"),
    ],
)
def test_methods_that_cannot_be_are_refused(build, words):
    with pytest.raises(InputError, match=words):
        build()


def test_a_grown_method_without_room_is_plain_decoding(tiny):
    for method in (grown_method("dynamic", 1, 0), grown_method("specexec", 1, 0)):
        assert not method.drafts
        assert run(tiny, method, max_new_tokens=5).steps == 5


def test_a_bare_tree_means_sequoias_method(tiny):
    assert tiny.run([1], GenerationSettings(max_new_tokens=9), chain(2)).method == static_method(
        "sequoia", chain(2)
    )


def test_randomness_calls_share_no_noise():
    """Two draws in a row, of 4 tokens each: all 16 pairs as often as chance has it."""
    from scipy.stats import chisquare

    from sequoia_core.decode.randomness import Randomness

    random = Randomness.seeded(3, torch.device("cpu"))
    probs = torch.tensor([[0.4, 0.3, 0.2, 0.1]])
    for take in (
        lambda: int(random.without_replacement(probs, 2)[0, 0]),
        lambda: int(random.with_replacement(probs, 2)[0, 0]),
        lambda: random.token(probs[0]),
    ):
        counts = np.zeros((4, 4))
        for _ in range(4000):
            counts[take(), take()] += 1
        expected = 4000 * probs[0].outer(probs[0]).numpy()
        assert chisquare(counts.ravel(), expected.ravel(), sum_check=False).pvalue > 1e-4
