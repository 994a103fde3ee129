"""The planners against brute force over every small tree, against each other, and the paper."""

import heapq
from collections.abc import Iterator

import numpy as np
import pytest

from sequoia_core.errors import InputError
from sequoia_core.plan import forests
from sequoia_core.plan.acceptance import AcceptanceVector, load_acceptance
from sequoia_core.plan.best_first import BestFirstTable, best_first_table
from sequoia_core.plan.bounds import PRICES, SubtreeBounds
from sequoia_core.plan.dynamic_program import _Solver, dynamic_program_table
from sequoia_core.plan.expected import edge_chances, expected_tokens, gradient, plan_table
from sequoia_core.plan.forests import Forests
from sequoia_core.plan.table import PlanTable
from sequoia_core.tree.families import expansion
from sequoia_core.tree.token_tree import TokenTree
from tools.paper.inferred import infer
from tools.paper.published import published
from tools.paper.vectors import power_law
from tools.planner import cases
from tools.planner.recurrence import recurrence

SMALL, SMALL_DEPTH = 8, 5


def all_trees(size: int) -> Iterator[TokenTree]:
    """Every ordered tree of this size: the non-decreasing parent lists, Catalan(size - 1) many."""
    unfinished = [[-1]]
    while unfinished:
        parents = unfinished.pop()
        if len(parents) == size:
            yield TokenTree(parents)
        else:
            first = max(parents[-1], 0)
            unfinished += [[*parents, parent] for parent in range(first, len(parents))]


TREES = {size: list(all_trees(size)) for size in range(1, SMALL + 1)}


def random_vector(seed: int, kind: str) -> AcceptanceVector:
    generator = np.random.default_rng(seed)
    shape = (int(generator.integers(2, 5)), 6) if kind.startswith("rows") else (1, 6)
    values = generator.random(shape) ** 2
    if kind.endswith("ties"):
        values = np.ceil(3 * values)
    values[generator.random(shape) < 0.2] = 0.0
    values *= generator.uniform(0.3, 1.0) / np.maximum(values.sum(axis=1, keepdims=True), 1e-9)
    if kind.endswith("monotone"):
        values = -np.sort(-values, axis=1)
    return AcceptanceVector("sequoia", values if len(values) > 1 else values[0])


def check_tables_trees(table: PlanTable, acceptance: AcceptanceVector, branch: int) -> None:
    """Each tree fits its budget, depth, branch and is worth what the table says."""
    for budget, depth in zip(*np.nonzero(table.feasible), strict=True):
        tree = table.tree(int(budget), int(depth))
        assert tree.size == budget
        assert tree.depth <= depth
        assert tree.child_counts.max() <= branch
        worth = table.expected_tokens[budget, depth]
        assert expected_tokens(tree, acceptance) == pytest.approx(worth, abs=1e-12)
        passes = table.pass_widths[budget, depth]
        assert passes[passes > 0].tolist() == tree.expanded_level_sizes


def brute_force(size: int, depth: int, branch: int, acceptance: AcceptanceVector) -> float:
    fitting = (
        expected_tokens(tree, acceptance)
        for tree in TREES[size]
        if tree.depth <= depth and tree.child_counts.max() <= branch
    )
    return max(fitting, default=-np.inf)


def heap_expected(acceptance: AcceptanceVector, budget: int, depth: int) -> float:
    """The textbook best-first search: pop the best node, push its next sibling and first child."""
    heap, total = [(-1.0, 0, 0, 1.0)], 0.0
    for _ in range(budget):
        negative, level, rank, parent = heapq.heappop(heap)
        total -= negative
        if level and rank + 1 < acceptance.ranks:
            sibling = parent * acceptance.at_depth(level - 1)[rank + 1]
            heapq.heappush(heap, (-sibling, level, rank + 1, parent))
        if level < depth:
            child = -negative * acceptance.at_depth(level)[0]
            heapq.heappush(heap, (-child, level + 1, 0, -negative))
    return total


def test_brute_force_sees_every_tree():
    assert [len(TREES[size]) for size in range(1, 9)] == [1, 1, 2, 5, 14, 42, 132, 429]


@pytest.mark.parametrize("branch", [2, 6])
@pytest.mark.parametrize("kind", ["any", "ties", "monotone", "rows", "rows-ties", "rows-monotone"])
@pytest.mark.parametrize("seed", range(3))
def test_planners_equal_brute_force(seed, kind, branch):
    acceptance = random_vector(seed, kind)
    builders = [dynamic_program_table]
    if kind.endswith("monotone"):
        builders.append(best_first_table)
    for build in builders:
        table = build(acceptance, SMALL, SMALL_DEPTH, branch)
        check_tables_trees(table, acceptance, branch)
        for size in range(1, SMALL + 1):
            for depth in range(SMALL_DEPTH + 1):
                best = brute_force(size, depth, branch, acceptance)
                assert table.expected_tokens[size, depth] == pytest.approx(best, abs=1e-12)


@pytest.mark.parametrize("kind", ["monotone", "rows-monotone"])
def test_best_first_equals_the_dynamic_program_and_the_heap(kind):
    acceptance = random_vector(11, kind)
    fast = best_first_table(acceptance, 200, 9, 6)
    exact = dynamic_program_table(acceptance, 200, 9, 6)
    assert np.array_equal(fast.feasible, exact.feasible)
    both = fast.feasible
    assert fast.expected_tokens[both] == pytest.approx(exact.expected_tokens[both], abs=1e-9)
    for budget, depth in [(50, 9), (200, 4), (200, 9)]:
        heap = heap_expected(acceptance, budget, depth)
        assert fast.expected_tokens[budget, depth] == pytest.approx(heap, abs=1e-9)


@pytest.mark.parametrize("chance", [0.0, 0.25])
def test_ties_and_zeros_still_give_whole_trees(chance):
    acceptance = AcceptanceVector("sequoia", [chance] * 4)
    for build in (best_first_table, dynamic_program_table):
        check_tables_trees(build(acceptance, 30, 4, 4), acceptance, 4)


def test_a_certain_first_child_gives_a_chain():
    acceptance = AcceptanceVector("sequoia", [1.0, 0.0])
    table = best_first_table(acceptance, 12, 11, 2)
    assert table.expected_tokens[12, 11] == 12
    check_tables_trees(table, acceptance, 2)


def test_the_papers_vector_gives_the_published_numbers():
    table = plan_table(load_acceptance("paper-appendix-e"), max_budget=128, max_depth=32)
    unlimited = table.expected_tokens[[16, 32, 64, 128], 32]
    assert unlimited.round(3).tolist() == [4.538, 5.220, 5.917, 6.607]
    assert table.expected_tokens[128, [5, 9]].round(3).tolist() == [5.167, 6.319]


def test_the_references_published_entries_need_the_dynamic_program():
    acceptance = load_acceptance("reference-repository")
    assert not acceptance.is_monotone
    table = plan_table(acceptance, max_budget=128, max_depth=32)
    assert table.expected_tokens[[16, 32], 32].round(3).tolist() == [3.130, 3.501]
    # All 32 entries would give 4.202; the preset lacks the last 22.
    assert table.expected_tokens[128, 32] == pytest.approx(4.1946, abs=1e-4)
    assert heap_expected(acceptance, 128, 32) < table.expected_tokens[128, 32] - 0.01


def test_more_budget_or_depth_never_costs_tokens():
    table = plan_table(random_vector(5, "any"), max_budget=60, max_depth=8)
    values = np.where(table.feasible, table.expected_tokens, 0)
    assert np.all(np.diff(values, axis=1) >= -1e-12)
    rows = values[1:]
    assert np.all(np.diff(rows, axis=0)[table.feasible[2:]] >= -1e-12)


def test_the_method_is_chosen_by_the_vector_and_kept():
    monotone = AcceptanceVector("sequoia", [0.5, 0.2])
    table = plan_table(monotone, max_budget=8, max_depth=3)
    assert isinstance(table, BestFirstTable)
    assert plan_table(AcceptanceVector("topk", [0.5, 0.2]), max_budget=8, max_depth=3) is table
    with pytest.raises(ValueError, match="read-only"):
        table.expected_tokens[1, 0] = 2


def rising(ranks: int) -> np.ndarray:
    return np.arange(1.0, ranks + 1) / (ranks * (ranks + 1) / 2)


HOSTILE = {
    "rising": rising(9),
    "late": [0.004] * 8 + [0.9],
    "equal": [0.125] * 8,
    "zeros": [0.0] * 4,
    "zeros-between": [0.3, 0.0, 0.0, 0.4, 0.0, 0.2],
    "bad-elder": [0.01, 0.9],
    "blocks": [0.01, 0.4, 0.01, 0.3, 0.005, 0.2],
    "certain": [0.0, 1.0, 0.0],
    "one-child": [0.7],
}


def hostile_vector(name: str, *, by_depth: bool) -> AcceptanceVector:
    """One of HOSTILE, by depth with its entries thinned out differently at each of six depths."""
    values = np.asarray(HOSTILE[name])
    if not by_depth:
        return AcceptanceVector("sequoia", values)
    generator = np.random.default_rng(len(name))
    return AcceptanceVector("sequoia", values * generator.choice([1, 0.9, 0.5], (6, len(values))))


def check_against_the_recurrence(acceptance: AcceptanceVector, *limits: int) -> PlanTable:
    table = dynamic_program_table(acceptance, *limits)
    plain = recurrence(acceptance, *limits)
    assert np.array_equal(table.feasible, plain > -np.inf)
    exist = table.feasible
    assert np.max(np.abs(table.expected_tokens[exist] / plain[exist] - 1)) < 1e-14
    return table


def check_sampled_trees(table: PlanTable, acceptance: AcceptanceVector, *, count: int) -> None:
    """Worth and pass widths of some of the table's trees, taken from the trees themselves."""
    every = np.argwhere(table.feasible)
    chosen = np.random.default_rng(0).choice(len(every), min(count, len(every)), replace=False)
    for budget, depth in every[chosen].tolist():
        tree = table.tree(budget, depth)
        assert (tree.size, tree.depth <= depth) == (budget, True)
        worth = table.expected_tokens[budget, depth]
        assert expected_tokens(tree, acceptance) == pytest.approx(worth, rel=1e-13)
        passes = table.pass_widths[budget, depth]
        assert passes[passes > 0].tolist() == tree.expanded_level_sizes


@pytest.mark.parametrize("by_depth", [False, True])
@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("cutting", [0, forests.WORTH_CUTTING])
def test_hostile_vectors_equal_the_plain_recurrence(name, by_depth, cutting, monkeypatch):
    """With no least gain for a cut, even these small sizes have their ranges cut and proven."""
    monkeypatch.setattr(forests, "WORTH_CUTTING", cutting)
    acceptance = hostile_vector(name, by_depth=by_depth)
    table = check_against_the_recurrence(acceptance, 90, 8, 9)
    check_sampled_trees(table, acceptance, count=60)


@pytest.mark.parametrize("seed", range(60))
def test_any_limits_equal_the_plain_recurrence(seed):
    generator = np.random.default_rng(seed)
    values = generator.random(generator.integers(1, 7, 2)) ** generator.integers(1, 9)
    values[generator.random(values.shape) < 0.2] = 0.0
    values *= generator.uniform(0.2, 1.0) / np.maximum(values.sum(axis=1, keepdims=True), 1e-9)
    acceptance = AcceptanceVector("sequoia", values)
    budget, depth, branch = generator.integers([1, 0, 1], [60, 8, 8]).tolist()
    table = check_against_the_recurrence(acceptance, budget, depth, branch)
    check_sampled_trees(table, acceptance, count=20)


@pytest.mark.parametrize("name", cases.cases())
def test_the_timed_vectors_equal_the_plain_recurrence(name):
    acceptance = cases.cases()[name]
    check_sampled_trees(check_against_the_recurrence(acceptance, 130, 6, 32), acceptance, count=60)


@pytest.mark.parametrize("name", cases.cases())
def test_full_size_tables_hold_valid_trees_worth_what_they_say(name):
    acceptance = cases.cases()[name]
    table = dynamic_program_table(acceptance, 1024, 32, 32)
    check_sampled_trees(table, acceptance, count=80)
    if acceptance.is_monotone:
        fast = best_first_table(acceptance, 1024, 32, 32).expected_tokens
        exist = table.feasible
        assert np.array_equal(exist, fast > -np.inf)
        assert table.expected_tokens[exist] == pytest.approx(fast[exist], rel=1e-13)


def test_by_depth_the_full_table_equals_the_heap():
    rows = -np.sort(-(cases.random_rows(seed=5).rows ** 4), axis=1)
    acceptance = AcceptanceVector("sequoia", rows / rows.sum(axis=1, keepdims=True))
    table = dynamic_program_table(acceptance, 1024, 32, 32)
    for budget, depth in [(1024, 32), (1024, 3), (700, 5), (33, 2)]:
        heap = heap_expected(acceptance, budget, depth)
        assert table.expected_tokens[budget, depth] == pytest.approx(heap, rel=1e-12)


def test_the_references_trees_come_out_where_a_vector_is_known_that_draws_them():
    """No growmap's own vector is published; these have power laws read back from their levels."""
    fits = {(fit.row.block[1], fit.row.block[2], fit.row.text): fit for fit in infer()}
    drawn = []
    for growmap in published()["growmaps"]:
        fit, levels = fits[tuple(growmap["setting"])], growmap["level_sizes"]
        acceptance = power_law(fit.first, fit.fall, 32, "sequoia")
        table = dynamic_program_table(acceptance, sum(levels), len(levels) - 1, 32)
        if list(table.tree(sum(levels), len(levels) - 1).level_sizes) == levels:
            drawn.append(growmap["name"].removeprefix("A100-"))
    assert drawn == [
        "C4-68m-13b-greedy",
        "C4-1.3b-33b-greedy",
        "CNN-68m-13b-stochastic-S4",
        "CNN-68m-13b-stochastic-S8",
        "CNN-68m-13b-stochastic-S16",
    ]


@pytest.mark.parametrize("name", HOSTILE)
def test_no_tree_is_worth_more_than_its_bound(name):
    acceptance = hostile_vector(name, by_depth=True)
    duals = SubtreeBounds(acceptance.rows, 6).duals
    for row in range(6):
        below = AcceptanceVector("sequoia", acceptance.rows[row:])
        expected = recurrence(below, 40, 6 - row, 9)
        bounds = (duals[row, : 7 - row, :, None] + np.outer(PRICES, np.arange(41))).min(axis=1)
        assert np.all(expected <= bounds.T + 1e-12)


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("limit", [2, 5, 12, 30])
def test_what_limited_rows_call_exact_is_exact(name, limit):
    """However small the limits: sizes that are called exact have the values of a full solution."""
    rows = hostile_vector(name, by_depth=True).rows
    bounds = SubtreeBounds(rows, 7)
    limited = _Solver(rows, [60] + [limit] * 5, 7, bounds)
    proven = limited.run()
    full = _Solver(rows, [60] * 6, 7)
    assert full.run()
    for row, known in enumerate(limited.exact):
        for levels, exact in enumerate(known):
            ours = limited.values[row][levels][: exact + 1]
            assert np.array_equal(ours > -np.inf, full.values[row][levels][: exact + 1] > -np.inf)
            assert np.allclose(ours, full.values[row][levels][: exact + 1], rtol=1e-14, atol=0)
    assert proven == all(exact == 60 for exact in limited.exact[0])


@pytest.mark.parametrize("cutting", [0, forests.WORTH_CUTTING])
@pytest.mark.parametrize("shape", ["concave", "any"])
@pytest.mark.parametrize("share", [1, 3])
@pytest.mark.parametrize("size", [2, 5, 200])
def test_a_grown_child_equals_the_double_loop(size, share, shape, cutting, monkeypatch):
    monkeypatch.setattr(forests, "WORTH_CUTTING", cutting)
    generator = np.random.default_rng(size)
    grown, gains = np.sort(generator.random((2, size + 1)))
    if shape == "concave":
        grown, gains = np.sqrt(np.arange(size + 1)), 0.4 * np.sqrt(np.arange(size + 1))
    gains[0] = -np.inf
    grown[:2] = -np.inf
    family = Forests.bare(2, size)
    family.values[1, : size + 1] = grown[::-1]
    family.grow(2, gains, first=2, share=share, largest=size)
    out, chosen = family.values[2, size::-1], family.last[2]
    for n in range(3, size + 1):
        allowed = [grown[n - m] + gains[m] for m in range(1, 1 + (n - 1) // share)]
        assert out[n] >= max(allowed, default=-np.inf)
        assert out[n] <= max(grown[n - m] + gains[m] for m in range(1, n))
        if out[n] > -np.inf:
            assert out[n] == grown[n - chosen[n]] + gains[chosen[n]]


def test_expected_tokens_of_a_chain_is_the_geometric_sum():
    acceptance = AcceptanceVector("sequoia", [0.5])
    assert expected_tokens(expansion([1] * 4), acceptance) == 1 + 0.5 + 0.25 + 0.125 + 0.0625


def test_depth_rows_apply_to_the_parents_depth_and_the_last_row_goes_on():
    acceptance = AcceptanceVector("sequoia", [[0.5], [0.25]])
    assert expected_tokens(expansion([1, 1, 1]), acceptance) == 1 + 0.5 + 0.125 + 0.03125


def test_children_beyond_the_vector_are_never_accepted():
    acceptance = AcceptanceVector("sequoia", [0.5, 0.25])
    assert edge_chances(expansion([4]), acceptance).tolist() == [1, 0.5, 0.25, 0, 0]


@pytest.mark.parametrize("kind", ["any", "rows"])
def test_the_gradient_equals_finite_differences(kind):
    acceptance = random_vector(3, kind)
    tree = expansion([3, 2, 1, 2])
    slopes = gradient(tree, acceptance)
    for row, rank in np.ndindex(*slopes.shape):
        moved = acceptance.rows.copy()
        moved[row, rank] = min(moved[row, rank] + 1e-6, 1)
        moved *= min(1, 1 / moved.sum(axis=1).max())
        change = expected_tokens(tree, AcceptanceVector("sequoia", moved)) - expected_tokens(
            tree, acceptance
        )
        if moved[row, rank] - acceptance.rows[row, rank] > 9e-7:
            assert change / 1e-6 == pytest.approx(slopes[row, rank], abs=1e-3)


@pytest.mark.parametrize(
    ("budget", "depth", "message"),
    [
        (0, 0, "budget must be between 1 and 8, got 0"),
        (9, 3, "budget must be between 1 and 8, got 9"),
        (4, 4, "depth must be between 0 and 3, got 4"),
        (2, 0, "No tree of depth 0 has 2 tokens .* 1 is the most"),
        (8, 1, "No tree of depth 1 has 8 tokens .* 3 is the most"),
    ],
)
def test_trees_that_do_not_exist_are_refused(budget, depth, message):
    for build in (best_first_table, dynamic_program_table):
        with pytest.raises(InputError, match=message):
            build(AcceptanceVector("sequoia", [0.5, 0.2]), 8, 3, 2).tree(budget, depth)
