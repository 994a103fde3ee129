"""What was published about the methods, measured on the bundled pair: no timing.

    python -m tools.published_claims

One calibration for each temperature and top-p gives the acceptance of all rules on the same texts.
Prints Markdown: the first children's acceptance, and the tokens per step that trees of given sizes,
planned for each rule, are expected to write. Standard errors are by jackknife over the prompts, so
the difference of two rules is that on the same texts.
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sequoia_core.assets import asset
from sequoia_core.commands.calibrate import read_prompts
from sequoia_core.decode.engine import GenerationSettings
from sequoia_core.decode.pair import ModelPair, PairSpec, load_pair
from sequoia_core.measure.calibration import Calibration, measure_acceptance
from sequoia_core.plan.acceptance import RULES, AcceptanceVector
from sequoia_core.plan.expected import expected_tokens
from sequoia_core.plan.hardware import load_hardware
from sequoia_core.plan.methods import plan_for
from sequoia_core.plan.presets import DEFAULT_HARDWARE

SETTINGS = (
    *((temperature, 1.0) for temperature in (0.2, 0.4, 0.6, 0.8, 1.0)),
    *((temperature, top_p) for temperature in (0.6, 1.0) for top_p in (0.8, 0.9)),
)
BUDGETS = (16, 64)
DEPTH = {16: 5, 64: 8}


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its standard error."""

    value: float
    error: float

    def __str__(self) -> str:
        return f"{self.value:.2f} ± {self.error:.2f}"


def jackknife(prompts: int, figure: Callable[[list[int]], float]) -> Estimate:
    """A figure of all prompts, and its error from leaving out one at a time."""
    everything = list(range(prompts))
    left_out = [figure([p for p in everything if p != one]) for one in everything]
    error = np.sqrt((prompts - 1) * np.var(left_out))
    return Estimate(figure(everything), float(error))


class Setting:
    """One calibration. Trees are planned once, with all prompts; the jackknife judges them."""

    def __init__(self, calibration: Calibration):
        self.prompts = len(next(iter(calibration.samples.values())))
        self._calibration = calibration
        self._vectors: dict[tuple[str, int], AcceptanceVector] = {}
        hardware = load_hardware(DEFAULT_HARDWARE)
        self._trees = {
            (rule, budget): plan_for(
                rule, self.vector(rule, ()), hardware, budget=budget, depth=DEPTH[budget]
            ).tree
            for rule in RULES
            for budget in BUDGETS
        }

    def vector(self, rule: str, missing: tuple[int, ...]) -> AcceptanceVector:
        """Without the prompts that are missing; each is made once."""
        key = (rule, *missing)
        if key not in self._vectors:
            rest = [p for p in range(self.prompts) if p not in missing]
            self._vectors[key] = self._calibration.vector(rule, prompts=rest)
        return self._vectors[key]

    def first(self, rule: str) -> Estimate:
        """Acceptance of first children."""
        return self._estimate(lambda vector: float(vector(rule).rows[0, 0]))

    def tokens(self, rule: str, budget: int) -> Estimate:
        """Expected tokens per step."""
        return self._estimate(self._expected(rule, budget))

    def gain(self, rule: str, other: str, budget: int) -> Estimate:
        """Tokens per step of one rule over those of another, minus 1, in per cent."""
        one, two = self._expected(rule, budget), self._expected(other, budget)
        return self._estimate(lambda vector: 100 * (one(vector) / two(vector) - 1))

    def _expected(self, rule: str, budget: int) -> Callable:
        return lambda vector: expected_tokens(self._trees[rule, budget], vector(rule))

    def _estimate(self, figure: Callable) -> Estimate:
        def of(prompts: list[int]) -> float:
            missing = tuple(sorted(set(range(self.prompts)) - set(prompts)))
            return figure(lambda rule: self.vector(rule, missing))

        return jackknife(self.prompts, of)


def measured(pair: ModelPair, temperature: float, top_p: float, count: int) -> Setting:
    """All rules at one temperature and top-p."""
    prompts = read_prompts(asset("calibration_prompts.jsonl"))[:count]
    settings = GenerationSettings(temperature=temperature, top_p=top_p, max_new_tokens=128)
    return Setting(measure_acceptance(pair, prompts, settings))


def row(temperature: float, top_p: float, setting: Setting) -> str:
    """One line of the table."""
    cells = [f"{temperature}", f"{top_p}", str(setting.first("sequoia"))]
    for budget in BUDGETS:
        cells += [str(setting.tokens(rule, budget)) for rule in ("sequoia", "specinfer", "topk")]
        gain = setting.gain("sequoia", "specinfer", budget)
        cells.append(f"{gain.value:+.1f} ± {gain.error:.1f} %")
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Print a row for every setting as it is measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prompts", type=int, default=30)
    arguments = parser.parse_args()
    names = ["`sequoia`", "`specinfer`", "`topk`", "`sequoia` over `specinfer`"]
    heads = ["T", "top-p", "first child", *(f"{n}: {name}" for n in BUDGETS for name in names)]
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    pair = load_pair(PairSpec(device="cpu", dtype="float32"))
    for temperature, top_p in SETTINGS:
        print(f"temperature {temperature}, top-p {top_p}", file=sys.stderr)
        setting = measured(pair, temperature, top_p, arguments.prompts)
        print(row(temperature, top_p, setting), flush=True)


if __name__ == "__main__":
    main()
