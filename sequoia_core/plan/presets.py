"""Which bundled inputs to plan with when the user has named none."""

from sequoia_core.assets import preset_names
from sequoia_core.plan.acceptance import FOLDER
from sequoia_core.plan.hardware import list_hardware_presets

BUNDLED_ACCEPTANCE = {0.0: "bundled-t0", 0.6: "bundled-t0.6", 1.0: "bundled-t1.0"}
DEFAULT_HARDWARE = "cpu-2-cores"


def bundled_acceptance(temperature: float, rule: str = "sequoia") -> str:
    """The bundled pair's vector whose temperature is nearest; of two equally near the higher.

    rule: a vector of that rule if one is bundled, as in bundled-t0.6-topk, else Sequoia's.

    >>> bundled_acceptance(0.0), bundled_acceptance(0.2), bundled_acceptance(3.0)
    ('bundled-t0', 'bundled-t0', 'bundled-t1.0')
    """
    nearest = min(BUNDLED_ACCEPTANCE, key=lambda known: (abs(known - temperature), -known))
    name = BUNDLED_ACCEPTANCE[nearest]
    return f"{name}-{rule}" if f"{name}-{rule}" in preset_names(FOLDER) else name


def bundled_hardware(dtype: str) -> str:
    """The preset measured in this dtype; the default one where there is none."""
    name = f"{DEFAULT_HARDWARE}-{dtype}"
    return name if name in list_hardware_presets() else DEFAULT_HARDWARE
