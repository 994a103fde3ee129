"""Offload: the same logits and text from streamed layers, and an order of copies without a race."""

import copy
import json
from contextlib import contextmanager
from types import SimpleNamespace

import gpu_offload
import pytest
import torch
from fakes import SMALL as SMALL_LLAMA
from fakes import tiny_llama, word_tokenizer
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM

from sequoia_core.cli import main
from sequoia_core.commands.generate import describe
from sequoia_core.decode import model as model_module
from sequoia_core.decode import streams
from sequoia_core.decode.engine import Engine, GenerationSettings
from sequoia_core.decode.model import TreeModel
from sequoia_core.decode.offload import ALIGNMENT, Offload, decoder_layers, piece_sizes
from sequoia_core.decode.pair import ModelPair
from sequoia_core.decode.self_test import self_test
from sequoia_core.decode.streams import CudaStreams, HostStreams, Rotation, buffer_of_layers
from sequoia_core.errors import ModelError
from sequoia_core.plan.hardware import load_hardware
from sequoia_core.tree.token_tree import TokenTree

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)
VOCAB, LAYERS = 40, 5
SMALL = SMALL_LLAMA | {"num_hidden_layers": LAYERS}
FAMILIES = {
    "llama": SMALL,
    "gpt2": {
        "vocab_size": VOCAB,
        "n_embd": 32,
        "n_layer": 4,
        "n_head": 4,
        "n_positions": 64,
        "initializer_range": 0.3,
        "tie_word_embeddings": True,
        "bos_token_id": None,
        "eos_token_id": None,
    },
    "gemma3_text": SMALL
    | {
        "sliding_window": 6,
        "layer_types": ["sliding_attention", "full_attention"] * 2 + ["sliding_attention"],
        "query_pre_attn_scalar": 8,
    },
    "mixtral": SMALL | {"num_hidden_layers": 4, "num_local_experts": 4, "num_experts_per_tok": 2},
}
TREE = TokenTree([-1, 0, 0, 0, 1, 1, 2, 4, 4, 7])
PROMPT = [3, 1, 4, 1, 5, 9, 2, 6]


def random_model(name: str, seed: int = 0):
    torch.manual_seed(seed)
    return AutoModelForCausalLM.from_config(AutoConfig.for_model(name, **FAMILIES[name])).eval()


def streamed(model, name: str = "streamed") -> TreeModel:
    """The model with its layers in main memory; the model itself is left as it was."""
    model = copy.deepcopy(model)
    return TreeModel(model, name, Offload(model, CPU))


def plain_logits(model, ids: list[int]) -> torch.Tensor:
    with torch.inference_mode():
        return model(input_ids=torch.tensor([ids]), use_cache=False).logits[0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", FAMILIES)
def test_logits_are_bit_identical_with_and_without_offload_on(name, dtype):
    model = random_model(name).to(dtype)
    ours = streamed(model)
    for ids in (PROMPT, [7], PROMPT * 3):
        assert torch.equal(plain_logits(ours.model, ids), plain_logits(model, ids))
    # The same through our own cache, mask and tree.
    results = []
    for each in (ours, TreeModel(model, name)):
        each.reset(len(PROMPT) + TREE.size)
        last = each.append(PROMPT)
        positions = torch.from_numpy(TREE.depths).long() + len(PROMPT)
        nodes = torch.arange(TREE.size)
        results.append((last, each.forward(nodes, positions, torch.from_numpy(TREE.visible))))
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_text_is_the_same_token_for_token_on(name, temperature):
    draft = random_model(name, 1)
    settings = GenerationSettings(temperature=temperature, max_new_tokens=24)
    texts = []
    for target in (streamed(random_model(name)), TreeModel(random_model(name), name)):
        support = self_test(target)
        assert support.trees, support.reason
        tokenizer = word_tokenizer(VOCAB)
        models = (target, TreeModel(draft, "draft"))
        pair = ModelPair(*models, tokenizer, VOCAB, frozenset(), False, support)
        run = Engine(pair).run(PROMPT, settings, TREE)
        texts.append([step.committed for step in run])
    assert texts[0] == texts[1]


def test_hugging_face_generate_runs_on_streamed_layers():
    model = random_model("llama")
    ids = torch.tensor([PROMPT])
    options = {"max_new_tokens": 12, "do_sample": False, "pad_token_id": 0}
    texts = [
        each.generate(ids, attention_mask=torch.ones_like(ids), **options).tolist()
        for each in (streamed(model).model, model)
    ]
    assert texts[0] == texts[1]


class LateStreams(HostStreams):
    """Copies as late as the order allows: the other end of what a GPU may do."""

    def __init__(self, layers, buffers):
        super().__init__(layers, buffers)
        self._due: dict[int, int] = {}

    def copy(self, layer: int, buffer: int) -> None:
        self._due[buffer] = layer

    def await_copy(self, buffer: int) -> None:
        if buffer in self._due:
            super().copy(self._due.pop(buffer), buffer)


class SpoilingStreams(LateStreams):
    """And from the moment a copy may begin there is nothing to be read in the buffer."""

    def copy(self, layer: int, buffer: int) -> None:
        super().copy(layer, buffer)
        self._buffers[buffer].fill_(255)


@pytest.mark.parametrize("kind", [LateStreams, SpoilingStreams])
@pytest.mark.parametrize("layers", [1, 2, 3, 4, 5])
def test_copies_may_come_early_or_late_within_their_order(kind, layers):
    model = tiny_llama(VOCAB, 0, layers=layers)
    ours = streamed(model)
    ours.offload.use(kind)
    for ids in (PROMPT, [7], PROMPT[::-1]):
        assert torch.equal(plain_logits(ours.model, ids), plain_logits(model, ids))


class Queues:
    """Records what a GPU would do as a graph: what must be over before what begins."""

    def __init__(self) -> None:
        self.earlier: list[set[int]] = []
        self.copies: list[tuple[int, int, int]] = []
        self.uses: list[tuple[int, int, int]] = []
        self.last = {"copy": set(), "compute": set()}
        self._marks: dict[tuple[str, int], set[int]] = {}

    def add(self, queue: str) -> int:
        """An operation after all of its queue, and what that queue has waited for."""
        self.earlier.append(set(self.last[queue]))
        self.last[queue] |= {len(self.earlier) - 1}
        return len(self.earlier) - 1

    def copy(self, layer: int, buffer: int) -> None:
        self.copies.append((self.add("copy"), layer, buffer))
        self._marks["copied", buffer] = set(self.last["copy"])

    def release(self, buffer: int) -> None:
        self._marks["released", buffer] = set(self.last["compute"])

    def await_copy(self, buffer: int) -> None:
        self.last["compute"] |= self._marks["copied", buffer]

    def await_release(self, buffer: int) -> None:
        self.last["copy"] |= self._marks.get(("released", buffer), set())

    def use(self, layer: int, buffer: int) -> None:
        """A layer's computing."""
        self.uses.append((self.add("compute"), layer, buffer))


def raced(queues: Queues) -> list[tuple]:
    """Uses that are not after the copy of their layer, or not before the next copy into it."""
    wrong = []
    for use, layer, buffer in queues.uses:
        into = [copied for copied in queues.copies if copied[2] == buffer]
        before = [copied for copied in into if copied[0] in queues.earlier[use]]
        after = [copied for copied in into if use in queues.earlier[copied[0]]]
        ready = bool(before) and before[-1][1] == layer
        if not ready or len(before) + len(after) != len(into):
            wrong.append((use, layer, buffer))
    return wrong


def passes(layers: int, count: int, rotation=Rotation) -> tuple[Queues, Rotation]:
    queues = Queues()
    rotating = rotation(layers, queues)
    for _ in range(count):
        for layer in range(layers):
            rotating.enter(layer)
            queues.use(layer, rotating.buffers[layer])
            rotating.leave(layer)
    return queues, rotating


@pytest.mark.parametrize("layers", [1, 2, 3, 4, 5, 8])
def test_no_buffer_is_overwritten_in_use_nor_used_before_its_copy(layers):
    """Proved for every order in which the two queues can run: whatever is not ordered is a race."""
    queues, rotation = passes(layers, 4)
    assert len(queues.uses) == 4 * layers
    assert raced(queues) == []
    # Layers that share a buffer are copied once a pass, with the next pass's first one ahead.
    shared = len(rotation.streamed)
    assert shared == (0 if layers <= 3 else layers - layers % 2)
    assert len(queues.copies) == layers + 3 * shared + (1 if shared else 0)


class Hasty(Rotation):
    """Copies into a buffer that may still be computed with."""

    def leave(self, layer: int) -> None:
        pass


class Rash(Rotation):
    """Computes with what may still be on its way."""

    def enter(self, layer: int) -> None:
        self._fetch(layer)
        self._fetch((layer + 1) % len(self.buffers))


def test_the_proof_finds_a_missing_wait():
    assert raced(passes(5, 3, Hasty)[0])
    assert raced(passes(5, 3, Rash)[0])


class FakeCuda:
    """torch.cuda's streams and events, which keep `Queues` of what they would order."""

    def __init__(self) -> None:
        self.queues = Queues()
        self.computing = self.Stream(None, "compute")
        self.entered = self.computing

    def Stream(self, _device, queue: str = "copy"):  # noqa: N802
        last = self.queues.last

        def wait(marked: set[int]) -> None:
            last[queue] |= marked

        return SimpleNamespace(
            queue=queue,
            wait_event=lambda event: wait(event.marked),
            wait_stream=lambda other: wait(last[other.queue]),
        )

    def Event(self):  # noqa: N802
        event = SimpleNamespace(marked=set())
        event.record = lambda stream: setattr(event, "marked", set(self.queues.last[stream.queue]))
        return event

    def current_stream(self, _device):
        return self.computing

    @contextmanager
    def stream(self, stream):
        before, self.entered = self.entered, stream
        yield
        self.entered = before


@pytest.mark.parametrize("layers", [1, 2, 3, 4, 5])
def test_the_events_of_a_gpu_keep_the_order_too(monkeypatch, layers):
    cuda, kept = FakeCuda(), []
    monkeypatch.setattr(streams, "torch", SimpleNamespace(cuda=cuda))

    def copied(layer: int, buffer: int) -> None:
        assert cuda.entered.queue == "copy"
        cuda.queues.copies.append((cuda.queues.add("copy"), layer, buffer))

    monkeypatch.setattr(streams, "copy_pieces", lambda layer, buffer: copied(layer, buffer.index))
    buffers = [
        SimpleNamespace(device=GPU, index=index, record_stream=kept.append)
        for index in range(len(set(buffer_of_layers(layers))))
    ]
    rotation = Rotation(layers, CudaStreams(range(layers), buffers))
    for _ in range(3):
        for layer in range(layers):
            rotation.enter(layer)
            cuda.queues.use(layer, rotation.buffers[layer])
            rotation.leave(layer)
    assert raced(cuda.queues) == []
    assert [stream.queue for stream in kept] == ["copy"] * len(buffers)


@pytest.mark.parametrize("layers", [4, 5])
def test_the_next_layer_is_copied_while_a_layer_computes(layers):
    """Overlap: neither a layer's computing nor the copy of the next one waits for the other."""
    queues, _ = passes(layers, 3)
    computing = {(use, layer) for use, layer, _ in queues.uses}
    for copied, layer, _ in queues.copies[1:]:
        before = [use for use, other in computing if (other + 1) % layers == layer]
        beside = [
            use
            for use in before
            if use not in queues.earlier[copied] and copied not in queues.earlier[use]
        ]
        assert beside, layer


@pytest.mark.parametrize("layers", [2, 3, 4, 5, 32, 33])
def test_neighbours_never_share_a_buffer_even_from_pass_to_pass(layers):
    buffers = buffer_of_layers(layers)
    assert all(buffers[i] != buffers[(i + 1) % layers] for i in range(layers))
    assert max(buffers) <= 2


@pytest.mark.parametrize("stop", [0, 2, 4])
def test_a_pass_that_breaks_off_does_the_next_one_no_harm(stop):
    model = random_model("llama")
    ours = streamed(model)
    ours.offload.use(SpoilingStreams)
    layer = ours.model.model.layers[stop].mlp
    handle = layer.register_forward_pre_hook(lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        plain_logits(ours.model, PROMPT)
    handle.remove()
    assert torch.equal(plain_logits(ours.model, PROMPT), plain_logits(model, PROMPT))


def test_copying_alone_copies_a_passs_bytes_and_leaves_the_model_right():
    model = random_model("llama")
    ours = streamed(model)
    wanted = plain_logits(model, PROMPT)
    assert torch.equal(plain_logits(ours.model, PROMPT), wanted)
    ours.offload.copy_streamed()
    assert torch.equal(plain_logits(ours.model, PROMPT), wanted)


def test_layers_of_unequal_size_share_buffers_of_the_largest():
    model = random_model("llama")
    wide = copy.deepcopy(model.model.layers[1].mlp)
    for name in ("gate_proj", "up_proj"):
        setattr(wide, name, nn.Linear(32, 200, bias=False))
    wide.down_proj = nn.Linear(200, 32, bias=False)
    model.model.layers[1].mlp = wide
    ours = streamed(model)
    largest = max(sum(p.numel() * 4 for p in layer.parameters()) for layer in model.model.layers)
    assert 3 * largest <= ours.offload.buffer_bytes <= 3 * (largest + 9 * ALIGNMENT)
    assert torch.equal(plain_logits(ours.model, PROMPT), plain_logits(model, PROMPT))


def test_parameters_of_several_dtypes_lie_side_by_side():
    model = random_model("llama").to(torch.bfloat16)
    for layer in model.model.layers:
        layer.input_layernorm.to(torch.float32)
    wanted = list(model.model.layers.parameters())
    found = list(streamed(model).weights())[-len(wanted) :]
    assert {values.dtype for values in found} == {torch.float32, torch.bfloat16}
    for ours, theirs in zip(found, wanted, strict=True):
        assert ours.dtype == theirs.dtype
        assert torch.equal(ours, theirs)


def test_a_parameter_that_layers_share_stays_on_the_device():
    model = random_model("llama")
    layers = model.model.layers
    layers[3].mlp.up_proj.weight = layers[0].mlp.up_proj.weight
    ours = streamed(model)
    own = ours.model.model.layers
    assert own[3].mlp.up_proj.weight is own[0].mlp.up_proj.weight
    assert torch.equal(plain_logits(ours.model, PROMPT), plain_logits(model, PROMPT))
    assert own[0].mlp.up_proj.weight.untyped_storage().nbytes() == 64 * 32 * 4


def test_memory_on_the_device_is_what_is_no_layer_and_the_buffers():
    model = random_model("llama")
    ours, offload = streamed(model), streamed(model).offload
    layers = sum(p.numel() * 4 for p in model.model.layers.parameters())
    everything = sum(p.numel() * 4 for p in model.parameters())
    assert ours.memory_bytes == everything - layers + offload.buffer_bytes
    assert layers <= ours.host_bytes == offload.host_bytes < layers + 5 * 9 * ALIGNMENT
    assert offload.streamed_bytes == offload.host_bytes * 4 // 5
    assert (ours.streams_weights, TreeModel(model, "plain").streams_weights) == (True, False)
    assert TreeModel(model, "plain").host_bytes == 0


def test_streamed_layers_are_never_packed():
    ours = streamed(random_model("llama"))
    ours.pack()
    assert type(ours.model.model.layers[0].mlp.up_proj) is nn.Linear


def test_a_model_loaded_in_inference_mode_is_streamed_too():
    with torch.inference_mode():
        model = random_model("llama")
        ours = TreeModel(model, "inside", Offload(model, CPU))
    wanted = plain_logits(random_model("llama"), PROMPT)
    assert torch.equal(plain_logits(ours.model, PROMPT), wanted)


def test_a_model_without_its_layers_in_a_list_is_refused_by_name():
    model = random_model("llama")
    model.config.num_hidden_layers = 7
    with pytest.raises(ModelError, match="No list of 7 layers was found in this llama model"):
        decoder_layers(model)


@pytest.mark.parametrize("size", [0, 1, 2**20 - 1, 2**20, 405 * 2**20 + 17, 2**31 + 5])
def test_pieces_are_powers_of_two_and_add_up(size):
    sizes = piece_sizes(size)
    assert sum(sizes) == size
    assert all(piece & (piece - 1) == 0 for piece in sizes[:-1])
    assert all(piece > 0 for piece in sizes)
    assert not sizes or sizes[-1] < 2**20 or sizes[-1] & (sizes[-1] - 1) == 0


PAIR = ["--device", "cpu", "--dtype", "float32"]
GENERATE = ["generate", "--max-new-tokens", "16", "--budget", "8", "--depth", "3", *PAIR]


def answer(capsys, *argv: str) -> dict:
    assert main([*argv, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_generate_writes_the_same_tokens_and_says_that_it_offloads(capsys, monkeypatch):
    # Packed products round otherwise, and streamed layers are never packed.
    monkeypatch.setattr(model_module, "pack_linears", lambda model: 0)
    argv = [*GENERATE, "--prompt", "Once upon a time", "--temperature", "0.8", "--seed", "3"]
    ours, plain = answer(capsys, *argv, "--offload"), answer(capsys, *argv)
    assert ours["token_ids"] == plain["token_ids"]
    assert ours["steps"] == plain["steps"]
    assert (ours["target"], plain["target"]) == ("stories-27m (offloaded)", "stories-27m")
    assert (ours["offload"], plain["offload"]) == (True, False)
    assert ours["peak_memory_bytes"]["main memory"] > 10**7
    assert "of main memory; offload: the target's layers in main memory" in describe(ours)
    assert "offload" not in describe(plain)


@pytest.fixture
def own_models(tmp_path) -> list[str]:
    """Options that name a pair in folders, with room for what a profile measures."""
    options = []
    for seed, role in enumerate(("target", "draft")):
        folder = tmp_path / role
        tiny_llama(VOCAB, seed, layers=LAYERS, context=256).save_pretrained(folder)
        word_tokenizer(VOCAB).save_pretrained(folder)
        options += [f"--{role}", str(folder)]
    return options


def test_a_profile_with_offload_says_so_and_others_are_not_planned_with(
    capsys, tmp_path, own_models
):
    argv = [*PAIR, *own_models, "--offload"]
    for command in (["generate", "--prompt", "t1"], ["bench", "--methods", "sequoia"]):
        assert main([*command, *argv]) == 2
        assert "measure one with `profile --offload --out my.json`" in capsys.readouterr().err
    file, prompts = tmp_path / "h.json", tmp_path / "prompts.jsonl"
    small = ["--context", "16", "--max-tokens", "8", "--repeats", "1"]
    assert answer(capsys, "profile", *argv, *small, "--out", str(file))["offload"]
    profile = load_hardware(file)
    assert profile.target_model == f"{own_models[1]} (offloaded)"
    assert "the target's layers were streamed from main memory in every pass" in profile.basis
    prompts.write_text('{"text": "t1 t2"}\n', encoding="utf-8")
    run = ["--max-new-tokens", "4", "--repeats", "1", "--methods", "sequoia"]
    chosen = ["--hardware", str(file), "--prompts", str(prompts)]
    result = answer(capsys, "bench", *argv, *run, *chosen)
    assert (result["target"], result["offload"]) == (profile.target_model, True)
    assert result["peak_memory_bytes"]
    assert [row["method"] for row in result["rows"]] == ["autoregressive", "sequoia"]
    out = tmp_path / "a.json"
    run = ["--max-new-tokens", "4", "--width", "3", "--out", str(out)]
    prompts.write_text('{"text": "t1 t2"}\n{"text": "t3"}\n', encoding="utf-8")
    vector = answer(capsys, "calibrate", *argv, *run, "--prompts", str(prompts))
    # What is accepted does not depend on where weights are, and exports name the model.
    assert vector["target"] == own_models[1]


def test_a_stand_in_is_streamed_and_its_own_weights_are_counted(capsys, tmp_path):
    sizes = {"hidden_size": 520, "num_attention_heads": 8, "head_dim": 64, "vocab_size": 4200}
    shape = {"model_type": "llama", "num_hidden_layers": 9, "intermediate_size": 1376} | sizes
    file = tmp_path / "shape.json"
    file.write_text(json.dumps(shape), encoding="utf-8")
    target = answer(capsys, "stand-in", "--like", str(file), *PAIR, "--offload")["target"]
    assert target["largest_difference"] < 1e-4
    assert target["bytes"] == 4 * target["parameters"]
    # The bundled model has 8 layers: o and down of the ninth are zero.
    assert target["zero_share"] * target["parameters"] > 520 * (8 * 64 + 1376)


def test_passes_are_held_against_the_copies_alone():
    """On a CPU the figures mean nothing; the tool itself times nothing there."""
    result = gpu_offload.measure(
        streamed(random_model("llama")), sizes=(1, 4), context=8, repeats=1
    )
    copied = result["bytes_per_second"] * result["bound_seconds"]
    assert result["streamed_bytes"] == pytest.approx(copied)
    assert [row["tokens"] for row in result["passes"]] == [1, 4]
    assert all(row["over_bound"] > 0 for row in result["passes"])
    assert f"{result['passes'][1]['over_bound']:.3f} of the bound" in gpu_offload.describe(result)


def test_without_a_gpu_offload_is_not_timed(tmp_path):
    assert gpu_offload.check("cpu", "llama-2-7b", tmp_path / "offload.json") == 0
    assert not (tmp_path / "offload.json").exists()
