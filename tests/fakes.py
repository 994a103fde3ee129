"""Small real models for tests: random weights, tiny vocabularies, no files, no network."""

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from sequoia_core.decode.model import TreeModel
from sequoia_core.decode.pair import ModelPair
from sequoia_core.decode.self_test import SelfTest

# The configuration of a small random model of any Llama-like family.
SMALL = {
    "vocab_size": 40,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 64,
    "initializer_range": 0.3,
    # Tied, a random model repeats its last token for ever, and proves nothing.
    "tie_word_embeddings": False,
    "pad_token_id": None,
    "bos_token_id": None,
    "eos_token_id": None,
}


def word_tokenizer(vocab: int) -> PreTrainedTokenizerFast:
    """Words t0, t1, ... are the tokens; t0 ends a text."""
    words = Tokenizer(models.WordLevel({f"t{i}": i for i in range(vocab)}, unk_token="t0"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=words, eos_token="t0", clean_up_tokenization_spaces=False
    )


def tiny_llama(
    vocab: int,
    seed: int,
    *,
    layers: int = 1,
    sharpness: float = 4.0,
    context: int = 64,
    heads: tuple[int, int] = (2, 1),
):
    """A random Llama whose distributions are far from uniform."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=vocab,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=layers,
        num_attention_heads=heads[0],
        num_key_value_heads=heads[1],
        max_position_embeddings=context,
        tie_word_embeddings=False,
        bos_token_id=0,
        eos_token_id=0,
        initializer_range=0.6,
    )
    model = LlamaForCausalLM(config).eval()
    with torch.no_grad():
        model.lm_head.weight.mul_(sharpness / 4)
    return model


def tiny_pair(vocab: int = 8, *, ends: bool = False, context: int = 64, seed: int = 0) -> ModelPair:
    """A pair of different random models; `ends` makes token 0 end a text."""
    return ModelPair(
        TreeModel(tiny_llama(vocab, seed, layers=2, context=context), "tiny target"),
        TreeModel(tiny_llama(vocab, seed + 1, context=context), "tiny draft"),
        word_tokenizer(vocab),
        vocab,
        frozenset({0}) if ends else frozenset(),
        False,
        SelfTest(True),
    )
