"""Memory: what a pair needs is known before it is loaded, and what does not fit is refused."""

import copy
import resource
import weakref

import pytest
import torch
from fakes import tiny_llama, tiny_pair
from test_offload import FAMILIES, random_model, streamed
from test_pair import saved
from transformers import AutoConfig

from sequoia_core.decode import memory, pair
from sequoia_core.decode.capture import eager
from sequoia_core.decode.engine import Engine, GenerationSettings
from sequoia_core.decode.footprint import (
    Footprint,
    Wanted,
    footprint,
    memory_needed,
    of_config,
    offloaded_name,
)
from sequoia_core.decode.memory import available_bytes, describe_peak, peak_memory, readable
from sequoia_core.decode.model import TreeModel
from sequoia_core.decode.pair import PairSpec, load_pair
from sequoia_core.decode.self_test import self_test
from sequoia_core.decode.shapes import SHAPES
from sequoia_core.errors import ModelError
from sequoia_core.measure.hugging_face import HuggingFace
from sequoia_core.tree.token_tree import TokenTree

TREE = TokenTree([-1, 0, 0, 1, 1, 2])
CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)
FLOAT = torch.float32


def refusal(monkeypatch, spec: PairSpec, free: int) -> str:
    """The words of a refusal, with nothing loaded, where a device has this many bytes."""
    monkeypatch.setattr(memory, "available_bytes", lambda device: free)
    monkeypatch.setattr(pair, "load_tokenizer", pytest.fail)
    with pytest.raises(ModelError) as refused:
        load_pair(spec)
    return str(refused.value)


def test_a_stand_in_that_does_not_fit_is_refused_before_loading(monkeypatch):
    shapes = SHAPES["llama-2-7b"], SHAPES["llama-68m"]
    needed = sum(2 * (shape.parameters + 512 * shape.cache_values) for shape in shapes)
    spec = PairSpec(device="cpu", dtype="bfloat16", target_cost="llama-2-7b")
    assert refusal(monkeypatch, spec, 10**9) == (
        "stories-27m as llama-2-7b with stories-1m as llama-68m needs 13.9 GB of main memory and "
        f"1.0 GB are free: 12.9 GB ({needed - 10**9:,} bytes) are missing; choose a smaller model."
    )


def test_a_named_pair_that_does_not_fit_is_refused_before_loading(tmp_path, monkeypatch):
    folders = saved(tmp_path / "t"), saved(tmp_path / "d", seed=1)
    weights = 2 * 4 * sum(p.numel() for p in tiny_llama(8, 0).parameters())
    # One layer with one key-value head of 8 numbers, for keys and for values.
    caches = 2 * 4 * 700 * 2 * 8
    spec = PairSpec(*folders, "cpu", "float32", tokens=700)
    words = refusal(monkeypatch, spec, 1000)
    assert f"({weights + caches - 1000:,} bytes) are missing" in words
    assert words.startswith(f"{folders[0]} with {folders[1]} needs ")
    assert words.endswith("choose a smaller dtype or a smaller model.")
    monkeypatch.undo()
    monkeypatch.setattr(memory, "available_bytes", lambda device: weights + caches)
    assert load_pair(spec).vocab == 8


def test_a_pair_that_does_not_fit_on_a_gpu_may_be_offloaded_and_the_layers_then_count_elsewhere():
    target = Footprint((100, 300, 200, 250), 50, 7)
    draft = Footprint((), 40, 3)
    assert memory_needed(target, draft, False, GPU) == {GPU: 900 + 7 + 43, CPU: 900}
    # Two buffers of the largest layer; reading passes through main memory.
    assert memory_needed(target, draft, True, GPU) == {GPU: 50 + 600 + 7 + 43, CPU: 900}
    large_draft = Footprint((), 500, 3)
    assert memory_needed(target, large_draft, True, GPU)[CPU] == 850 + 500
    # On a CPU all of it is in one place, the buffers beside the layers.
    assert memory_needed(target, draft, True, CPU) == {CPU: 50 + 600 + 7 + 43 + 850}
    built = Footprint((100, 100), 50, 7, by_host=False)
    assert memory_needed(built, built, False, GPU) == {GPU: 2 * 257, CPU: 0}
    assert Footprint((1,) * 5, 0, 0).on_device(True) == 3


def test_what_to_do_is_what_can_still_be_done(monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda device: 10)
    config = AutoConfig.for_model("llama", **FAMILIES["llama"])
    monkeypatch.setattr("sequoia_core.decode.footprint.load_config", lambda *_: config)

    def words(offload: bool, dtype: torch.dtype) -> str:
        from sequoia_core.decode.footprint import check_memory

        models = (Wanted("t", "big", None, offload), Wanted("d", "small", None))
        with pytest.raises(ModelError) as refused:
            check_memory(*models, GPU, dtype, 64)
        return str(refused.value)

    streaming = "layers in main memory (--offload)"
    assert words(False, FLOAT).endswith(f"choose a smaller dtype, {streaming} or a smaller model.")
    assert "of memory on cuda:0 and 10 bytes are free" in words(False, FLOAT)
    assert words(False, torch.bfloat16).endswith(f"choose {streaming} or a smaller model.")
    assert words(True, torch.bfloat16).endswith("missing; choose a smaller model.")
    assert words(True, FLOAT).startswith("big (offloaded) with small needs ")


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("offload", [False, True])
def test_the_estimate_is_what_the_loaded_model_takes_on(name, offload):
    model = random_model(name)
    config = AutoConfig.for_model(name, **FAMILIES[name])
    estimate = of_config(config, FLOAT, 256, offload=offload)
    loaded = streamed(model) if offload else TreeModel(copy.deepcopy(model), name)
    loaded.reset(256)
    assert estimate.cache == loaded.cache.bytes
    assert estimate.on_device(offload) == loaded.memory_bytes
    assert estimate.on_host(offload) == loaded.host_bytes
    assert estimate.weights >= sum(4 * p.numel() for p in model.parameters())


@pytest.mark.parametrize("offload", [False, True])
def test_a_stand_ins_estimate_is_its_shapes(offload):
    shape = SHAPES["llama-3-8b"]
    estimate = footprint(Wanted("", "x", shape, offload), torch.bfloat16, 100)
    assert estimate.weights == 2 * shape.parameters
    assert (len(estimate.layers), estimate.by_host) == (32, offload)
    assert estimate.cache == 2 * 100 * 32 * 2 * 8 * 128


def test_what_cannot_be_estimated_is_let_through():
    config = AutoConfig.for_model("llama", **FAMILIES["llama"])
    config.quantization_config = {"quant_method": "gptq"}
    assert of_config(config, FLOAT, 10) is None
    assert of_config(AutoConfig.for_model("clip"), FLOAT, 10) is None


def test_a_model_whose_layers_are_not_found_is_refused_for_offload_alone():
    config = AutoConfig.for_model("llama", **FAMILIES["llama"] | {"num_hidden_layers": 0})
    assert of_config(config, FLOAT, 10).weights == 4 * (2 * 40 * 32 + 32)
    with pytest.raises(ModelError, match="No list of 0 layers"):
        of_config(config, FLOAT, 10, offload=True)


def test_an_offloaded_pair_is_named_so_and_speaks_as_before(tmp_path):
    folders = saved(tmp_path / "t"), saved(tmp_path / "d", seed=1)
    loaded = load_pair(PairSpec(*folders, "cpu", "float32", offload=True))
    assert loaded.offloaded
    assert loaded.target_name == offloaded_name(folders[0])
    assert (loaded.draft_name, loaded.voices) == (folders[1], folders)
    assert (loaded.target.streams_weights, loaded.draft.streams_weights) == (True, False)
    assert not tiny_pair().offloaded


def test_available_memory_is_within_what_the_machine_has():
    assert 0 < available_bytes(CPU) < 2**50


def test_a_containers_limit_counts_and_files_it_caches_do_not(tmp_path, monkeypatch):
    files = [tmp_path / name for name in ("max", "current", "stat")]
    limit, current, statistics = files
    limit.write_text("5000\n", encoding="ascii")
    current.write_text("2000\n", encoding="ascii")
    monkeypatch.setattr(memory, "CONTROL_GROUPS", (tuple(map(str, files)),))
    assert available_bytes(CPU) == 3000
    statistics.write_text("anon 800\nactive_file 300\ninactive_file 900\n", encoding="ascii")
    assert available_bytes(CPU) == 4200
    older = "inactive_file 1\ntotal_active_file 200\ntotal_inactive_file 500\n"
    statistics.write_text(older, encoding="ascii")
    assert available_bytes(CPU) == 3700
    limit.write_text("max\n", encoding="ascii")
    assert available_bytes(CPU) > 5000


def test_the_peak_on_a_cpu_is_the_most_that_was_resident():
    peaks = peak_memory(CPU)
    assert list(peaks) == ["main memory"]
    now = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    assert 10**7 < peaks["main memory"] <= now
    assert describe_peak({"cuda:0": 2 * 10**9, "main memory": 5 * 10**8}) == (
        "peak memory: 2.0 GB of cuda:0, 500.0 MB of main memory"
    )
    assert "not told" in describe_peak({})


def test_sizes_are_read_in_units():
    assert [readable(size) for size in (999, 10**3, 1_500_000, 2 * 10**12)] == [
        "999 bytes",
        "1.0 kB",
        "1.5 MB",
        "2,000.0 GB",
    ]


def full(*_inputs, **_options):
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nAnd so on.")


def text(models: pair.ModelPair, tokens: int) -> list[int]:
    run = Engine(models).run([1, 2, 3], GenerationSettings(max_new_tokens=tokens), TREE)
    return [token for step in run for token in step.committed]


@pytest.mark.parametrize("static", [None, eager])
def test_a_cache_that_memory_ran_out_for_is_made_anew_by_the_next_run(static, monkeypatch):
    wanted = text(tiny_pair(vocab=40, context=1024), 30)
    models = tiny_pair(vocab=40, context=1024)
    for model in (models.target, models.draft):
        model.use_static_passes(static)
    text(models, 10)
    # Two of the target's layers: memory runs out between them.
    second = models.target.model.model.layers[1].self_attn
    with monkeypatch.context() as patch:
        patch.setattr(second, "forward", full)
        with pytest.raises(ModelError, match="cpu ran out of memory while tiny target was at work"):
            text(models, 600)
    assert models.target.cache.capacity == 0
    assert text(models, 30) == wanted


def test_memory_that_runs_out_in_a_step_is_told_in_one_sentence(monkeypatch):
    models = tiny_pair(vocab=40)
    run = Engine(models).run([1, 2, 3], GenerationSettings(max_new_tokens=40), TREE)
    next(run)
    monkeypatch.setattr(run, "_walk", full)
    with pytest.raises(ModelError, match="a smaller tree, model or dtype") as told:
        next(run)
    assert "\n" not in str(told.value)


def test_memory_that_runs_out_in_hugging_faces_generate_is_told_as_well(monkeypatch):
    models = tiny_pair(vocab=40)
    monkeypatch.setattr(models.target.model, "forward", full)
    with pytest.raises(ModelError, match="cpu ran out of memory while tiny target was at work"):
        HuggingFace(models).generate(GenerationSettings(max_new_tokens=2))([1, 2, 3])


def test_a_self_test_without_memory_does_not_blame_the_mask(monkeypatch):
    model = TreeModel(tiny_llama(8, 0), "tiny")
    monkeypatch.setattr(model.model, "forward", full)
    with pytest.raises(ModelError, match="ran out of memory"):
        self_test(model)


def test_a_cache_is_never_in_memory_twice(monkeypatch):
    model = TreeModel(tiny_llama(8, 0, layers=3), "tiny")
    own, left = [], []
    touch, zeros = model.cache.__class__.consolidate, torch.zeros

    def consolidate(cache):
        buffers = [each for layer in cache.layers for each in (layer.keys, layer.values)]
        own.extend(weakref.ref(buffer) for buffer in buffers)
        del buffers
        touch(cache)

    def counted(*size, **options):
        left.append(sum(buffer() is not None for buffer in own))
        return zeros(*size, **options)

    monkeypatch.setattr(model.cache.__class__, "consolidate", consolidate)
    monkeypatch.setattr(torch, "zeros", counted)
    model.reset(64)
    assert (len(own), left[-1]) == (6, 0)
    assert model.cache.bytes == 2 * 3 * 256 * 8 * 4
