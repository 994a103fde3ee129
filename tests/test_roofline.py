"""The roofline: counted by hand, bounded by its limits, and valid for everything bundled."""

import itertools
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from sequoia_core.errors import InputError
from sequoia_core.plan.acceptance import load_acceptance
from sequoia_core.plan.gpu import (
    CASES,
    GIB,
    Efficiency,
    Gpu,
    efficiency,
    efficiency_sources,
    list_gpus,
    load_gpu,
    typed_in_gpu,
)
from sequoia_core.plan.hardware import HardwareProfile, hardware_from_dict, load_hardware
from sequoia_core.plan.knee import knee
from sequoia_core.plan.model_shape import ModelShape, list_shapes, load_shape
from sequoia_core.plan.modelled import model_profile
from sequoia_core.plan.optimizer import make_plan
from sequoia_core.plan.roofline import (
    GRID,
    Machine,
    check_fits,
    limit_words,
    memory_needed,
    pass_curve,
    pass_time,
    roofs,
)
from sequoia_core.plan.work import experts_touched, pass_work

# Hidden 8, 2 heads and 1 key-value head of 4, MLP 16 wide, vocabulary 32, 2 layers, 16 bits.
TINY = ModelShape("tiny", 2, 8, 16, 2, 1, 4, 32, dtype="float16")
EXPERTS = replace(TINY, experts=8, experts_per_token=2, expert_intermediate=16)
PERFECT = Efficiency(1, 1, 1, 1, 0, 0, 0, 0, 0)
GPU = Gpu("test", 80 * GIB, bandwidth=1e9, flops={"float16": 1e10, "float32": 1e9}, link=1e8)
ONE_TO_LARGEST = np.arange(1, 1025)


def machine(**how: Any) -> Machine:
    return Machine(GPU, "float16", **({"efficiency": PERFECT} | how))


def seconds(shape: ModelShape, used: Machine, tokens: Any, context: int = 10) -> np.ndarray:
    return pass_time(shape, used, np.atleast_1d(tokens), context).seconds


def test_the_work_of_a_tiny_pass_by_hand() -> None:
    """3 tokens behind 10: all numbers are 2 bytes."""
    work = pass_work(TINY, np.array([3]), 10)
    # q and o: 8x8 each; k and v: 8x4 each; so 192 weights a layer.
    assert work["attention weights"].weight_bytes == [2 * 192 * 2]
    assert work["attention weights"].flops == [2 * 3 * 2 * 192]
    # In 8, out 8 + 4 + 4, in 8, out 8.
    assert work["attention weights"].other_bytes == [2 * 3 * 40 * 2]
    # Gate, up, down: 3 x 8 x 16.
    assert work["mlp"].weight_bytes == [2 * 384 * 2]
    assert work["mlp"].flops == [2 * 3 * 2 * 384]
    # In 8, out 32, in 16, out 8.
    assert work["mlp"].other_bytes == [2 * 3 * 64 * 2]
    # 13 tokens seen, 4 numbers each as key and as value, read; 3 written; queries in and out.
    assert work["attention"].other_bytes == [2 * (2 * 4 * (13 + 3) + 3 * 2 * 8) * 2]
    assert work["attention"].flops == [2 * 4 * 3 * 13 * 8]
    assert work["output head"].weight_bytes == [8 * 32 * 2]
    assert work["output head"].other_bytes == [3 * (8 + 32) * 2]
    assert work["output head"].flops == [2 * 3 * 8 * 32]
    assert work["embedding"].other_bytes == [3 * 8 * 2 * 2]
    # A layer: norms 4 x 8, sums 6 x 8, rotation 2 x 12, gate 3 x 16; then the last norm 2 x 8.
    assert work["norms and sums"].other_bytes == [3 * (2 * (32 + 48 + 24 + 48) + 16) * 2]


def test_seconds_of_a_tiny_pass_by_hand() -> None:
    """At 1 GB/s and 10 GFLOP/s every component of one token is bound by its bytes."""
    work = pass_work(TINY, np.array([1]), 10)
    expected = sum(float(w.bytes[0]) for w in work.values()) / 1e9
    assert seconds(TINY, machine(), 1)[0] == pytest.approx(expected)
    # With a tenth of the FLOP/s and 50 tokens, the products are bound by their FLOPs.
    slow = Machine(replace(GPU, flops={"float16": 1e9}), "float16", PERFECT)
    work = pass_work(TINY, np.array([50]), 10)
    bound = ("attention weights", "attention", "mlp", "output head")
    expected = sum(float(work[name].flops[0]) for name in bound) / 1e9
    expected += sum(float(work[name].bytes[0]) for name in set(work) - set(bound)) / 1e9
    assert seconds(TINY, slow, 50)[0] == pytest.approx(expected)


def test_each_part_of_the_machine_enters_in_its_own_unit() -> None:
    base = seconds(TINY, machine(), 1)[0]
    half = replace(PERFECT, memory=0.5)
    assert seconds(TINY, machine(efficiency=half), 1)[0] == pytest.approx(2 * base)
    fixed = replace(PERFECT, layer_seconds=0.25, compiled_layer_seconds=0.125)
    assert seconds(TINY, machine(efficiency=fixed), 1)[0] == pytest.approx(base + 2 * 0.25)
    compiled = machine(efficiency=fixed, launch="compiled")
    assert seconds(TINY, compiled, 1)[0] == pytest.approx(base + 2 * 0.125)
    streamed = machine(efficiency=replace(PERFECT, link=0.5), offload=True)
    assert seconds(TINY, streamed, 1)[0] == pytest.approx(TINY.layer_bytes / 5e7)


def test_launching_by_the_host_hides_behind_longer_work() -> None:
    slow = machine(efficiency=replace(PERFECT, host_layer_seconds=1.0), launch="eager")
    assert seconds(TINY, slow, [1, 64]).tolist() == [2.0, 2.0]
    quick = machine(efficiency=replace(PERFECT, host_layer_seconds=1e-9), launch="eager")
    assert seconds(TINY, quick, 5) == seconds(TINY, machine(), 5)


def test_fewer_bits_take_fewer_bytes_at_their_own_share_of_the_bandwidth() -> None:
    four = TINY.stored_as("float16", 4)
    work = pass_work(four, np.array([1]), 0)
    assert work["mlp"].weight_bytes == [2 * 384 / 2]
    assert work["output head"].weight_bytes == [8 * 32 * 2]
    whole = seconds(four, machine(), 1)[0]
    slower = seconds(four, machine(efficiency=replace(PERFECT, quantised_memory=0.5)), 1)[0]
    layers = work["mlp"].weight_bytes + work["attention weights"].weight_bytes
    assert slower - whole == pytest.approx(float(layers[0]) / 1e9)
    assert seconds(TINY, machine(efficiency=replace(PERFECT, quantised_memory=0.5)), 1) == seconds(
        TINY, machine(), 1
    )


@pytest.mark.parametrize(("experts", "chosen", "tokens"), [(4, 2, 1), (4, 2, 3), (5, 1, 4)])
def test_experts_touched_equals_the_mean_over_all_ways_of_choosing(
    experts: int, chosen: int, tokens: int
) -> None:
    sets = list(itertools.combinations(range(experts), chosen))
    ways = itertools.product(sets, repeat=tokens)
    counts = [len(set().union(*way)) for way in ways]
    assert experts_touched(experts, chosen, np.array([tokens]))[0] == pytest.approx(np.mean(counts))


def test_experts_are_read_as_they_are_touched_and_computed_as_they_are_chosen() -> None:
    work = pass_work(EXPERTS, np.array([1, 2, 1000]), 0)["experts"]
    one_expert, router = 3 * 8 * 16, 8 * 8
    read = [2 * one_expert + router, 3.5 * one_expert + router, 8 * one_expert + router]
    assert work.weight_bytes == pytest.approx(np.array(read) * 2 * 2)
    assert work.flops == pytest.approx(np.array([1, 2, 1000]) * 2 * 2 * (2 * one_expert + router))
    assert "mlp" not in pass_work(EXPERTS, np.array([1]), 0)


def test_a_mixtures_pass_grows_with_tokens_where_a_dense_one_is_still_flat() -> None:
    gpu = Machine(load_gpu("a100-sxm"), "bfloat16", launch="compiled")
    mixtral = load_shape("mixtral-8x7b").stored_as("bfloat16", 4.5)
    growth = seconds(mixtral, gpu, [1, 16], 1024)
    dense = seconds(load_shape("llama-2-13b").stored_as("bfloat16"), gpu, [1, 16], 1024)
    assert growth[1] / growth[0] > 2
    assert dense[1] / dense[0] < 1.05


@pytest.mark.parametrize("shape", [TINY, EXPERTS, load_shape("llama-3-8b")])
@pytest.mark.parametrize("how", [{}, {"launch": "eager"}, {"offload": True}])
def test_more_tokens_or_more_context_never_take_less_time(shape: ModelShape, how: dict) -> None:
    used = Machine(load_gpu("l40"), "float16", **how)
    curve = seconds(shape.stored_as("float16"), used, ONE_TO_LARGEST)
    assert np.all(np.diff(curve) >= 0)
    assert np.all(seconds(shape.stored_as("float16"), used, ONE_TO_LARGEST, 5000) >= curve)


@pytest.mark.parametrize("name", ["llama-2-7b", "llama-3-70b", "llama-68m"])
def test_a_dense_models_curve_is_convex(name: str) -> None:
    """Sums and maxima of convex functions of n; experts touched are not."""
    used = Machine(load_gpu("h200"), "float16")
    curve = seconds(load_shape(name).stored_as("float16"), used, ONE_TO_LARGEST, 1024)
    assert np.all(np.diff(curve, n=2) >= -1e-12)


def test_the_two_roofs_bound_a_pass_and_cross_where_its_limit_changes() -> None:
    shape = load_shape("llama-3-8b").stored_as("float16")
    used = Machine(load_gpu("rtx-4090"), "float16", launch="compiled")
    two = roofs(shape, used, ONE_TO_LARGEST, 1024)
    curve = seconds(shape, used, ONE_TO_LARGEST, 1024)
    assert np.all(curve >= np.maximum(two["memory"], two["compute"]))
    assert np.all(curve[:4] <= 1.2 * two["memory"][:4])
    assert np.all(curve[-4:] <= 1.2 * two["compute"][-4:])


def test_no_pass_beats_its_bandwidth_or_its_throughput() -> None:
    shape, gpu = load_shape("llama-3-8b").stored_as("float16"), load_gpu("rtx-4090")
    for case in CASES:
        curve = seconds(shape, Machine(gpu, "float16", efficiency(case)), ONE_TO_LARGEST, 1024)
        work = pass_work(shape, ONE_TO_LARGEST, 1024).values()
        assert np.all(curve >= sum(w.bytes for w in work) / gpu.bandwidth)
        assert np.all(curve >= sum(w.flops for w in work) / gpu.flops["float16"])


@pytest.mark.parametrize("name", list_shapes())
def test_straight_lines_between_the_grids_points_stay_within_one_percent(name: str) -> None:
    shape, used = load_shape(name).stored_as("float16", 16), Machine(load_gpu("h200"), "float16")
    profile = HardwareProfile("x", pass_curve(shape, used, 1024), ((1, 1.0),))
    exact = seconds(shape, used, ONE_TO_LARGEST, 1024)
    assert profile.target(ONE_TO_LARGEST) == pytest.approx(exact, rel=0.01)
    assert GRID[0] == 1
    assert GRID[-1] == 4096


def test_limits_change_from_memory_to_compute_at_the_ridge() -> None:
    """2 bytes and 2 n FLOPs a weight: where n passes FLOP/s over bytes/s, here 100."""
    gpu = replace(GPU, flops={"float16": 1e11})
    wide = replace(TINY, hidden=4096, intermediate=16384, heads=64, kv_heads=8, head_dim=64)
    used = Machine(gpu, "float16", PERFECT)
    limits = pass_time(wide, used, ONE_TO_LARGEST, 0).limits
    turn = limits.index("compute") + 1
    assert turn == pytest.approx(100, rel=0.15)
    assert set(limits[: turn - 1]) == {"memory"}
    words = limit_words(wide, used, 0)
    assert words == f"memory-bound up to {turn - 1} tokens, then compute-bound"
    assert knee(HardwareProfile("x", pass_curve(wide, used, 0), ((1, 1.0),))).tokens == (
        pytest.approx(turn, rel=0.2)
    )


@pytest.mark.parametrize(
    ("how", "limit"),
    [
        ({"efficiency": replace(PERFECT, layer_seconds=9.0)}, "launch"),
        ({"efficiency": replace(PERFECT, host_layer_seconds=9.0), "launch": "eager"}, "launch"),
        ({"efficiency": replace(PERFECT, link=0.01), "offload": True}, "link"),
    ],
)
def test_other_limits_are_named(how: dict, limit: str) -> None:
    assert pass_time(TINY, machine(**how), np.array([1]), 10).limits == [limit]
    assert limit_words(TINY, machine(**how), 10).startswith(f"{limit}-bound")


def test_memory_counts_weights_caches_logits_and_a_reserve() -> None:
    needed = memory_needed(TINY, TINY, machine(), 100)
    caches = 2 * TINY.cache_bytes(100 + 1024)
    assert needed == 2 * TINY.weight_bytes + caches + 1024 * 32 * 2 + GIB
    deep = replace(TINY, layers=10)
    kept = memory_needed(deep, TINY, machine(offload=True), 100)
    assert kept == memory_needed(deep, TINY, machine(), 100) - 0.8 * deep.layer_bytes


def test_a_pair_that_does_not_fit_is_refused_with_the_bytes_missing() -> None:
    target, draft = load_shape("llama-3-70b"), load_shape("llama-3-8b")
    used = Machine(load_gpu("h100-sxm"), "bfloat16")
    missing = memory_needed(target, draft, used, 1024) - 80 * GIB
    with pytest.raises(InputError, match=rf"\({missing:,.0f} bytes\) are missing; use offload"):
        check_fits(target, draft, used, 1024)
    check_fits(target, draft, replace(used, offload=True), 1024)
    with pytest.raises(InputError, match="missing; use fewer bits"):
        model_profile(load_gpu("m3-max"), target, draft)
    assert model_profile(load_gpu("h100-sxm"), target, draft, offload=True).target_limits == (
        "link-bound at every size up to 4,096 tokens"
    )


@pytest.mark.parametrize("gpu", list_gpus())
def test_every_gpu_gives_a_profile_that_plans(gpu: str) -> None:
    modelled = model_profile(load_gpu(gpu), load_shape("qwen3-4b"), load_shape("qwen3-0.6b"))
    check_modelled(modelled.to_dict())


@pytest.mark.parametrize("name", list_shapes())
def test_every_shape_gives_a_profile_that_plans(name: str) -> None:
    gpu = typed_in_gpu(bandwidth=8000, tflops=2000, memory=1500, dtype="bfloat16")
    modelled = model_profile(gpu, load_shape(name), load_shape("llama-68m"), dtype="bfloat16")
    check_modelled(modelled.to_dict())


def check_modelled(content: dict) -> None:
    profile = hardware_from_dict(content)
    assert profile.origin == "modelled"
    assert len(profile.basis) <= 2000
    for words in ("nothing measured", "Assumed", "milliseconds by tokens", "Not modelled"):
        assert words in profile.basis
    best, worst = content["modelled"]["best"], content["modelled"]["worst"]
    for curve in ("target_seconds", "draft_seconds"):
        ends = np.array([best[curve], content[curve], worst[curve]])[:, :, 1]
        assert np.all(np.diff(ends, axis=0) > 0)
    plan = make_plan(load_acceptance("paper-appendix-e"), profile, max_budget=256)
    assert plan.speedup >= 1
    assert profile.target(1) <= profile.target(1024)


def test_equal_inputs_give_equal_profiles() -> None:
    gpu, pair = load_gpu("l4"), (load_shape("qwen3-4b"), load_shape("qwen3-0.6b"))
    assert model_profile(gpu, *pair).to_dict() == model_profile(gpu, *pair).to_dict()


def test_the_dtype_is_the_targets_where_the_gpu_has_it() -> None:
    pair = (load_shape("qwen3-4b"), load_shape("qwen3-0.6b"))
    assert model_profile(load_gpu("l4"), *pair).profile.dtype == "bfloat16"
    assert model_profile(load_gpu("t4"), *pair).profile.dtype == "float16"
    with pytest.raises(InputError, match="NVIDIA T4 has no figure for bfloat16; it has float16"):
        model_profile(load_gpu("t4"), *pair, dtype="bfloat16")


def test_a_mixture_says_how_experts_were_counted() -> None:
    modelled = model_profile(
        load_gpu("h200"), load_shape("mixtral-8x7b"), load_shape("tinyllama-1.1b")
    )
    assert "uniformly" in modelled.profile.basis


def test_a_draft_pass_contains_its_sampling_and_never_comes_over_the_link() -> None:
    target, draft = load_shape("llama-3-70b"), load_shape("llama-3-8b")
    offloaded = model_profile(load_gpu("l40s"), target, draft, offload=True)
    used = replace(offloaded.machine, offload=False)
    alone = seconds(offloaded.draft, used, 1, 1024)[0]
    assert offloaded.profile.draft(1) == pytest.approx(alone + efficiency().draw_seconds)
    assert offloaded.profile.draft(1) < 0.1 * offloaded.profile.target(1)


@pytest.mark.parametrize("name", list_gpus())
def test_every_gpu_names_the_source_of_each_figure(name: str) -> None:
    gpu = load_gpu(name)
    assert set(gpu.sources) == {"memory", "bandwidth", "teraflops", "link"}
    assert all(len(source) > 10 for source in gpu.sources.values())
    assert gpu.flops["float16"] >= gpu.flops["float32"]
    # Bytes and FLOPs are in units of one, not of giga: between a T4 and the largest there is.
    assert 3e11 <= gpu.bandwidth <= 8e12
    assert 1e13 <= gpu.flops["float16"] <= 3e15


def test_every_assumed_part_has_a_source_and_a_range_around_it() -> None:
    sources = efficiency_sources()
    assert set(sources) == {part.name for part in fields(Efficiency)}
    for entry in sources.values():
        low, high = sorted((entry["best"], entry["worst"]))
        assert low <= entry["typical"] <= high
        assert len(entry["source"]) > 40


def test_published_compiled_speeds_of_the_a100_are_met() -> None:
    """gpt-fast: 93.89 tokens/s for an 8B model, 97.92 for Mixtral in 8 bits. Not fitted."""
    gpu = Machine(load_gpu("a100-sxm"), "bfloat16", launch="compiled")
    for name, bits, speed in (("llama-3-8b", None, 93.89), ("mixtral-8x7b", 8, 97.92)):
        shape = load_shape(name).stored_as("bfloat16", bits)
        assert seconds(shape, gpu, 1, 100)[0] == pytest.approx(1 / speed, rel=0.06)


@pytest.mark.parametrize(
    ("figures", "message"),
    [
        ({"bandwidth": 0}, r"bandwidth \(GB/s\) must be between 0.01"),
        ({"bandwidth": float("nan")}, "bandwidth must be finite"),
        ({"bandwidth": "fast"}, "bandwidth must be a number"),
        ({"tflops": -1}, "tflops must be at least 0"),
        ({"tflops": 0}, "TFLOP/s of float16 must be between 0.001"),
        ({"memory": 0}, r"memory \(GiB\) must be between 0.001"),
        ({"link": -5}, "link must be at least 0"),
    ],
)
def test_bad_figures_are_refused_by_name(figures: dict, message: str) -> None:
    good = {"bandwidth": 900, "tflops": 100, "memory": 24, "link": 30, "dtype": "float16"}
    with pytest.raises(InputError, match=message):
        typed_in_gpu(**(good | figures))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: load_gpu("h1000"), "No GPU is called 'h1000'; bundled are: a100-pcie"),
        (lambda: machine(launch="magic"), "launch must be one of graphs, compiled, eager"),
        (lambda: Machine(load_gpu("m2-ultra"), "float16", offload=True), "no host link"),
        (lambda: Machine(GPU, "bfloat16"), "no figure for bfloat16"),
        (lambda: replace(PERFECT, memory=1.2), "efficiency of memory must be between"),
        (lambda: replace(PERFECT, draw_seconds=-1), "draw_seconds must be between"),
        (lambda: Gpu("x", GIB, 1e9, {}), "FLOP/s must be given"),
        (lambda: seconds(TINY, machine(), 1, -1), "context length must be between"),
    ],
)
def test_impossible_machines_are_refused(wrong: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        wrong()


def test_a_knee_is_where_the_level_meets_the_rise() -> None:
    curve = tuple((n, max(1.0, n / 100)) for n in (1, 2, 4, 50, 100, 200, 512, 1024))
    found = knee(HardwareProfile("x", curve, ((1, 0.1),)))
    assert found.tokens == 100
    assert found.seconds_per_token == pytest.approx(0.01)
    assert found.words == "nearly flat up to about 100 tokens, then 10.00 ms more a token"


def test_curves_without_a_knee_say_why() -> None:
    flat = HardwareProfile("x", ((1, 1.0), (8, 1.0), (64, 1.0)), ((1, 0.1),))
    assert knee(flat).words == "no knee up to 64 tokens: such a pass takes 1.00 times one token's"
    derived = load_hardware("a100-llama-2-7b-paper-t0")
    assert knee(derived).tokens is None
    assert knee(derived).words == "knee not known: only passes of 1 and 128 tokens are"


def test_the_bundled_cpus_knee_is_at_a_small_tree() -> None:
    assert 10 <= knee(load_hardware("cpu-2-cores")).tokens <= 100
