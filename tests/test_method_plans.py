"""What is planned for a method agrees with what the engine runs under its name."""

from itertools import pairwise

import pytest

from sequoia_core.decode.methods import GROWN_RULES, RULES, named_method
from sequoia_core.decode.methods import NAMES as ENGINE_NAMES
from sequoia_core.errors import InputError
from sequoia_core.plan.acceptance import AcceptanceVector, load_acceptance
from sequoia_core.plan.hardware import load_hardware
from sequoia_core.plan.methods import AUTO, METHODS, NAMES, PLAIN, plan_for, rule_fits
from sequoia_core.tree.families import chain, expansion

PROFILE = load_hardware("cpu-2-cores")


def test_planner_and_engine_know_the_same_methods_with_the_same_rules():
    assert set(NAMES) == {*ENGINE_NAMES, AUTO}
    for name in set(METHODS) & set(ENGINE_NAMES):
        planned = METHODS[name]
        assert planned.rule == RULES[name].name
        assert planned.grown == (name in GROWN_RULES)


@pytest.mark.parametrize("name", [name for name in METHODS if name != AUTO])
def test_every_method_gets_a_tree_of_its_family_that_the_engine_takes(name):
    vector = load_acceptance("bundled-t0.6")
    plan = plan_for(name, vector, PROFILE, budget=13, depth=3)
    method = named_method(name, plan.tree, 3)
    assert method.depth == 3
    assert method.budget == plan.budget <= 13
    if name == "chain":
        assert plan.tree == chain(3)
    if name == "specinfer":
        widths = [plan.tree.child_counts[0]]
        assert plan.tree == expansion([*widths, *_widths(plan.tree)[1:]])


def _widths(tree):
    sizes = tree.level_sizes
    return [below // above for above, below in pairwise(sizes)]


def test_vectors_fit_by_their_rule_and_at_temperature_zero_always():
    drawn = AcceptanceVector("specinfer", [0.5], temperature=0.6)
    assert [name for name in METHODS if rule_fits(name, drawn)] == ["specinfer"]
    greedy = AcceptanceVector("sequoia", [0.5], temperature=0.0)
    assert all(rule_fits(name, greedy) for name in METHODS)


def test_nothing_is_planned_for_plain_decoding_or_a_stranger():
    for name in (PLAIN, "medusa"):
        with pytest.raises(InputError, match=r"Trees are planned for sequoia, .*not for"):
            plan_for(name, load_acceptance("bundled-t0"), PROFILE)


def test_without_room_every_method_is_plain_decoding():
    plan = plan_for("dynamic", load_acceptance("bundled-t0"), PROFILE, budget=1)
    assert named_method("dynamic", plan.tree).budget == 1
