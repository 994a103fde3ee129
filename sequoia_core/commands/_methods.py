"""From a method's name and the planning options to the method, with what its plan rests on."""

from argparse import ArgumentParser, Namespace
from dataclasses import dataclass

from sequoia_core.commands._models import Say
from sequoia_core.decode.drafting import StaticTree
from sequoia_core.decode.methods import (
    AUTOREGRESSIVE,
    GROWN_RULES,
    NAMES,
    RULES,
    Method,
    grown_method,
    plain_method,
    static_method,
)
from sequoia_core.errors import InputError
from sequoia_core.plan.acceptance import AcceptanceVector, load_acceptance
from sequoia_core.plan.hardware import load_hardware
from sequoia_core.plan.optimizer import SEQUOIA, make_plan
from sequoia_core.plan.plan import Plan
from sequoia_core.plan.presets import DEFAULT_HARDWARE, bundled_acceptance

# Methods that run the best tree of a family of their own; the others take the planned tree, or, as
# grown trees have no family, its size.
OWN_FAMILIES = ("chain", "kchains", "specinfer")


@dataclass(frozen=True, slots=True)
class Planned:
    """A method with its plan. acceptance: the vector planned with; None for plain decoding.

    own_rule: the vector holds for the method's own rule, so that the plan's promises do as well.
    """

    method: Method
    plan: Plan | None = None
    acceptance: AcceptanceVector | None = None
    own_rule: bool = True

    @property
    def predicted_speedup(self) -> float | None:
        """The plan's, where it speaks of this method: not of grown trees, nor of another rule."""
        if self.plan is None or self.method.name in GROWN_RULES or not self.own_rule:
            return None
        return self.plan.speedup

    @property
    def level_sizes(self) -> list[int] | None:
        """Of the static tree; None where trees grow."""
        shape = self.method.shape
        return shape.tree.level_sizes if isinstance(shape, StaticTree) else None

    @property
    def basis(self) -> dict | None:
        """What the size and shape rest on, for the result."""
        if self.plan is None:
            return None
        return {
            "acceptance": self.plan.acceptance,
            "acceptance_rule": self.acceptance.rule,
            "hardware": self.plan.hardware,
            "family": self.plan.family,
        }


def add_planning_arguments(parser: ArgumentParser) -> None:
    """--acceptance and --hardware."""
    parser.add_argument("--acceptance", help="preset or file to plan with")
    parser.add_argument("--hardware", default=DEFAULT_HARDWARE, help="preset or file to plan with")


def planned_method(
    name: str,
    arguments: Namespace,
    say: Say,
    *,
    budget: int | None = None,
    depth: int | None = None,
) -> Planned:
    """The method with the best tree of its family, or with one of the wished budget and depth.

    Without --acceptance the bundled vector of the method's rule is taken, or if there is none
    that of Sequoia's; `say` tells when a vector holds for another rule than the method's. Raises
    InputError for an unknown name and for wishes that no tree meets.
    """
    if name not in NAMES:
        raise InputError(f"There is no method '{name}'; choose one of {', '.join(NAMES)}.")
    if name == AUTOREGRESSIVE:
        return Planned(plain_method())
    rule = RULES[name].name
    preset = arguments.acceptance or bundled_acceptance(arguments.temperature, rule)
    acceptance = load_acceptance(preset)
    plan = make_plan(
        acceptance,
        load_hardware(arguments.hardware),
        family=name if name in OWN_FAMILIES else SEQUOIA,
        budget=budget,
        depth=depth,
    )
    # At temperature 0 all rules are one.
    own_rule = acceptance.rule == rule or arguments.temperature == acceptance.temperature == 0
    if not own_rule:
        say(f"{name} is planned with {preset}, whose acceptance is that of {acceptance.rule}")
    if name in GROWN_RULES:
        method = grown_method(name, plan.budget, min(depth or plan.depth, plan.budget - 1))
    else:
        method = static_method(name, plan.tree)
    return Planned(method, plan, acceptance, own_rule)
