"""Where greedy texts in low precision first part, and how close the two tokens were.

    python -m tools.near_ties --dtype bfloat16

Writes every prompt with plain decoding and with a tree. Where the texts part, the target's two
logits are looked up in float32: a tie there is what rounding may decide either way.
"""

import argparse
from statistics import median

import torch

from sequoia_core.assets import asset
from sequoia_core.commands.calibrate import read_prompts
from sequoia_core.decode.engine import Engine, GenerationSettings
from sequoia_core.decode.pair import ModelPair, PairSpec, load_pair
from sequoia_core.tree.token_tree import TokenTree

PLAIN = TokenTree([-1])
TREE = TokenTree([-1, 0, 0, 0, 0, 1, 1, 1, 2, 2, 5, 5, 6, 8, 10, 10])


def greedy(pair: ModelPair, prompt_ids: list[int], tree: TokenTree, new_tokens: int) -> list[int]:
    """The text written at temperature 0."""
    settings = GenerationSettings(max_new_tokens=new_tokens)
    run = Engine(pair).run(prompt_ids, settings, tree, trace=False)
    return [token for step in run for token in step.committed]


@torch.inference_mode()
def teacher_forced(pair: ModelPair, prompt_ids: list[int], text: list[int]) -> torch.Tensor:
    """The target's logits for each token of the text, [tokens, vocab]."""
    ids = torch.tensor([[*prompt_ids, *text]])
    return pair.target.model(input_ids=ids).logits[0, len(prompt_ids) - 1 : -1].float()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--max-new-tokens", type=int, default=128)
    arguments = parser.parse_args()
    low = load_pair(PairSpec(device="cpu", dtype=arguments.dtype))
    exact = load_pair(PairSpec(device="cpu", dtype="float32"))
    prompts = read_prompts(asset("bench_prompts.jsonl")) + read_prompts(None)
    gaps, usual = [], []
    for prompt in prompts:
        ids = low.encode(prompt)
        texts = [greedy(low, ids, tree, arguments.max_new_tokens) for tree in (PLAIN, TREE)]
        logits = teacher_forced(exact, ids, texts[0])
        best = logits.topk(2).values
        usual.extend((best[:, 0] - best[:, 1]).tolist())
        parting = [i for i, (a, b) in enumerate(zip(*texts, strict=True)) if a != b]
        if parting:
            a, b = (text[parting[0]] for text in texts)
            gaps.append(abs(float(logits[parting[0], a] - logits[parting[0], b])))
            print(
                f"token {parting[0]}: {low.piece(a)!r} or {low.piece(b)!r}, "
                f"float32 logits {gaps[-1]:.3f} apart at {logits[parting[0], a]:.1f}"
            )
    print(f"{len(gaps)} of {len(prompts)} texts part; float32 margins:")
    if gaps:
        print(f"at the partings median {median(gaps):.3f}, largest {max(gaps):.3f}")
    below = sum(gap < max(gaps, default=0) for gap in usual) / len(usual)
    print(
        f"at all {len(usual)} tokens median {median(usual):.3f}; {below:.1%} are below the largest"
    )


if __name__ == "__main__":
    main()
