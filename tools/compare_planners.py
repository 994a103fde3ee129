"""The planners judged on prompts that neither saw: predicted, replayed and measured tokens a step.

Calibrates on every second prompt, plans with the positional model, with the path model that counts
runs from everywhere and with the one settled on the starts of its own steps (family `empirical`),
and judges the trees on the other prompts; then the two halves change places, and both verdicts
are averaged. Prints a Markdown table for each temperature; progress goes to stderr.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from sequoia_core.commands.calibrate import read_prompts
from sequoia_core.decode.engine import Engine, GenerationSettings
from sequoia_core.decode.pair import ModelPair, PairSpec, load_pair
from sequoia_core.errors import SequoiaError
from sequoia_core.measure.calibration import Calibration, measure_acceptance
from sequoia_core.plan.acceptance import AcceptanceVector
from sequoia_core.plan.empirical import empirical_table, model_table, path_model
from sequoia_core.plan.expected import plan_table
from sequoia_core.plan.replay import ratio_over_texts, replay
from sequoia_core.tree.token_tree import TokenTree
from tools.planner_options import planner_options

PLANNERS = ("positional", "everywhere", "settled")
HEAD = "| T | n | planner | depth | predicted | replayed | error |"
MEASURED = " measured | error |"


@dataclass(frozen=True, slots=True)
class Verdict:
    """One planner's tree for one half: what it promised and what came of it on the other half."""

    depth: int
    predicted: float
    replayed: tuple[float, float]
    measured: tuple[float, float] | None


def arguments() -> argparse.Namespace:
    parser = planner_options(__doc__, max_new_tokens=128)
    parser.add_argument(
        "--measure", action="store_true", help="also run the engine with every tree (sequoia only)"
    )
    return parser.parse_args()


def main() -> None:
    options = arguments()
    if options.measure and options.rule != "sequoia":
        raise SystemExit("error: --measure runs Sequoia's verification; leave --rule at sequoia.")
    try:
        compare(options)
    except SequoiaError as error:
        raise SystemExit(f"error: {error}") from error


def compare(options: argparse.Namespace) -> None:
    """Measure, plan and judge; print the tables."""
    pair = load_pair(PairSpec(options.target, options.draft, options.device, options.dtype))
    prompts = read_prompts(options.prompts)
    for temperature in options.temperatures:
        settings = GenerationSettings(
            temperature=temperature, max_new_tokens=options.max_new_tokens, seed=options.seed
        )
        calibration = measure_acceptance(pair, prompts, settings, progress=say)
        print(f"\n{HEAD}{MEASURED if options.measure else ''}")
        print("|---" * (9 if options.measure else 7) + "|")
        # Planners often agree on a tree; it runs once.
        runs: dict[tuple[TokenTree, int], tuple[float, float]] = {}
        for budget in options.budgets:
            for planner in PLANNERS:
                halves = list(judge(pair, prompts, calibration, planner, budget, options, runs))
                print(row(temperature, budget, planner, halves), flush=True)


def judge(
    pair: ModelPair,
    prompts: Sequence[str],
    calibration: Calibration,
    planner: str,
    budget: int,
    options: argparse.Namespace,
    runs: dict[tuple[TokenTree, int], tuple[float, float]],
) -> Iterator[Verdict]:
    """Plan on either half of the prompts, judge on the other.

    runs: what was measured already, by tree and first unseen prompt; added to.
    """
    indices = range(len(prompts))
    for seen, unseen in ((indices[::2], indices[1::2]), (indices[1::2], indices[::2])):
        vector = calibration.vector(options.rule, prompts=seen)
        tree, predicted = planned(vector, planner, budget, options.max_depth)
        paths = calibration.vector(options.rule, prompts=unseen).paths
        outcome = replay(tree, paths)
        measured = None
        if options.measure:
            if (tree, unseen[0]) not in runs:
                own = [prompts[index] for index in unseen]
                runs[tree, unseen[0]] = run(pair, own, calibration.settings, tree)
            measured = runs[tree, unseen[0]]
        yield Verdict(
            tree.depth, predicted, (outcome.tokens_per_step, outcome.standard_error), measured
        )


def planned(
    vector: AcceptanceVector, planner: str, budget: int, max_depth: int
) -> tuple[TokenTree, float]:
    """The planner's best tree of this budget at any depth, and its own expected tokens."""
    limits = {"max_depth": max_depth, "max_branch": vector.ranks}
    if planner == "positional":
        table = plan_table(vector, max_budget=budget, **limits)
    elif planner == "everywhere":
        table = model_table(path_model(vector), max_budget=budget, **limits)
    else:
        table = empirical_table(vector, max_budget=budget, **limits)
    depth = int(np.argmax(table.expected_tokens[budget]))
    return table.tree(budget, depth), float(table.expected_tokens[budget, depth])


def run(
    pair: ModelPair, prompts: Sequence[str], settings: GenerationSettings, tree: TokenTree
) -> tuple[float, float]:
    """Tokens per step of real runs and their standard error."""
    tokens, steps = [], []
    for index, prompt in enumerate(prompts):
        say(index / len(prompts), f"running {tree!r}")
        # Seeds apart from those of the calibration texts.
        own = replace(settings, seed=settings.seed + 10_000 + index)
        text = Engine(pair).run(prompt, own, tree, trace=False)
        for _ in text:
            pass
        tokens.append(len(text.token_ids))
        steps.append(text.steps)
    outcome = ratio_over_texts(np.array(tokens), np.array(steps))
    return outcome.tokens_per_step, outcome.standard_error


def row(temperature: float, budget: int, planner: str, halves: list[Verdict]) -> str:
    """Both halves' mean as a line of the table."""
    depth = "/".join(str(half.depth) for half in halves)
    predicted = float(np.mean([half.predicted for half in halves]))
    cells = [f"{temperature:g}", str(budget), planner, depth, f"{predicted:.3f}"]
    cells += outcome(predicted, [half.replayed for half in halves])
    if halves[0].measured:
        cells += outcome(predicted, [half.measured for half in halves])
    return f"| {' | '.join(cells)} |"


def outcome(predicted: float, halves: list[tuple[float, float]]) -> list[str]:
    """Mean with its standard error, and how far the prediction is off."""
    mean = float(np.mean([value for value, _ in halves]))
    error = float(np.sqrt(sum(error**2 for _, error in halves)) / len(halves))
    return [f"{mean:.3f} ± {error:.3f}", f"{predicted / mean - 1:+.1%}"]


def say(fraction: float, text: str) -> None:
    print(f"{fraction:4.0%}  {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    main()
