"""Made-up machines for tests of the planner."""

from sequoia_core.plan.hardware import HardwareProfile

# More tokens cost little at first and much later, as on real machines.
BENT = HardwareProfile(
    "test",
    ((1, 1.0), (16, 1.2), (64, 2.0), (256, 6.0)),
    ((1, 0.05), (32, 0.08), (256, 0.4)),
    overhead_seconds=0.02,
    plain_overhead_seconds=0.01,
    name="bent",
)
