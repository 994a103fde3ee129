"""The stage that plans: the answer, and the best tree and the best chain to measure beside it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sequoia_core.errors import InputError
from sequoia_core.measure.tune.progress import Journey
from sequoia_core.measure.tune.store import Store
from sequoia_core.plan.acceptance import AcceptanceVector
from sequoia_core.plan.hardware import HardwareProfile
from sequoia_core.plan.optimizer import MAX_BUDGET, make_plan
from sequoia_core.plan.plan import Plan, plan_from_dict
from sequoia_core.plan.rivals import CHAIN
from sequoia_core.plan.verdict import PLAIN, FamilyBest
from sequoia_core.report.measured import CHAIN_ROW, TREE_ROW

STAGE, PART = "plan", "plan"


@dataclass(frozen=True, slots=True)
class Planned:
    """answer: what to use. candidates: the best tree and the best chain, by their rows' names."""

    answer: Plan
    candidates: dict[str, Plan]


def plan_stage(
    store: Store,
    vector: AcceptanceVector,
    hardware: HardwareProfile,
    *,
    trees: bool,
    journey: Journey,
) -> Planned:
    """The plans, from the store or made now; trees: whether the pair takes any but chains."""
    part = store.read(PART)
    if part is None:
        planned = make_plans(vector, hardware, trees=trees)
        content = {
            "answer": planned.answer.to_dict(),
            "candidates": {name: plan.to_dict() for name, plan in planned.candidates.items()},
        }
        store.write(PART, content, 0.0)
        part = store.read(PART)
    planned = _read(store, part.content)
    journey.note(f"{STAGE}: {planned.answer.verdict.words}")
    return planned


def make_plans(
    vector: AcceptanceVector, hardware: HardwareProfile, *, trees: bool = True
) -> Planned:
    """The fastest of all families as the answer, and the best tree and chain, pay they or not.

    No pass is planned that the profile does not know.
    """
    limits = {
        "max_budget": min(hardware.last_tokens, MAX_BUDGET),
        "max_branch": vector.ranks if trees else 1,
    }
    free = make_plan(vector, hardware, **limits)
    verdict, candidates = free.verdict, {}
    if verdict.chain:
        candidates[CHAIN_ROW] = make_plan(
            vector, hardware, family=CHAIN, depth=verdict.chain.depth, **limits
        )
    if verdict.tree and not _is_chain(verdict.tree):
        candidates[TREE_ROW] = make_plan(
            vector,
            hardware,
            family=verdict.tree.family,
            budget=verdict.tree.budget,
            depth=verdict.tree.depth,
            **limits,
        )
    if verdict.choice == PLAIN:
        return Planned(make_plan(vector, hardware, budget=1, **limits), candidates)
    wanted = CHAIN_ROW if verdict.choice == CHAIN else TREE_ROW
    return Planned(candidates.get(wanted, free), candidates)


def _is_chain(best: FamilyBest) -> bool:
    return best.depth == best.budget - 1


def _read(store: Store, content: Any) -> Planned:
    try:
        if not isinstance(content, Mapping):
            raise InputError("no object")
        candidates = {
            name: plan_from_dict(part)
            for name, part in content["candidates"].items()
            if name in (TREE_ROW, CHAIN_ROW)
        }
        return Planned(plan_from_dict(content["answer"]), candidates)
    except (InputError, KeyError, AttributeError) as error:
        raise store.unusable(PART) from error
