"""Which bundled inputs to plan with when the user has named none."""

from sequoia_core.errors import InputError

BUNDLED_ACCEPTANCE = {0.0: "bundled-t0", 0.6: "bundled-t0.6", 1.0: "bundled-t1.0"}
DEFAULT_HARDWARE = "cpu-2-cores"
# Profiles of the bundled pair by the cost that its target stands in for, and by dtype.
STAND_IN_HARDWARE = {
    ("demo-300m", "float32"): "cpu-2-cores-demo-300m-float32",
    ("demo-300m", "bfloat16"): "cpu-2-cores-demo-300m-bfloat16",
}


def bundled_hardware(
    target_cost: str | None, draft_cost: str | None = None, dtype: str = "auto"
) -> str:
    """The preset measured with the bundled pair at this cost (None: as it is).

    dtype: auto is float32, as it is on a CPU. Raises InputError where none was measured: another
    cost's profile would plan the wrong tree.

    >>> bundled_hardware(None), bundled_hardware("demo-300m")
    ('cpu-2-cores', 'cpu-2-cores-demo-300m-float32')
    """
    if not target_cost:
        return DEFAULT_HARDWARE
    key = (target_cost, "float32" if dtype == "auto" else dtype)
    if key in STAND_IN_HARDWARE and draft_cost in (None, "bundled"):
        return STAND_IN_HARDWARE[key]
    raise InputError(
        f"No bundled hardware profile was measured at the cost of {target_cost} in {key[1]}; "
        f"measure one with `profile --like {target_cost} --out my.json` and name it with "
        "--hardware."
    )


def bundled_acceptance(temperature: float) -> str:
    """The bundled pair's vector whose temperature is nearest; of two equally near the higher.

    >>> bundled_acceptance(0.0), bundled_acceptance(0.2), bundled_acceptance(3.0)
    ('bundled-t0', 'bundled-t0', 'bundled-t1.0')
    """
    nearest = min(BUNDLED_ACCEPTANCE, key=lambda known: (abs(known - temperature), -known))
    return BUNDLED_ACCEPTANCE[nearest]
