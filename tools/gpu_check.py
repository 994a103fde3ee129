"""Losslessness, a hardware profile, the benchmark, and offload, on the machine's own torch.

    make gpu-check ARGS="--out build/gpu-check"

Needs torch, transformers and numpy of whatever versions the machine has, nothing of the
dashboard. Runs on the CPU as well.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import gpu_offload

from sequoia_core.cli import main as command


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("build/gpu-check"))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--prompts", type=int, default=20)
    parser.add_argument("--max-new-tokens", type=int, default=64)
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--offload-like", default="llama-2-7b", help="shape to offload; or none")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)

    device = ["--device", arguments.device]
    say("1. every method lossless in float32")
    failed = command([
        "verify", *device, "--dtype", "float32", "--prompt-count", str(arguments.prompts),
        "--max-new-tokens", str(arguments.max_new_tokens), "--runs", str(arguments.runs),
    ])  # fmt: skip
    if failed:
        return failed

    profile = str(arguments.out / "hardware.json")
    say("2. hardware profile")
    code = command(["profile", *device, "--out", profile, "--repeats", str(arguments.repeats)])
    for temperature in ("0", "0.6"):
        say(f"3. benchmark at temperature {temperature}")
        code = code or command([
            "bench", *device, "--hardware", profile, "--temperature", temperature,
            "--repeats", str(arguments.repeats),
            "--max-new-tokens", str(arguments.max_new_tokens),
            "--out", str(arguments.out / f"bench-t{temperature}.json"),
        ])  # fmt: skip
    if code or arguments.offload_like == "none":
        return code
    say("4. offload beside the bound of its copies")
    return gpu_offload.check(
        arguments.device, arguments.offload_like, arguments.out / "offload.json"
    )


if __name__ == "__main__":
    sys.exit(main())
