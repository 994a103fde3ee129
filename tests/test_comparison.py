"""Comparisons: the order of runs, intervals of medians, and what is said of them."""

from dataclasses import replace
from itertools import count, product

import pytest
from comparisons import comparison_of, steady
from fakes import tiny_pair

from sequoia_core.decode.settings import GenerationSettings
from sequoia_core.errors import InputError
from sequoia_core.measure.compare import Arm, compare, compare_named, make_arms
from sequoia_core.measure.comparison import (
    BASELINE,
    Comparison,
    Entry,
    Outcome,
    temperatures_in,
)
from sequoia_core.measure.paired import coverage, median_interval, ratio_interval, speedups
from sequoia_core.measure.proposal import effort, propose
from sequoia_core.measure.summary import prediction_words, summarise, text_words, verdict
from sequoia_core.plan.acceptance import load_acceptance
from sequoia_core.plan.hardware import load_hardware
from sequoia_core.plan.optimizer import make_plan

# Intervals


@pytest.mark.parametrize("values", range(1, 11))
@pytest.mark.parametrize("trimmed", [0, 1, 2])
def test_coverage_is_the_share_of_all_sign_patterns_whose_range_holds_the_median(values, trimmed):
    # The values lie above (1) or below (0) the true median, each with chance 1/2, independently.
    patterns = product((0, 1), repeat=values)
    held = sum(trimmed < sum(signs) < values - trimmed for signs in patterns)
    assert coverage(values, trimmed) == pytest.approx(held / 2**values)


@pytest.mark.parametrize("values", [1, 2, 5, 6, 8, 9, 10, 20, 40])
def test_an_interval_is_the_narrowest_that_holds_in_95_percent_or_else_the_whole_range(values):
    interval = median_interval([float(value) for value in range(values)], "prompts")
    trimmed = int(interval.low)
    assert interval.high == values - 1 - trimmed
    assert interval.coverage == coverage(values, trimmed)
    assert coverage(values, trimmed + 1) < 0.95
    assert interval.sure == (values >= 6)
    assert interval.median == (values - 1) / 2


def test_repeats_of_a_prompt_are_joined_before_prompts_are_counted():
    seconds = {BASELINE: [[2.0, 4.0, 6.0]] * 3, "sequoia": [[1.0] * 3, [2.0] * 3, [4.0] * 3]}
    interval = ratio_interval(comparison_of(seconds), 0.0, "sequoia")
    assert (interval.median, interval.low, interval.high) == (2.0, 1.0, 4.0)
    assert (interval.count, interval.over, interval.coverage) == (3, "prompts", 0.75)


def test_one_prompt_leaves_its_repeats_to_count():
    seconds = {BASELINE: [[2.0, 4.0, 6.0]], "sequoia": [[1.0, 1.0, 1.0]]}
    interval = ratio_interval(comparison_of(seconds), 0.0, "sequoia")
    assert (interval.median, interval.low, interval.high) == (4.0, 2.0, 6.0)
    assert (interval.count, interval.over) == (3, "repeats")


def test_ratios_are_taken_within_a_round_so_a_slow_hour_changes_nothing():
    slow = {BASELINE: [[1.0, 9.0]] * 6, "chain": [[0.5, 4.5]] * 6}
    interval = ratio_interval(comparison_of(slow), 0.0, "chain")
    assert interval.low == interval.median == interval.high == 2.0


# The order of runs


def recorder(name: str, temperature: float, seen: list) -> Arm:
    def run(prompt, seed):
        seen.append((name, temperature, prompt, seed))
        return Outcome(4, 2, 1.0, token_ids=(1, 2, 3, 4))

    return Arm(Entry(name, temperature), run)


def test_every_round_holds_each_method_once_and_a_repeat_has_a_seed_of_its_own():
    seen, kept, told = [], [], []
    arms = [recorder(n, t, seen) for t in (0.0, 0.6) for n in (BASELINE, "chain", "topk")]
    runs = compare(
        arms,
        ["a", "b"],
        repeats=2,
        seed=5,
        progress=lambda fraction, text: told.append((fraction, text)),
        keep=kept.append,
    )
    warm, rest = seen[:6], seen[6:]
    assert {prompt for _, _, prompt, _ in warm} == {"a"}
    rounds = [rest[i : i + 3] for i in range(0, len(rest), 3)]
    assert all({name for name, *_ in own} == {BASELINE, "chain", "topk"} for own in rounds)
    assert [own[0][1:] for own in rounds] == [
        (temperature, prompt, 5 + repeat)
        for repeat in (0, 1)
        for prompt in "ab"
        for temperature in (0.0, 0.6)
    ]
    assert len({tuple(name for name, *_ in own) for own in rounds}) > 1
    assert [run for own in kept for run in own] == runs
    assert len(runs) == 24
    fractions = [fraction for fraction, _ in told]
    assert fractions == sorted(fractions)
    assert told[6][1].startswith("run 7 of 30, ")
    assert told[-1] == (1.0, "Done")


def test_at_temperature_0_a_run_knows_how_far_it_kept_to_plain_decodings_text():
    def arm(name, tokens, temperature=0.0):
        return Arm(
            Entry(name, temperature), lambda prompt, seed: Outcome(4, 2, 1.0, token_ids=tokens)
        )

    texts = {BASELINE: (1, 2, 3, 4), "chain": (1, 2, 9, 4), "topk": (1, 2), "sequoia": None}
    runs = compare([arm(*item) for item in texts.items()], ["a"], repeats=1)
    assert {run.method: run.shared_tokens for run in runs} == {
        BASELINE: 4, "chain": 2, "topk": 2, "sequoia": None,
    }  # fmt: skip
    warm = compare([arm(BASELINE, (1,), 0.6)], ["a"], repeats=1)
    assert warm[0].shared_tokens is None


def test_work_that_is_stopped_keeps_the_rounds_that_were_done():
    seen, kept = [], []
    arms = [recorder(n, 0.0, seen) for n in (BASELINE, "chain")]

    def until(fraction, text):
        if len(kept) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compare(arms, ["a", "b"], repeats=3, progress=until, keep=kept.append)
    assert [len(own) for own in kept] == [2, 2]


@pytest.mark.parametrize("method", [BASELINE, "dynamic", "hf-generate", "hf-assisted"])
def test_a_run_is_ended_between_two_steps_and_the_next_one_is_whole(method):
    calls, stop_at = count(), [-1]

    def go_on():
        if next(calls) == stop_at[0]:
            raise KeyboardInterrupt

    pair, settings = tiny_pair(), GenerationSettings(max_new_tokens=9, temperature=0.6)
    proposal = propose(method, 0.6, VECTOR, PROFILE)
    [arm] = make_arms(pair, [proposal], settings, ["t1 t2"], go_on=go_on)
    stop_at[0] = next(calls) + 2
    with pytest.raises(KeyboardInterrupt):
        arm.run("t1 t2 t3", 0)
    outcome = arm.run("t1 t2 t3", 0)
    assert (outcome.tokens, len(outcome.token_ids)) == (9, 9)
    assert arm.run("t1 t2 t3", 0).token_ids == outcome.token_ids
    if method == "hf-assisted":
        assert arm.entry.depth in range(2, 13)
        assert arm.entry.budget == arm.entry.depth + 1


def test_a_temperature_without_plain_decoding_is_refused():
    arms = [recorder(BASELINE, 0.0, []), recorder("chain", 0.6, [])]
    with pytest.raises(InputError, match="autoregressive"):
        compare(arms, ["a"], repeats=1)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "1 to 10 numbers"),
        ("warm", "1 to 10 numbers with commas between them, as in 0, 0.6; got “warm”"),
        ("0, 11", "between 0 and 10, got 11"),
        ("-1", "between 0 and 10, got -1"),
        ("nan", "between 0 and 10, got nan"),
        (",".join(map(str, range(11))), "1 to 10 numbers"),
    ],
)
def test_temperatures_that_cannot_be_are_named(text, words):
    with pytest.raises(InputError, match=words):
        temperatures_in(text)


def test_temperatures_are_taken_once_each():
    assert temperatures_in("0.6, 0,0.60 ,") == [0.6, 0.0]


# Before the start

PROFILE, VECTOR = load_hardware("cpu-2-cores"), load_acceptance("bundled-t0.6")


def test_a_proposal_is_what_the_planner_says_and_says_nothing_of_other_rules():
    tree = propose("sequoia", 0.6, VECTOR, PROFILE)
    plan = make_plan(VECTOR, PROFILE)
    assert (tree.entry.budget, tree.entry.predicted_speedup) == (plan.budget, plan.speedup)
    assert tree.entry.level_sizes == tuple(plan.level_sizes)
    other = propose("topk", 0.6, VECTOR, PROFILE, budget=12, depth=3).entry
    assert (other.budget, other.predicted_speedup, other.acceptance_rule) == (12, None, "sequoia")
    grown = propose("dynamic", 0.6, VECTOR, PROFILE, budget=12, depth=3).entry
    assert (grown.budget, grown.depth, grown.level_sizes) == (12, 3, ())
    assert propose(BASELINE, 0.6, None, PROFILE).entry == Entry(BASELINE, 0.6, 1, 0)
    assert propose("hf-assisted", 0.6, None, PROFILE).plan is None


def test_auto_keeps_its_own_size_and_wants_its_own_rule():
    free, wished = (propose("auto", 0.6, VECTOR, PROFILE, budget=n).entry for n in (None, 9))
    assert free == wished
    with pytest.raises(InputError, match="or leave auto out"):
        propose("auto", 0.6, load_acceptance("bundled-t0.6-topk"), PROFILE)


def test_runs_and_seconds_are_told_before_the_start():
    plain, tree = propose(BASELINE, 0.6, None, PROFILE), propose("sequoia", 0.6, VECTOR, PROFILE)
    told = effort([plain, tree], prompts=4, repeats=3, new_tokens=10, tuning_prompts=3)
    assert (told.measured, told.warm_up, told.tuning) == (24, 2, 0)
    each = 10 * PROFILE.target(1) + 10 * PROFILE.plain_overhead_seconds
    assert told.seconds == pytest.approx(13 * each * (1 + 1 / tree.plan.speedup))
    assisted = propose("hf-assisted", 0.6, None, PROFILE)
    assert effort([plain, assisted], 1, 1, 10, tuning_prompts=3).tuning == 11 * 2 * 3 + 1


# What is said


def test_a_summary_has_totals_shares_and_seconds_a_token():
    plain, tree, other = summarise(steady(sequoia=2.0, hf_generate=1.0))
    assert (plain.tokens_per_second, plain.tokens_per_step, plain.hit_rate) == (12, 1, 0)
    assert (tree.tokens_per_second, tree.tokens_per_step, tree.hit_rate) == (24, 3, 0.75)
    assert tree.speedup.median == tree.decode_speedup.median == 2
    assert tree.parts.total + tree.rest == pytest.approx(1 / 24)
    assert (other.decode_speedup, other.hit_rate, other.parts) == (None, None, None)
    assert other.rest == pytest.approx(1 / 12)
    assert speedups(steady(chain=4.0))[:2] == [1, 4]


def words(comparison: Comparison) -> str:
    return " ".join(verdict(comparison))


def test_the_fastest_is_named_with_its_interval_and_what_follows_it():
    assert words(steady(sequoia=2.0, chain=1.6)) == (
        "At temperature 0 sequoia is fastest, 2.00× plain decoding (2.00 to 2.00); chain is next, "
        "and sequoia writes 1.25× its tokens a second."
    )


def test_who_is_as_fast_within_the_noise_is_named_by_their_own_ratio():
    seconds = {
        BASELINE: [[1.0]] * 6,
        "sequoia": [[0.5], [0.5], [0.5], [0.4], [0.5], [0.5]],
        "chain": [[0.51], [0.49], [0.52], [0.42], [0.51], [0.52]],
    }
    assert "sequoia is fastest" in words(comparison_of(seconds))
    assert "within the noise of it: chain." in words(comparison_of(seconds))
    # Chain is always a little slower on the same prompt, though the two intervals overlap widely.
    seconds["chain"] = [[1.02 * own] for [own] in seconds["sequoia"]]
    assert "chain is next, and sequoia writes 1.02× its" in words(comparison_of(seconds))


def test_where_nothing_beats_plain_decoding_it_is_said():
    assert "nothing is as fast as plain decoding: the best, chain, is at 0.50×" in words(
        steady(chain=0.5)
    )
    seconds = {BASELINE: [[1.0]] * 6, "chain": [[0.9], [1.1], [0.8], [1.0], [0.9], [1.2]]}
    assert "nothing is faster than plain decoding beyond the noise" in words(comparison_of(seconds))


def test_no_claim_about_all_methods_rests_on_the_best_median_alone():
    seconds = {
        BASELINE: [[1.0]] * 6,
        "sequoia": [[0.5], [1.2], [0.6], [1.1], [0.6], [0.7]],
        "chain": [[0.9], [0.9], [0.8], [0.8], [0.9], [0.9]],
    }
    said = words(comparison_of(seconds))
    assert "sequoia has the highest median, 1.55× plain decoding (0.83 to 2.00), but that" in said
    assert "may be noise; chain is faster beyond the noise, 1.11× (1.11 to 1.25)." in said
    seconds["chain"] = [[0.9], [1.3], [1.2], [1.1], [1.2], [1.2]]
    seconds["sequoia"] = [[1.05]] * 6
    assert "nothing is faster than plain decoding beyond the noise" in words(comparison_of(seconds))


def test_a_method_that_beats_the_best_median_prompt_by_prompt_is_named_beside_it():
    # By median dynamic is at 2.00 and chain at 1.90, yet chain is faster on most prompts.
    factors = {"dynamic": [1.5, 1.5, 1.5, 2.5, 2.5, 2.5, 2.5], "chain": [1.9] * 3 + [2.4] * 4}
    factors["dynamic"][3], factors["chain"][3] = 2.5, 2.45
    seconds = {BASELINE: [[1.0]] * 7}
    seconds |= {name: [[1 / own] for own in each] for name, each in factors.items()}
    assert "dynamic is fastest" in words(comparison_of(seconds))
    assert "within the noise of it: chain" in words(comparison_of(seconds))


@pytest.mark.parametrize(
    ("prompts", "words_"),
    [(1, "Over 2 repeats"), (3, "Over 3 prompts such an interval holds in 75% of cases")],
)
def test_too_few_prompts_are_said_to_be_too_few(prompts, words_):
    said = words(steady(prompts, chain=2.0))
    assert words_ in said
    assert ("With one prompt" in said) == (prompts == 1)
    assert "such an interval" not in words(steady(6, chain=2.0))


def test_plain_decoding_alone_leaves_nothing_to_say():
    assert verdict(steady()) == []
    assert verdict(replace(steady(chain=2.0), runs=())) == []


def test_predictions_that_rest_on_other_models_or_temperatures_say_so():
    own = steady(sequoia=2.0)
    assert prediction_words(own) == []

    def planned(**fields) -> list[str]:
        entries = [replace(e, **fields) if e.method == "sequoia" else e for e in own.entries]
        return prediction_words(replace(own, entries=tuple(entries)))

    mine = {"acceptance_target": "big", "acceptance_draft": "small", "hardware_target": "big"}
    assert planned(**mine, acceptance_temperature=0.04) == []
    assert planned(**mine, acceptance_temperature=0.6) == [
        "At temperature 0 predictions rest on acceptance measured at 0.6."
    ]
    assert planned(**mine | {"acceptance_draft": "other"}, acceptance_temperature=0.6) == [
        "Predictions are guesses, resting on the acceptance of big with other: not on this pair."
    ]
    assert planned(**mine | {"hardware_target": "huge"}) == [
        "Predictions are guesses, resting on the passes of huge: not on this pair."
    ]


def test_equal_texts_are_confirmed_and_others_are_located():
    same = steady(chain=2.0)
    assert text_words(same) == [
        "At temperature 0 all methods wrote the text of plain decoding, token for token "
        "(6 prompts)."
    ]
    parted = replace(same, runs=(*same.runs[:3], replace(same.runs[3], shared_tokens=7),
                                 *same.runs[4:]))  # fmt: skip
    [where, why] = text_words(parted)
    assert "chain left plain decoding's text on 1 of 6 prompts (number 2 after 7 tokens)" in where
    assert "verify" in why
    unknown = [replace(run, shared_tokens=None) for run in same.runs]
    assert text_words(replace(same, runs=tuple(unknown))) == []
    two = steady(chain=2.0, topk=2.0)
    half = [replace(run, shared_tokens=None) if run.method == "topk" else run for run in two.runs]
    assert "At temperature 0 chain wrote" in text_words(replace(two, runs=tuple(half)))[0]
    low = replace(parted, origin=replace(parted.origin, dtype="bfloat16"))
    assert "near-ties" in text_words(low)[1]
    assert text_words(comparison_of({BASELINE: [[1.0]]}, temperature=0.6)) == []


def test_methods_under_names_of_their_own_are_compared_by_the_same_figures():
    seen = []

    def method(tokens: int, steps: int, seconds: float, decoding: float | None):
        def run(prompt: str, seed: int) -> Outcome:
            seen.append((prompt, seed))
            return Outcome(tokens, steps, seconds, decoding)

        return run

    methods = {
        BASELINE: method(10, 10, 3.0, 2.0),
        "this tree": method(12, 4, 1.8, 1.2),
        "another's": method(10, 10, 2.0, None),
    }
    settings = GenerationSettings(temperature=0.6, seed=5)
    done = compare_named(tiny_pair(), methods, ["t1", "t2"], settings, repeats=2)
    assert (done.complete, done.temperatures, done.origin.target) == (True, (0.6,), "tiny target")
    plain, tree, other = summarise(done)
    assert (plain.speedup.median, plain.decode_speedup.median) == (1.0, 1.0)
    assert (tree.entry.method, tree.tokens_per_step) == ("this tree", 3)
    assert tree.tokens_per_second == pytest.approx(12 / 1.8)
    assert (tree.speedup.median, tree.speedup.over) == (pytest.approx(2), "prompts")
    assert (tree.decode_speedup.median, other.decode_speedup) == (pytest.approx(2), None)
    # Once to warm up, then every prompt once a repeat, which has a seed of its own.
    once = [("t1", 5), ("t1", 5), ("t2", 5), ("t1", 6), ("t2", 6)]
    assert sorted(seen) == sorted(once * 3)
    with pytest.raises(InputError, match=BASELINE):
        compare_named(tiny_pair(), {"this tree": methods["this tree"]}, ["t1"], settings, repeats=1)
