"""Why the planners agree or differ on a pair: how bursty its acceptance is, and what that is worth.

Prints three Markdown tables for each temperature: how the chance of the first child depends on the
tokens before; where a positional prediction and a replay on unseen texts part, cause by cause; and
how much the best static tree gains that is planned on the very texts it is judged on, then the same
for these texts with their ranks in random order, which have no bursts. Progress goes to stderr.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from sequoia_core.commands.calibrate import read_prompts
from sequoia_core.decode.pair import ModelPair, PairSpec, load_pair
from sequoia_core.decode.settings import GenerationSettings
from sequoia_core.errors import SequoiaError
from sequoia_core.measure.calibration import Calibration, measure_acceptance
from sequoia_core.measure.texts import write_texts
from sequoia_core.plan.acceptance import AcceptanceVector
from sequoia_core.plan.empirical import PathModel, model_table
from sequoia_core.plan.expected import expected_tokens, plan_table
from sequoia_core.plan.paths import PathStatistics, PathTrie
from sequoia_core.plan.replay import ratio_over_texts, replay, step_starts, walk_lengths
from sequoia_core.plan.table import PlanTable
from sequoia_core.tree.token_tree import TokenTree
from tools.planner_options import planner_options

Texts = Sequence[np.ndarray]
LAGS = (1, 2, 5, 20)
HEAD_TOKENS = 24
# Strengths that fit a text ever less closely; the first repeats it to the letter.
OVERFITTED = (1e-9, 3.0, 10.0, 30.0, 100.0)
ROUNDS = 4


def arguments() -> argparse.Namespace:
    parser = planner_options(__doc__, max_new_tokens=256)
    parser.add_argument("--rounds", type=int, default=2, help="texts for each prompt")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    try:
        pair = load_pair(PairSpec(options.target, options.draft, options.device, options.dtype))
        prompts = varied(pair, read_prompts(options.prompts), options)
        for temperature in options.temperatures:
            settings = GenerationSettings(
                temperature=temperature, max_new_tokens=options.max_new_tokens, seed=options.seed
            )
            calibration = measure_acceptance(pair, prompts, settings, progress=say)
            report(calibration, options)
    except SequoiaError as error:
        raise SystemExit(f"error: {error}") from error


def varied(pair: ModelPair, prompts: list[str], options: argparse.Namespace) -> list[str]:
    """The prompts, and for each further round the same with a beginning of its own.

    The beginnings are the target's, at temperature 1, so that texts differ at temperature 0 too.
    """
    everything = list(prompts)
    for index in range(1, options.rounds):
        settings = GenerationSettings(
            temperature=1.0, max_new_tokens=HEAD_TOKENS, seed=options.seed + 1000 * index
        )
        heads = write_texts(pair, prompts, settings)
        # A beginning that ends a text leaves nothing to continue.
        whole = [head.token_ids[-1] not in pair.end_tokens for head in heads]
        everything += [
            prompt + pair.decode(head.token_ids)
            for prompt, head, goes_on in zip(prompts, heads, whole, strict=True)
            if goes_on
        ]
    return everything


def report(calibration: Calibration, options: argparse.Namespace) -> None:
    """All tables of one temperature."""
    samples = calibration.samples[options.rule]
    texts = [sample.ranks.numpy() for sample in samples]
    temperature = calibration.settings.temperature
    print(f"\n## T = {temperature:g}: {len(texts)} texts, {sum(map(len, texts)):,} positions\n")
    print_bursts(texts)
    print_head("n", "predicted", "unseen rates", "unseen ranks", "anywhere", "starts", "replayed")
    for budget in options.budgets:
        halves = list(causes(calibration, budget, options))
        print(cause_row(budget, halves), flush=True)
    print_head("n", *("positional", "best in hindsight", "gain") * 2)
    shuffled = [np.random.default_rng(0).permutation(ranks) for ranks in texts]
    for budget in options.budgets:
        cells = [str(budget)]
        for ranks in (texts, shuffled):
            own, best = hindsight(ranks, calibration.width, budget, options.max_depth)
            cells += [f"{own:.3f}", f"{best:.3f}", f"{best / own - 1:+.1%}"]
        print(f"| {' | '.join(cells)} |", flush=True)


def print_head(*names: str) -> None:
    print(f"\n| {' | '.join(names)} |\n{'|---' * len(names)}|")


def print_bursts(texts: Texts) -> None:
    """How often the first child is accepted, by what came before; errors over texts."""
    print("| the token is the first child | rate |\n|---|---|")
    hits = [ranks == 0 for ranks in texts]
    rate, error = over_texts(hits, lambda hit: np.ones(len(hit), bool), lambda hit: hit)
    print(f"| anywhere | {rate:.4f} ± {error:.4f} |")
    for wanted, word in ((True, "accepted"), (False, "missed")):
        for count in (1, 2, 4) if wanted else (1, 2):
            value = over_texts(hits, lambda hit, w=wanted, c=count: after(hit, w, c), np.asarray)
            print(f"| after {count} first children {word} | {value[0]:.4f} ± {value[1]:.4f} |")
    for lag in LAGS:
        value = over_texts(
            hits,
            lambda hit, lag=lag: np.arange(len(hit)) >= lag,
            lambda hit, lag=lag: (hit - rate) * (np.roll(hit, lag) - rate) / (rate * (1 - rate)),
        )
        print(f"| correlation at a distance of {lag} | {value[0]:+.3f} ± {value[1]:.3f} |")


def over_texts(
    hits: Texts,
    where: Callable[[np.ndarray], np.ndarray],
    what: Callable[[np.ndarray], np.ndarray],
) -> tuple[float, float]:
    """Mean of `what` over the positions `where`, and its standard error over texts."""
    sums = np.array([what(hit)[where(hit)].sum() for hit in hits], dtype=float)
    outcome = ratio_over_texts(sums, np.array([where(hit).sum() for hit in hits]))
    return outcome.tokens_per_step, outcome.standard_error


def after(hit: np.ndarray, wanted: bool, count: int) -> np.ndarray:
    """Positions whose `count` predecessors were all first children, or all not."""
    found = np.zeros(len(hit), dtype=bool)
    if len(hit) > count:
        same = np.lib.stride_tricks.sliding_window_view(hit == wanted, count)
        found[count:] = same[:-1].all(-1)
    return found


def causes(
    calibration: Calibration, budget: int, options: argparse.Namespace
) -> Iterator[tuple[list[float], float]]:
    """For either half of the texts: what a tree planned on it promises, step by step to replay.

    The steps: the seen half's rates; the unseen half's; how often ranks really occurred there;
    walks from anywhere; walks from where steps start, both with whole steps only; and replay,
    whose last steps the texts' ends cut short, with its standard error.
    """
    indices = range(len(calibration.samples[options.rule]))
    for seen, unseen in ((indices[::2], indices[1::2]), (indices[1::2], indices[::2])):
        vectors = [calibration.vector(options.rule, prompts=half) for half in (seen, unseen)]
        tree = best_tree(
            plan_table(vectors[0], max_budget=budget, max_depth=min(options.max_depth, budget - 1)),
            budget,
        )
        paths = vectors[1].paths
        counted = AcceptanceVector(options.rule, rank_rates(paths.sequences, paths.width))
        chain = [expected_tokens(tree, vector) for vector in (*vectors, counted)]
        outcome = replay(tree, paths)
        chain += [*whole_steps(tree, paths.sequences), outcome.tokens_per_step]
        yield chain, outcome.standard_error


def cause_row(budget: int, halves: list[tuple[list[float], float]]) -> str:
    """Both halves' mean, every value after the first with its difference from the one before."""
    values = np.mean([chain for chain, _ in halves], axis=0)
    error = np.sqrt(sum(error**2 for _, error in halves)) / len(halves)
    steps = [f"{now:.3f} ({now / last - 1:+.1%})" for last, now in pairwise(values)]
    steps[-1] = steps[-1].replace(" (", f" ± {error:.3f} (")
    return f"| {budget} | {values[0]:.3f} | {' | '.join(steps)} |"


def rank_rates(texts: Texts, width: int) -> np.ndarray:
    """How often each rank occurred, float64 [width]."""
    flat = np.concatenate(texts)
    return np.bincount(flat[flat >= 0], minlength=width) / len(flat)


def whole_steps(tree: TokenTree, texts: Texts) -> tuple[float, float]:
    """Tokens of a step from anywhere and from where steps start, of those no end can cut."""
    sums = np.zeros((2, 2))
    for ranks in texts:
        tokens = walk_lengths(tree, ranks) + 1
        last = len(ranks) - tree.depth
        starts = step_starts(tree, ranks)
        for kind, places in enumerate((np.arange(max(last, 0)), starts[starts < last])):
            sums[kind] += tokens[places].sum(), len(places)
    return tuple((sums[:, 0] / sums[:, 1]).tolist())


def hindsight(texts: Texts, width: int, budget: int, max_depth: int) -> tuple[float, float]:
    """Replayed tokens per step of the positional tree and of the best tree found, on its own texts.

    The best is that of path models fitted ever less closely, from everywhere and from their own
    steps' starts. Nothing is held out, so this is more than any planner can do on new texts.
    """
    paths = PathStatistics(width, list(texts))
    rates, limits = rank_rates(texts, width), (budget, min(max_depth, budget - 1), width)
    vector = AcceptanceVector("sequoia", rates)
    own = best_tree(plan_table(vector, max_budget=budget, max_depth=limits[1]), budget)
    best = done = replay(own, paths).tokens_per_step
    trie = PathTrie(paths.sequences, width)
    offsets = np.cumsum([0, *map(len, texts)])[:-1]
    for strength in OVERFITTED:
        model = PathModel(trie, rates, strength)
        for _ in range(ROUNDS):
            tree = best_tree(model_table(model, *limits), budget)
            best = max(best, replay(tree, paths).tokens_per_step)
            parts = [step_starts(tree, ranks) for ranks in texts]
            starts = np.concatenate([o + part for o, part in zip(offsets, parts, strict=True)])
            counted = PathTrie(paths.sequences, width, starts=starts)
            model = PathModel(trie, rates, strength, counted)
    return done, best


def best_tree(table: PlanTable, budget: int) -> TokenTree:
    """The table's tree of this budget with the most expected tokens."""
    return table.tree(budget, int(np.nanargmax(table.expected_tokens[budget])))


def say(fraction: float, text: str) -> None:
    print(f"{fraction:4.0%}  {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    main()
