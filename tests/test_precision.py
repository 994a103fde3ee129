"""Low precision: which one a GPU takes, and texts that part from plain decoding's at near-ties."""

import json
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from sequoia_core.decode import loading
from sequoia_core.decode.engine import Engine, GenerationSettings
from sequoia_core.decode.loading import resolve_dtype
from sequoia_core.decode.pair import PairSpec, load_pair
from sequoia_core.tree.token_tree import TokenTree

PROMPTS = Path(__file__).parent / "story_prompts.json"
TREE = TokenTree([-1, 0, 0, 0, 0, 1, 1, 1, 2, 2, 5, 5, 6, 8, 10, 10])
# bfloat16 has 8 significant bits: this is what rounding makes of logits around 16.
NEAR_TIE = 0.25


def greedy(engine: Engine, prompt: list[int], tree: TokenTree) -> list[int]:
    run = engine.run(prompt, GenerationSettings(max_new_tokens=48), tree, trace=False)
    return [token for step in run for token in step.committed]


def test_bfloat16_texts_part_at_near_ties_only():
    low = Engine(load_pair(PairSpec(device="cpu", dtype="bfloat16")))
    exact = load_pair(PairSpec(device="cpu", dtype="float32")).target.model
    for prompt in json.loads(PROMPTS.read_text(encoding="utf-8"))[:8]:
        ids = low.pair.encode(prompt)
        plain, tree = greedy(low, ids, TokenTree([-1])), greedy(low, ids, TREE)
        differs = [ours != theirs for ours, theirs in zip(plain, tree, strict=True)]
        first = differs.index(True) if any(differs) else None
        if first is not None:
            with torch.inference_mode():
                logits = exact(torch.tensor([ids + plain[:first]])).logits[0, -1]
            assert abs(float(logits[plain[first]] - logits[tree[first]])) < NEAR_TIE


@pytest.mark.parametrize(("native", "expected"), [(True, "bfloat16"), (False, "float16")])
def test_a_gpu_that_only_emulates_bfloat16_decodes_in_float16(native, expected, monkeypatch):
    asked = []

    def supported(including_emulation=True):
        return native or including_emulation

    @contextmanager
    def current(device):
        asked.append(device)
        yield

    cuda = SimpleNamespace(is_bf16_supported=supported, device=current)
    monkeypatch.setattr(loading.torch, "cuda", cuda)
    second = torch.device("cuda", 1)
    assert resolve_dtype("auto", second) == getattr(torch, expected)
    assert asked == [second]
