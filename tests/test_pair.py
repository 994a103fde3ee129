"""Loading pairs: what fits, what is refused and in which words, which architectures take trees."""

import pytest
import torch
from fakes import SMALL, tiny_llama, tiny_pair, word_tokenizer
from transformers import AutoConfig, AutoModelForCausalLM

from sequoia_core import assets
from sequoia_core.decode.chat import turns_of
from sequoia_core.decode.engine import Engine, GenerationSettings
from sequoia_core.decode.model import TreeModel
from sequoia_core.decode.pair import PairSpec, load_pair
from sequoia_core.decode.self_test import self_test
from sequoia_core.errors import FileFormatError, InputError, ModelError
from sequoia_core.tree.token_tree import TokenTree


def saved(folder, vocab: int = 8, seed: int = 0, tokenizer_vocab: int | None = None):
    """A tiny model with its tokenizer in a folder; returns the folder's path."""
    tiny_llama(vocab, seed).save_pretrained(folder)
    word_tokenizer(tokenizer_vocab or vocab).save_pretrained(folder)
    return str(folder)


def test_a_pair_of_folders_loads_and_decodes(tmp_path):
    spec = PairSpec(saved(tmp_path / "t"), saved(tmp_path / "d", seed=1), "cpu", "float32")
    fractions = []
    pair = load_pair(spec, lambda fraction, text: fractions.append(fraction))
    assert fractions == sorted(fractions)
    assert (fractions[0], fractions[-1]) == (0.0, 1.0)
    assert (pair.vocab, pair.bundled, pair.shape_support.trees) == (8, False, True)
    run = Engine(pair).run("t1 t2", GenerationSettings(max_new_tokens=5), TokenTree([-1, 0, 0]))
    assert len(list(run)) >= 1


def test_memory_counts_weights_and_caches():
    pair = tiny_pair()
    weights = 4 * sum(pair.parameters)
    assert pair.memory_bytes == weights
    list(Engine(pair).run([1], GenerationSettings(max_new_tokens=3), TokenTree([-1, 0])))
    assert pair.memory_bytes > weights


def test_different_vocabularies_are_refused_with_both_sizes(tmp_path):
    spec = PairSpec(saved(tmp_path / "t", 8), saved(tmp_path / "d", 9), "cpu")
    with pytest.raises(ModelError, match=r"do not share a vocabulary \(8 and 9 tokens"):
        load_pair(spec)


def test_a_padded_embedding_is_cut_to_the_common_vocabulary(tmp_path):
    spec = PairSpec(
        saved(tmp_path / "t", 16, tokenizer_vocab=8),
        saved(tmp_path / "d", 12, tokenizer_vocab=8),
        "cpu",
    )
    assert load_pair(spec).vocab == 12


def test_a_longer_vocabulary_of_the_same_family_is_taken(tmp_path):
    """As within Qwen: the later model has more tokens, and both matrices have rows for them."""
    spec = PairSpec(
        saved(tmp_path / "t", 16, tokenizer_vocab=10),
        saved(tmp_path / "d", 12, seed=1, tokenizer_vocab=8),
        "cpu",
        "float32",
    )
    pair = load_pair(spec)
    assert pair.vocab == 12
    settings = GenerationSettings(max_new_tokens=20)
    tree, plain = (
        [token for step in Engine(pair).run("t1 t2", settings, shape) for token in step.committed]
        for shape in (TokenTree([-1, 0, 0, 1]), TokenTree([-1]))
    )
    assert tree == plain


def test_an_id_with_two_meanings_is_refused(tmp_path):
    spec = PairSpec(saved(tmp_path / "t", 8), saved(tmp_path / "d", 8), "cpu")
    file = tmp_path / "d" / "tokenizer.json"
    swapped = file.read_text().replace('"t6"', '"x"').replace('"t7"', '"t6"').replace('"x"', '"t7"')
    file.write_text(swapped)
    with pytest.raises(ModelError, match=r"\(8 and 8 tokens, 6 of them equal\)"):
        load_pair(spec)


def test_a_tokenizer_larger_than_the_model_is_refused(tmp_path):
    spec = PairSpec(
        saved(tmp_path / "t", 8, tokenizer_vocab=10),
        saved(tmp_path / "d", 8, tokenizer_vocab=10),
        "cpu",
    )
    with pytest.raises(ModelError, match="token 9 but the models' outputs end at 7"):
        load_pair(spec)


@pytest.mark.parametrize("name", ["/no/such/folder", "no such name", "a/b/c"])
def test_an_unknown_folder_is_refused_without_asking_the_network(name):
    with pytest.raises(ModelError, match="There is no folder"):
        load_pair(PairSpec(name, name, "cpu"))


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"no config\.json"):
        load_pair(PairSpec(str(tmp_path), str(tmp_path), "cpu"))


def test_pickled_weights_are_never_loaded(tmp_path):
    folder = tmp_path / "pickled"
    saved(folder)
    (folder / "model.safetensors").unlink()
    torch.save(tiny_llama(8, 0).state_dict(), folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="could not be loaded"):
        load_pair(PairSpec(str(folder), str(folder), "cpu"))


def test_one_model_alone_is_no_pair():
    with pytest.raises(InputError, match="name the draft"):
        PairSpec(target="x")
    with pytest.raises(InputError, match="name the target"):
        PairSpec(draft="x")


@pytest.mark.parametrize("device", ["tpu", "cuda:99", "warp"])
def test_an_unknown_device_is_refused(device):
    with pytest.raises(InputError, match=device):
        load_pair(PairSpec(device=device))


def test_an_unknown_dtype_is_refused():
    with pytest.raises(InputError, match="int4"):
        load_pair(PairSpec(device="cpu", dtype="int4"))


def test_a_missing_bundled_model_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(assets, "ASSETS", tmp_path)
    with pytest.raises(FileFormatError, match="models"):
        load_pair(PairSpec(device="cpu"))


def test_pieces_keep_their_spaces_and_unknown_ids_are_shown_as_such():
    pair = load_pair(PairSpec(device="cpu", dtype="float32"))
    ids = pair.encode("Once upon a time")
    assert "".join(pair.piece(token) for token in ids) == "Once upon a time"
    assert pair.piece(10**6) == "<1000000>"


def test_recurrent_layers_are_refused_by_name():
    config = AutoConfig.for_model("qwen3", **SMALL)
    model = AutoModelForCausalLM.from_config(config)
    model.config.layer_types = ["linear_attention", "full_attention"]
    with pytest.raises(ModelError, match="linear_attention"):
        TreeModel(model, "hybrid")


def test_a_model_that_ignores_the_tree_mask_is_kept_to_chains():
    """Each token seeing everything before it is right for a chain and wrong for a tree."""
    model = TreeModel(tiny_llama(40, 0), "deaf")
    forward = model.forward

    def causal(token_ids, positions, visible, rows=0):
        everything = torch.ones_like(visible).tril(visible.shape[1] - visible.shape[0])
        return forward(token_ids, positions, everything, rows)

    model.forward = causal
    support = self_test(model)
    assert not support.trees
    assert "deaf does not follow a tree attention mask" in support.reason


TEMPLATE = (
    "{% for turn in messages %}{% if turn.role == 'system' %}{{ raise_exception('no system') }}"
    "{% endif %}{{ ('t1 ' if turn.role == 'user' else 't2 ') + turn.content + ' t3 ' }}{% endfor %}"
    "{% if add_generation_prompt %}t2{% endif %}"
)


def chat_pair():
    """A tiny pair whose tokenizer has a chat template: t1 user, t2 assistant, t3 end of turn."""
    pair = tiny_pair()
    pair.tokenizer.chat_template = TEMPLATE
    return pair


def test_a_prompt_is_a_users_turn_and_the_answer_begins():
    assert chat_pair().encode_chat(turns_of("t5 t6")) == [1, 5, 6, 3, 2]


def test_a_json_list_is_a_conversation_of_several_turns():
    turns = (
        '[{"role": "user", "content": "t5"}, {"role": "assistant", "content": "t6"}, '
        '{"role": "user", "content": "t7"}]'
    )
    assert chat_pair().encode_chat(turns_of(turns)) == [1, 5, 3, 2, 6, 3, 1, 7, 3, 2]


def test_text_that_only_looks_like_json_is_a_users_turn():
    assert turns_of("[1, 2]") == [{"role": "user", "content": "[1, 2]"}]
    assert turns_of("[not json") == [{"role": "user", "content": "[not json"}]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (" ", "prompt is empty"),
        ('[{"role": "user"}]', "Turn 0 .* 'content'"),
        ('[{"role": "user", "content": "a"}, "b"]', "Turn 1"),
        ('[{"role": 1, "content": "a"}]', "Turn 0"),
    ],
)
def test_turns_without_role_and_content_are_refused(text, words):
    with pytest.raises(InputError, match=words):
        turns_of(text)


def test_turns_that_the_template_does_not_take_are_refused_with_its_reason():
    with pytest.raises(InputError, match="tiny target refuses these turns: no system"):
        chat_pair().encode_chat([{"role": "system", "content": "t1"}])


def test_a_model_without_a_chat_template_says_so():
    with pytest.raises(ModelError, match="tiny target has no chat template"):
        tiny_pair().encode_chat(turns_of("t1"))


def test_token_ids_pass_as_they_are():
    assert tiny_pair().encode([3, 1]) == [3, 1]


def test_half_a_character_is_a_bad_prompt_and_no_traceback():
    with pytest.raises(InputError, match=r"holds half a character, 'a\\ud800'"):
        tiny_pair().encode("a\ud800")
