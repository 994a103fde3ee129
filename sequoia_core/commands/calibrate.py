"""`calibrate`: measure a pair's acceptance vectors on the target's own text."""

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from sequoia_core.commands._models import (
    Say,
    add_model_arguments,
    add_parallel_argument,
    add_sampling_arguments,
    by_fraction,
    load_named_pair,
    sampling_settings,
)
from sequoia_core.commands._prompts import add_chat_argument, encoded, read_prompts
from sequoia_core.errors import InputError
from sequoia_core.files import check_writable, write_json
from sequoia_core.measure.calibration import WIDTH, check_amount, measure_acceptance
from sequoia_core.plan.acceptance import RULES

ALL = "all"
# Where torchrun has started several processes, each runs this command and takes some prompts.
SPLITS_PROMPTS = True


def add_parser(subparsers: Any) -> ArgumentParser:
    """Declare the command's options; returns its parser."""
    parser = subparsers.add_parser(
        "calibrate",
        description="Measure how often the target accepts the draft's tokens, on texts that the "
        "target writes itself. The file is what plan, generate and bench take as --acceptance.",
    )
    add_model_arguments(parser)
    add_parallel_argument(parser)
    parser.add_argument("--prompts", help="JSON lines with a 'text' each; default: bundled ones")
    add_chat_argument(parser)
    add_sampling_arguments(parser)
    parser.add_argument("--width", type=int, default=WIDTH, help="children drawn at a position")
    parser.add_argument(
        "--rule",
        default="sequoia",
        help=f"verification: {', '.join(RULES)}, several with commas between them, or {ALL}; one "
        "measurement serves them all",
    )
    parser.add_argument(
        "--out",
        required=True,
        help="file to write; with several rules each has its own, the rule's name before the "
        "ending: pair.json becomes pair.sequoia.json, pair.topk.json",
    )
    return parser


def run(arguments: Namespace, progress: Say) -> dict[str, Any]:
    """Measure; writes a `sequoia-acceptance` file for each rule.

    Returns the file's content for one rule; for several `files` and `vectors`, each by rule.
    """
    check_writable(arguments.out)
    rules = named_rules(arguments.rule)
    files = out_files(Path(arguments.out), rules)
    for file in files.values():
        check_writable(file)
    settings = sampling_settings(arguments)
    prompts = read_prompts(Path(arguments.prompts) if arguments.prompts else None)
    check_amount(len(prompts), arguments.width)
    pair = load_named_pair(arguments, progress)
    calibration = measure_acceptance(
        pair,
        encoded(pair, prompts, arguments.chat),
        settings,
        width=arguments.width,
        progress=by_fraction(progress),
        team=arguments.team,
    )
    vectors = {rule: calibration.vector(rule).to_dict() for rule in rules}
    for rule, file in files.items() if arguments.team.is_main else ():
        write_json(file, vectors[rule])
    if len(rules) == 1:
        return vectors[rules[0]]
    return {"files": {rule: str(file) for rule, file in files.items()}, "vectors": vectors}


def named_rules(text: str) -> list[str]:
    """The rules that --rule names, each once; InputError for one that is unknown."""
    if text.strip() == ALL:
        return list(RULES)
    rules = list(dict.fromkeys(rule.strip() for rule in text.split(",")))
    unknown = [rule for rule in rules if rule not in RULES]
    if unknown:
        raise InputError(
            f"--rule must be one of {', '.join(RULES)}, a list of them with commas between, or "
            f"{ALL}; got {unknown[0]!r}."
        )
    return rules


def out_files(out: Path, rules: list[str]) -> dict[str, Path]:
    """Where each rule's vector is written: `out` itself, or with the rule before its ending."""
    if len(rules) == 1:
        return {rules[0]: out}
    return {rule: out.with_name(f"{out.stem}.{rule}{out.suffix}") for rule in rules}


def describe(result: dict[str, Any]) -> str:
    """The first entries with their standard errors, for people; of several rules one by one."""
    if "vectors" not in result:
        return _describe_vector(result)
    parts = [
        f"{_describe_vector(vector)}\nwritten to {result['files'][rule]}"
        for rule, vector in result["vectors"].items()
    ]
    return "\n\n".join(parts)


def _describe_vector(vector: dict[str, Any]) -> str:
    pairs = list(zip(vector["probabilities"], vector["standard_errors"], strict=True))[:8]
    entries = "  ".join(f"{p:.4f} ± {error:.4f}" for p, error in pairs)
    return (
        f"{vector['target']} with {vector['draft']} at temperature {vector['temperature']}, "
        f"rule {vector['rule']}\n"
        f"acceptance by child: {entries} ...\n"
        f"sum {sum(vector['probabilities']):.4f} over {len(vector['probabilities'])} children, "
        f"{vector['origin']}"
    )
