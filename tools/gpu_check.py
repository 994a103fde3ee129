"""Correctness, then the benchmark, then a hardware profile, on the machine's own torch.

    make gpu-check ARGS="--out build/gpu-check"

Needs torch, transformers and numpy of whatever versions the machine has, nothing of the
dashboard. Runs on the CPU as well, which is how it is tested.
"""

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch

from sequoia_core.cli import main as command
from sequoia_core.commands.calibrate import read_prompts
from sequoia_core.decode.engine import Engine, GenerationSettings
from sequoia_core.decode.pair import ModelPair, PairSpec, load_pair
from sequoia_core.tree.token_tree import TokenTree

TREE = TokenTree([-1, 0, 0, 0, 0, 1, 1, 1, 2, 2, 5, 5, 6, 8, 10, 10])
PLAIN = TokenTree([-1])


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def differing_prompts(pair: ModelPair, prompts: list[str], new_tokens: int) -> list[str]:
    """Prompts whose greedy text differs between the tree, plain decoding and HF generate."""
    settings = GenerationSettings(max_new_tokens=new_tokens)
    engine, wrong = Engine(pair), []
    for prompt in prompts:
        texts = []
        for tree in (TREE, PLAIN):
            run = engine.run(prompt, settings, tree, trace=False)
            texts.append([token for step in run for token in step.committed])
        ids = torch.tensor([pair.encode(prompt)], device=pair.device)
        theirs = pair.target.model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=new_tokens, do_sample=False
        )
        texts.append(theirs[0, ids.shape[1] :].tolist())
        if not texts[0] == texts[1] == texts[2]:
            wrong.append(prompt)
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("build/gpu-check"))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--prompts", type=int, default=20)
    parser.add_argument("--max-new-tokens", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)

    say("1. greedy texts in float32: tree, plain decoding, Hugging Face generate")
    pair = load_pair(PairSpec(device=arguments.device, dtype="float32"))
    prompts = read_prompts(None)[: arguments.prompts]
    wrong = differing_prompts(pair, prompts, arguments.max_new_tokens)
    say(f"   {len(prompts) - len(wrong)} of {len(prompts)} prompts give the same tokens")
    if wrong:
        print(json.dumps({"differing": wrong}))
        return 1

    profile = str(arguments.out / "hardware.json")
    device = ["--device", arguments.device]
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
    return code


if __name__ == "__main__":
    sys.exit(main())
