"""Packed linear layers compute what plain ones do, on their own and inside a model."""

import json
from pathlib import Path

import pytest
import torch
from fakes import tiny_llama
from torch import nn
from transformers import AutoModelForCausalLM

from sequoia_core.assets import asset
from sequoia_core.decode.model import TreeModel
from sequoia_core.decode.packing import PackedLinear, native_dtypes, pack_linears, packing_works
from sequoia_core.decode.pair import PairSpec, load_pair
from sequoia_core.decode.self_test import self_test

PROMPTS = Path(__file__).parent / "story_prompts.json"
needs_packing = pytest.mark.skipif(
    not packing_works(torch.zeros(1)), reason="this torch or processor has no packed kernels"
)


@needs_packing
@pytest.mark.parametrize("rows", [1, 2, 7, 33])
@pytest.mark.parametrize("bias", [False, True])
def test_a_packed_layer_equals_the_plain_one(rows, bias):
    torch.manual_seed(0)
    linear = nn.Linear(24, 40, bias=bias)
    inputs = torch.randn(1, rows, 24)
    with torch.inference_mode():
        assert torch.allclose(PackedLinear(linear)(inputs), linear(inputs), atol=1e-5)


@needs_packing
def test_a_packed_model_gives_the_same_logits_and_takes_trees():
    plain, packed = tiny_llama(8, 3, layers=2), tiny_llama(8, 3, layers=2)
    count = sum(type(module) is nn.Linear for module in plain.modules())
    assert pack_linears(packed) == count
    ids = torch.tensor([[1, 2, 3, 4]])
    with torch.inference_mode():
        assert torch.allclose(plain(ids).logits, packed(ids).logits, atol=1e-4)
    assert self_test(TreeModel(packed, "packed")).trees


@needs_packing
def test_packing_twice_changes_nothing():
    model = tiny_llama(8, 0)
    pack_linears(model)
    assert pack_linears(model) == 0


@needs_packing
def test_packing_keeps_the_number_of_weights_that_a_model_reports():
    model = TreeModel(tiny_llama(8, 0), "tiny")
    before = model.parameters
    model.pack()
    assert model.parameters == before


def test_dtypes_without_kernels_stay_plain():
    model = tiny_llama(8, 0).to(torch.float64)
    assert pack_linears(model) == 0
    assert type(model.lm_head) is nn.Linear


def test_float32_is_always_native():
    assert native_dtypes()[0] == "float32"


@needs_packing
def test_a_packed_target_writes_what_the_plain_one_writes_in_float32():
    pair = load_pair(PairSpec(device="cpu", dtype="float32"))
    plain = AutoModelForCausalLM.from_pretrained(asset("models") / "stories-27m", dtype="float32")
    for prompt in json.loads(PROMPTS.read_text(encoding="utf-8"))[:4]:
        ids = torch.tensor([pair.encode(prompt)])
        options = {"attention_mask": torch.ones_like(ids), "max_new_tokens": 48}
        with torch.inference_mode():
            theirs = plain.generate(ids, do_sample=False, **options)
            ours = pair.target.model.generate(ids, do_sample=False, **options)
        assert ours.tolist() == theirs.tolist()
