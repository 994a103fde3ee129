"""Losslessness, a hardware profile, the benchmark, offload, on the machine's own torch.

    make gpu-check ARGS="--out build/gpu-check --like llama-2-7b"

First correctness: every method against Hugging Face's own text and the target's law, then captured
passes against dynamic ones. The benchmark runs trees planned for this machine, so the profile comes
before it; then plain decoding and Sequoia's once more without CUDA graphs. Passes of an offloaded
stand-in come last. Everything is said on the screen and kept in the folder: graphs.json,
hardware*.json, bench*.json, offload.json, and figures.md with the tables of all of them.
Needs torch, transformers and numpy of whatever versions the machine has, nothing of the
dashboard. Runs on the CPU as well, where passes of fixed shape are checked without graphs.
"""

import argparse
import io
import json
import sys
from contextlib import redirect_stdout
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import gpu_offload

from sequoia_core.cli import main as command
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


class Figures:
    """What was measured, section by section, on the screen and in a file that always has it all."""

    def __init__(self, path: Path):
        self._path = path
        path.write_text("# Figures\n", encoding="utf-8")

    def add(self, title: str, text: str) -> None:
        """Print a section and append it to the file."""
        print(text, flush=True)
        with self._path.open("a", encoding="utf-8") as stream:
            stream.write(f"\n## {title}\n\n{text.strip()}\n")

    def command(self, title: str, argv: list[str]) -> int:
        """Run a command and keep what it tells people; returns its status."""
        say(title)
        told = io.StringIO()
        with redirect_stdout(told):
            code = command(argv)
        self.add(title, told.getvalue())
        return code


def main() -> int:
    arguments = _arguments()
    arguments.out.mkdir(parents=True, exist_ok=True)
    page = Figures(arguments.out / "figures.md")
    code = verify(arguments, page) or graphs(arguments, page)
    for shape in [None, *arguments.like]:
        code = code or measure(arguments, shape, page)
    return code or offload(arguments, page)


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
    parser.add_argument("--offload-like", default="llama-2-7b", help="shape to offload; or none")
    return parser.parse_args()


def verify(arguments: argparse.Namespace, page: Figures) -> int:
    """Every method against Hugging Face's greedy text and the target's own law."""
    return page.command("Every method lossless in float32", [
        "verify", "--device", arguments.device, "--dtype", "float32",
        "--prompt-count", str(arguments.prompts), "--runs", str(arguments.runs),
        "--max-new-tokens", str(arguments.max_new_tokens),
    ])  # fmt: skip


def graphs(arguments: argparse.Namespace, page: Figures) -> int:
    """Captured passes against dynamic ones; 1 where a text differs. Writes graphs.json."""
    title = "The same text with captured passes as without, in float32"
    say(title)
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
    page.add(title, "\n".join(f"- {line}" for line in graph_lines(check)))
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


def measure(arguments: argparse.Namespace, shape: str | None, page: Figures) -> int:
    """Profile, then benchmarks with the trees planned from it. shape: of a stand-in, or None."""
    suffix = f"-{Path(shape).stem}" if shape else ""
    named = f" as {shape}" if shape else ""
    pair = ["--device", arguments.device, *(["--like", shape] if shape else [])]
    hardware = str(arguments.out / f"hardware{suffix}.json")
    repeats = ["--repeats", str(arguments.repeats)]
    code = page.command(f"Hardware profile{named}", ["profile", *pair, "--out", hardware, *repeats])
    runs = [(temperature, f"-t{temperature}", []) for temperature in TEMPERATURES]
    runs.append(("0", "-t0-no-graphs", ["--no-graphs", "--methods", WITHOUT_GRAPHS]))
    for temperature, kind, options in runs:
        if not code:
            without = ", without CUDA graphs" if options else ""
            code = page.command(f"Benchmark{named} at temperature {temperature}{without}", [
                "bench", *pair, "--hardware", hardware, "--temperature", temperature, *repeats,
                "--max-new-tokens", str(arguments.max_new_tokens), *options,
                "--out", str(arguments.out / f"bench{suffix}{kind}.json"),
            ])  # fmt: skip
    return code


def offload(arguments: argparse.Namespace, page: Figures) -> int:
    """Passes over streamed layers; 1 where they take too long."""
    path = arguments.out / "offload.json"
    if arguments.offload_like == "none":
        return 0
    title = "Offload beside the bound of its copies"
    say(title)
    path.unlink(missing_ok=True)
    code = gpu_offload.check(arguments.device, arguments.offload_like, path)
    if path.exists():
        page.add(title, gpu_offload.describe(json.loads(path.read_text(encoding="utf-8"))))
    return code


if __name__ == "__main__":
    sys.exit(main())
