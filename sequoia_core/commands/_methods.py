"""From a method's name and the planning options to the method, with what its plan rests on."""

from argparse import ArgumentParser, Namespace
from dataclasses import dataclass

from sequoia_core.commands._models import Say, add_hardware_argument, named_hardware
from sequoia_core.decode.drafting import StaticTree
from sequoia_core.decode.methods import (
    AUTOREGRESSIVE,
    GROWN_RULES,
    Method,
    named_method,
    plain_method,
)
from sequoia_core.errors import InputError
from sequoia_core.measure.auto import Auto
from sequoia_core.plan.acceptance import AcceptanceVector, load_acceptance
from sequoia_core.plan.hardware import HardwareProfile, load_hardware
from sequoia_core.plan.methods import AUTO, METHODS, NAMES, plan_for, rule_fits
from sequoia_core.plan.plan import Plan
from sequoia_core.plan.presets import DEFAULT_HARDWARE, bundled_acceptance


@dataclass(frozen=True, slots=True)
class Planned:
    """A method with its plan. acceptance: the vector planned with; None for plain decoding.

    own_rule: the vector holds for the method's own rule, so that the plan's promises do as well.
    `auto` changes its plan while it runs; this is the one that it starts with.
    """

    method: Method | Auto
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
        if isinstance(self.method, Auto):
            return self.plan.level_sizes
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
    parser.add_argument(
        "--acceptance",
        help="preset or file to plan with; default: the bundled one of the method's rule",
    )
    add_hardware_argument(parser)


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
    preset = arguments.acceptance or bundled_acceptance(arguments.temperature, METHODS[name].rule)
    acceptance = load_acceptance(preset)
    # Where both are fixed the profile chooses nothing, so any will do.
    fixed = budget is not None and depth is not None and not arguments.hardware
    hardware = load_hardware(DEFAULT_HARDWARE) if fixed else named_hardware(arguments)
    if hardware.warning and not fixed:
        say(hardware.warning)
    own_rule = rule_fits(name, acceptance)
    if name == AUTO:
        return _automatic(acceptance, hardware, own_rule, (budget, depth))
    plan = plan_for(name, acceptance, hardware, budget=budget, depth=depth)
    if not own_rule:
        say(f"{name} is planned with {preset}, whose acceptance is that of {acceptance.rule}")
    method = named_method(name, plan.tree, depth)
    return Planned(method, plan, acceptance, own_rule)


def _automatic(
    acceptance: AcceptanceVector,
    hardware: HardwareProfile,
    own_rule: bool,
    wishes: tuple[int | None, int | None],
) -> Planned:
    """The method `auto`, which leaves nothing to wish for and nothing to guess."""
    if wishes != (None, None):
        raise InputError(
            "The method auto chooses budget and depth itself: leave out --budget and --depth, or "
            "choose the method sequoia."
        )
    if not own_rule:
        raise InputError(
            f"The method auto verifies by the rule sequoia, and {acceptance.name} holds for "
            f"{acceptance.rule}: name a vector of the rule sequoia."
        )
    auto = Auto(acceptance, hardware)
    return Planned(auto, auto.plan, acceptance)
