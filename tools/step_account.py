"""Where the time of one step goes, on a CPU: the engine's parts, and what is inside a pass.

    python -m tools.step_account --dtype bfloat16 --threads 1

Prints a Markdown table in milliseconds: medians over prompts of means over their steps, since some
work is done for several steps at once. The clocks inside the passes cost
about 1 % of them, so what stands beside the passes is measured once more without those.
"""

import argparse
import time
from collections import Counter
from collections.abc import Callable
from statistics import fmean, median

import torch
from torch import nn

from sequoia_core.assets import asset
from sequoia_core.commands.calibrate import read_prompts
from sequoia_core.decode.cache import TreeCache
from sequoia_core.decode.engine import Engine, GenerationSettings
from sequoia_core.decode.model import TreeModel
from sequoia_core.decode.packing import PackedLinear
from sequoia_core.decode.pair import ModelPair, PairSpec, load_pair
from sequoia_core.decode.walk import LazyWalk
from sequoia_core.plan.acceptance import load_acceptance
from sequoia_core.plan.hardware import HardwareProfile, load_hardware
from sequoia_core.plan.optimizer import make_plan
from sequoia_core.plan.presets import bundled_acceptance
from sequoia_core.tree.token_tree import TokenTree

INSIDE = ("products", "attention", "cache", "mask")
PROMPTS = 10


class Account:
    """Seconds by what they were spent on, since the last `take`."""

    def __init__(self, pair: ModelPair):
        self.pair = pair
        self.model = ""
        self.seconds: Counter[str] = Counter()

    def clocked(self, function: Callable, key: str) -> Callable:
        """The function, its time added to `key`; inside a pass the model's name stands before."""

        def timed(*args, **kwargs):
            started = time.perf_counter()
            result = function(*args, **kwargs)
            self.seconds[f"{self.model}{key}"] += time.perf_counter() - started
            return result

        return timed

    def clocked_pass(self, forward: Callable) -> Callable:
        """TreeModel.forward, counted for the target or for the draft."""
        timed = self.clocked(forward, "pass")

        def run(model: TreeModel, *args, **kwargs):
            self.model = "target " if model is self.pair.target else "draft "
            result = timed(model, *args, **kwargs)
            self.model = ""
            return result

        return run

    def take(self) -> Counter[str]:
        """What was counted; counting starts again."""
        taken, self.seconds = self.seconds, Counter()
        return taken


def clock_passes(account: Account) -> None:
    """Put clocks around whole passes and verification, for the rest of the process."""
    TreeModel.forward = account.clocked_pass(TreeModel.forward)
    LazyWalk.__call__ = account.clocked(LazyWalk.__call__, "verification")


def clock_inside(account: Account) -> None:
    """Put clocks around what the account tells apart inside passes, for the rest of the process."""
    for layer in (PackedLinear, nn.Linear):
        layer.forward = account.clocked(layer.forward, "products")
    functional = nn.functional
    functional.scaled_dot_product_attention = account.clocked(
        functional.scaled_dot_product_attention, "attention"
    )
    TreeCache.update = account.clocked(TreeCache.update, "cache")
    TreeModel._mask = account.clocked(TreeModel._mask, "mask")


def measure(account: Account, tree: TokenTree, temperature: float, prompts: list[str]) -> dict:
    """Milliseconds a step by what they were spent on."""
    means: list[dict[str, float]] = []
    settings = GenerationSettings(temperature=temperature, max_new_tokens=128)
    for prompt in prompts:
        run = Engine(account.pair).run(prompt, settings, tree, trace=False)
        next(run)
        account.take()
        steps: list[dict[str, float]] = []
        while True:
            started = time.perf_counter()
            step = next(run, None)
            if step is None:
                break
            spent = account.take()
            spent["step"] = time.perf_counter() - started
            spent["sample part"], spent["commit"] = step.seconds.sample, step.seconds.commit
            steps.append(_parts(spent))
        means.append({key: fmean(step[key] for step in steps) for key in steps[0]})
    return {key: 1e3 * median(mean[key] for mean in means) for key in means[0]}


def _parts(spent: Counter[str]) -> dict[str, float]:
    """Disjoint parts of a step that add up to it."""
    parts = {}
    for model in ("target", "draft"):
        inside = {f"{model}: {key}": spent[f"{model} {key}"] for key in INSIDE}
        rest = spent[f"{model} pass"] - sum(inside.values())
        parts |= {f"{model} pass": spent[f"{model} pass"], **inside}
        parts[f"{model}: norms, rotary, Python of the model"] = rest
    parts["sampling of the draft's tokens"] = spent["sample part"] - spent["verification"]
    parts["verification"] = spent["verification"]
    parts["commit"] = spent["commit"]
    known = spent["target pass"] + spent["draft pass"] + spent["sample part"] + spent["commit"]
    parts["the engine's Python"] = spent["step"] - known
    parts["beside the passes"] = spent["step"] - spent["target pass"] - spent["draft pass"]
    parts["whole step"] = spent["step"]
    return parts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--hardware", default="cpu-2-cores")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    pair = load_pair(PairSpec(device="cpu", dtype=arguments.dtype))
    account = Account(pair)
    prompts = read_prompts(asset("bench_prompts.jsonl"))[:PROMPTS]
    cases = _cases(load_hardware(arguments.hardware))
    clock_passes(account)
    light = {name: measure(account, *case, prompts) for name, case in cases.items()}
    clock_inside(account)
    columns = {name: measure(account, *case, prompts) for name, case in cases.items()}
    print(f"{arguments.dtype}, {arguments.threads} threads; milliseconds a step, share of it\n")
    print("| |", " | ".join(columns), "|\n|---|" + "---|" * len(columns))
    for key in columns["plain, 0"]:
        print(f"| {key} |", " | ".join(_cell(c, key) for c in columns.values()), "|")
    for key in ("beside the passes", "whole step"):
        print(f"| {key}, no clock inside |", " | ".join(_cell(c, key) for c in light.values()), "|")


def _cell(column: dict[str, float], key: str) -> str:
    return f"{column[key]:.2f}, {column[key] / column['whole step']:.0%}"


def _cases(hardware: HardwareProfile) -> dict[str, tuple[TokenTree, float]]:
    """Trees with their temperatures: plain decoding, and what is planned for two."""
    cases = {"plain, 0": (TokenTree([-1]), 0.0)}
    for temperature in (0.0, 0.6):
        tree = make_plan(load_acceptance(bundled_acceptance(temperature)), hardware).tree
        cases[f"tree of {tree.size}, depth {tree.depth}, {temperature:g}"] = tree, temperature
    return cases


if __name__ == "__main__":
    main()
