"""The code for GPUs, run on a simulated one: the same texts, one wait a step, and no race."""

from collections import Counter
from copy import deepcopy

import pytest
import torch
from fake_cuda import Gpu, WrongDeviceError
from fake_queues import Stream
from fake_tensors import GPU
from fakes import tiny_llama, tiny_pair, word_tokenizer
from test_architectures import TREE, pair_of
from test_offload import Hasty, Rash

from sequoia_core.cli import main
from sequoia_core.decode import static_passes
from sequoia_core.decode.capture import GraphCapture
from sequoia_core.decode.engine import Engine, GenerationSettings
from sequoia_core.decode.methods import NAMES
from sequoia_core.decode.model import TreeModel
from sequoia_core.decode.offload import Offload
from sequoia_core.decode.pair import ModelPair
from sequoia_core.decode.self_test import SelfTest, self_test
from sequoia_core.decode.transfer import to_device
from sequoia_core.measure import profiler
from sequoia_core.measure.passes import step_seconds
from sequoia_core.measure.proof import GREEDY_TREE, method_with
from sequoia_core.plan.hardware import load_hardware
from sequoia_core.plan.measurement import MachineFigures

PROMPT = [3, 1, 4]
SETTINGS = {"greedy": {}, "nucleus": {"temperature": 0.8, "top_p": 0.9}}
# They shape their trees on the host, which waits for the draws of every level, once.
GROWN = ("dynamic", "specexec")
FAMILIES = ["gemma3_text", "gpt2"]


@pytest.fixture
def gpu():
    with Gpu() as device:
        yield device


def moved(pair: ModelPair, dtype: torch.dtype = torch.float32) -> ModelPair:
    """The same pair on the GPU."""
    target, draft = (
        TreeModel(deepcopy(model.model).to(GPU, dtype), model.name)
        for model in (pair.target, pair.draft)
    )
    return ModelPair(
        target, draft, pair.tokenizer, pair.vocab, pair.end_tokens, False, pair.shape_support
    )


def written(pair: ModelPair, method=TREE, *, tokens: int = 16, **sampling) -> tuple[list, list]:
    """Tokens of a run, and its steps."""
    settings = GenerationSettings(max_new_tokens=tokens, **sampling)
    run = Engine(pair, on_device=True).run(PROMPT, settings, method, trace=False)
    steps = list(run)
    return run.token_ids, steps


def on_gpu(parts: int = 3, *shape: int) -> torch.Tensor:
    return torch.ones(shape or (parts,), device=GPU)


@pytest.mark.parametrize(
    ("name", "kind"),
    [(name, "greedy") for name in NAMES]
    + [(name, "nucleus") for name in ("sequoia", "specinfer", "topk", "dynamic")],
)
def test_every_method_writes_on_a_gpu_what_it_writes_on_a_cpu(gpu, name, kind):
    """And waits in a step for the walk's answer, and for the clock: see `EventWatch`."""
    pair, method = tiny_pair(vocab=40, seed=5), method_with(name, GREEDY_TREE)
    ours = moved(pair)
    wanted, _ = written(pair, method, **SETTINGS[kind])
    ours.use_graphs()
    levels, forward = [], ours.draft.forward
    ours.draft.forward = lambda *args, **kwargs: (levels.append(1), forward(*args, **kwargs))[1]
    before = -1
    while len(gpu.graphs) > before:
        before = len(gpu.graphs)
        gpu.forget()
        levels.clear()
        tokens, steps = written(ours, method, **SETTINGS[kind])
        assert tokens == wanted
    # The last run has captured nothing. It waits before and after the prompt is read, and in a step
    # for the walk's answer and the end of its clock.
    waits = Counter(gpu.waits)
    assert waits.pop("numpy", 0) == (len(levels) - 1 if name in GROWN else 0)
    assert waits == {"stream": 2, "tolist": len(steps), "event": len(steps)}
    assert all(graph.replays for graph in gpu.graphs[1:])
    assert ours.target.static.refused == ""
    assert len(ours.target.static) > 0


@pytest.mark.parametrize("name", FAMILIES)
def test_captured_passes_of(gpu, name, monkeypatch):
    """Past the windows and through several buckets; captured passes hold no Python."""
    monkeypatch.setattr(static_passes, "BUCKET", 16)
    pair = pair_of(name)
    ours = moved(pair)
    assert self_test(ours.target).trees
    ours.use_graphs()
    wanted, _ = written(pair)
    for _ in range(2):
        assert written(ours)[0] == wanted
    assert (ours.target.static.refused, ours.draft.static.refused) == ("", "")
    assert len(ours.target.static) > 1


def test_a_mixture_is_captured_in_bfloat16_and_stays_dynamic_in_float32(gpu):
    """Its experts have a kernel in the former; in the latter the host reads who gets how many."""
    name = "gpt_oss"
    ours = moved(pair_of(name))
    ours.use_graphs()
    assert written(ours)[0] == written(pair_of(name))[0]
    assert "synchronizing CUDA operation: _grouped_mm" in ours.target.static.refused
    assert gpu.stream is gpu.main
    half = moved(pair_of(name), torch.bfloat16)
    half.use_graphs()
    for _ in range(2):
        written(half)
    assert half.target.static.refused == ""
    assert len(half.target.static) > 0


def test_a_step_launches_less_with_graphs(gpu):
    pair = moved(tiny_pair(vocab=40, seed=5))
    counts = []
    for graphs in (False, True):
        pair.use_graphs(graphs)
        for _ in range(2):
            gpu.forget()
            _, steps = written(pair)
        counts.append(len(gpu.launches) / len(steps))
    assert counts[1] < counts[0] / 2
    assert gpu.launches.count("graph") == (1 + TREE.depth) * len(steps)


def test_a_steps_parts_are_all_that_the_device_did_in_it(gpu):
    """The device's clock ticks once for an operation."""
    pair = moved(tiny_pair(vocab=40, seed=5))
    run = Engine(pair).run(PROMPT, GenerationSettings(max_new_tokens=20), TREE, trace=False)
    next(run)
    for _ in range(3):
        before = gpu.operations
        step = next(run)
        assert step.seconds.total * 1e3 == pytest.approx(gpu.operations - before)
        assert min(step.seconds.draft, step.seconds.verify, step.seconds.sample) > 0


def test_a_seed_draws_the_same_on_the_gpu_again(gpu):
    pair = moved(tiny_pair(vocab=40))
    runs = [written(pair, temperature=1.0, seed=seed)[0] for seed in (3, 3, 4)]
    assert runs[0] == runs[1] != runs[2]


def test_a_profiles_passes_are_waited_for_once_a_step_and_captures_are_not_timed(gpu):
    """Launches hide behind the passes before, as they do in decoding."""
    pair = moved(tiny_pair(vocab=40, context=512))
    pair.use_graphs()
    for model in (pair.target, pair.draft):
        model.reset(128)
        model.append([1] * 20)
    passes = [(pair.draft, 1), (pair.draft, 4), (pair.draft, 2), (pair.target, 8)]
    dynamic = step_seconds(pair, passes)
    again = step_seconds(pair, passes)
    assert pair.captures == 4
    gpu.forget()
    repeated = step_seconds(pair, passes)
    assert gpu.waits[-2:] == ["stream", "event"]
    assert gpu.waits.count("event") == gpu.waits.count("stream") == 1
    # A captured pass is one operation, with those that write its inputs and take its logits.
    assert again == repeated
    assert max(repeated) < min(dynamic) / 2


def offloaded(pair: ModelPair) -> ModelPair:
    target = deepcopy(pair.target.model)
    streamed = TreeModel(target, "streamed", Offload(target, GPU))
    draft = TreeModel(deepcopy(pair.draft.model).to(GPU), "draft")
    support = pair.shape_support
    return ModelPair(streamed, draft, pair.tokenizer, pair.vocab, pair.end_tokens, False, support)


@pytest.mark.parametrize("layers", [2, 5])
def test_streamed_layers_write_the_same_without_a_race_or_another_wait(gpu, layers):
    target = TreeModel(tiny_llama(40, 5, layers=layers), "target")
    draft = TreeModel(tiny_llama(40, 6), "draft")
    pair = ModelPair(target, draft, word_tokenizer(40), 40, frozenset(), False, SelfTest(True))
    ours = offloaded(pair)
    ours.use_graphs()
    wanted, _ = written(pair)
    for _ in range(2):
        gpu.forget()
        tokens, steps = written(ours)
        assert tokens == wanted
    assert Counter(gpu.waits) == {"stream": 2, "tolist": len(steps), "event": len(steps)}
    assert ours.target.static is None
    assert len(ours.draft.static) > 0
    assert len(set(gpu.kept)) == 1


@pytest.mark.parametrize("kind", [Hasty, Rash])
def test_a_missing_wait_between_copies_and_computing_is_a_race(gpu, kind):
    model = tiny_llama(40, 5, layers=4)
    streamed = TreeModel(model, "streamed", Offload(model, GPU))
    rotation = streamed.offload._rotation
    streamed.offload._rotation = kind(len(rotation.buffers), rotation._streams)
    with pytest.raises(AssertionError, match="races"):
        for _ in range(3):
            streamed.reset(32)
            streamed.append(PROMPT)


def test_attention_that_builds_a_plan_for_every_length_is_left_out(gpu):
    torch.backends.cuda.enable_cudnn_sdp(True)
    TreeModel(tiny_llama(40, 5), "on the CPU")
    assert torch.backends.cuda.cudnn_sdp_enabled()
    moved(tiny_pair(vocab=40))
    assert not torch.backends.cuda.cudnn_sdp_enabled()


def test_nothing_of_the_gpu_is_left_when_it_is_gone():
    from transformers.utils import is_torch_cuda_available

    with Gpu():
        assert is_torch_cuda_available()
        assert torch.cuda.is_available()
    assert not is_torch_cuda_available()
    assert not torch.cuda.is_available()
    assert torch.backends.cuda.cudnn_sdp_enabled()
    assert torch.Generator().device.type == "cpu"


def test_index_tensors_are_sent_without_waiting(gpu):
    assert to_device([1, 2], GPU).tolist() == [1, 2]
    assert gpu.waits == ["tolist"]


def test_commands_run_on_a_gpu(gpu, monkeypatch, tmp_path, capsys):
    """Loading, memory checks, self-test, profile, bench beside Hugging Face, on one device."""
    figures = MachineFigures(bandwidth=1e10, flops=1e11, layer_seconds=1e-4, pass_seconds=1e-4)
    monkeypatch.setattr(profiler, "measure_machine", lambda *_args, **_options: figures)
    options = ["--device", "cuda", "--dtype", "float32"]
    for seed, role in enumerate(("target", "draft")):
        folder = tmp_path / role
        tiny_llama(40, seed, layers=2 - seed, context=512).save_pretrained(folder)
        word_tokenizer(40).save_pretrained(folder)
        options += [f"--{role}", str(folder)]
    hardware, prompts = tmp_path / "h.json", tmp_path / "prompts.jsonl"
    prompts.write_text('{"text": "t1 t2 t3"}\n', encoding="utf-8")
    small = ["--context", "16", "--max-tokens", "4", "--repeats", "1", "--limit", "0"]
    assert main(["profile", *options, *small, "--out", str(hardware)]) == 0
    profile = load_hardware(hardware)
    assert (profile.device, profile.dtype) == ("a GPU that is none", "float32")
    assert "no CUDA graphs" not in profile.basis
    bench = ["--methods", "sequoia,hf-generate", "--max-new-tokens", "6", "--repeats", "1"]
    chosen = ["--hardware", str(hardware), "--prompts", str(prompts)]
    assert main(["bench", *options, *bench, *chosen]) == 0
    shown = capsys.readouterr().out
    assert "all methods wrote the text of plain decoding, token for token" in shown
    assert "of cuda:0" in shown


# What the simulation would find: without these the tests above would prove nothing.


def test_tensors_of_two_devices_do_not_mix(gpu):
    here = on_gpu(3)
    for mixed in (
        lambda: here + torch.ones(3),
        lambda: torch.cat([here, torch.ones(3)]),
        lambda: torch.ones(3)[here.long()],
        lambda: torch.where(here > 0, here, torch.ones(3)),
        lambda: torch.rand(3, device=GPU, generator=torch.Generator()),
    ):
        with pytest.raises(WrongDeviceError):
            mixed()
    assert (here + torch.tensor(1.0)).tolist() == [2.0] * 3


@pytest.mark.parametrize(
    "ask",
    [
        lambda x: x.sum().item(),
        lambda x: bool((x > 0).all()),
        lambda x: float(x[0]),
        lambda x: int(x[0]),
        lambda x: x.tolist(),
        lambda x: x.cpu(),
        lambda x: x.numpy(force=True),
        lambda x: x[x > 0],
        lambda x: x.nonzero(),
        lambda x: torch.unique(x),
        lambda x: x[torch.tensor([0, 1])],
        lambda x: x.copy_(torch.zeros(3)),
        lambda x: torch.tensor([1, 2], device=GPU),
        lambda x: torch.zeros(2).to(GPU),
        lambda x: torch.zeros(2).to(GPU, non_blocking=True),
        lambda x: torch.multinomial(x, 1),
        lambda x: torch.zeros(3).copy_(x),
    ],
)
def test_whatever_the_host_waits_for_is_written_down(gpu, ask):
    ask(on_gpu(3))
    assert len(gpu.waits) >= 1
    gpu.forget()
    gpu.mode = 2
    with pytest.raises(RuntimeError, match="synchronizing"):
        ask(on_gpu(3))


def captured(pass_, device=GPU):
    return GraphCapture(device)(pass_)


def test_a_graph_repeats_operations_on_memory_and_no_python(gpu):
    source, out, times = on_gpu(3), on_gpu(3), [2.0]
    replay = captured(lambda: out.copy_(source * times[0]))
    times[0] = 5.0
    source.fill_(7.0)
    replay()
    assert out.tolist() == [14.0] * 3


def test_what_a_pass_leaves_in_the_pool_is_spoilt(gpu):
    source, left = on_gpu(3), []
    replay = captured(lambda: left.append(source * 2))
    replay()
    assert all(each != each for each in left[-1].tolist())


@pytest.mark.parametrize(
    "run",
    [lambda x: x.sum().item(), lambda x: to_device([1], GPU), lambda x: torch.zeros(2).to(GPU)],
)
def test_a_pass_that_needs_the_host_is_never_captured(gpu, run):
    source = on_gpu(3)
    with pytest.raises(RuntimeError, match=r"synchronizing|capturing"):
        captured(lambda: run(source))
    assert gpu.stream is gpu.main
    assert gpu.mode == 0
    assert torch.rand(2, device=GPU).shape == (2,)


def test_work_of_two_streams_on_one_memory_needs_an_order(gpu):
    shared, other = on_gpu(3), Stream(gpu, "other")
    with gpu._within(other), pytest.raises(AssertionError, match="races"):
        shared.add_(1)
    other.wait_stream(gpu.main)
    with gpu._within(other):
        shared.add_(1)
    with pytest.raises(AssertionError, match="races"):
        shared.sum()
    gpu.main.wait_stream(other)
    assert shared.sum().item() > 3
