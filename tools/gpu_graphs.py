"""Captured passes against dynamic ones: every method's text at temperature 0, in float32.

    python tools/gpu_graphs.py --out build/gpu-check/graphs.json

Status 1 where a text differs, beyond a near-tie. On a CPU passes of fixed shape are checked,
without graphs.
"""

import argparse
import sys
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from sequoia_core.commands.calibrate import read_prompts
from sequoia_core.decode.capture import default_capture, eager
from sequoia_core.decode.methods import NAMES
from sequoia_core.decode.pair import PairSpec, load_pair
from sequoia_core.files import write_json
from sequoia_core.measure.graph_check import GraphCheck, check_graphs


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


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


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--prompts", type=int, default=20)
    parser.add_argument("--max-new-tokens", type=int, default=64)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    pair = load_pair(PairSpec(device=arguments.device, dtype="float32"))
    check = check_graphs(
        pair,
        NAMES,
        read_prompts(None)[: arguments.prompts],
        arguments.max_new_tokens,
        default_capture(pair.device) or eager,
        lambda fraction, text: say(f"{fraction:4.0%}  {text}"),
    )
    write_json(arguments.out, asdict(check) | {"passed": check.passed})
    print("\n".join(f"- {line}" for line in graph_lines(check)))
    return 0 if check.passed else 1


if __name__ == "__main__":
    sys.exit(main())
