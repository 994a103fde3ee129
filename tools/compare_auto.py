"""The method `auto` against plain decoding and fixed plans, with a true and with wrong profiles.

    python tools/compare_auto.py --temperature 0.6 --repeats 5

All sides are interleaved in one process. A side `auto` keeps what it has learned from prompt to
prompt, as a server would; `auto, new` starts from the calibration and the profile at every prompt.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from sequoia_core.assets import asset
from sequoia_core.commands.calibrate import read_prompts
from sequoia_core.decode.engine import GenerationSettings
from sequoia_core.decode.methods import plain_method, static_method
from sequoia_core.decode.pair import ModelPair, PairSpec, load_pair
from sequoia_core.measure.auto import Auto
from sequoia_core.measure.compare import compare_named
from sequoia_core.measure.comparison import BASELINE
from sequoia_core.measure.methods import Method, engine_method
from sequoia_core.measure.summary import Summary, summarise
from sequoia_core.plan.acceptance import AcceptanceVector, load_acceptance
from sequoia_core.plan.hardware import HardwareProfile, load_hardware
from sequoia_core.plan.optimizer import make_plan
from sequoia_core.plan.presets import DEFAULT_HARDWARE, bundled_acceptance


def main() -> None:
    """Measure, then print a row a side and what the sides that remember have come to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--temperature", type=float, default=0.0)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--prompts", type=int, default=6)
    parser.add_argument("--max-new-tokens", type=int, default=128)
    parser.add_argument("--hardware", default=DEFAULT_HARDWARE)
    arguments = parser.parse_args()
    acceptance = load_acceptance(bundled_acceptance(arguments.temperature))
    hardware = load_hardware(arguments.hardware)
    pair = load_pair(PairSpec(device="cpu", dtype=hardware.dtype))
    settings = GenerationSettings(
        temperature=arguments.temperature, max_new_tokens=arguments.max_new_tokens
    )
    autos: dict[str, Auto] = {}
    sides = methods(pair, settings, acceptance, hardware, autos)
    prompts = read_prompts(asset("bench_prompts.jsonl"))[: arguments.prompts]
    comparison = compare_named(
        pair,
        sides,
        prompts,
        settings,
        repeats=arguments.repeats,
        progress=lambda _, text: print(text, file=sys.stderr),
    )
    print(f"temperature {arguments.temperature}\n\n{table(summarise(comparison))}\n")
    for name, auto in autos.items():
        size = f"{auto.tree.size} tokens, {auto.tree.depth} deep"
        print(f"{name}: at the end {size}; {auto.beliefs.words(auto.tree)}")


def wrong_profiles(hardware: HardwareProfile) -> dict[str, HardwareProfile]:
    """Those of other machines: one on which more tokens cost nothing, one with a slow draft."""
    one = hardware.target_seconds[0][1]
    free = tuple((tokens, one) for tokens, _ in hardware.target_seconds)
    slow = tuple((tokens, 3 * seconds) for tokens, seconds in hardware.draft_seconds)
    return {
        "free tokens": replace(hardware, target_seconds=free),
        "slow draft": replace(hardware, draft_seconds=slow),
    }


def methods(
    pair: ModelPair,
    settings: GenerationSettings,
    acceptance: AcceptanceVector,
    hardware: HardwareProfile,
    autos: dict[str, Auto],
) -> dict[str, Method]:
    """Every side; `autos` takes those that remember."""
    profiles = {"true profile": hardware, **wrong_profiles(hardware)}
    sides = {BASELINE: engine_method(pair, settings, plain_method())}
    for name, profile in profiles.items():
        fixed = static_method("sequoia", make_plan(acceptance, profile).tree)
        sides[f"planned, {name}"] = engine_method(pair, settings, fixed)
        autos[f"auto, {name}"] = Auto(acceptance, profile)
        sides[f"auto, {name}"] = engine_method(pair, settings, autos[f"auto, {name}"])
        sides[f"auto, new, {name}"] = always_new(pair, settings, acceptance, profile)
    return sides


def always_new(
    pair: ModelPair,
    settings: GenerationSettings,
    acceptance: AcceptanceVector,
    profile: HardwareProfile,
) -> Method:
    """`auto` that has learned nothing yet, at every prompt."""
    return lambda prompt, seed: engine_method(pair, settings, Auto(acceptance, profile))(
        prompt, seed
    )


def table(sides: list[Summary]) -> str:
    """Speedups over plain decoding: whole calls, with the interval over prompts; decoding alone."""
    lines = [
        "| side | speedup (interval) | decoding alone | tokens per step |",
        "|---|---|---|---|",
    ]
    for side in sides:
        whole = side.speedup
        spread = f"{whole.median:.2f} ({whole.low:.2f} to {whole.high:.2f})"
        alone = f"{side.decode_speedup.median:.2f} | {side.tokens_per_step:.2f}"
        lines.append(f"| {side.entry.method} | {spread} | {alone} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
