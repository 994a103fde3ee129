"""What to plan for a decoding method: whose acceptance it needs and which family its trees are of.

| method | rule | family planned | its trees |
|---|---|---|---|
| chain, kchains, sequoia | sequoia | its own | static |
| specinfer | specinfer | its own, expansions | static |
| topk | topk | sequoia | static |
| specexec | topk | sequoia, for the size alone | grown with the context |
| dynamic | sequoia | sequoia, for the size alone | grown with the context |
| auto | sequoia | sequoia, to start with | changed while it runs (`measure.auto`) |
"""

from dataclasses import dataclass

from sequoia_core.errors import InputError
from sequoia_core.plan.acceptance import AcceptanceVector
from sequoia_core.plan.hardware import HardwareProfile
from sequoia_core.plan.optimizer import SEQUOIA, make_plan
from sequoia_core.plan.plan import Plan
from sequoia_core.plan.rivals import CHAIN

PLAIN, AUTO = "autoregressive", "auto"


@dataclass(frozen=True, slots=True)
class MethodPlan:
    """rule: that of the acceptance it needs; family: of the trees planned for it; grown: the plan
    gives the size alone, since its trees take their shape from the context."""

    rule: str
    family: str
    grown: bool = False


METHODS = {
    "sequoia": MethodPlan("sequoia", SEQUOIA),
    "chain": MethodPlan("sequoia", CHAIN),
    "kchains": MethodPlan("sequoia", "kchains"),
    "specinfer": MethodPlan("specinfer", "specinfer"),
    "topk": MethodPlan("topk", SEQUOIA),
    "specexec": MethodPlan("topk", SEQUOIA, grown=True),
    "dynamic": MethodPlan("sequoia", SEQUOIA, grown=True),
    AUTO: MethodPlan("sequoia", SEQUOIA),
}
NAMES = (*METHODS, PLAIN)


def plan_for(
    method: str,
    acceptance: AcceptanceVector,
    hardware: HardwareProfile,
    *,
    budget: int | None = None,
    depth: int | None = None,
) -> Plan:
    """The best tree of the method's family, of the wished budget and depth where they are given.

    A chain's depth says all, so its budget is not asked. Raises InputError for a method that
    drafts nothing or is unknown, and for wishes that no tree meets.
    """
    if method not in METHODS:
        raise InputError(f"Trees are planned for {', '.join(METHODS)}, not for {method!r}.")
    family = METHODS[method].family
    wished = None if family == CHAIN and depth is not None else budget
    return make_plan(acceptance, hardware, family=family, budget=wished, depth=depth)


def rule_fits(method: str, acceptance: AcceptanceVector) -> bool:
    """Whether a vector holds for the method's own rule; at temperature 0 the rules are one."""
    return acceptance.rule == METHODS[method].rule or acceptance.temperature == 0
