"""`verify`: is every method lossless for this pair, on this device, in this dtype?"""

from argparse import ArgumentParser, Namespace
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sequoia_core.assets import asset
from sequoia_core.commands._models import Say, add_model_arguments, by_fraction, load_named_pair
from sequoia_core.commands.calibrate import read_prompts
from sequoia_core.decode.methods import AUTOREGRESSIVE
from sequoia_core.decode.pair import ModelPair
from sequoia_core.decode.settings import GenerationSettings
from sequoia_core.errors import InputError
from sequoia_core.files import check_integer, check_number
from sequoia_core.measure.profiler import device_name
from sequoia_core.measure.proof import (
    LEVEL,
    PROVED,
    GreedyRow,
    SampledRow,
    greedy_rows,
    sampled_rows,
)

PASSED, FAILED = "lossless", "not lossless"
SAMPLED_PROMPT_TOKENS = 12


def add_parser(subparsers: Any) -> ArgumentParser:
    """Declare the command's options; returns its parser."""
    parser = subparsers.add_parser(
        "verify",
        description="Check on a pair that every method writes what the target alone would.",
    )
    add_model_arguments(parser)
    parser.add_argument("--methods", default=",".join(PROVED), help="comma-separated")
    parser.add_argument("--prompts", help="JSON lines with a 'text' each; default: bundled ones")
    parser.add_argument("--prompt-count", type=int, default=50, help="greedy texts compared")
    parser.add_argument("--max-new-tokens", type=int, default=128, help="in each greedy text")
    parser.add_argument(
        "--temperatures", default="0.3,0.6,1.0", help="of the sampled runs, comma-separated"
    )
    parser.add_argument("--top-ps", default="0.8,1.0", help="of the sampled runs, comma-separated")
    parser.add_argument("--runs", type=int, default=1000, help="sampled runs of a setting")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first sampled run")
    return parser


def run(arguments: Namespace, progress: Say) -> dict[str, Any]:
    """Check; returns the rows of both comparisons and the verdict."""
    names = _names(arguments.methods)
    check_integer(arguments.prompt_count, "--prompt-count", low=1, high=1000)
    check_integer(arguments.runs, "--runs", low=100, high=10**6)
    samplings = [
        (temperature, top_p)
        for temperature in _numbers(arguments.temperatures, "--temperatures", 10)
        for top_p in _numbers(arguments.top_ps, "--top-ps", 1)
    ]
    GenerationSettings(max_new_tokens=arguments.max_new_tokens, seed=arguments.seed)
    prompts = _prompts(arguments)
    pair = load_named_pair(arguments, progress)
    names, left_out = _possible(pair, names)
    say = by_fraction(progress)
    greedy = greedy_rows(pair, names, prompts, arguments.max_new_tokens, say)
    start = pair.encode(prompts[0])[:SAMPLED_PROMPT_TOKENS]
    sampled = sampled_rows(
        pair, names, start, samplings, runs=arguments.runs, seed=arguments.seed, progress=say
    )
    return _result(pair, greedy, sampled, left_out)


def status(result: dict[str, Any]) -> int:
    """Exit status: 1 where a check failed."""
    return int(result["verdict"] != PASSED)


def _names(text: str) -> list[str]:
    names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    unknown = [name for name in names if name not in PROVED]
    if unknown or not names:
        raise InputError(
            f"There is no method '{(unknown or [''])[0]}'; choose from {', '.join(PROVED)}."
        )
    return names


def _numbers(text: str, option: str, high: float) -> list[float]:
    """Numbers above 0 of a comma-separated option."""
    try:
        numbers = [float(word) for word in text.split(",")]
    except ValueError:
        raise InputError(f"{option} must be numbers with commas between, got '{text}'.") from None
    for number in numbers:
        check_number(number, option, low=1e-6, high=high)
    return numbers


def _prompts(arguments: Namespace) -> list[str]:
    """As many prompts as wished; where there are too few, the second halves of their texts too."""
    if arguments.prompts:
        texts = read_prompts(Path(arguments.prompts))
    else:
        texts = read_prompts(None) + read_prompts(asset("prompts.jsonl"))
    halves = [text[len(text) // 2 :].partition(" ")[2].strip() for text in texts]
    return [*texts, *filter(None, halves)][: arguments.prompt_count]


def _possible(pair: ModelPair, names: list[str]) -> tuple[list[str], list[str]]:
    """Methods that the pair can run, and those that it cannot, for want of tree attention."""
    if pair.shape_support.trees:
        return names, []
    kept = [name for name in names if name in (AUTOREGRESSIVE, "chain")]
    return kept, [name for name in names if name not in kept]


def _result(
    pair: ModelPair, greedy: list[GreedyRow], sampled: list[SampledRow], left_out: list[str]
) -> dict[str, Any]:
    passed = all(row.passed for row in [*greedy, *sampled])
    return {
        "verdict": PASSED if passed else FAILED,
        "self_test": asdict(pair.shape_support),
        "not_run": left_out,
        "greedy": [asdict(row) | {"passed": row.passed} for row in greedy],
        "sampled": [asdict(row) | {"passed": row.passed} for row in sampled],
        "level": LEVEL,
        "target": pair.target_name,
        "draft": pair.draft_name,
        "device": device_name(pair.device),
        "dtype": pair.dtype,
    }


def describe(result: dict[str, Any]) -> str:
    """The verdict and both tables in Markdown."""
    return "\n".join(
        [
            f"{result['target']} with {result['draft']}, {result['dtype']}, {result['device']}",
            "",
            *_self_test_lines(result),
            *_greedy_lines(result["greedy"]),
            *_sampled_lines(result["sampled"]),
            f"Verdict: {result['verdict']}.",
        ]
    )


def _self_test_lines(result: dict[str, Any]) -> list[str]:
    if result["self_test"]["trees"]:
        return ["Tree attention agrees with plain forward passes.", ""]
    return [f"{result['self_test']['reason']} Not run: {', '.join(result['not_run'])}.", ""]


def _greedy_lines(rows: list[dict[str, Any]]) -> list[str]:
    lines = [
        "| temperature 0 against Hugging Face generate | same tokens | parted at near-ties | "
        "differ |",
        "|---|---|---|---|",
    ]
    for row in rows:
        ties = sum(parting["near_tie"] for parting in row["partings"])
        lines.append(
            f"| {row['method']} | {row['identical']} of {row['prompts']} | {ties} | "
            f"{len(row['partings']) - ties} |"
        )
    return [*lines, *(_parting(row, place) for row in rows for place in row["partings"]), ""]


def _parting(row: dict[str, Any], place: dict[str, Any]) -> str:
    gap = place["gap"]
    how = "one text has ended" if gap is None else f"logits {gap:.2g} standard deviations apart"
    return (
        f"{row['method']}, prompt {place['prompt'] + 1}, token {place['position'] + 1}: "
        f"{place['ours']} instead of {place['theirs']}, {how}"
    )


def _sampled_lines(rows: list[dict[str, Any]]) -> list[str]:
    """A column for each temperature and top-p, holding p-values."""
    cells = {(row["method"], row["temperature"], row["top_p"]): row for row in rows}
    methods = list(dict.fromkeys(row["method"] for row in rows))
    samplings = list(dict.fromkeys((row["temperature"], row["top_p"]) for row in rows))
    heads = [f"T {temperature:g}, top-p {top_p:g}" for temperature, top_p in samplings]
    lines = [
        f"| first two tokens against the target's law: p-values, {LEVEL:g} or less fails | "
        f"{' | '.join(heads)} |",
        "|---" * (len(heads) + 1) + "|",
    ]
    for method in methods:
        row = [cells[method, *sampling] for sampling in samplings]
        shown = [f"{cell['p_value']:.3f}{'' if cell['passed'] else ' fails'}" for cell in row]
        lines.append(f"| {method} | {' | '.join(shown)} |")
    return [*lines, ""]
