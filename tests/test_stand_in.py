"""Stand-ins: the cost of a large shape, the words of a small model."""

import json

import pytest
import torch
from fakes import tiny_llama, word_tokenizer
from transformers import AutoConfig, AutoModelForCausalLM

from sequoia_core import assets
from sequoia_core.cli import main
from sequoia_core.commands.stand_in import describe
from sequoia_core.decode.engine import Engine, GenerationSettings
from sequoia_core.decode.loading import load_model
from sequoia_core.decode.model import TreeModel
from sequoia_core.decode.pair import ModelPair, PairSpec, load_pair
from sequoia_core.decode.self_test import SelfTest, self_test
from sequoia_core.decode.shapes import DRAFTS, SHAPES, TARGETS, Shape, draft_shape, find_shape
from sequoia_core.decode.stand_in import stand_in
from sequoia_core.errors import FileFormatError, InputError, ModelError
from sequoia_core.plan.hardware import load_hardware
from sequoia_core.plan.model_shape import list_shapes, load_shape, published_parameters
from sequoia_core.plan.presets import bundled_hardware
from sequoia_core.tree.token_tree import TokenTree

CPU = torch.device("cpu")
VOCAB = 8
# The small model: 2 layers, 16 columns, 32 units, 2 heads of 8 with 1 key-value head, 8 tokens.
LARGER = {
    "wider": Shape("wider", 2, 40, 32, 2, 1, 8, VOCAB),
    "deeper": Shape("deeper", 5, 16, 32, 2, 1, 8, VOCAB),
    "more units": Shape("more units", 2, 16, 48, 2, 1, 8, VOCAB),
    "more heads": Shape("more heads", 2, 16, 32, 8, 4, 8, VOCAB),
    "longer heads": Shape("longer heads", 2, 16, 32, 2, 1, 16, VOCAB),
    "wider groups": Shape("wider groups", 2, 16, 32, 4, 1, 8, VOCAB),
    "no groups": Shape("no groups", 2, 16, 32, 4, 4, 8, VOCAB),
    "more tokens": Shape("more tokens", 2, 24, 32, 2, 1, 8, 30),
    "everything": Shape("everything", 4, 48, 80, 8, 4, 16, 30),
    "mistral": Shape("mistral", 3, 24, 40, 4, 2, 16, 30, kind="mistral"),
    "qwen2": Shape("qwen2", 3, 24, 40, 4, 2, 16, 30, kind="qwen2"),
    "biases": Shape("biases", 3, 24, 40, 4, 2, 16, 30, attention_bias=True),
}
BUNDLED = PairSpec(device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def small():
    return tiny_llama(VOCAB, 0, layers=2)


@pytest.fixture(scope="module")
def bundled_draft():
    """stories-1m: 192 columns, 6 heads of 32, tied embeddings; quick to enlarge."""
    folder = str(assets.asset("models/stories-1m"))
    return load_model(folder, "stories-1m", CPU, torch.float32)


def logits(model, token_ids: torch.Tensor) -> torch.Tensor:
    """Plain logits of one text."""
    with torch.inference_mode():
        return model(token_ids[None]).logits[0]


def count(model) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("name", LARGER)
def test_logits_are_the_small_models(small, name):
    large = stand_in(small, LARGER[name], CPU, torch.float32)
    ids = torch.randint(VOCAB, (60,), generator=torch.Generator().manual_seed(1))
    ours, theirs = logits(large, ids), logits(small, ids)
    assert (ours[:, :VOCAB] - theirs).abs().max() < 1e-4
    # Added tokens must win nowhere, even where nothing cuts them off, as in `generate`.
    assert ours.shape[1] == LARGER[name].vocab
    assert (ours[:, VOCAB:] < ours[:, :VOCAB].amin(-1, keepdim=True) - 50).all()
    assert count(large) == LARGER[name].parameters
    assert self_test(TreeModel(large, name), VOCAB).trees


@pytest.mark.parametrize(
    "shape",
    [
        Shape("tied", 2, 256, 512, 8, 8, 32, 5000, tied=True),
        Shape("one column pair", 1, 194, 512, 97, 97, 32, 4097, tied=True),
        Shape("two to a head", 2, 256, 512, 16, 4, 64, 5000),
        Shape("untied", 1, 200, 600, 8, 8, 48, 4096),
    ],
    ids=lambda shape: shape.name,
)
def test_the_bundled_draft_keeps_its_logits(bundled_draft, shape):
    large = stand_in(bundled_draft, shape, CPU, torch.float32)
    ids = torch.randint(4096, (200,), generator=torch.Generator().manual_seed(1))
    ours, theirs = logits(large, ids), logits(bundled_draft, ids)
    assert (ours[:, :4096] - theirs).abs().max() < 1e-4
    assert (ours[:, 4096:] < -100).all()
    assert count(large) == shape.parameters
    tied = large.get_output_embeddings().weight is large.get_input_embeddings().weight
    assert tied == shape.tied


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_lower_precision_differs_no_more_than_the_small_model_itself(bundled_draft, dtype):
    shape = Shape("wide", 3, 320, 640, 10, 10, 48, 5000)
    ids = torch.randint(4096, (200,), generator=torch.Generator().manual_seed(1))
    exact = logits(bundled_draft, ids)
    rounded = tiny_copy(bundled_draft, dtype)
    large = stand_in(bundled_draft, shape, CPU, dtype)
    allowed = (logits(rounded, ids).float() - exact).abs().max()
    ours = logits(large, ids).float()
    assert (ours[:, :4096] - exact).abs().max() < 3 * allowed
    assert (ours[:, 4096:] < -100).all()


def tiny_copy(model, dtype: torch.dtype):
    """The model in another dtype; the rotary frequencies stay float32, as when loaded so."""
    copy = AutoModelForCausalLM.from_config(model.config, dtype=dtype)
    copy.load_state_dict(model.state_dict())
    copy.tie_weights()
    return copy.eval()


def test_only_what_must_not_reach_the_text_is_zero(small):
    large = stand_in(small, LARGER["everything"], CPU, torch.float32)
    for name, weight in large.named_parameters():
        zeros = 1 - weight.count_nonzero() / weight.numel()
        if "o_proj" in name or "down_proj" in name:
            assert zeros > 0.8, name
        elif "proj" in name:
            assert zeros < 0.3, name


def test_greedy_text_is_the_small_pairs_token_for_token(small):
    tokenizer, draft = word_tokenizer(VOCAB), tiny_llama(VOCAB, 1)
    shapes = LARGER["everything"], Shape("draft", 2, 24, 40, 4, 2, 16, 30)
    large, large_draft = (
        stand_in(model, shape, CPU, torch.float32)
        for model, shape in zip((small, draft), shapes, strict=True)
    )
    settings = GenerationSettings(max_new_tokens=40)
    tree = TokenTree([-1, 0, 0, 1, 1, 2, 3])

    def run(target, drafts):
        models = TreeModel(target, "target"), TreeModel(drafts, "draft")
        loaded = ModelPair(*models, tokenizer, VOCAB, frozenset(), False, SelfTest(True))
        return [step.committed for step in Engine(loaded).run([1, 2, 3], settings, tree)]

    assert run(large, large_draft) == run(small, draft)


def test_hugging_face_generate_writes_the_small_models_text(small):
    large = stand_in(small, LARGER["everything"], CPU, torch.float32)
    ids = torch.tensor([[1, 2, 3]])
    options = {"max_new_tokens": 30, "do_sample": False, "pad_token_id": 0}
    mask = torch.ones_like(ids)
    ours = large.generate(ids, attention_mask=mask, **options)
    assert ours.tolist() == small.generate(ids, attention_mask=mask, **options).tolist()


@pytest.mark.parametrize("name", SHAPES)
def test_named_shapes_have_the_parameters_of_their_published_configuration(name):
    shape = SHAPES[name]
    config = AutoConfig.for_model(
        "llama",
        num_hidden_layers=shape.layers,
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        head_dim=shape.head_dim,
        vocab_size=shape.vocab,
        tie_word_embeddings=shape.tied,
    )
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    assert count(model) == shape.parameters
    published = {"demo-300m": 303e6, "llama-160m": 162.4e6} | published_parameters()
    assert shape.parameters == pytest.approx(published[name], rel=2e-3)


@pytest.mark.parametrize("role", ["target", "draft"])
def test_the_bundled_models_fit_every_shape_offered_for_them(role):
    from sequoia_core.decode.stand_in import _Fit

    folder = assets.asset("models") / ("stories-27m" if role == "target" else "stories-1m")
    source = load_model(str(folder), folder.name, CPU, torch.float32)
    names = TARGETS if role == "target" else sorted(set(DRAFTS.values()) | {"tinyllama-1.1b"})
    for name in names:
        config = _Fit(source, SHAPES[name], CPU, torch.float32).config()
        assert (config.max_position_embeddings, config.eos_token_id) == (512, 0)
        assert 0 < config.rms_norm_eps < source.config.rms_norm_eps


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        (Shape("flat", 1, 40, 32, 2, 1, 8, 8), "2 layers and flat only 1"),
        (Shape("narrow", 2, 8, 32, 2, 1, 8, 8), "16 columns and narrow only 8"),
        (Shape("short", 2, 40, 32, 2, 1, 4, 8), "8 dimensions a head and short only 4"),
        (Shape("few", 2, 40, 32, 1, 1, 8, 8), "do not fit into few's 1 of 8"),
        (Shape("mute", 2, 40, 32, 2, 1, 8, 4), "8 tokens and mute only 4"),
        (Shape("loud", 2, 16, 32, 2, 1, 8, 30), "at least 18 columns"),
        (Shape("tied", 2, 40, 32, 2, 1, 8, 8, tied=True), "has one embedding matrix"),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_a_shape_that_cannot_hold_the_model_is_refused(small, shape, words):
    with pytest.raises(ModelError, match=words):
        stand_in(small, shape, CPU, torch.float32)


def test_a_shape_is_read_from_a_config_file_or_its_folder(tmp_path):
    config = AutoConfig.for_model(
        "qwen2",
        hidden_size=64,
        num_attention_heads=4,
        num_key_value_heads=2,
        num_hidden_layers=3,
        intermediate_size=96,
        vocab_size=50,
        tie_word_embeddings=True,
    )
    config.save_pretrained(tmp_path / "small-qwen")
    shape = find_shape(str(tmp_path / "small-qwen" / "config.json"))
    assert shape == find_shape(str(tmp_path / "small-qwen"))
    assert shape == Shape("small-qwen", 3, 64, 96, 4, 2, 16, 50, tied=True, kind="qwen2")
    with torch.device("meta"):
        assert count(AutoModelForCausalLM.from_config(config)) == shape.parameters


GOOD = {
    "model_type": "llama",
    "hidden_size": 8,
    "num_attention_heads": 2,
    "num_hidden_layers": 1,
    "intermediate_size": 8,
    "vocab_size": 9,
}


@pytest.mark.parametrize(
    ("content", "error", "words"),
    [
        (GOOD | {"model_type": "qwen3"}, ModelError, "'qwen3' model"),
        (GOOD | {"hidden_act": "gelu"}, ModelError, "'llama' model"),
        (GOOD | {"hidden_size": "8"}, FileFormatError, "hidden_size must be a whole number"),
        (GOOD | {"num_hidden_layers": 0}, FileFormatError, "num_hidden_layers must be between"),
        (GOOD | {"num_key_value_heads": 3}, FileFormatError, "do not divide evenly"),
        ([], FileFormatError, "one JSON object"),
    ],
)
def test_a_file_without_such_a_shape_is_refused(tmp_path, content, error, words):
    file = tmp_path / "config.json"
    file.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(error, match=words):
        find_shape(str(file))


def test_an_unknown_shape_is_refused_with_those_there_are():
    with pytest.raises(InputError, match=r"'llama-9'; shapes are: demo-300m, llama-2-7b"):
        find_shape("llama-9")


def test_every_target_has_its_draft_unless_another_is_asked_for():
    assert draft_shape(SHAPES["llama-2-7b"], None) == SHAPES["llama-68m"]
    assert draft_shape(SHAPES["llama-2-7b"], "bundled") is None
    assert draft_shape(SHAPES["llama-2-7b"], "llama-160m") == SHAPES["llama-160m"]
    assert draft_shape(SHAPES["demo-300m"], None) is None


def test_a_stand_in_is_made_of_the_bundled_pair_only():
    with pytest.raises(InputError, match="made from the bundled pair"):
        PairSpec("a", "b", target_cost="llama-2-7b")
    with pytest.raises(InputError, match="name the target's cost"):
        PairSpec(draft_cost="llama-68m")


# The smallest shape that the bundled pair fits, so that a whole pair is made in a second.
SMALLEST = {
    "model_type": "llama",
    "hidden_size": 520,
    "num_attention_heads": 8,
    "head_dim": 64,
    "num_hidden_layers": 9,
    "intermediate_size": 1376,
    "vocab_size": 4200,
}


@pytest.fixture
def smallest(tmp_path) -> str:
    """The folder of a configuration just larger than the bundled target."""
    folder = tmp_path / "smallest"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(SMALLEST), encoding="utf-8")
    return str(folder)


def test_a_stand_in_pair_is_named_for_what_it_is_and_speaks_as_the_bundled_one(smallest):
    stand, bundled = load_pair(PairSpec(device="cpu", target_cost=smallest)), load_pair(BUNDLED)
    assert (stand.target_name, stand.draft_name) == ("stories-27m as smallest", "stories-1m")
    assert stand.voices == bundled.voices == ("stories-27m", "stories-1m")
    assert (stand.vocab, stand.context_length) == (bundled.vocab, bundled.context_length)
    assert stand.end_tokens == bundled.end_tokens
    settings, tree = GenerationSettings(max_new_tokens=24), TokenTree([-1, 0, 0, 1, 1, 2])
    runs = [Engine(each).run("Once upon a time", settings, tree) for each in (stand, bundled)]
    assert [step.committed for step in runs[0]] == [step.committed for step in runs[1]]


def test_the_command_checks_that_nothing_changed(smallest, tmp_path, capsys):
    draft_file = tmp_path / "wide-draft.json"
    draft_sizes = {"hidden_size": 256, "head_dim": 32, "num_hidden_layers": 2, "vocab_size": 4096}
    draft_file.write_text(json.dumps(SMALLEST | draft_sizes), encoding="utf-8")
    argv = ["stand-in", "--like", smallest, "--draft-like", str(draft_file), "--device", "cpu"]
    assert main([*argv, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    target, draft = result["target"], result["draft"]
    assert (target["name"], draft["name"]) == (
        "stories-27m as smallest",
        "stories-1m as wide-draft",
    )
    assert target["parameters"] == find_shape(smallest).parameters
    for model in (target, draft):
        assert model["bytes"] == 4 * model["parameters"]
        assert model["largest_difference"] < 1e-4
        assert model["same_next_token"] == 1
    assert target["added_tokens_margin"] < -50
    assert draft["added_tokens_margin"] is None
    assert "9 layers, 520 columns" in describe(result)


def test_the_command_without_a_shape_lists_them(capsys):
    assert main(["stand-in"]) == 2
    assert "llama-2-7b" in capsys.readouterr().err


def test_a_cost_without_a_profile_of_its_own_is_not_planned_with_anothers(capsys):
    argv = ["generate", "--prompt", "x", "--like", "llama-2-7b", "--budget", "4"]
    assert main(argv) == 2
    assert "profile --like llama-2-7b" in capsys.readouterr().err


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_shipped_profile_of_a_stand_in_was_measured_with_it(dtype):
    profile = load_hardware(bundled_hardware(dtype, "demo-300m"))
    assert (profile.dtype, profile.origin) == (dtype, "measured")
    assert profile.target_model == "stories-27m as demo-300m"
    with pytest.raises(InputError, match="demo-300m in float16"):
        bundled_hardware("float16", "demo-300m")
    with pytest.raises(InputError, match="demo-300m"):
        bundled_hardware(dtype, "demo-300m", "llama-68m")


def test_stand_ins_and_modelled_machines_know_the_same_sizes_of_a_model():
    sizes = ("layers", "hidden", "intermediate", "heads", "kv_heads", "head_dim", "vocab", "tied")
    common = set(SHAPES) & set(list_shapes())
    assert {"llama-2-7b", "llama-3-8b", "vicuna-33b"} <= common
    for name in common:
        built, modelled = SHAPES[name], load_shape(name)
        assert [getattr(built, size) for size in sizes] == [
            getattr(modelled, size) for size in sizes
        ], name
