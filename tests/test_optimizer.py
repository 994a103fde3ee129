"""The optimiser: costs by hand, the whole grid searched, rivals, files and bad wishes."""

import json
import time

import numpy as np
import pytest
from machines import BENT

from sequoia_core.errors import FileFormatError, InputError
from sequoia_core.plan.acceptance import AcceptanceVector, load_acceptance
from sequoia_core.plan.cost import CostModel
from sequoia_core.plan.curves import batch_curve
from sequoia_core.plan.expected import expected_tokens, plan_table
from sequoia_core.plan.hardware import HardwareProfile
from sequoia_core.plan.optimizer import FAMILIES, make_plan
from sequoia_core.plan.plan import load_plan
from sequoia_core.plan.rivals import rival_members
from sequoia_core.tree.families import chains, expansion, k_ary
from sequoia_core.tree.token_tree import TokenTree

PAPER = load_acceptance("paper-appendix-e")
FALLING = AcceptanceVector(
    "sequoia", [0.6, 0.15, 0.06, 0.03], standard_errors=[0.01, 0.01, 0.005, 0.005], name="falling"
)
FREE_DRAFT = HardwareProfile("test", ((1, 1.0), (1024, 1.0)), ((1, 1e-9),), name="free")
SLOW_DRAFT = HardwareProfile("test", ((1, 1.0), (2, 2.0)), ((1, 1.0),), name="slow")


def step_seconds_by_hand(tree: TokenTree, batch: int) -> float:
    passes = [BENT.draft(width * batch) for width in tree.expanded_level_sizes]
    return sum(passes) + BENT.target(tree.size * batch) + BENT.overhead_seconds


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("tree", [k_ary(2, 3), chains(5, 4), TokenTree([-1, 0, 0, 1, 1, 3])])
def test_a_step_costs_its_passes_and_its_overhead(tree, batch):
    cost = CostModel(BENT, batch)
    assert cost.tree_seconds(tree) == pytest.approx(step_seconds_by_hand(tree, batch), rel=1e-12)
    assert cost.plain_seconds == pytest.approx(BENT.target(batch) + 0.01)


@pytest.mark.parametrize("acceptance", [PAPER, FALLING], ids=["general", "falling"])
@pytest.mark.parametrize("batch", [1, 8])
def test_the_optimum_is_the_best_of_every_budget_and_depth(acceptance, batch):
    plan = make_plan(acceptance, BENT, max_budget=40, max_depth=6, batch_size=batch)
    table = plan_table(acceptance, max_budget=40, max_depth=6)
    best = 1.0
    for budget, depth in zip(*np.nonzero(table.feasible), strict=True):
        tree = table.tree(int(budget), int(depth))
        expected, seconds = expected_tokens(tree, acceptance), step_seconds_by_hand(tree, batch)
        speedup = expected * (BENT.target(batch) + 0.01) / seconds if budget > 1 else 1.0
        assert plan.grid.speedup[budget, depth] == pytest.approx(speedup, rel=1e-12)
        best = max(best, speedup)
    assert plan.speedup == pytest.approx(best, rel=1e-12)
    assert plan.optimum.speedup == pytest.approx(plan.speedup, rel=1e-12)
    assert (plan.optimum.budget, plan.optimum.depth) == (plan.budget, plan.depth)


def test_the_flat_range_holds_the_optimum_and_ends_where_two_percent_are_lost():
    plan = make_plan(PAPER, BENT, max_budget=200)
    optimum, best_by_budget = plan.optimum, np.nanmax(plan.grid.speedup[1:], axis=1)
    assert optimum.budget_low <= plan.budget <= optimum.budget_high
    assert optimum.depth_low <= plan.depth <= optimum.depth_high
    flat = best_by_budget[optimum.budget_low - 1 : optimum.budget_high]
    assert flat.min() >= 0.98 * plan.speedup
    assert best_by_budget[optimum.budget_low - 2] < 0.98 * plan.speedup
    assert best_by_budget[optimum.budget_high] < 0.98 * plan.speedup


def test_a_fixed_budget_and_depth_are_kept():
    plan = make_plan(PAPER, BENT, budget=64, depth=5)
    assert (plan.budget, plan.depth, plan.tree.size) == (64, 5, 64)
    assert sum(plan.level_sizes) == 64
    assert make_plan(PAPER, BENT, budget=50).budget == 50
    assert make_plan(PAPER, BENT, depth=3).depth == 3
    assert plan.optimum.speedup >= plan.speedup


def test_a_budget_of_one_is_plain_decoding():
    for plan in (make_plan(PAPER, BENT, budget=1), make_plan(PAPER, BENT, depth=0)):
        assert (plan.budget, plan.depth, plan.speedup) == (1, 0, 1.0)
        assert not plan.speculates


@pytest.mark.parametrize("family", FAMILIES)
def test_where_nothing_beats_plain_decoding_the_plan_says_so(family):
    plan = make_plan(FALLING, SLOW_DRAFT, family=family)
    assert (plan.budget, plan.depth, plan.speedup) == (1, 0, 1.0)


def test_with_a_free_draft_and_a_flat_target_the_largest_tree_wins():
    plan = make_plan(FALLING, FREE_DRAFT, max_budget=64, max_depth=63 // 2)
    assert plan.budget == 64
    assert plan.speedup == pytest.approx(plan.expected_tokens, rel=1e-6)


def test_a_larger_batch_never_wants_a_larger_tree_here():
    curve = batch_curve(PAPER, BENT, (1, 4, 16, 64), max_budget=128)
    budgets = [point.budget for point in curve]
    assert budgets == sorted(budgets, reverse=True)
    assert all(point.speedup >= point.chain_speedup - 1e-12 or point.budget == 1 for point in curve)
    plain = 64 / BENT.target(64)
    assert curve[-1].tokens_per_second >= plain * 0.98


def test_the_planned_tree_beats_every_rival_when_width_is_free():
    plan = make_plan(PAPER, FREE_DRAFT, max_budget=100, max_depth=12)
    names = [best.family for best in plan.families]
    assert names == list(FAMILIES)
    assert all(plan.speedup >= best.speedup - 1e-12 for best in plan.families)
    assert plan.over_chain == pytest.approx(plan.speedup / plan.best_chain.speedup)
    assert plan.over_chain > 1.2


@pytest.mark.parametrize(
    "acceptance", [PAPER, AcceptanceVector("sequoia", [[0.6, 0.2], [0.3, 0.3]])]
)
def test_rivals_are_worth_what_their_trees_are_worth(acceptance):
    members = rival_members(acceptance, max_budget=60, max_depth=6, max_branch=5)
    for family, group in members.items():
        for index in range(0, len(group.sizes), 3):
            tree = expansion(group.children[index, : group.depths[index]].tolist())
            assert (tree.size, tree.depth) == (group.sizes[index], group.depths[index]), family
            expected = expected_tokens(tree, acceptance)
            assert group.expected_tokens[index] == pytest.approx(expected)
            widths = group.pass_widths[index]
            assert widths[widths > 0].tolist() == tree.expanded_level_sizes


@pytest.mark.parametrize("budget", [5, 13, 20])
def test_the_best_expansion_is_the_best_of_all(budget):
    acceptance = AcceptanceVector("sequoia", [[0.5, 0.3, 0.1], [0.4, 0.1, 0.3]])
    unfinished, best = [()], 1.0
    while unfinished:
        widths = unfinished.pop()
        for width in (1, 2, 3):
            tree = expansion([*widths, width])
            if tree.size <= budget and tree.depth <= 5:
                best = max(best, expected_tokens(tree, acceptance))
                unfinished.append((*widths, width))
    found = rival_members(acceptance, max_budget=budget, max_depth=5, max_branch=3)["specinfer"]
    assert found.expected_tokens.max() == pytest.approx(best, abs=1e-12)


def test_other_families_can_be_planned_with_fixed_sizes():
    plan = make_plan(PAPER, BENT, family="kchains", budget=41, depth=8)
    assert plan.tree == chains(5, 8)
    assert make_plan(PAPER, BENT, family="chain", budget=7).tree == expansion([1] * 6)
    assert make_plan(PAPER, BENT, family="kary", depth=3).depth == 3
    best = make_plan(PAPER, BENT, family="chain")
    assert best.speedup == pytest.approx(best.best_chain.speedup)


def test_the_interval_comes_from_the_standard_errors():
    assert make_plan(PAPER, BENT).speedup_error is None
    plan = make_plan(FALLING, BENT, family="chain", budget=2)
    scale = plan.plain_seconds / plan.step_seconds
    assert plan.speedup_error == pytest.approx(1.96 * 0.01 * scale, rel=1e-4)


def test_a_plan_survives_its_file(tmp_path):
    plan = make_plan(FALLING, BENT, budget=20)
    plan.save(tmp_path / "plan.json")
    loaded = load_plan(tmp_path / "plan.json")
    assert loaded.to_dict() == plan.to_dict()
    assert loaded.tree == plan.tree
    assert (loaded.acceptance, loaded.hardware) == ("falling", "bent")


NO_CHAIN = {"budget": 2, "depth": 1, "expected_tokens": 1.5, "speedup": 0, "shape": "chain"}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"budget": 21}, "budget is 21, but the tree's is 20"),
        ({"parents": [-1, 5]}, r"parents\[1\] must be between"),
        ({"parents": [-1, 0.5]}, r"parents\[1\] must be a whole number"),
        ({"speedup": float("nan")}, "speedup must be finite"),
        ({"speedup": -1}, "speedup must be between 1e-12 and 1e\\+12, got -1"),
        (
            {"depth": [list(range(5000))]},
            r"depth is \[\[0, 1, 2, 3, 4, 5, \.\.\.\]\], but the tree's is",
        ),
        ({"verdict": [1]}, "verdict must be an object, got list"),
        ({"families": []}, "families must be an object"),
        ({"families": {"\ud800": {}}}, "a name in families must be text in UTF-8"),
        ({"families": {"chain": NO_CHAIN}}, "families.chain.speedup must be between 1e-12"),
        ({"families": {"chain": {"budget": 2}}}, "'families.chain.depth' is missing"),
        ({"optimum": {"budget": 3}}, "'optimum.depth' is missing"),
        ({"optimum": 3}, "'optimum.budget' is missing"),
    ],
)
def test_bad_plan_files_are_refused_by_field(tmp_path, fields, message):
    content = make_plan(FALLING, BENT, budget=20).to_dict() | fields
    (tmp_path / "bad.json").write_text(json.dumps(content))
    with pytest.raises(FileFormatError, match=rf"bad\.json: .*{message}"):
        load_plan(tmp_path / "bad.json")


@pytest.mark.parametrize(
    ("wishes", "message"),
    [
        ({"budget": 0}, "budget must be between 1 and 1024, got 0"),
        ({"budget": 5000}, "budget must be between 1 and 1024, got 5000"),
        ({"budget": 2.5}, "budget must be a whole number"),
        ({"depth": -1}, "depth must be between 0 and 32, got -1"),
        ({"depth": 33}, "depth must be between 0 and 32, got 33"),
        ({"budget": 4, "depth": 4}, "4 tokens is at most 3 deep, got depth 4"),
        ({"budget": 4, "depth": 0}, "budget must be 1, got 4"),
        ({"budget": 100, "depth": 1}, "No tree of depth 1 has 100 tokens"),
        ({"max_budget": 0}, "max_budget must be between 1 and 1024"),
        ({"max_depth": 40}, "max_depth must be between 0 and 32"),
        ({"max_branch": 0}, "max_branch must be between 1 and 1024"),
        ({"batch_size": 0}, "batch size must be between 1 and 1024"),
        ({"family": "oak"}, "family must be one of sequoia, chain, .* got 'oak'"),
        ({"family": "kary", "budget": 6, "depth": 5}, "No kary tree of depth 5"),
    ],
)
def test_wishes_that_cannot_be_met_are_refused(wishes, message):
    with pytest.raises(InputError, match=message):
        make_plan(PAPER, BENT, **wishes)


def test_searches_of_nothing_still_give_plain_decoding():
    for limits in ({"max_budget": 1}, {"max_depth": 0}, {"max_budget": 1, "max_depth": 0}):
        plan = make_plan(PAPER, BENT, **limits)
        assert (plan.budget, plan.depth, plan.speedup) == (1, 0, 1.0)
        assert plan.best_chain is None
        assert plan.over_chain is None


def test_a_heat_map_is_thin_and_keeps_the_small_budgets():
    budgets, depths, speedup = make_plan(PAPER, BENT).grid.thin(rows=50)
    assert budgets[:4].tolist() == [1, 2, 3, 4]
    assert budgets[-1] == 1024
    assert len(budgets) <= 50
    assert speedup.shape == (len(budgets), len(depths))


def test_a_slider_gets_its_plan_in_a_tenth_of_a_second():
    falling = AcceptanceVector("sequoia", -np.sort(-PAPER.probabilities))
    start = time.process_time()
    make_plan(falling, BENT, budget=1024, depth=32)
    make_plan(falling, BENT)
    assert time.process_time() - start < 0.3
    start = time.process_time()
    make_plan(falling, BENT, budget=1000, depth=20)
    assert time.process_time() - start < 0.1
