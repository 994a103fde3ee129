"""Any Hugging Face pair: trees are exact on every family, past sliding windows too."""

from copy import deepcopy
from functools import cache

import pytest
import torch
from fakes import SMALL, word_tokenizer
from transformers import AutoConfig, AutoModelForCausalLM

from sequoia_core.decode.engine import Engine, GenerationSettings
from sequoia_core.decode.loading import check_rollback
from sequoia_core.decode.model import TreeModel
from sequoia_core.decode.pair import ModelPair
from sequoia_core.decode.self_test import self_test
from sequoia_core.errors import ModelError
from sequoia_core.tree.token_tree import TokenTree

VOCAB, WINDOW, NEW_TOKENS = SMALL["vocab_size"], 6, 28
WINDOWED = SMALL | {"sliding_window": WINDOW}
MIXED = WINDOWED | {"layer_types": ["sliding_attention", "full_attention"]}
EXPERTS = {"num_local_experts": 4, "num_experts_per_tok": 2}
ARCHITECTURES = {
    "llama": SMALL,
    "qwen2": SMALL,
    "qwen2 windows": MIXED | {"use_sliding_window": True},
    "qwen3": SMALL,
    "mistral": WINDOWED,
    "gemma2": MIXED | {"query_pre_attn_scalar": 8},
    "gemma3_text": MIXED | {"query_pre_attn_scalar": 8},
    "phi3": SMALL,
    "mixtral": SMALL | EXPERTS,
    "gpt2": {
        "vocab_size": VOCAB,
        "n_embd": 32,
        "n_layer": 2,
        "n_head": 4,
        "n_positions": 64,
        "initializer_range": 0.3,
        "tie_word_embeddings": False,
        "bos_token_id": None,
        "eos_token_id": None,
    },
    "gpt_oss": MIXED | EXPERTS,
}
WITH_WINDOWS = [name for name, fields in ARCHITECTURES.items() if "sliding_window" in fields]
TREE = TokenTree([-1, 0, 0, 0, 1, 1, 2, 4, 4, 7])


@cache
def tiny(name: str, seed: int = 0) -> torch.nn.Module:
    """A random model of this family."""
    torch.manual_seed(seed)
    config = AutoConfig.for_model(name.split()[0], **ARCHITECTURES[name])
    return AutoModelForCausalLM.from_config(config).eval()


def pair_of(name: str, *, sure: bool = False) -> ModelPair:
    """A target and a draft of one family; `sure`: the draft is the target, so that it is right."""
    target = TreeModel(tiny(name), name)
    draft = TreeModel(tiny(name) if sure else tiny(name, 1), f"{name} draft")
    support = self_test(target).both(self_test(draft))
    return ModelPair(target, draft, word_tokenizer(VOCAB), VOCAB, frozenset(), False, support)


def written(pair: ModelPair, tree: TokenTree, prompt: list[int]) -> tuple[list[int], int]:
    """Tokens of a greedy run, and its steps."""
    run = Engine(pair).run(prompt, GenerationSettings(max_new_tokens=NEW_TOKENS), tree)
    steps = len(list(run))
    return run.token_ids, steps


def generated(model, prompt: list[int]) -> list[int]:
    """Hugging Face's own greedy decoding."""
    ids = torch.tensor([prompt])
    output = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=NEW_TOKENS,
        do_sample=False,
        pad_token_id=0,
    )
    return output[0, len(prompt) :].tolist()


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_tree_attention_equals_plain_forwards_on(name, dtype):
    torch.manual_seed(0)
    config = AutoConfig.for_model(name.split()[0], **ARCHITECTURES[name])
    verdict = self_test(TreeModel(AutoModelForCausalLM.from_config(config).to(dtype), name))
    assert verdict.trees, verdict.reason


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_greedy_trees_write_what_generate_writes_on(name):
    """Prompt and text are several windows long; the draft is wrong in one run, right in the other.

    Both matter: rejected nodes must leave no trace in the cache, accepted ones must all be kept.
    """
    prompt = [3, 1, 4, 1, 5, 9, 2, 6]
    expected = generated(tiny(name), prompt)
    assert len(set(expected)) > 3
    for sure in (False, True):
        tokens, steps = written(pair_of(name, sure=sure), TREE, prompt)
        assert tokens == expected
        assert not sure or steps <= -(-NEW_TOKENS // (TREE.depth + 1))


@pytest.mark.parametrize("name", WITH_WINDOWS)
def test_a_windowed_models_text_depends_on_its_window(name):
    """Else the test above would prove nothing about windows."""
    prompt = [3, 1, 4, 1, 5, 9, 2, 6]
    wide = AutoConfig.for_model(name.split()[0], **ARCHITECTURES[name] | {"sliding_window": 64})
    model = AutoModelForCausalLM.from_config(wide).eval()
    model.load_state_dict(tiny(name).state_dict())
    assert generated(model, prompt) != generated(tiny(name), prompt)


def test_families_of_one_vocabulary_can_be_mixed():
    """The draft may be of any architecture: only its tokens count."""
    target, draft = TreeModel(tiny("llama"), "llama"), TreeModel(tiny("gpt2"), "gpt2")
    support = self_test(target).both(self_test(draft))
    pair = ModelPair(target, draft, word_tokenizer(VOCAB), VOCAB, frozenset(), False, support)
    assert written(pair, TREE, [1, 2])[0] == generated(tiny("llama"), [1, 2])


RECURRENT = {
    "mamba": {"state_size": 4},
    "jamba": {"mamba_d_state": 4, "num_experts": 2},
    "falcon_h1": {"mamba_d_state": 8, "mamba_n_heads": 8, "mamba_d_head": 8, "mamba_d_ssm": 64},
    "qwen3_next": {},
    "rwkv": {},
}


@pytest.mark.parametrize("architecture", RECURRENT)
def test_recurrent_models_are_refused_by_name(architecture):
    config = AutoConfig.for_model(architecture, **SMALL | RECURRENT[architecture])
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    with pytest.raises(ModelError, match=rf"my hybrid \({architecture}\) keeps a recurrent state"):
        check_rollback(model, "my hybrid")


def test_a_hybrid_of_convolutions_and_attention_is_refused_by_its_layers():
    fields = SMALL | {"layer_types": ["conv", "full_attention"]}
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model("lfm2", **fields))
    with pytest.raises(ModelError, match="conv layers"):
        TreeModel(model, "hybrid")


def test_a_model_that_takes_no_mask_is_refused_with_its_own_words():
    config = AutoConfig.for_model("bloom", vocab_size=VOCAB, hidden_size=32, n_head=4, n_layer=1)
    with pytest.raises(ModelError, match=r"old model gives other logits .* refuses the mask"):
        self_test(TreeModel(AutoModelForCausalLM.from_config(config), "old model"))


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_tokens_appended_one_by_one_have_the_logits_of_the_whole_text_on(name, packed):
    """A single token is where no mask is made."""
    plain = deepcopy(tiny(name))
    ids = torch.randint(1, VOCAB, (10,), generator=torch.Generator().manual_seed(0)).tolist()
    with torch.inference_mode():
        whole = plain(input_ids=torch.tensor([ids])).logits[0]
    model = TreeModel(plain, name)
    if packed:
        model.pack()
    model.reset(len(ids))
    for token, wanted in zip(ids, whole, strict=True):
        assert torch.allclose(model.append([token]), wanted, atol=1e-4)
