"""What a user may set for one run, checked."""

import math
from dataclasses import dataclass

from sequoia_core.errors import InputError

MAX_TEMPERATURE = 10.0
MAX_SEED = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationSettings:
    """Sampling and length of a run. Raises InputError, naming the value and its limits."""

    temperature: float = 0.0
    top_p: float = 1.0
    max_new_tokens: int = 128
    seed: int = 0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.temperature) and 0 <= self.temperature <= MAX_TEMPERATURE):
            raise InputError(
                f"The temperature must be between 0 and {MAX_TEMPERATURE:g}, "
                f"got {self.temperature:g}."
            )
        if not 0 < self.top_p <= 1:
            raise InputError(f"Top-p must be above 0 and at most 1, got {self.top_p:g}.")
        if self.max_new_tokens < 1:
            raise InputError(f"New tokens must be at least 1, got {self.max_new_tokens}.")
        if not 0 <= self.seed <= MAX_SEED:
            raise InputError(f"The seed must be between 0 and {MAX_SEED}, got {self.seed}.")
