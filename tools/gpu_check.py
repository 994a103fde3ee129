"""Losslessness, a hardware profile, the benchmark and a table of it, on the machine's own torch.

    make gpu-check ARGS="--out build/gpu-check --like llama-2-7b"

First correctness: every method against Hugging Face's own text and the target's law, then captured
passes against dynamic ones. The benchmark runs trees planned for this machine, so the profile comes
before it; then plain decoding and Sequoia's once more without CUDA graphs. Everything is said on
the screen and kept in the folder: graphs.json, hardware*.json, bench*.json, figures.md.
Needs torch, transformers and numpy of whatever versions the machine has, nothing of the
dashboard. Runs on the CPU as well, where passes of fixed shape are checked without graphs.
"""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from sequoia_core.cli import main as command
from sequoia_core.commands import bench, profile
from sequoia_core.commands.calibrate import read_prompts
from sequoia_core.decode.capture import default_capture, eager
from sequoia_core.decode.methods import NAMES
from sequoia_core.decode.pair import PairSpec, load_pair
from sequoia_core.files import write_json
from sequoia_core.measure.graph_check import GraphCheck, check_graphs

TEMPERATURES = ("0", "0.6")
# What is measured once more without graphs.
WITHOUT_GRAPHS = "autoregressive,sequoia"


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main() -> int:
    arguments = _arguments()
    arguments.out.mkdir(parents=True, exist_ok=True)
    code = verify(arguments) or graphs(arguments)
    for shape in [None, *arguments.like]:
        code = code or measure(arguments, shape)
    if not code:
        (arguments.out / "figures.md").write_text(figures(arguments.out), encoding="utf-8")
        say(f"figures in {arguments.out / 'figures.md'}")
    return code


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("build/gpu-check"))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--prompts", type=int, default=20)
    parser.add_argument("--max-new-tokens", type=int, default=64)
    parser.add_argument("--runs", type=int, default=500)
    # The round in which passes are captured is slow: of nine, the quartiles leave it out.
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument(
        "--like", action="append", default=[], help="measure a stand-in of this shape as well"
    )
    return parser.parse_args()


def verify(arguments: argparse.Namespace) -> int:
    """Every method against Hugging Face's greedy text and the target's own law."""
    say("1. every method lossless in float32")
    return command([
        "verify", "--device", arguments.device, "--dtype", "float32",
        "--prompt-count", str(arguments.prompts), "--runs", str(arguments.runs),
        "--max-new-tokens", str(arguments.max_new_tokens),
    ])  # fmt: skip


def graphs(arguments: argparse.Namespace) -> int:
    """Captured passes against dynamic ones; 1 where a text differs. Writes graphs.json."""
    say("2. the same text with captured passes as without, in float32")
    pair = load_pair(PairSpec(device=arguments.device, dtype="float32"))
    check = check_graphs(
        pair,
        NAMES,
        read_prompts(None)[: arguments.prompts],
        arguments.max_new_tokens,
        default_capture(pair.device) or eager,
        lambda fraction, text: say(f"{fraction:4.0%}  {text}"),
    )
    write_json(arguments.out / "graphs.json", asdict(check) | {"passed": check.passed})
    print("\n".join(graph_lines(check)), flush=True)
    return 0 if check.passed else 1


def graph_lines(check: GraphCheck) -> list[str]:
    """The check for people."""
    lines = []
    for row in check.rows:
        ties = sum(parting.near_tie for parting in row.partings)
        lines.append(
            f"{row.method}: {row.identical} of {row.prompts} texts the same with captured passes, "
            f"{ties} part at near-ties, {len(row.partings) - ties} differ"
        )
    for model in check.models:
        refused = f"; no more since {model.refused}" if model.refused else ""
        lines.append(f"{model.model}: {model.passes} shapes of pass captured{refused}")
    return lines


def measure(arguments: argparse.Namespace, shape: str | None) -> int:
    """Profile, then benchmarks with the trees planned from it. shape: of a stand-in, or None."""
    suffix = f"-{Path(shape).stem}" if shape else ""
    named = f" as {shape}" if shape else ""
    pair = ["--device", arguments.device, *(["--like", shape] if shape else [])]
    hardware = str(arguments.out / f"hardware{suffix}.json")
    repeats = ["--repeats", str(arguments.repeats)]
    say(f"3. hardware profile{named}")
    code = command(["profile", *pair, "--out", hardware, *repeats])
    runs = [(temperature, f"-t{temperature}", []) for temperature in TEMPERATURES]
    runs.append(("0", "-t0-no-graphs", ["--no-graphs", "--methods", WITHOUT_GRAPHS]))
    for temperature, kind, options in runs:
        if not code:
            say(f"4. benchmark{named} at temperature {temperature} {' '.join(options)}")
            code = command([
                "bench", *pair, "--hardware", hardware, "--temperature", temperature, *repeats,
                "--max-new-tokens", str(arguments.max_new_tokens), *options,
                "--out", str(arguments.out / f"bench{suffix}{kind}.json"),
            ])  # fmt: skip
    return code


def figures(folder: Path) -> str:
    """Everything that was measured into the folder, as Markdown."""
    parts = ["# Figures", ""]
    for path in sorted(folder.glob("hardware*.json")):
        parts += [f"## {path.stem}", "", profile.describe(_read(path)), ""]
    for path in sorted(folder.glob("bench*.json")):
        parts += [f"## {path.stem}", "", bench.describe(_read(path)), ""]
    return "\n".join(parts)


def _read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


if __name__ == "__main__":
    sys.exit(main())
