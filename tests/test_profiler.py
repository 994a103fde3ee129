"""The profiler measures every size it names and says on what; never how fast, in a test."""

import platform
from datetime import date

import pytest
import torch
import transformers
from fakes import tiny_pair

from sequoia_core.errors import InputError
from sequoia_core.measure import profiler
from sequoia_core.measure.profiler import profile_pair
from sequoia_core.plan.hardware import load_hardware
from sequoia_core.plan.measurement import MachineFigures

FIGURES = MachineFigures(bandwidth=1e10, flops=1e11, layer_seconds=1e-4, pass_seconds=1e-4)


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    """The machine's own figures take a second each time, and are tested by themselves."""
    monkeypatch.setattr(profiler, "measure_machine", lambda device, dtype, captured: FIGURES)


def profile(**options):
    """Of a tiny pair, with no time for refinement unless asked for."""
    given = {"context_length": 16, "max_tokens": 24, "repeats": 2, "limit_seconds": 0.0} | options
    return profile_pair(tiny_pair(context=256), **given)


def test_a_profile_has_every_size_up_to_the_limit():
    measured = profile()
    assert [n for n, _ in measured.target_seconds] == [*range(1, 17), 20, 24]
    assert [n for n, _ in measured.draft_seconds] == [1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 24]
    assert all(seconds > 0 for _, seconds in measured.target_seconds + measured.draft_seconds)
    assert min(measured.overhead_seconds, measured.plain_overhead_seconds) > 0
    assert (measured.origin, measured.dtype, measured.context_length) == ("measured", "float32", 16)
    assert "quartile of 2 or more" in measured.basis


def test_a_profile_says_how_when_and_with_what_it_was_measured():
    told = []
    measured = profile(repeats=4, progress=lambda fraction, text: told.append((fraction, text)))
    facts = measured.measurement
    for model, curve in (("target", measured.target_seconds), ("draft", measured.draft_seconds)):
        quartiles = getattr(facts, f"{model}_quartiles")
        assert [point[0] for point in quartiles] == [n for n, _ in curve]
        for (_, low, middle, high, passes), (_, seconds) in zip(quartiles, curve, strict=True):
            assert low <= middle <= high
            assert seconds <= middle
            assert passes >= 3
    assert (facts.date, facts.python) == (date.today().isoformat(), platform.python_version())
    assert (facts.torch, facts.transformers) == (torch.__version__, transformers.__version__)
    assert 0 < facts.peak_bytes <= facts.memory_bytes
    assert (facts.rounds, facts.refined, facts.limit_seconds) == (3, 0, 0.0)
    assert min(facts.sample_seconds, facts.commit_seconds, facts.rest_seconds) >= 0
    assert (facts.target_shape.layers, facts.draft_shape.layers) == (2, 1)
    assert facts.target_shape.weight_bits == 32
    assert measured.machine == FIGURES
    assert told[-1] == (1.0, "Done")
    assert [fraction for fraction, _ in told] == sorted(fraction for fraction, _ in told)


def test_the_noise_of_the_passes_is_judged_and_survives_the_file(tmp_path):
    measured = profile(repeats=4, limit_seconds=30.0, max_tokens=2)
    assert measured.noise.halves in ("alternate", "earlier and later")
    measured.save(tmp_path / "mine.json")
    assert load_hardware(tmp_path / "mine.json").to_dict() == measured.to_dict()
    assert profile(repeats=1, max_tokens=2).noise is None


def test_several_contexts_are_measured_into_one_profile():
    told = []
    measured = profile(
        further_contexts=(32, 64),
        max_tokens=4,
        progress=lambda fraction, text: told.append(text),
    )
    assert measured.context_lengths == (16, 32, 64)
    for other in measured.contexts:
        assert [n for n, _ in other.target_seconds] == [1, 2, 3, 4]
    assert "Context 64: Warming up" in told


def test_a_text_that_would_end_at_once_still_gives_the_overhead():
    pair = tiny_pair(context=256, ends=True)
    measured = profile_pair(pair, context_length=16, max_tokens=2, repeats=1, limit_seconds=0.0)
    assert measured.overhead_seconds > 0


@pytest.mark.parametrize(
    ("contexts", "words"),
    [((16,), "got 16 twice"), ((193,), "got 193"), (range(20, 30), "At most 8 context lengths")],
)
def test_contexts_that_cannot_be_measured_are_refused(contexts, words):
    with pytest.raises(InputError, match=words):
        profile(further_contexts=contexts)


@pytest.mark.parametrize("context_length", [0, 193, 10_000])
def test_a_context_that_does_not_fit_is_refused(context_length):
    with pytest.raises(InputError, match=f"between 1 and 192 for this pair, got {context_length}"):
        profile_pair(tiny_pair(context=256), context_length=context_length)


def test_profiling_leaves_the_pair_ready_to_decode():
    pair = tiny_pair(context=256)
    profile_pair(pair, context_length=16, max_tokens=4, repeats=1, limit_seconds=0.0)
    assert (pair.target.cache.pending, pair.draft.cache.pending) == (0, 0)


@pytest.mark.parametrize("fails", [False, True])
def test_the_machine_is_measured_with_captured_passes_only_where_decoding_has_them(
    fails, monkeypatch
):
    asked = []

    def capture(run):
        if fails:
            raise RuntimeError("a call that synchronises")
        return run

    def figures(device, dtype, captured):
        asked.append(captured)
        return FIGURES

    monkeypatch.setattr(profiler, "measure_machine", figures)
    pair = tiny_pair(context=256)
    pair.target.use_static_passes(capture)
    made = profile_pair(pair, context_length=16, max_tokens=2, repeats=1, limit_seconds=0.0)
    assert asked == [not fails]
    assert ("no CUDA graphs for tiny target: a pass over" in made.basis) is fails
