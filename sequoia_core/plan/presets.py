"""Which bundled inputs to plan with when the user has named none."""

from sequoia_core.plan.hardware import list_hardware_presets

BUNDLED_ACCEPTANCE = {0.0: "bundled-t0", 0.6: "bundled-t0.6", 1.0: "bundled-t1.0"}
DEFAULT_HARDWARE = "cpu-2-cores"


def bundled_acceptance(temperature: float) -> str:
    """The bundled pair's vector whose temperature is nearest; of two equally near the higher.

    >>> bundled_acceptance(0.0), bundled_acceptance(0.2), bundled_acceptance(3.0)
    ('bundled-t0', 'bundled-t0', 'bundled-t1.0')
    """
    nearest = min(BUNDLED_ACCEPTANCE, key=lambda known: (abs(known - temperature), -known))
    return BUNDLED_ACCEPTANCE[nearest]


def bundled_hardware(dtype: str) -> str:
    """The preset measured in this dtype; the default one where there is none."""
    name = f"{DEFAULT_HARDWARE}-{dtype}"
    return name if name in list_hardware_presets() else DEFAULT_HARDWARE
