"""Which bundled inputs to plan with when the user has named none, or the engine needs another."""

from sequoia_core.assets import preset_names
from sequoia_core.errors import InputError
from sequoia_core.files import check_choice
from sequoia_core.plan.acceptance import RULES

DEFAULT_HARDWARE = "cpu-2-cores"
# The bundled pair's vectors by rule and temperature, all of one measurement at each temperature.
# At temperature 0 the rules are one, so one vector stands for all.
BUNDLED_VECTORS = {
    "sequoia": {0.0: "bundled-t0", 0.6: "bundled-t0.6", 1.0: "bundled-t1.0"},
    "specinfer": {0.0: "bundled-t0", 0.6: "bundled-t0.6-specinfer", 1.0: "bundled-t1.0-specinfer"},
    "topk": {0.0: "bundled-t0", 0.6: "bundled-t0.6-topk", 1.0: "bundled-t1.0-topk"},
}
BUNDLED_ACCEPTANCE = BUNDLED_VECTORS["sequoia"]


def bundled_hardware(
    dtype: str = "auto", target_cost: str | None = None, draft_cost: str | None = None
) -> str:
    """The preset measured with the bundled pair in this dtype, at this cost (None: as it is).

    dtype: auto is float32, as it is on a CPU. The pair as it is falls back on the default preset;
    for a cost that none was measured at InputError is raised, since another cost's profile would
    plan the wrong tree.

    >>> bundled_hardware(), bundled_hardware("bfloat16", "demo-300m")
    ('cpu-2-cores', 'cpu-2-cores-demo-300m-bfloat16')
    """
    dtype = "float32" if dtype == "auto" else dtype
    cost = [target_cost] if target_cost else []
    name = "-".join([DEFAULT_HARDWARE, *cost, dtype])
    if name in preset_names("hardware") and draft_cost in (None, "bundled"):
        return name
    if not target_cost:
        return DEFAULT_HARDWARE
    raise InputError(
        f"No bundled hardware profile was measured at the cost of {target_cost} in {dtype}; "
        f"measure one with `profile --like {target_cost} --out my.json` and name it with "
        "--hardware."
    )


def bundled_acceptance(temperature: float, rule: str = "sequoia") -> str:
    """The bundled pair's vector of a rule whose temperature is nearest; of two the higher.

    The vector for temperature 0 is labelled sequoia and holds for every rule. Raises InputError
    for an unknown rule.

    >>> bundled_acceptance(0.0), bundled_acceptance(0.2), bundled_acceptance(3.0)
    ('bundled-t0', 'bundled-t0', 'bundled-t1.0')
    >>> bundled_acceptance(0.7, "topk")
    'bundled-t0.6-topk'
    """
    known = BUNDLED_VECTORS[check_choice(rule, "The rule", RULES)]
    return known[min(known, key=lambda other: (abs(other - temperature), -other))]


def bundled_counterpart(name: str, rule: str) -> str | None:
    """The bundled vector of the same pair and temperature as preset `name`, for another rule.

    None for a vector that is not of the bundled pair. Raises InputError for an unknown rule.

    >>> bundled_counterpart("bundled-t0.6", "topk"), bundled_counterpart("paper-appendix-e", "topk")
    ('bundled-t0.6-topk', None)
    """
    for names in BUNDLED_VECTORS.values():
        for temperature, own in names.items():
            if own == name:
                return bundled_acceptance(temperature, rule)
    return None
