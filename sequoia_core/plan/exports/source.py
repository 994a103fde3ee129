"""From files to a request: the plan or growmap, and the inputs that the plan names."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from sequoia_core.errors import InputError
from sequoia_core.plan.acceptance import (
    AcceptanceVector,
    list_acceptance_presets,
    load_acceptance,
)
from sequoia_core.plan.exports.request import Request
from sequoia_core.plan.exports.tree_files import load_growmap
from sequoia_core.plan.hardware import list_hardware_presets, load_hardware
from sequoia_core.plan.plan import load_plan
from sequoia_core.plan.presets import bundled_counterpart

Input = TypeVar("Input")


def plan_request(
    path: str | Path,
    *,
    acceptance: str | None = None,
    hardware: str | None = None,
    batch_size: int | None = None,
    needs_inputs: bool = True,
    rules: Sequence[str] = (),
    **options: Any,
) -> Request:
    """A request from a `sequoia-plan` file and what it names, or what is named here instead.

    acceptance, hardware: preset or file. The plan keeps names only: a name is looked for among
    the presets, then as <name>.json beside the plan. options: the other fields of Request.
    With needs_inputs an input that is not found is an InputError, else it is None. rules: those
    that the engine accepts by, best first: where the plan names a bundled vector of another rule,
    the bundled one of the first is taken, unless `acceptance` is given.
    """
    plan = load_plan(path)
    vector = _find(
        acceptance, plan.acceptance, Path(path), load_acceptance, list_acceptance_presets()
    )
    profile = _find(hardware, plan.hardware, Path(path), load_hardware, list_hardware_presets())
    if needs_inputs:
        _check_found(vector, "acceptance", plan.acceptance)
        _check_found(profile, "hardware", plan.hardware)
    request = Request(
        tree=plan.tree,
        acceptance=vector,
        hardware=profile,
        batch_size=plan.batch_size if batch_size is None else batch_size,
        **options,
    )
    return request if acceptance else with_vector_of(rules, request)


def with_vector_of(rules: Sequence[str], request: Request) -> Request:
    """The request with the bundled vector of the engine's rule, where there is one to put in."""
    other = vector_by_rule(request.acceptance, rules)
    if other is None:
        return request
    return replace(request, acceptance=other, planned_with=request.acceptance)


def vector_by_rule(
    vector: AcceptanceVector | None, rules: Sequence[str]
) -> AcceptanceVector | None:
    """The bundled vector to plan an engine's line from in place of a bundled one of another rule.

    None where `vector` will do or nothing better is bundled: it has one of the rules, is for
    temperature 0, where all rules are one, or was not measured on the bundled pair.
    """
    if vector is None or not rules or vector.rule in rules:
        return None
    name = bundled_counterpart(vector.name, rules[0])
    if name in (None, vector.name):
        return None
    other = load_acceptance(name)
    same = ("target", "draft", "temperature", "top_p")
    # A user's own file may bear a preset's name.
    return other if all(getattr(other, f) == getattr(vector, f) for f in same) else None


def growmap_request(
    path: str | Path,
    *,
    acceptance: str | None = None,
    hardware: str | None = None,
    batch_size: int | None = None,
    **options: Any,
) -> Request:
    """A request from a `sequoia-growmap` file, which names no inputs."""
    return Request(
        tree=load_growmap(path),
        acceptance=load_acceptance(acceptance) if acceptance else None,
        hardware=load_hardware(hardware) if hardware else None,
        batch_size=1 if batch_size is None else batch_size,
        **options,
    )


def _find(
    given: str | None,
    named: str,
    plan: Path,
    load: Callable[[str | Path], Input],
    presets: Sequence[str],
) -> Input | None:
    if given:
        return load(given)
    if named in presets:
        return load(named)
    beside = plan.parent / f"{named}.json"
    # A name from a file must not lead out of the plan's folder.
    is_plain = bool(named) and Path(named).name == named
    return load(beside) if is_plain and beside.is_file() else None


def _check_found(value: object, option: str, named: str) -> None:
    if value is None:
        what = (
            f"{option} input {named!r}" if named else f"{option} input, which the plan leaves open,"
        )
        raise InputError(
            f"The plan's {what} is neither a preset nor a file beside the plan: give --{option}."
        )
