"""Hugging Face's own methods run on the layers that transformers made, or on the packed ones."""

import pytest
import torch
from fakes import tiny_llama, tiny_pair
from torch import nn
from transformers import AutoModelForCausalLM

from sequoia_core.assets import asset
from sequoia_core.commands.bench import _names
from sequoia_core.decode import memory
from sequoia_core.decode.packing import PackedLinear, PlainLayers, pack_linears, packing_works
from sequoia_core.decode.pair import PairSpec, load_pair
from sequoia_core.decode.settings import GenerationSettings
from sequoia_core.errors import ModelError
from sequoia_core.measure.comparison import HF_PACKED
from sequoia_core.measure.hugging_face import HuggingFace

PROMPT = [1, 2, 3]
SHORT = GenerationSettings(max_new_tokens=4)
needs_packing = pytest.mark.skipif(
    not packing_works(torch.zeros(1)), reason="this torch or processor has no packed kernels"
)


def packed_pair():
    pair = tiny_pair(vocab=40)
    for model in (pair.target, pair.draft):
        model.pack()
    return pair


def linears(model: nn.Module) -> set[type]:
    return {type(each) for each in model.modules() if isinstance(each, PackedLinear | nn.Linear)}


@needs_packing
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_plain_layers_are_those_that_were_packed_bit_for_bit(dtype):
    pair = load_pair(PairSpec(device="cpu", dtype=dtype))
    shipped = AutoModelForCausalLM.from_pretrained(asset("models") / "stories-27m", dtype=dtype)
    if linears(pair.target.model) == {nn.Linear}:
        pytest.skip(f"this processor has no packed kernels for {dtype}")
    ids = torch.tensor([[5, 6, 7, 8]])
    with torch.inference_mode(), PlainLayers(pair.target.model).in_place():
        assert linears(pair.target.model) == {nn.Linear}
        assert torch.equal(pair.target.model(ids).logits, shipped(ids).logits)
        for (name, ours), (_, theirs) in zip(
            pair.target.model.named_parameters(remove_duplicate=False),
            shipped.named_parameters(remove_duplicate=False),
            strict=True,
        ):
            assert torch.equal(ours, theirs), name
    assert linears(pair.target.model) == {PackedLinear}


@needs_packing
def test_plain_layers_keep_a_bias_and_leave_when_something_goes_wrong():
    linear = nn.Linear(24, 40)
    model = nn.Sequential(linear)
    pack_linears(model)
    with pytest.raises(ValueError, match="in between"), PlainLayers(model).in_place():
        assert torch.equal(model[0].bias, linear.bias)
        assert torch.equal(model[0].weight, linear.weight)
        raise ValueError("in between")
    assert type(model[0]) is PackedLinear


@needs_packing
@pytest.mark.parametrize("assistant_tokens", [0, 3])
@pytest.mark.parametrize(("packed", "layer"), [(False, nn.Linear), (True, PackedLinear)])
def test_generate_runs_on_the_layers_it_is_asked_to(packed, layer, assistant_tokens):
    pair, seen = packed_pair(), []
    hooked = pair.target.model.register_forward_hook(
        lambda model, *_: seen.append((linears(model), linears(pair.draft.model)))
    )
    run = HuggingFace(pair, packed=packed).generate(SHORT, assistant_tokens=assistant_tokens)
    assert run(PROMPT).tokens == 4
    hooked.remove()
    assert set(map(str, seen)) == {str(({layer}, {layer}))}
    assert linears(pair.target.model) == linears(pair.draft.model) == {PackedLinear}


def test_models_that_are_not_packed_are_not_copied(monkeypatch):
    monkeypatch.setattr("sequoia_core.measure.hugging_face.check_fits", None)
    assert PlainLayers.bytes_for(tiny_llama(8, 0)) == 0
    assert HuggingFace(tiny_pair(vocab=40)).generate(SHORT)(PROMPT).tokens == 4


@needs_packing
def test_a_second_copy_of_the_weights_that_does_not_fit_is_refused_before_it_is_made(monkeypatch):
    pair = packed_pair()
    monkeypatch.setattr(memory, "available_bytes", lambda device: 1)
    with pytest.raises(ModelError, match="as transformers lays them out, beside its own, needs"):
        HuggingFace(pair)
    assert HuggingFace(pair, packed=True).generate(SHORT)(PROMPT).tokens == 4


def test_the_draft_is_told_how_to_assist_for_its_run_alone():
    pair = tiny_pair(vocab=40)
    config = pair.draft.model.generation_config
    before = config.num_assistant_tokens
    HuggingFace(pair).generate(SHORT, assistant_tokens=before or 3)(PROMPT)
    assert config.num_assistant_tokens == before


def test_bench_measures_on_packed_weights_only_where_it_is_told_to():
    assert {"sequoia", "hf-generate", "hf-assisted"} <= set(_names(None, parallel=False))
    assert not set(HF_PACKED) & set(_names(None, parallel=False))
    assert _names("hf-assisted-packed", parallel=False) == ["autoregressive", "hf-assisted-packed"]
