"""The verdict that a plan leads with, and the curves around it."""

import numpy as np
import pytest

from sequoia_core.errors import InputError
from sequoia_core.plan.acceptance import AcceptanceVector, load_acceptance
from sequoia_core.plan.cost import CostModel
from sequoia_core.plan.curves import batch_curve, family_curves, pays_until, scale_curve
from sequoia_core.plan.expected import expected_tokens
from sequoia_core.plan.hardware import HardwareProfile
from sequoia_core.plan.optimizer import FAMILIES, make_plan
from sequoia_core.plan.plan import plan_from_dict
from sequoia_core.plan.rivals import rival_members
from sequoia_core.plan.verdict import FamilyBest, judge
from sequoia_core.plan.what_if import scaled
from sequoia_core.tree.families import chain, k_ary

PAPER = load_acceptance("paper-appendix-e")
FALLING = AcceptanceVector(
    "sequoia", [0.6, 0.15, 0.06, 0.03], standard_errors=[0.01, 0.01, 0.005, 0.005], name="falling"
)
# Wide passes are free, a deep tree is dear: trees win.
FLAT = HardwareProfile("flat", ((1, 1.0), (1024, 1.05)), ((1, 0.1),), name="flat")
# Every token verified costs as much as the first one: nothing pays.
STEEP = HardwareProfile("steep", ((1, 1.0), (2, 2.0)), ((1, 0.1),), name="steep")
# Up to three tokens are free: a chain of two, for which a tree has no room left.
NARROW = HardwareProfile("narrow", ((1, 1.0), (3, 1.0), (4, 9.0)), ((1, 0.01),), name="narrow")


def best(family, budget, depth, speedup):
    return FamilyBest(family, budget, depth, 2.0, speedup, f"{family} of {budget}")


def test_a_tree_that_beats_the_best_chain_is_the_choice_and_the_gain_is_said():
    verdict = make_plan(PAPER, FLAT).verdict
    assert verdict.choice == "tree"
    assert verdict.gain == pytest.approx(verdict.tree.speedup / verdict.chain.speedup - 1)
    assert "Best tree: " in verdict.words
    assert "Best chain: " in verdict.words
    assert f"gains {verdict.gain:.1%}" in verdict.words


def test_where_the_best_tree_is_a_chain_the_chain_is_the_choice():
    verdict = make_plan(FALLING, NARROW).verdict
    assert verdict.choice == "chain"
    assert verdict.chain.depth == 2
    assert verdict.gain == pytest.approx(0)
    assert verdict.words == "Best chain: 2 drafted tokens, 1.92×. The best tree is that chain."


def test_where_nothing_beats_plain_decoding_the_verdict_is_not_to_speculate():
    verdict = make_plan(FALLING, STEEP).verdict
    assert verdict.choice == "plain"
    assert verdict.words.startswith("Do not speculate: nothing beats plain decoding here. ")
    assert "chain of 1, would run at 0.76×" in verdict.words


def test_limits_without_room_for_drafts_leave_plain_decoding():
    verdict = make_plan(FALLING, FLAT, max_budget=1).verdict
    assert (verdict.choice, verdict.tree, verdict.chain) == ("plain", None, None)
    assert "nothing to draft" in verdict.words


def test_another_tree_than_sequoia_s_can_be_the_best_one():
    families = [best("sequoia", 9, 3, 1.5), best("chain", 4, 3, 1.4), best("kary", 7, 2, 1.6)]
    assert judge(families).tree.family == "kary"


def test_the_path_model_s_promises_are_not_held_against_the_positional_chain():
    families = [best("sequoia", 9, 3, 1.2), best("empirical", 9, 3, 9.9), best("chain", 4, 3, 1.3)]
    verdict = judge(families)
    assert (verdict.choice, verdict.tree.family) == ("chain", "sequoia")
    assert "No tree beats it" in verdict.words


def test_the_gain_s_interval_is_that_of_redrawn_vectors():
    plan = make_plan(FALLING, FLAT)
    verdict = plan.verdict
    tree = make_plan(FALLING, FLAT, budget=verdict.tree.budget, depth=verdict.tree.depth).tree
    rival, cost = chain(verdict.chain.depth), CostModel(FLAT)
    ratio_of_costs = cost.tree_seconds(rival) / cost.tree_seconds(tree)
    random, gains = np.random.default_rng(0), []
    for _ in range(3000):
        drawn = random.normal(FALLING.probabilities, FALLING.standard_errors).clip(0)
        vector = AcceptanceVector("sequoia", drawn)
        tokens = expected_tokens(tree, vector) / expected_tokens(rival, vector)
        gains.append(tokens * ratio_of_costs - 1)
    assert verdict.gain_error == pytest.approx(1.96 * np.std(gains), rel=0.05)
    assert verdict.is_settled


def test_a_gain_within_its_error_is_said_to_be_unsettled():
    families = [best("sequoia", 9, 3, 1.51), best("chain", 4, 3, 1.5)]
    assert judge(families, 0.05).is_settled is False
    assert "does not settle" in judge(families, 0.05).words
    assert "does not settle" not in judge(families, 0.001).words
    assert judge(families).is_settled is None


def test_the_verdict_stands_in_the_plan_s_file_and_survives_it():
    plan = make_plan(FALLING, FLAT)
    content = plan.to_dict()
    assert content["verdict"]["words"] == plan.verdict.words
    assert plan_from_dict(content).verdict == plan.verdict
    assert plan_from_dict({**content, "verdict": None}).verdict.gain_error is None
    with pytest.raises(InputError, match="verdict must be an object"):
        plan_from_dict({**content, "verdict": [1]})


# Curves


def test_trees_stop_paying_before_speculation_does_and_both_sizes_are_named():
    cliff = HardwareProfile("cliff", ((1, 1.0), (16, 1.0), (64, 16.0)), ((1, 0.02),))
    points = batch_curve(PAPER, cliff)
    trees, speculation = pays_until(points)
    by_size = {point.batch_size: point for point in points}
    assert 1 <= trees < speculation < 64
    assert by_size[trees].choice == "tree"
    assert by_size[trees].speedup > by_size[trees].chain_speedup
    assert by_size[speculation].speculates
    after = [point for point in points if point.batch_size > speculation]
    assert not after[0].speculates


def test_where_nothing_pays_at_batch_one_no_size_is_named():
    assert pays_until(batch_curve(FALLING, STEEP, (1, 2))) == (None, None)


def test_every_family_has_a_curve_of_what_its_members_are_worth():
    budgets = np.array([1, 2, 3, 5, 9, 17, 33])
    curves = family_curves(PAPER, FLAT, budgets, max_budget=33, max_depth=8)
    assert set(curves) == set(FAMILIES)
    cost = CostModel(FLAT)
    members = rival_members(PAPER, max_budget=33, max_depth=8, max_branch=32)
    for index in range(1, len(budgets)):
        low, high = budgets[index - 1], budgets[index]
        for family, group in members.items():
            fits = (group.sizes > low) & (group.sizes <= high)
            seconds = cost.seconds(group.sizes, group.pass_widths)
            speedups = cost.speedup(group.expected_tokens, seconds)[fits]
            shown = curves[family].speedup[index]
            assert shown == pytest.approx(speedups.max()) if len(speedups) else np.isnan(shown)
    planned = curves["sequoia"]
    exact = make_plan(PAPER, FLAT, budget=17, max_budget=33, max_depth=8)
    assert planned.speedup[5] == pytest.approx(exact.speedup)
    assert planned.speedup[0] == planned.expected_tokens[0] == 1


def test_tokens_grow_with_the_budget_and_sequoia_is_on_top():
    budgets = np.arange(1, 129)
    curves = family_curves(PAPER, FLAT, budgets, max_budget=128)
    for curve in curves.values():
        assert curve.expected_tokens[0] == 1
        assert np.all(np.diff(curve.expected_tokens) >= 0)
        assert np.all(curves["sequoia"].expected_tokens >= curve.expected_tokens - 1e-12)
    assert curves["sequoia"].expected_tokens[-1] == pytest.approx(6.607, abs=1e-3)


def test_where_no_tree_has_so_many_nodes_a_curve_has_no_speedup():
    one_child = AcceptanceVector("topk", [0.7])
    curve = family_curves(one_child, FLAT, np.array([1, 5, 40]), max_budget=40, max_depth=8)
    assert np.isfinite(curve["sequoia"].speedup).tolist() == [True, True, False]
    assert np.isfinite(curve["sequoia"].expected_tokens).all()


def test_a_chain_pays_from_the_acceptance_at_which_it_beats_plain_decoding():
    tree = k_ary(2, 3)
    points = scale_curve(tree, FALLING, FLAT, [0.1, 0.5, 1.0, 1.2])
    plan = make_plan(FALLING, FLAT, family="chain")
    assert points[2].chain_speedup == pytest.approx(plan.speedup)
    cost = CostModel(FLAT)
    promised = cost.speedup(expected_tokens(tree, FALLING), cost.tree_seconds(tree))
    assert points[2].tree_speedup == pytest.approx(promised)
    for rates in ([p.tree_speedup for p in points], [p.chain_speedup for p in points]):
        assert rates == sorted(rates)
    # The best "chain" of a draft that is hardly ever right drafts nothing.
    assert points[0].chain_speedup == 1.0


def test_a_better_draft_rejects_less_by_one_power_at_every_rank():
    better = scaled(FALLING, 1.25)
    assert better.probabilities[0] == pytest.approx(0.75)
    rejected, before = 1 - better.probabilities.cumsum(), 1 - FALLING.probabilities.cumsum()
    powers = np.log(rejected) / np.log(before)
    assert powers == pytest.approx(np.full(4, powers[0]))
    shares = better.standard_errors / FALLING.standard_errors
    assert shares == pytest.approx(better.probabilities / FALLING.probabilities)
    assert (better.rule, better.name) == ("sequoia", "falling × 1.25")
    assert scaled(FALLING, 1) is FALLING


@pytest.mark.parametrize("factor", [0.01, 0.5, 1.3, 100])
def test_a_scaled_vector_is_a_vector_whatever_the_factor(factor):
    for vector in (
        FALLING,
        load_acceptance("bundled-t0.6"),
        AcceptanceVector("topk", [[0.5, 0.2], [0.0, 0.1], [1.0, 0.0]]),
    ):
        moved = scaled(vector, factor)
        assert moved.probabilities.shape == vector.probabilities.shape
        assert moved.paths is None
        first = np.where(vector.rows[:, 0] < 1, moved.rows[:, 0], 0)
        assert np.all(first <= np.maximum(0.99, vector.rows[:, 0]) + 1e-12)


def test_a_factor_out_of_range_is_refused():
    with pytest.raises(InputError, match=r"factor must be between 0\.01 and 100, got 0"):
        scaled(FALLING, 0)
