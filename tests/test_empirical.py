"""The path model and its planner: against raw frequencies, brute force and the positional one."""

import time

import numpy as np
import pytest
from machines import BENT

from sequoia_core.errors import InputError
from sequoia_core.plan.acceptance import AcceptanceVector, load_acceptance
from sequoia_core.plan.empirical import (
    PathModel,
    empirical_table,
    falling,
    model_at,
    model_table,
    path_model,
)
from sequoia_core.plan.expected import expected_tokens, plan_table
from sequoia_core.plan.optimizer import ALL_FAMILIES, EMPIRICAL, make_plan
from sequoia_core.plan.paths import PathStatistics, PathTrie
from sequoia_core.plan.plan import load_plan
from sequoia_core.plan.replay import replay, replay_everywhere, step_starts
from sequoia_core.tree.families import chain, k_ary
from sequoia_core.tree.token_tree import TokenTree
from tools.two_states import PAIRS, TwoStates, best_tree, known_tree


def bursty_texts(count: int = 12, length: int = 120, seed: int = 0) -> list[list[int]]:
    """Stretches where the draft is right, and stretches where it is not."""
    rng = np.random.default_rng(seed)
    texts = []
    for _ in range(count):
        good = np.repeat(rng.random(length // 10) < 0.5, 10)
        easy = rng.choice(4, length, p=[0.03, 0.9, 0.05, 0.02]) - 1
        hard = rng.choice(4, length, p=[0.5, 0.25, 0.15, 0.1]) - 1
        texts.append(np.where(good, easy, hard).tolist())
    return texts


def vector_of(texts: list[list[int]], width: int = 3) -> AcceptanceVector:
    flat = np.concatenate(texts)
    rates = [float(np.mean(flat == rank)) for rank in range(width)]
    paths = PathStatistics(width, texts)
    return AcceptanceVector("sequoia", rates, paths=paths, name="bursty")


def model_of(texts: list[list[int]], strength: float, width: int = 3) -> PathModel:
    trie = PathTrie(list(map(np.array, texts)), width)
    return PathModel(trie, vector_of(texts, width).probabilities, strength)


def all_trees(size: int, branch: int) -> set[TokenTree]:
    """Every breadth-first tree with `size` nodes and at most `branch` children a node."""
    trees = {(-1,)}
    for node in range(1, size):
        trees = {
            (*parents, parent)
            for parents in trees
            for parent in range(max(parents[-1], 0), node)
            if parents.count(parent) < branch
        }
    return {TokenTree(parents) for parents in trees}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("strength", [0.0, 5.0])
def test_the_planner_finds_the_best_of_all_trees(seed, strength):
    model = model_of(bursty_texts(2, 40, seed), strength)
    table = model_table(model, 6, 4, 3)
    for size in range(1, 7):
        trees = all_trees(size, 3)
        for depth in range(5):
            values = [model.expected_tokens(tree) for tree in trees if tree.depth <= depth]
            assert table.feasible[size, depth] == bool(values)
            if values:
                best = table.tree(size, depth)
                assert table.expected_tokens[size, depth] == pytest.approx(max(values), rel=1e-12)
                assert model.expected_tokens(best) == pytest.approx(max(values), rel=1e-12)
                assert (best.size, best.depth <= depth) == (size, True)
                widths = table.pass_widths[size, depth, : best.depth].tolist()
                assert widths == best.expanded_level_sizes


def test_without_shrinkage_a_path_is_worth_its_frequency():
    # Whatever precedes, ranks fall in frequency here, and no walk meets the end of a text.
    texts = [[0, 0, 1, 0, 0, -1, 0, 1, 0, 0, 0, -1, -1, 0, 0, 0, 1, -1, 0, -1, -1, -1, -1, -1]] * 2
    model = model_of(texts, 0.0, width=2)
    tree = chain(4)
    flat = texts[0]
    for length in range(1, 4):
        found = sum(flat[i : i + length] == [0] * length for i in range(len(flat))) / len(flat)
        assert model.path_values(tree)[length] == pytest.approx(found)
    assert model.expected_tokens(tree) == pytest.approx(
        replay_everywhere(tree, texts).tokens_per_step, abs=2 / 48
    )


def test_infinite_strength_is_the_positional_assumption():
    texts = bursty_texts()
    vector, model = vector_of(texts), model_of(texts, np.inf)
    for tree in (k_ary(2, 4), k_ary(3, 3), chain(9)):
        assert model.expected_tokens(tree) == pytest.approx(expected_tokens(tree, vector))
    ours, theirs = model_table(model, 60, 8, 3), plan_table(vector, max_budget=60, max_depth=8)
    np.testing.assert_allclose(ours.expected_tokens, theirs.expected_tokens, rtol=1e-12)


def test_runs_longer_than_the_trie_keep_their_rates():
    model = model_of([[0] * 200, [0] * 200], 1.0)
    assert model.path_values(chain(32))[-1] == pytest.approx(1, abs=0.01)


def test_runs_are_counted_where_steps_start_alone_when_starts_are_given():
    texts = [np.array([0, 0, -1, 0, 1, -1]), np.array([1, 0])]
    trie = PathTrie(texts, 2, starts=np.array([0, 3, 6]))
    assert (trie.followed[0], trie.next_counts(0).tolist()) == (3, [2, 1])
    assert trie.next_counts(trie.child(0, 0)).tolist() == [1, 1]
    assert trie.child(trie.child(0, 0), 0) is not None
    assert trie.child(trie.child(0, 1), 1) is None


def test_a_settled_model_counts_at_the_steps_of_its_own_tree():
    vector = vector_of(bursty_texts(20, seed=4))
    table = empirical_table(vector, max_budget=24, max_depth=8, max_branch=3)
    tree = best_tree(table, 24)
    model = model_at(vector, tree)
    assert best_tree(model_table(model, 24, 8, 3), 24) == tree
    assert table.expected_tokens[24].max() == pytest.approx(model.expected_tokens(tree))
    steps = sum(len(step_starts(tree, ranks)) for ranks in vector.paths.sequences)
    assert model.starts.followed[0] == steps


STEADY = TwoStates([0.7, 0.12, 0.06, 0.03], [0.7, 0.12, 0.06, 0.03], 0.9)
# Easy and hard stretches of ten and of 33 tokens; correlation of first children 0.36 and 0.42.
_, BURSTY, SLOW = PAIRS


@pytest.mark.parametrize("pair", [STEADY, BURSTY, SLOW], ids=["steady", "bursty", "slow"])
def test_a_positional_prediction_of_a_run_is_right_whatever_the_bursts(pair):
    # Steps of a chain without end stop at misses alone, so their number is that of the misses.
    endless, _ = pair.run(chain(400))
    assert endless == pytest.approx(1 / (1 - pair.mean[0]), rel=1e-6)
    vector = AcceptanceVector("sequoia", pair.mean)
    for budget in (16, 64, 256):
        table = plan_table(vector, max_budget=budget, max_depth=min(24, budget - 1))
        tree = best_tree(table, budget)
        assert expected_tokens(tree, vector) == pytest.approx(pair.run(tree)[0], rel=0.025)


@pytest.mark.parametrize("pair", [BURSTY, SLOW], ids=["bursty", "slow"])
def test_on_bursty_texts_the_planner_gains_what_knowing_the_parameters_would(pair):
    seen, unseen = pair.texts(60, 256, seed=1), pair.texts(380, 256, seed=2)
    limits = {"max_budget": 64, "max_depth": 24, "max_branch": 4}
    tables = {
        "positional": plan_table(seen, **limits),
        "everywhere": model_table(path_model(seen), *limits.values()),
        "empirical": empirical_table(seen, **limits),
    }
    trees = {name: best_tree(table, 64) for name, table in tables.items()}
    tokens = {name: pair.run(tree)[0] for name, tree in trees.items()}
    known = known_tree(pair, trees["empirical"], 24)
    possible = pair.run(known)[0] / tokens["positional"] - 1
    assert possible > 0.04
    assert tokens["empirical"] / tokens["positional"] - 1 > 0.7 * possible
    # What it promises is kept; counts from everywhere promise far more than any run delivers.
    off = {name: abs(tables[name].expected_tokens[64].max() / tokens[name] - 1) for name in tokens}
    assert off["empirical"] < 0.08
    assert off["everywhere"] > 4 * off["empirical"]
    # Replay on texts that nobody has seen says the same as the exact sums.
    replayed = replay(trees["empirical"], unseen.paths)
    assert abs(replayed.tokens_per_step - tokens["empirical"]) < 4 * replayed.standard_error + 0.05


@pytest.mark.parametrize("stay", [0.8, 0.97])
def test_bursts_do_not_explain_the_tokens_that_the_paper_measured_beyond_its_own_vector(stay):
    vector = load_acceptance("paper-appendix-e")
    mean, easy = vector.probabilities, vector.probabilities.copy()
    easy[0] = 0.97
    easy[1:] *= (mean.sum() - 0.97) / (mean.sum() - mean[0])
    pair = TwoStates(easy.tolist(), (2 * mean - easy).tolist(), stay)
    table = plan_table(vector, max_budget=768, max_depth=18, max_branch=31)
    tree, promised = best_tree(table, 768), float(table.expected_tokens[768].max())
    run, _ = pair.run(tree)
    assert 0.96 * promised < run < promised == pytest.approx(8.35, abs=0.01)
    assert pair.run(known_tree(pair, tree, 18))[0] < 1.01 * promised
    # An easier text does: with 0.86 for the first child the same size promises what was measured.
    easier = mean * (1 - 0.86) / (1 - mean[0])
    easier[0] = 0.86
    table = plan_table(
        AcceptanceVector("sequoia", easier), max_budget=768, max_depth=18, max_branch=31
    )
    assert table.expected_tokens[768].max() == pytest.approx(11.3, abs=0.05)


def test_where_nothing_depends_on_what_came_before_the_planner_is_the_positional_one():
    vector = STEADY.texts(40, 128, seed=3)
    assert np.isinf(path_model(vector).strength)
    ours = empirical_table(vector, max_budget=64, max_depth=16, max_branch=4)
    theirs = plan_table(vector, max_budget=64, max_depth=16)
    np.testing.assert_allclose(ours.expected_tokens, theirs.expected_tokens, rtol=1e-12)
    assert model_at(vector, k_ary(2, 2)) is path_model(vector)


def test_falling_is_the_nearest_falling_sequence():
    rng = np.random.default_rng(0)
    for _ in range(50):
        values = rng.random(6).round(1)
        fitted = falling(values)
        assert np.all(np.diff(fitted) <= 0)
        assert fitted.sum() == pytest.approx(values.sum())
        # No other falling sequence of a fine grid of pools is nearer.
        distance = np.sum((fitted - values) ** 2)
        for other in -np.sort(-np.round(fitted + rng.normal(0, 0.1, (200, 6)), 2), axis=1):
            assert np.sum((other - values) ** 2) >= distance - 1e-12


def test_the_empirical_family_stands_beside_sequoia_in_a_plan(tmp_path):
    vector = vector_of(bursty_texts())
    plan = make_plan(vector, BENT, max_budget=100, max_depth=12, family=EMPIRICAL)
    assert [best.family for best in plan.families][:2] == ["sequoia", "empirical"]
    assert {best.family for best in plan.families} == set(ALL_FAMILIES)
    best = plan.families[1]
    assert (plan.budget, plan.speedup) == (best.budget, pytest.approx(best.speedup))
    settled = model_at(vector, plan.tree)
    assert plan.expected_tokens == pytest.approx(settled.expected_tokens(plan.tree))
    assert (plan.optimum.budget, plan.optimum.speedup) == (best.budget, best.speedup)
    assert plan.grid.speedup[plan.budget, plan.depth] == pytest.approx(plan.speedup)
    assert plan.speedup_error > 0
    plan.save(tmp_path / "p.json")
    assert load_plan(tmp_path / "p.json").to_dict() == plan.to_dict()
    fixed = make_plan(vector, BENT, budget=32, depth=5, family=EMPIRICAL)
    assert (fixed.budget, fixed.depth <= 5) == (32, True)


def test_path_statistics_leave_the_other_families_as_they_were():
    vector = vector_of(bursty_texts())
    bare = AcceptanceVector("sequoia", vector.probabilities)
    for family in ("sequoia", "chain", "specinfer"):
        ours, theirs = (make_plan(v, BENT, max_budget=64, family=family) for v in (vector, bare))
        assert (ours.tree, ours.expected_tokens) == (theirs.tree, theirs.expected_tokens)
        assert ours.optimum == theirs.optimum
        assert [b for b in ours.families if b.family != EMPIRICAL] == list(theirs.families)


def test_without_path_statistics_the_family_says_to_calibrate():
    vector = AcceptanceVector("sequoia", [0.6, 0.1], name="bare")
    with pytest.raises(InputError, match=r"'bare' has no path statistics.* command calibrate"):
        make_plan(vector, BENT, family=EMPIRICAL)


def test_a_tree_wider_than_the_statistics_is_refused():
    with pytest.raises(InputError, match="4 children, but the path statistics know 3"):
        model_of(bursty_texts(), 1.0).expected_tokens(k_ary(4, 1))


def test_the_largest_table_is_there_at_once():
    rng = np.random.default_rng(0)
    texts = [
        np.where(rng.random(128) < 0.75, np.minimum(rng.geometric(0.6, 128) - 1, 31), -1).tolist()
        for _ in range(30)
    ]
    vector = vector_of(texts, 32)
    started = time.process_time()
    table = empirical_table(vector, max_budget=1024, max_depth=32, max_branch=32)
    assert time.process_time() - started < 2
    started = time.process_time()
    assert empirical_table(vector, max_budget=1024, max_depth=32, max_branch=32) is table
    assert time.process_time() - started < 0.02
