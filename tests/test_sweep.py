"""Rounds, refinement and the verdict on noise, on a machine whose passes and clock are made up."""

import random
from itertools import pairwise
from types import SimpleNamespace

import pytest

from sequoia_core.measure.sweep import (
    DRAFT_PASSES,
    FEWEST_ROUNDS,
    TOLERANCE,
    WARM_UPS,
    Sweep,
    gaps_of,
    judge_noise,
    undisturbed,
)
from sequoia_core.plan.measurement import Gap

TARGET, DRAFT = (*range(1, 17), 24, 32, 48, 64, 96, 128), (1, 2, 4, 8, 16, 32)


class Machine:
    """Passes take what `target` and `draft` say, times `pace`, and the clock goes on by that."""

    def __init__(self, target=lambda n: 1.0, draft=lambda n: 0.1, pace=lambda now: 1.0):
        self.models = {"target": target, "draft": draft}
        self.pace = pace
        self.now = 0.0
        self.passes: list[tuple[str, int]] = []
        self.told: list[tuple[float, str]] = []

    def measure(self, passes) -> list[float]:
        return [self._seconds(model, tokens) for model, tokens in passes]

    def _seconds(self, model: str, tokens: int) -> float:
        seconds = self.models[model](tokens) * self.pace(self.now)
        self.now += seconds
        self.passes.append((model, tokens))
        return seconds

    def sweep(self, until: float = 1e9) -> Sweep:
        return Sweep(
            self.measure,
            {"target": TARGET, "draft": DRAFT},
            clock=lambda: self.now,
            until=until,
            progress=lambda fraction, text: self.told.append((fraction, text)),
        )


def test_a_flat_curve_gets_no_further_sizes_and_every_size_its_repeats():
    machine = Machine()
    sweep = machine.sweep()
    sweep.run(4)
    assert (sweep.sizes("target"), sweep.sizes("draft")) == (list(TARGET), list(DRAFT))
    assert (sweep.added, sweep.rounds, sweep.gaps()) == (0, 4, [])
    assert all(len(sweep.seconds["target", n]) == 4 for n in TARGET)
    assert all(len(sweep.seconds["draft", n]) >= 4 for n in DRAFT)


@pytest.mark.parametrize("edge", [17, 23, 50, 64, 97, 127])
def test_a_cliff_is_found_to_the_token(edge):
    sweep = Machine(target=lambda n: 1.0 if n < edge else 1.3).sweep()
    sweep.run(3)
    curve = dict(sweep.curve("target"))
    assert (curve[edge - 1], curve[edge]) == (1.0, 1.3)
    # Bisection: the widest gap of the first grid has 32 sizes, so five halvings and no more.
    assert sweep.added <= 5


def test_a_cliff_downwards_and_one_of_the_draft_are_found_too():
    sweep = Machine(
        target=lambda n: 2.0 if 40 <= n < 75 else 1.0, draft=lambda n: 0.1 if n < 21 else 0.2
    ).sweep()
    sweep.run(3)
    target, draft = dict(sweep.curve("target")), dict(sweep.curve("draft"))
    assert (target[39], target[40], target[74], target[75]) == (1.0, 2.0, 2.0, 1.0)
    assert (draft[20], draft[21]) == (0.1, 0.2)
    assert sweep.gaps() == []


def test_a_slope_is_refined_until_neighbours_differ_by_a_tenth_and_no_further():
    sweep = Machine(target=lambda n: float(n)).sweep()
    sweep.run(2)
    curve = sweep.curve("target")
    steps = [(high - low, after / before) for (low, before), (high, after) in pairwise(curve)]
    assert all(width == 1 or ratio <= 1 + TOLERANCE for width, ratio in steps)
    assert len(curve) < 60


def test_what_looks_like_a_cliff_comes_first_and_then_small_passes():
    machine = Machine(target=lambda n: n * (1.3 if n > 100 else 1.0))
    machine.sweep().run(2)
    refining = [text for _, text in machine.told if text.startswith("Refining")]
    assert refining[0].startswith("Refining the target between 96 and 128 tokens (73%)")
    slope = Machine(target=lambda n: float(n))
    slope.sweep().run(2)
    refining = [text for _, text in slope.told if text.startswith("Refining")]
    assert refining[0].startswith("Refining the target between 16 and 24 tokens")


def test_a_curve_that_falls_is_a_surprise_whatever_the_tokens():
    assert Gap("target", 10, 20, 1.0).surprise == 1.0
    assert Gap("target", 10, 20, 1.0, falls=True).surprise == 2.0


def test_the_time_limit_decides_on_refinement_and_what_was_left_out_is_known():
    full, cut = Machine(target=lambda n: float(n)), Machine(target=lambda n: float(n))
    full.sweep().run(3)
    base = (WARM_UPS + 3) * (sum(TARGET) + 1 + DRAFT_PASSES * (len(TARGET) - 1) * 0.1)
    limit = base + (full.now - base) / 2
    sweep = cut.sweep(limit)
    sweep.run(3)
    assert 0 < cut.now <= limit
    assert sweep.added > 0
    gaps = sweep.gaps()
    assert gaps
    assert all(gap.difference > TOLERANCE and gap.high - gap.low > 1 for gap in gaps)
    # A slope has no cliffs, so what is left are the largest passes.
    assert min(gap.high for gap in gaps) > min(n for n in sweep.sizes("target") if n not in TARGET)
    assert gaps[0].words.startswith("target between ")


def test_a_gap_too_dear_for_the_time_left_does_not_keep_cheaper_ones_waiting():
    """The cliff among the largest passes takes more than is left, the one of the draft does not."""
    machine = Machine(
        target=lambda n: 1.0 if n < 100 else 60.0, draft=lambda n: 0.1 if n < 21 else 0.2
    )
    base = (WARM_UPS + 3) * (len(TARGET) + 60 + DRAFT_PASSES * (len(TARGET) - 1) * 0.15)
    sweep = machine.sweep(until=base + 60)
    sweep.run(3)
    assert sweep.sizes("target") == list(TARGET)
    draft = dict(sweep.curve("draft"))
    assert (draft[20], draft[21]) == (0.1, 0.2)


def test_no_time_at_all_leaves_three_rounds_and_no_refinement():
    sweep = Machine(target=lambda n: float(n)).sweep(until=0.0)
    sweep.run(9)
    assert (sweep.rounds, sweep.added) == (FEWEST_ROUNDS, 0)
    assert all(len(sweep.seconds["target", n]) == FEWEST_ROUNDS for n in TARGET)


def test_a_machine_that_slows_down_after_the_first_rounds_gets_no_cliffs_from_it():
    steady = Machine(target=stepped)
    sweep = steady.sweep()
    sweep.run(3)
    first_rounds = [index for index, (_, text) in enumerate(steady.told) if "Refining" not in text]
    slow = Machine(target=stepped)
    slow.pace = lambda now: 1.7 if len(slow.told) > len(first_rounds) else 1.0
    slowed = slow.sweep()
    slowed.run(3)
    assert slow.pace(0.0) == 1.7
    assert slowed.sizes("target") == sweep.sizes("target")
    assert dict(slowed.curve("target")) == pytest.approx(dict(sweep.curve("target")))


def stepped(tokens: int) -> float:
    return 1.0 + 0.15 * (tokens > 60)


def noisy_at_first(quiet_from: float) -> Machine:
    draws = random.Random(0)
    return Machine(pace=lambda now: 1 + 2 * draws.random() * (now < quiet_from))


def test_noisy_rounds_are_followed_by_further_ones_until_they_agree():
    machine = noisy_at_first(quiet_from=360.0)
    sweep = machine.sweep()
    sweep.run(8)
    assert 8 < sweep.rounds < 16
    assert not judge_noise([sweep.seconds]).noisy
    assert all(len(sweep.seconds["target", n]) >= sweep.rounds for n in TARGET)
    assert any(
        text.startswith("Noisy, so a further round: 1 of at most 8") for _, text in machine.told
    )


def test_further_rounds_take_at_most_as_many_and_half_of_the_time_left():
    endless = noisy_at_first(quiet_from=1e9).sweep()
    endless.run(4)
    assert endless.rounds == 8
    machine = noisy_at_first(quiet_from=1e9)
    short = machine.sweep(until=200.0)
    short.run(4)
    assert short.rounds < 8


def test_target_passes_follow_drafts_and_the_plain_one_another_plain_one():
    machine = Machine(target=lambda n: float(n))
    machine.sweep().run(1)
    for index, (model, tokens) in enumerate(machine.passes):
        if model == "target" and tokens > 1:
            before = machine.passes[index - DRAFT_PASSES : index]
            assert [owner for owner, _ in before] == ["draft"] * DRAFT_PASSES
    plain = [i for i, each in enumerate(machine.passes) if each == ("target", 1)]
    assert all(b == a + 1 for a, b in zip(plain[::2], plain[1::2], strict=True))


def test_progress_never_goes_back():
    machine = Machine(target=lambda n: float(n))
    machine.sweep().run(2)
    fractions = [fraction for fraction, _ in machine.told]
    assert fractions == sorted(fractions)
    assert 0 <= fractions[0] <= fractions[-1] <= 1


def test_a_stop_ends_the_refinement():
    def stop(fraction, text):
        if text.startswith("Refining"):
            raise KeyboardInterrupt

    machine = Machine(target=lambda n: float(n))
    machine.told = SimpleNamespace(append=lambda each: stop(*each))
    with pytest.raises(KeyboardInterrupt):
        machine.sweep().run(2)


def test_gaps_are_neighbours_that_differ_and_have_sizes_between():
    curve = ((1, 1.0), (2, 2.0), (4, 2.1), (8, 2.5), (16, 2.0))
    found = [(gap.low, gap.high, gap.difference) for gap in gaps_of("target", curve)]
    assert found == [(4, 8, pytest.approx(2.5 / 2.1 - 1)), (8, 16, pytest.approx(0.25))]


def test_equal_halves_are_quiet_and_a_machine_that_changes_is_noisy():
    steady = {("target", n): [1.0 * n] * 8 for n in range(1, 6)}
    quiet = judge_noise([steady])
    assert (quiet.noisy, quiet.median_difference, quiet.share_beyond) == (False, 0.0, 0.0)
    slower = {("target", n): [1.0] * 4 + [1.2] * 4 for n in range(1, 6)}
    noisy = judge_noise([slower])
    assert (noisy.noisy, noisy.halves) == (True, "earlier and later")
    assert noisy.median_difference == pytest.approx(0.2)
    assert "differ by 20% at the median" in noisy.words
    assert noisy.words.startswith("noisy")


def test_chance_that_differs_from_pass_to_pass_is_seen_in_alternate_halves():
    flickers = {("draft", n): [1.0, 1.5] * 4 for n in range(1, 6)}
    noise = judge_noise([flickers])
    assert (noise.noisy, noise.halves) == (True, "alternate")


def test_few_disturbed_sizes_leave_the_verdict_quiet_but_are_counted():
    timings = {("target", n): [1.0] * 8 for n in range(10)}
    timings |= {("target", n): [1.0] * 4 + [3.0] * 4 for n in range(2)}
    noise = judge_noise([timings])
    assert not noise.noisy
    assert noise.share_beyond == pytest.approx(0.2)


def test_outliers_that_hit_single_passes_are_no_noise():
    draws = random.Random(1)
    timings = {
        ("target", n): [1.0 + (3.0 if draws.random() < 0.1 else 0.0) for _ in range(12)]
        for n in range(40)
    }
    assert not judge_noise([timings]).noisy


def test_two_passes_a_size_are_too_few_for_a_verdict():
    assert judge_noise([{("target", 1): [1.0, 2.0]}]) is None


def test_a_disturbance_of_half_the_passes_leaves_a_curve_as_it_is():
    assert undisturbed([5.0, 1.1, 9.0, 1.0, 7.0, 1.2, 1.0, 8.0]) == 1.1
    assert undisturbed([3.0]) == 3.0
