"""Counters of serving engines become vectors that give the engines' own numbers back."""

import itertools
import json
import math
import re

import engine_texts as texts
import numpy as np
import pytest

from sequoia_core.errors import InputError
from sequoia_core.plan.counters import registry
from sequoia_core.plan.counters.mean import accepted_at, constant_rate, rate_error
from sequoia_core.plan.counters.positions import from_histograms, from_survivors
from sequoia_core.plan.counters.registry import read_counters
from sequoia_core.plan.expected import expected_tokens, path_values
from sequoia_core.plan.hardware import HardwareProfile
from sequoia_core.plan.optimizer import make_plan
from sequoia_core.tree.families import chain

POSITIONAL = {
    "vllm metrics": (texts.VLLM_METRICS, "vllm", [0.9218, 0.9196, 0.8600, 0.8082, 0.7959]),
    "vllm log": (texts.VLLM_LOG, "vllm", [0.7343, 0.6253, 0.6364, 0.5779, 0.5169, 0.5652]),
    "vllm older log": (texts.VLLM_OLDER_LOG, "vllm", [58 / 59, 56 / 58, 54 / 56, 52 / 54, 42 / 52]),
    "vllm request": (texts.VLLM_REQUEST, "vllm", [4 / 43, 3 / 4, 1.0]),
    "sglang request": (texts.SGLANG_REQUEST, "sglang", [32 / 43, 18 / 32, 7 / 18, 3 / 7, 1.0]),
    "llama log": (texts.LLAMA_LOG, "llama.cpp", [70 / 87, 55 / 70, 42 / 55]),
    "llama later log": (texts.LLAMA_LATER_LOG, "llama.cpp", [172 / 203, 136 / 172]),
    "llama two kinds": (texts.LLAMA_TWO_KINDS, "llama.cpp", [0.7632, 0.6897, 0.6877, 0.7027]),
    "llama metrics": (texts.LLAMA_METRICS, "llama.cpp", [1.0, 55 / 86, 21 / 55, 6 / 21, 0.0]),
}
# Text, engine, length to give, mean accepted, mean drafted.
MEANS = {
    "vllm oldest log": (texts.VLLM_OLDEST_LOG, "vllm", 3, 3.0, 3),
    "sglang older request": (texts.SGLANG_OLDER_REQUEST, "sglang", None, 11 / 188, 5),
    "sglang log": (texts.SGLANG_LOG, "sglang", None, (1.17 + 0.95 + 0.80) / 3, 3),
    "sglang benchmark": (texts.SGLANG_BENCHMARK, "sglang", 31, 4.86, 31),
    "llama older log": (texts.LLAMA_OLDER_LOG, "llama.cpp", None, 1186 / 690, 1207 / 690),
    "llama timings": (texts.LLAMA_TIMINGS, "llama.cpp", 16, 65 * 16 / 347, 16),
}


@pytest.fixture
def hardware():
    return HardwareProfile("test", ((1, 1.0), (64, 1.5)), ((1, 0.05), (64, 0.1)))


def metrics(drafts, survivors, *, prefix="vllm", labels='engine="0"', tokens=None):
    def line(name, value, more=""):
        inside = ",".join(filter(None, [labels, more]))
        return f"{prefix}:spec_decode_{name}_total{{{inside}}} {value}"

    return "\n".join(
        [
            line("num_drafts", drafts),
            line("num_draft_tokens", drafts * len(survivors) if tokens is None else tokens),
            line("num_accepted_tokens", sum(survivors)),
            *(
                line("num_accepted_tokens_per_pos", count, f'position="{position}"')
                for position, count in enumerate(survivors)
            ),
        ]
    )


@pytest.mark.parametrize("name", POSITIONAL)
def test_recorded_text_gives_rates_by_depth_without_naming_the_engine(name):
    text, engine, rates = POSITIONAL[name]
    reading = read_counters(text)
    assert (reading.engine, reading.positional) == (engine, True)
    assert reading.rates == pytest.approx(rates, abs=6e-4)
    assert read_counters(text, engine=engine) == reading


@pytest.mark.parametrize("name", MEANS)
def test_recorded_means_give_a_constant_rate_that_says_so(name):
    text, engine, length, accepted, drafted = MEANS[name]
    reading = read_counters(text, draft_tokens=length)
    assert (reading.engine, reading.positional) == (engine, False)
    assert (reading.mean_accepted, reading.mean_drafted) == pytest.approx((accepted, drafted))
    assert accepted_at(reading.rates[0], drafted) == pytest.approx(accepted)
    assert "no positions" in " ".join(reading.notes)
    assert "constant rate" in reading.vector().origin


@pytest.mark.parametrize("name", POSITIONAL)
def test_the_vector_s_chain_of_the_engine_s_length_has_the_engine_s_mean(name):
    reading = read_counters(POSITIONAL[name][0])
    vector = reading.vector()
    assert (vector.rule, vector.ranks) == ("topk", 1)
    own = chain(len(reading.rates))
    assert expected_tokens(own, vector) == pytest.approx(1 + reading.mean_accepted)


def test_unconditional_rates_of_vllm_s_metrics_come_back_as_the_chances_of_a_chain():
    values = path_values(chain(5), read_counters(texts.VLLM_METRICS).vector())[1:]
    counted = np.array([1883866, 1732372, 1489894, 1204113, 958397]) / 2043630
    np.testing.assert_allclose(values, counted)


@pytest.mark.parametrize("family", ["chain", "sequoia"])
def test_a_plan_from_counters_is_a_chain_in_every_family(family, hardware):
    vector = read_counters(texts.VLLM_METRICS).vector()
    plan = make_plan(vector, hardware, family=family)
    assert plan.tree == chain(plan.depth)
    assert plan.depth > 1
    assert plan.verdict.choice == "chain"
    assert plan.speedup_error > 0
    assert any("A tree cannot be planned" in note for note in read_counters(texts.VLLM_LOG).notes)


@pytest.mark.parametrize("name", MEANS)
def test_means_can_be_planned_from_too(name, hardware):
    reading = read_counters(MEANS[name][0], draft_tokens=MEANS[name][2])
    plan = make_plan(reading.vector(), hardware, family="chain")
    assert (plan.speedup_error is None) == (reading.steps is None)
    assert plan.speedup >= 1


def test_below_the_measured_depth_three_of_three_promise_no_endless_chain():
    vector = read_counters(texts.VLLM_REQUEST).vector()
    assert vector.at_depth(2) == [1.0]
    assert vector.at_depth(3) == pytest.approx(10 / (43 + 4 + 3))
    falling = read_counters(texts.VLLM_METRICS).vector()
    assert falling.at_depth(9) == falling.at_depth(4)


def test_two_scrapes_are_subtracted_series_by_series():
    first = metrics(100, [60, 30]) + "\n" + metrics(10, [9, 8], labels='engine="1"')
    second = metrics(300, [210, 80]) + "\n" + metrics(10, [9, 8], labels='engine="1"')
    reading = read_counters(second, before=first)
    assert reading.steps == 200
    assert reading.rates == pytest.approx([150 / 200, 50 / 150])
    assert read_counters(second).steps == 310


def test_a_position_that_is_new_since_the_earlier_scrape_counts_from_zero():
    before = metrics(100, [60], prefix="llamacpp", labels="")
    after = metrics(300, [210, 50], prefix="llamacpp", labels="")
    assert read_counters(after, before=before).rates == pytest.approx([150 / 200, 50 / 150])


def test_counters_without_positions_give_the_mean():
    lines = metrics(100, [60, 30], prefix="llamacpp", labels="").splitlines()[:3]
    reading = read_counters("\n".join(lines))
    assert (reading.positional, reading.mean_accepted, reading.mean_drafted) == (False, 0.9, 2)


def test_a_table_pasted_from_prometheus_page_is_read():
    """The form of vllm-project/vllm, pull request 24049: a bar before the value."""
    labels = 'engine="0", instance="localhost:8000", job="vllm", model_name="/models/Qwen3"'
    pasted = metrics(22, [7, 2], labels=labels).replace("} ", "} | ")
    reading = read_counters(pasted)
    assert (reading.steps, reading.target) == (22, "/models/Qwen3")
    assert reading.rates == pytest.approx([7 / 22, 2 / 7])


def outcomes(rates, lengths):
    """Steps by draft length and accepted tokens when `lengths` {length: steps} meet `rates`."""
    table = {}
    for length, steps in lengths.items():
        reach = [math.prod(rates[:j]) for j in range(length + 1)] + [0.0]
        table[length] = [steps * (reach[j] - reach[j + 1]) for j in range(length + 1)]
    return table


def test_lengths_told_apart_recover_the_rates_exactly_and_mixed_ones_are_too_low():
    rates = [0.8, 0.5, 0.25]
    table = outcomes(rates, {1: 1000, 2: 4000, 3: 2000})
    known = from_histograms(table)
    assert known.rates == pytest.approx(rates)
    assert known.mean_drafted == pytest.approx((1000 + 8000 + 6000) / 7000)
    survivors = [sum(sum(row[k:]) for row in table.values() if len(row) > k) for k in (1, 2, 3)]
    mixed = from_survivors(7000, survivors, drafted=15000)
    assert mixed.rates[0] == pytest.approx(0.8)
    assert all(low < true for low, true in zip(mixed.rates[1:], rates[1:], strict=True))


def test_mixed_lengths_are_said_when_the_engine_does_not_tell_them_apart():
    mixed = read_counters(metrics(100, [60, 30, 10], tokens=210))
    assert "2.10 tokens on average, not 3" in " ".join(mixed.notes)
    fixed = read_counters(metrics(100, [60, 30, 10], tokens=298))
    assert "on average" not in " ".join(fixed.notes)


def test_requests_are_summed_by_draft_length_and_by_step():
    item = {
        "acceptance_histogram": [1, 1, 1],
        BY_LENGTH: {"0": [4], "1": [0, 1], "2": [1, 0, 1]},
    }
    steps = {
        "acceptance_histogram": [1, 1, 1],
        "per_step_accepted": [1, 0, 2],
        "per_step_drafted": [1, 2, 2],
    }
    body = [{"id": name, "metrics": {"speculative_decoding": item}} for name in "ab"]
    by_length = read_counters(json.dumps(body))
    assert (by_length.requests, by_length.steps) == (2, 6)
    assert by_length.rates == pytest.approx([4 / 6, 1.0])
    assert read_counters(json.dumps(steps)).rates == by_length.rates


def test_of_a_stream_the_last_chunk_of_each_request_counts():
    """SGLang and llama.cpp repeat running totals in every chunk."""

    def chunk(name, histogram):
        fields = {"id": name, "spec_verify_ct": sum(histogram), "spec_accept_histogram": histogram}
        return "data: " + json.dumps({"text": "..", "meta_info": fields})

    stream = [chunk("a", [1]), chunk("b", [0, 3]), chunk("a", [1, 1]), "data: [DONE]"]
    reading = read_counters("\n".join(stream))
    assert (reading.requests, reading.steps) == (2, 5)
    assert reading.rates == pytest.approx([4 / 5])
    timings = [{"id": "x", "timings": {"draft_n": n, "draft_n_accepted": n // 2}} for n in (4, 8)]
    lines = "\n".join(f"data: {json.dumps(line)}" for line in timings)
    assert read_counters(lines, draft_tokens=4).mean_accepted == 2


def test_a_python_dictionary_in_a_log_is_read_and_a_short_histogram_filled_up():
    """sgl-project/sglang, pull request 18332: histograms end at the most ever accepted."""
    line = (
        "[2026-02-06 10:00:00] Finish: obj=GenerateReqInput(rid='a'), out={'meta_info': {'id': "
        "'a', 'finish_reason': {'type': 'stop'}, 'spec_accept_histogram': [4, 2], "
        "'spec_num_proposed_drafts': 24, 'spec_verify_ct': 6}}\n"
    )
    reading = read_counters(line * 2)
    assert (reading.requests, reading.steps, reading.mean_drafted) == (2, 12, 4)
    assert reading.rates == pytest.approx([2 / 6, 0.0])


def test_positions_on_a_line_of_their_own_belong_to_the_request_before():
    """Later builds of llama.cpp write them apart."""
    text = (
        "slot print_timing: id  0 | task 0 | draft acceptance = 0.76049 (  308 accepted /   405 "
        "generated), mean len =  2.52\n"
        "slot print_timing: id  0 | task 0 |      acc per pos = (0.847, 0.670)\n"
    )
    assert read_counters(text).rates == pytest.approx([172 / 203, 136 / 172])
    assert read_counters(text * 3).steps == 609


def test_a_draft_model_s_own_statistics_count_where_n_grams_draft_too():
    """A request's line pools both; its first position would be that of neither."""
    pooled = (
        "slot print_timing: id  0 | draft acceptance = 0.50692 ( 1501 accepted /  2961 generated), "
        "mean acceptance length =  3.77, acceptance rate per position = (0.771, 0.541)\n"
    )
    reading = read_counters(pooled + texts.LLAMA_TWO_KINDS)
    assert reading.source == "statistics of draft-dflash"
    assert reading == read_counters(texts.LLAMA_TWO_KINDS)


def test_requests_without_positions_tell_their_steps_by_their_mean():
    line = texts.LLAMA_LATER_LOG.splitlines()[0]
    reading = read_counters(line)
    assert reading.steps == pytest.approx(203, abs=0.7)
    none = "\ndraft acceptance = 0.00000 (    0 accepted /   405 generated), mean len =  1.00"
    both = read_counters(line + none)
    assert both.mean_accepted == pytest.approx(reading.mean_accepted / 2)
    assert both.mean_drafted == pytest.approx(reading.mean_drafted)


@pytest.mark.parametrize("length", [1, 2.0, 3.4, 7])
def test_a_constant_rate_is_the_inverse_of_its_mean(length):
    for rate in (0.0, 0.1, 0.73, 1.0):
        assert constant_rate(accepted_at(rate, length), length) == pytest.approx(rate, abs=1e-9)


def test_errors_are_those_of_all_outcomes():
    """One step of three tokens: the mean's variance from every outcome, then the delta method."""
    rate, length, steps = 0.6, 3, 10**6
    chances = outcomes([rate] * length, {length: 1.0})[length]
    mean = sum(j * chance for j, chance in enumerate(chances))
    variance = sum((j - mean) ** 2 * chance for j, chance in enumerate(chances))
    slope = sum(j * rate ** (j - 1) for j in range(1, length + 1))
    expected = math.sqrt(variance / steps) / slope
    assert rate_error(rate, length, steps) == pytest.approx(expected, rel=1e-4)
    counted = from_survivors(10**6, [600_000, 360_000])
    exact = [math.sqrt(0.24 / 10**6), math.sqrt(0.24 / 600_000)]
    assert counted.standard_errors == pytest.approx(exact, rel=1e-4)


def test_all_or_nothing_of_a_few_steps_is_no_certainty():
    assert min(from_survivors(3, [3, 3]).standard_errors) > 0.2
    assert from_survivors(3, [0]).standard_errors[0] > 0.2
    assert rate_error(1.0, 3, 3) > 0.05


BY_LENGTH = "acceptance_histogram_by_draft_length"
REPEATED = texts.VLLM_METRICS.splitlines()[2]


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("", {}, "No serving engine's counters"),
        ("hello\nworld", {}, "No serving engine's counters are in the text; known are: vLLM"),
        ("hello", {"engine": "tgi"}, "choose one of auto, vllm, sglang, llama.cpp"),
        (texts.VLLM_LOG, {"engine": "sglang"}, "The text is not sglang's"),
        (texts.VLLM_LOG + texts.LLAMA_LOG, {}, "vllm and llama.cpp"),
        ("x" * (registry.MAX_CHARACTERS + 1), {}, "at most 16777216"),
        (metrics(0, [0, 0]), {}, "0 drafts"),
        (metrics(0, [0, 0], prefix="llamacpp"), {}, "0 drafts"),
        (metrics(10, [8, 9]), {}, "Position 1 was accepted 9 times after 8 at position 0"),
        (metrics(10, [11]), {}, "Position 0 was accepted 11 times after 10 drafts"),
        (metrics(9, [8, 5, 2]).replace('"1"', '"7"'), {}, "lack position 1 but have 7"),
        (metrics(9, [8]).replace('"0"}', '"-1"}'), {}, "label position of 0 to 1023, got '-1'"),
        (metrics(9, [8]).replace(" 9\n", " nan\n", 1), {}, "num_drafts must be a number"),
        (metrics(9, [8]).replace(" 9\n", " lots\n", 1), {}, "got 'lots'"),
        (metrics(9, [8, 5]).split("\n", 1)[1], {}, "lacks vllm's counter"),
        ("\n".join(texts.VLLM_METRICS.splitlines()[:-1]), {}, "give the lines of all positions"),
        (texts.VLLM_METRICS + REPEATED, {}, "twice for the same labels"),
        (
            metrics(9, [8], labels='model_name="a"')
            + "\n"
            + metrics(9, [8], labels='model_name="b"'),
            {},
            "several models, a, b",
        ),
        (metrics(9, [8]), {"before": metrics(10, [8])}, "fell from 10 to 9"),
        (metrics(9, [8]), {"before": metrics(9, [8])}, "0 drafts"),
        (metrics(9, [8]), {"before": "nothing"}, "The earlier scrape holds no vllm:"),
        (texts.VLLM_LOG, {"before": texts.VLLM_LOG}, "Only counters of a metrics text"),
        (texts.VLLM_LOG, {"draft_tokens": 3}, "tells 6 drafted tokens a step, not 3"),
        (texts.VLLM_LOG, {"draft_tokens": 0}, "must be between 1 and 64, got 0"),
        (texts.VLLM_OLDEST_LOG, {}, "give it as --draft-tokens"),
        (texts.VLLM_LOG.replace("0.740", "0.240"), {}, "cannot rise"),
        (re.sub(r"(Accepted|Drafted): \d+", r"\1: 0", texts.VLLM_LOG), {}, "no drafted token"),
        ('{"acceptance_histogram": [0, 0]}', {}, "no verification step"),
        ('{"acceptance_histogram": [1, -1]}', {}, "acceptance_histogram[1] must be between 0"),
        ('{"acceptance_histogram": "many"}', {}, "acceptance_histogram must be a list"),
        (
            json.dumps({"acceptance_histogram": [1], BY_LENGTH: {"1": [0, 1, 2]}}),
            {},
            "A draft of 1 tokens cannot have 2 accepted",
        ),
        (
            json.dumps({"acceptance_histogram": [1], BY_LENGTH: {"1e9": [1]}}),
            {},
            "lengths of at most 999",
        ),
        (
            '{"acceptance_histogram": [1], "per_step_accepted": [3], "per_step_drafted": [2]}',
            {},
            "cannot accept 3 of 2",
        ),
        (texts.SGLANG_LOG.replace("topk 1", "topk 4"), {}, "drafted trees"),
        ("speculative_eagle_topk=8, " + texts.SGLANG_REQUEST, {}, "drafted trees"),
        (texts.SGLANG_LOG.replace("num-steps 3", ""), {}, "give it as --draft-tokens"),
        (texts.SGLANG_LOG.replace("len: 1.95", "len: 9.95"), {}, "is impossible"),
        (texts.SGLANG_BENCHMARK, {}, "mean accept length of 5.86"),
        ("Decode batch, accept len: 0.00, accept rate: 0.00", {"draft_tokens": 3}, "at least 1"),
        ('{"spec_verify_ct": 0}', {}, "no verification step"),
        (
            '{"spec_verify_ct": 1, "spec_accept_histogram": [1], "spec_proposed_drafts": 99999}',
            {},
            "The draft's length must be between",
        ),
        (
            "draft acceptance = 0.64 (  167 accepted /   0 generated), mean len =  2.92",
            {},
            "count no drafted token",
        ),
        (texts.LLAMA_TIMINGS, {}, "65 of 347 drafted tokens accepted"),
        (texts.LLAMA_TIMINGS.replace("347", "0"), {}, "nothing was drafted"),
        (texts.LLAMA_TWO_KINDS.replace("ngram-mod", "draft-mtp"), {}, "several ways to draft"),
        ("[" * 5000, {}, "No serving engine's counters"),
        ("[" * 100 + texts.SGLANG_OLDER_REQUEST + "]" * 100, {}, "nested more than 64 deep"),
    ],
)
def test_bad_text_is_one_clear_error(text, options, message):
    with pytest.raises(InputError, match=re.escape(message)):
        read_counters(text, **options)


@pytest.mark.parametrize("digits", [20, 400, 5000])
def test_absurd_numbers_are_refused_and_never_a_crash(digits):
    """Python refuses to read whole numbers of more than 4,300 digits, with another error."""
    huge = "9" * digits
    recorded = [text for text, *_ in itertools.chain(POSITIONAL.values(), MEANS.values())]
    for text in recorded:
        for number in sorted(set(re.findall(r"\d+(?:\.\d+)?", text))):
            try:
                reading = read_counters(text.replace(number, huge), draft_tokens=3)
            except InputError:
                continue
            assert all(0 <= rate <= 1 for rate in reading.rates)
            reading.vector()
