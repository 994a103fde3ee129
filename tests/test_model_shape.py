"""Model shapes: counts that transformers agrees with, and configurations refused by field."""

import json
from typing import Any

import pytest

from sequoia_core.errors import FileFormatError, InputError
from sequoia_core.plan.model_shape import (
    ModelShape,
    list_shapes,
    load_shape,
    published_parameters,
    shape_from_config,
)

LLAMA = {
    "model_type": "llama",
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 100,
    "torch_dtype": "float32",
}
MIXTURE = LLAMA | {
    "model_type": "qwen3_moe",
    "head_dim": 16,
    "num_hidden_layers": 5,
    "num_experts": 6,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 24,
    "decoder_sparse_step": 2,
    "mlp_only_layers": [3],
}


def shape(**fields: Any) -> ModelShape:
    return shape_from_config(LLAMA | fields)


@pytest.mark.parametrize(
    "config",
    [
        LLAMA,
        LLAMA | {"attention_bias": True, "mlp_bias": True, "tie_word_embeddings": True},
        LLAMA | {"model_type": "mistral", "head_dim": 12},
        LLAMA | {"model_type": "phi3", "pad_token_id": 0},
        LLAMA | {"model_type": "qwen2"},
        LLAMA | {"model_type": "qwen3", "head_dim": 16, "tie_word_embeddings": True},
        LLAMA | {"model_type": "mixtral", "num_local_experts": 4, "num_experts_per_tok": 2},
        MIXTURE,
    ],
    ids=lambda config: config["model_type"],
)
def test_parameters_are_those_of_the_model_that_transformers_builds(config: dict) -> None:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    built = AutoConfig.for_model(**config)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(built)
    assert shape_from_config(config).parameters == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("name", list_shapes())
def test_bundled_shapes_have_the_published_number_of_parameters(name: str) -> None:
    found = load_shape(name)
    assert found.name == name
    assert found.parameters == published_parameters()[name]
    assert "Hugging Face" in found.source


def test_every_shape_that_was_asked_for_is_bundled() -> None:
    wanted = "llama-2-7b llama-2-13b llama-2-70b llama-3-8b llama-3-70b vicuna-33b mixtral-8x7b"
    wanted += " llama-68m sheared-llama-1.3b qwen3-0.6b qwen3-8b qwen3-32b qwen3-30b-a3b"
    assert set(wanted.split()) <= set(list_shapes())


def test_a_layers_matrices_by_hand() -> None:
    """32 wide, 4 heads and 2 key-value heads of 8: q and o 32x32, k and v 32x16; MLP 3 of 32x48."""
    found = shape()
    assert found.attention_parameters == 2 * 32 * 32 + 2 * 32 * 16
    assert found.mlp_parameters == 3 * 32 * 48
    assert found.layer_parameters == 3 * (3072 + 4608)
    assert found.layer_bytes == 4 * found.layer_parameters
    assert found.weight_bytes == 4 * found.parameters
    assert found.cache_bytes(10) == 2 * 3 * 2 * 8 * 10 * 4


def test_layers_without_experts_follow_transformers_rule() -> None:
    """Of five layers every second is sparse, 1 and 3, and 3 is excepted."""
    found = shape_from_config(MIXTURE)
    assert (found.dense_layers, found.expert_layers) == (4, 1)
    assert shape_from_config(MIXTURE | {"mlp_only_layers": []}).expert_layers == 2


def test_active_parameters_leave_out_idle_experts_and_the_embedding() -> None:
    found = shape_from_config(MIXTURE)
    idle = (6 - 2) * 3 * 32 * 24
    assert found.active_parameters == found.parameters - idle - 32 * 100
    mixtral = load_shape("mixtral-8x7b")
    assert mixtral.active_parameters == pytest.approx(12.7e9, rel=0.01)


@pytest.mark.parametrize(
    ("quantisation", "bits"),
    [
        ({"quant_method": "awq", "bits": 4, "group_size": 128}, 4 + 20 / 128),
        ({"quant_method": "gptq", "bits": 8, "group_size": -1}, 8),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, 4.5),
        ({"quant_method": "bitsandbytes", "load_in_8bit": True}, 8),
        ({"quant_method": "fp8"}, 8),
        (None, 32),
    ],
)
def test_quantised_weights_count_their_scales(quantisation: dict | None, bits: float) -> None:
    found = shape(quantization_config=quantisation)
    assert found.weight_bits == bits
    assert found.quantised == (bits < 32)
    assert found.layer_bytes == found.layer_parameters * bits / 8


def test_unquantised_weights_follow_the_dtype_and_quantised_ones_do_not() -> None:
    assert shape().stored_as("float16").weight_bits == 16
    quantised = shape().stored_as("float16", 4.5)
    assert quantised.stored_as("float32").weight_bits == 4.5
    assert quantised.stored_as("float32").dtype_bytes == 4


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"model_type": "mamba"}, "model_type 'mamba' is not one"),
        ({"model_type": None}, "model_type None is not one"),
        ({"hidden_size": None}, "the field 'hidden_size' is missing"),
        ({"hidden_size": "large"}, "hidden_size must be a whole number"),
        ({"num_hidden_layers": 0}, "num_hidden_layers must be between 1"),
        ({"vocab_size": True}, "vocab_size must be a whole number"),
        ({"num_key_value_heads": 3}, "num_attention_heads must be a multiple of"),
        ({"num_attention_heads": 3, "num_key_value_heads": 3}, "hidden_size must be a multiple"),
        ({"tie_word_embeddings": 1}, "tie_word_embeddings must be true or false"),
        ({"torch_dtype": "int8"}, "torch_dtype must be one of"),
        ({"torch_dtype": ["float16"]}, r"torch_dtype must be one of .* got \['float16'\]"),
        ({"model_type": ["x" * 99] * 9}, r"^model_type .{1,40} is not one"),
        ({"quantization_config": [4]}, "quantization_config must be an object"),
        ({"quantization_config": {"quant_method": "hqq"}}, "quant_method 'hqq' is not known"),
        (
            {"quantization_config": {"quant_method": "awq", "bits": "4"}},
            "quantization_config.bits must be a whole number",
        ),
        (
            MIXTURE | {"num_experts_per_tok": 7},
            "num_experts_per_tok must be at most num_experts, got 7 of 6",
        ),
        (MIXTURE | {"num_experts": None}, "the field 'num_local_experts' is missing"),
        (MIXTURE | {"mlp_only_layers": 3}, "mlp_only_layers must be a list"),
        (MIXTURE | {"mlp_only_layers": [[1]]}, "mlp_only_layers must be a whole number"),
    ],
)
def test_bad_configurations_are_refused_by_field(fields: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        shape(**fields)


def test_a_models_folder_or_its_config_gives_the_shape(tmp_path) -> None:
    folder = tmp_path / "my-model"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(LLAMA))
    for path in (folder, folder / "config.json"):
        found = load_shape(path)
        assert (found.name, found.parameters) == ("my-model", shape().parameters)


def test_unreadable_configurations_are_named(tmp_path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(LLAMA | {"vocab_size": -1}))
    with pytest.raises(FileFormatError, match=r"config.json: vocab_size must be between"):
        load_shape(path)
    path.write_text("[1]")
    with pytest.raises(FileFormatError, match="one JSON object"):
        load_shape(path)
    with pytest.raises(InputError, match="'gpt-9'; bundled are: llama-2-13b"):
        load_shape("gpt-9")
    with pytest.raises(InputError, match=r"config.json is called ''"):
        load_shape("")


@pytest.mark.parametrize(("dtype", "bits"), [("int4", None), ("float16", 0.5), ("float16", 64)])
def test_impossible_storage_is_refused(dtype: str, bits: float | None) -> None:
    with pytest.raises(InputError):
        shape().stored_as(dtype, bits)
