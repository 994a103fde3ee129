"""A target spread over two processes writes what it writes in one, and its parts stay together."""

import hashlib
import itertools
import json

import pytest
import torch
from fakes import tiny_llama, word_tokenizer
from team import command, in_two_processes
from transformers import GPT2Config, LlamaConfig, Qwen3Config, Qwen3ForCausalLM

from sequoia_core import cli
from sequoia_core.decode import memory
from sequoia_core.decode.engine import Engine
from sequoia_core.decode.footprint import Wanted, check_memory, footprint
from sequoia_core.decode.methods import NAMES, named_method, plain_method
from sequoia_core.decode.pair import ModelPair, PairSpec, load_pair
from sequoia_core.decode.processes import ALONE, processes
from sequoia_core.decode.settings import GenerationSettings
from sequoia_core.decode.sharding import Leader, ShardedModel, check_divides, follow
from sequoia_core.errors import InputError, ModelError
from sequoia_core.tree.token_tree import TokenTree

VOCAB, CONTEXT = 12, 128
needs_parts_on_the_cpu = pytest.mark.skipif(
    torch.accelerator.current_accelerator() is not None,
    reason="transformers spreads models over the GPUs that this torch is built for",
)
TREE = TokenTree([-1, 0, 0, 1, 1, 2, 3])


def tiny_qwen3(seed: int):
    """A random Qwen3: norms on queries and keys, which a part applies to its own heads."""
    torch.manual_seed(seed)
    config = Qwen3Config(
        vocab_size=VOCAB,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=4,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=0,
        initializer_range=0.6,
    )
    return Qwen3ForCausalLM(config).eval()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two targets and a draft on the disk."""
    folder = tmp_path_factory.mktemp("models")
    models = {
        "llama": tiny_llama(VOCAB, 0, layers=2, heads=(4, 2), context=CONTEXT),
        "qwen3": tiny_qwen3(4),
        "draft": tiny_llama(VOCAB, 1, context=CONTEXT),
    }
    for name, model in models.items():
        model.save_pretrained(folder / name)
        word_tokenizer(VOCAB).save_pretrained(folder / name)
    return folder


def named(folder, target: str) -> list[str]:
    """The options of a pair."""
    models = ["--target", str(folder / target), "--draft", str(folder / "draft")]
    return [*models, "--device", "cpu", "--dtype", "float32"]


@needs_parts_on_the_cpu
def test_generate_in_two_processes_prints_the_text_of_one(folder, capsys):
    words = ["generate", "--prompt", "t3 t1", *named(folder, "llama"), "--json", "--seed", "5"]
    words += ["--temperature", "0.8", "--budget", "7", "--depth", "3", "--max-new-tokens", "24"]
    (status, out, _), other = in_two_processes(command, [*words, "--tensor-parallel"])
    assert (status, other) == (0, (0, "", ""))
    assert cli.main(words) == 0
    one, two = json.loads(capsys.readouterr().out), json.loads(out)
    for field in ("token_ids", "text", "steps", "tokens_per_step"):
        assert two[field] == one[field]


def _texts(pair: ModelPair) -> dict[str, list[int]]:
    """What every method writes at two temperatures, with one seed."""
    texts = {}
    for name, temperature in itertools.product(NAMES, (0.0, 0.8)):
        settings = GenerationSettings(temperature=temperature, max_new_tokens=12, seed=7)
        method = plain_method() if name == "autoregressive" else named_method(name, TREE)
        run = Engine(pair).run("t3 t1", settings, method)
        list(run)
        texts[f"{name} at {temperature}"] = run.token_ids
    return texts


def _in_parts(rank: int, spec: PairSpec) -> dict:
    """The texts of the main process, and facts of both parts of the target afterwards."""
    parts, seen = [], hashlib.sha256()
    begin, forward = ShardedModel.__init__, ShardedModel.forward

    def kept(self, *arguments) -> None:
        begin(self, *arguments)
        parts.append(self)

    def noted(self, *arguments, **options) -> torch.Tensor:
        logits = forward(self, *arguments, **options)
        seen.update(logits.numpy().tobytes())
        return logits

    ShardedModel.__init__, ShardedModel.forward = kept, noted
    texts = None
    with processes("cpu") as team:
        if team.is_main:
            with Leader(team) as leader:
                texts = _texts(load_pair(spec, leader=leader))
        else:
            follow(team)
    [part] = parts
    shapes = [tuple(buffer.shape) for buffer in part.cache.storage]
    weights = part.memory_bytes - part.cache.bytes
    return {
        "texts": texts,
        "facts": [seen.hexdigest(), part.length, shapes, part.parameters],
        "weights": weights,
    }


@needs_parts_on_the_cpu
@pytest.mark.parametrize("target", ["llama", "qwen3"])
def test_a_target_in_two_parts_writes_the_texts_of_a_whole_one(folder, target):
    """In float32 the parts' sums differ from the whole's by rounding alone, which turns no draw
    here; equal logits in both processes are what keeps the parts together.
    """
    spec = PairSpec(str(folder / target), str(folder / "draft"), "cpu", "float32")
    main, other = in_two_processes(_in_parts, spec)
    pair = load_pair(spec)
    assert main["texts"] == _texts(pair)
    assert min(map(len, main["texts"].values())) > 1
    assert other["texts"] is None
    # The same logits, of every pass, to the last bit; the same committed tokens.
    assert main["facts"] == other["facts"]
    _, length, [shape], parameters = main["facts"]
    assert length > 2
    # Keys and values of two layers in one buffer; one of two key-value heads.
    assert shape[:3] == (4, 1, 1)
    assert parameters == pair.target.parameters
    assert main["weights"] < 0.6 * 4 * parameters


@needs_parts_on_the_cpu
def test_a_profile_of_two_processes_says_so(folder, tmp_path):
    out = ["--out", str(tmp_path / "profile.json")]
    words = ["profile", *named(folder, "llama"), "--tensor-parallel", "--json", *out]
    words += ["--context", "2", "--max-tokens", "4", "--repeats", "1"]
    (status, output, _), other = in_two_processes(command, words)
    assert (status, other) == (0, (0, "", ""))
    profile = json.loads(output)
    assert profile["device"].startswith("2 x ")
    assert [tokens for tokens, _ in profile["target_seconds"]] == [1, 2, 3, 4]


@needs_parts_on_the_cpu
def test_a_refusal_in_the_main_process_ends_both_with_its_sentence(folder, capsys):
    words = ["generate", "--prompt", "t1 " * 200, *named(folder, "llama"), "--tensor-parallel"]
    (status, out, err), other = in_two_processes(command, words)
    assert (status, out, other) == (2, "", (0, "", ""))
    assert err.splitlines()[-1].startswith("error: The prompt has 200 tokens")


def test_a_part_needs_its_share_of_memory(monkeypatch, folder):
    source = str(folder / "llama")
    whole, half = (
        footprint(Wanted(source, source, None, parts=parts), torch.float32, 1000)
        for parts in (1, 2)
    )
    assert half.weights == whole.weights // 2
    assert half.cache == whole.cache // 2
    monkeypatch.setattr(memory, "available_bytes", lambda device: half.weights)
    target, draft = (Wanted(source, "large", None, parts=2), Wanted(source, "small", None))
    with pytest.raises(ModelError, match=r"large \(a part of 2\) with small needs"):
        check_memory(target, draft, torch.device("cpu"), torch.float32, 1000)


def test_models_that_cannot_be_spread_are_refused_with_the_reason():
    with pytest.raises(ModelError, match="no plan for tensor parallelism of gpt2 models"):
        check_divides(GPT2Config(), "m", 2)
    with pytest.raises(ModelError, match="6 attention heads, which 4 processes"):
        check_divides(LlamaConfig(hidden_size=48, num_attention_heads=6), "m", 4)
    with pytest.raises(ModelError, match="2 key-value heads, which 4 processes"):
        check_divides(LlamaConfig(num_attention_heads=8, num_key_value_heads=2), "m", 4)
    check_divides(LlamaConfig(num_attention_heads=8, num_key_value_heads=4), "m", 4)


@pytest.mark.parametrize("command_name", ["generate", "profile", "bench", "calibrate"])
def test_one_process_does_not_spread_a_target(tmp_path, capsys, command_name):
    options = {"generate": ["--prompt", "t1"], "bench": ["--methods", "chain"]}
    options = options.get(command_name, ["--out", str(tmp_path / "out.json")])
    assert cli.main([command_name, *options, "--tensor-parallel"]) == 2
    assert "start them with torchrun" in capsys.readouterr().err


@pytest.mark.parametrize("how", [{"target_cost": "demo-300m"}, {"offload": True}])
def test_what_lives_in_one_process_is_not_spread(how):
    with pytest.raises(InputError, match="leave out --tensor-parallel"):
        load_pair(PairSpec(device="cpu", **how), leader=Leader(ALONE))


def test_hugging_faces_own_methods_are_left_out_of_a_spread_bench(capsys):
    words = ["bench", "--methods", "chain,hf-generate", "--tensor-parallel"]
    assert cli.main(words) == 2
    assert "hf-generate runs on one device" in capsys.readouterr().err
