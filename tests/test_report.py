"""The report: its file takes nothing wrong, its page needs nothing else and says the answer."""

import copy
import itertools
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from reports import FLAT, NARROW, SLOW, content, report, row

from sequoia_core.errors import FileFormatError, InputError
from sequoia_core.measure.paired import PROMPTS, REPEATS, median_interval
from sequoia_core.measure.tune.intervals import ratio_of
from sequoia_core.plan.acceptance import AcceptanceVector
from sequoia_core.plan.exports.registry import ENGINES
from sequoia_core.plan.hardware import HardwareProfile
from sequoia_core.plan.measurement import Noise
from sequoia_core.report.launch import engine_export
from sequoia_core.report.measured import Ratio
from sequoia_core.report.page import report_page
from sequoia_core.report.report import load_report, report_from_dict
from sequoia_core.report.svg import Chart, Line, Mark, tree_svg
from sequoia_core.report.words import headline, measured_words, predicted_words
from sequoia_core.tree.families import chain
from sequoia_core.tree.token_tree import TokenTree

REPORT = report()
CONTENT = content(REPORT)

# The file


def test_a_report_reads_back_as_it_was_written(tmp_path):
    REPORT.save(tmp_path / "report.json")
    again = load_report(tmp_path / "report.json")
    assert content(again) == CONTENT
    assert again.hardware == REPORT.hardware
    assert (again.rows, again.gain) == (REPORT.rows, REPORT.gain)
    assert [vector.name for vector in again.vectors.values()] == [
        "acceptance.sequoia",
        "acceptance.specinfer",
        "acceptance.topk",
    ]
    assert (again.target, again.draft) == ("stories-27m", "stories-1m")


# The verdict follows from the plan: it is there for people and scripts, and nothing reads it.
READ = [name for name in CONTENT if name not in ("format", "version", "verdict")]


@pytest.mark.parametrize("name", READ)
def test_no_field_of_a_report_can_be_missing_or_of_another_kind(name):
    with pytest.raises(InputError, match=name):
        report_from_dict({key: part for key, part in CONTENT.items() if key != name})
    with pytest.raises(InputError, match=name):
        report_from_dict(CONTENT | {name: 7})


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("created", "yesterday", "created must be a date and time"),
        ("settings.temperature", float("nan"), "settings.temperature must be finite"),
        ("settings.like", [1], "settings.like must be a text, a number"),
        ("settings.\ud800", 1, "a name in settings must be text in UTF-8"),
        ("machine.torch", 2.13, "machine.torch must be a text"),
        ("machine.torch", "x" * 2001, "machine.torch must be a text of at most 2000"),
        ("reached.0.seconds", -1, "reached[0]: seconds must be between 0"),
        ("reached.0.words", None, "reached[0]: words must be a text"),
        ("reached.0", [], "reached[0] must be an object"),
        ("plan.budget", 3, "plan: budget is 3"),
        ("plan.parents", [0], "plan: "),
        ("candidates.sequoia.speedup", "fast", "candidates.sequoia: speedup must be a number"),
        ("candidates.mine", {}, "candidates are sequoia, chain, not 'mine'"),
        ("hardware.target_seconds", [], "hardware: target_seconds must have"),
        ("hardware.device", 3, "hardware: device must be a text"),
        ("acceptance.sequoia", None, "acceptance.sequoia must be an object"),
        ("acceptance.sequoia.rule", "topk", "acceptance.sequoia: rule is 'topk'"),
        ("acceptance.topk.probabilities", [2], "acceptance.topk: probabilities[0] must be"),
        ("acceptance.mine", {}, "acceptance has rules sequoia, specinfer, topk, not 'mine'"),
        ("benchmark.rows", [], "benchmark.rows must have 1 to 3 entries"),
        ("benchmark.rows.1", 3, "benchmark.rows[1] must be an object"),
        ("benchmark.rows.1.method", "mine", "benchmark.rows[1].method must be one of"),
        ("benchmark.rows.1.method", "autoregressive", "no method twice"),
        ("benchmark.rows.1.budget", 0, "benchmark.rows[1].budget must be between"),
        ("benchmark.rows.1.depth", 99, "benchmark.rows[1].depth must be between"),
        ("benchmark.rows.1.tokens_per_second", -1, "[1].tokens_per_second must be between"),
        ("benchmark.rows.1.tokens_per_step", None, "[1].tokens_per_step must be a number"),
        ("benchmark.rows.1.speedup", 9.0, "[1].speedup is 9, outside its own limits"),
        ("benchmark.rows.1.speedup_low", 9.0, "[1].speedup is"),
        ("benchmark.rows.1.speedup_high", True, "[1].speedup_high must be a number"),
        ("benchmark.rows.1.decode_speedup", 0.0, "[1].decode_speedup is 0, outside"),
        ("benchmark.rows.1.decode_low", None, "[1].decode_low and decode_high must be both"),
        ("benchmark.rows.1.decode_high", float("inf"), "[1].decode_high must be finite"),
        ("benchmark.rows.1.predicted_speedup", "2", "[1].predicted_speedup must be a number"),
        ("benchmark.rows.1.predicted_tokens_per_step", -2, "predicted_tokens_per_step must be"),
        ("benchmark.tree_over_chain", 1.1, "benchmark.tree_over_chain must be an object"),
        ("benchmark.tree_over_chain", {"low": 1}, "benchmark.tree_over_chain must be an object"),
        ("benchmark.tree_over_chain.value", "x", "tree_over_chain.value must be a number"),
        ("benchmark.tree_over_chain.value", 9.0, "tree_over_chain.value is 9, outside"),
        ("benchmark.tree_over_chain.low", None, "tree_over_chain.low and high must be both"),
        ("benchmark.tree_over_chain.high", -1, "tree_over_chain.high must be between"),
    ],
)
def test_a_bad_value_is_named_with_its_place(path, value, words):
    wrong = copy.deepcopy(CONTENT)
    *way, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    place = wrong
    for part in way:
        place = place[part]
    place[last] = value
    with pytest.raises(InputError, match=re.escape(words)):
        report_from_dict(wrong)


def test_what_a_report_needs_of_its_parts():
    without = {rule: part for rule, part in CONTENT["acceptance"].items() if rule != "sequoia"}
    with pytest.raises(InputError, match="a vector of the rule sequoia"):
        report_from_dict(CONTENT | {"acceptance": without})
    with pytest.raises(InputError, match="candidates must hold the plan of chain"):
        report_from_dict(CONTENT | {"candidates": {"sequoia": CONTENT["candidates"]["sequoia"]}})
    rows = {"rows": [CONTENT["benchmark"]["rows"][1]]}
    with pytest.raises(InputError, match="must hold autoregressive"):
        report_from_dict(CONTENT | {"benchmark": rows})
    short = {"rows": [{"method": "chain", "budget": 2}]}
    with pytest.raises(InputError, match=re.escape("benchmark.rows[0].depth is missing")):
        report_from_dict(CONTENT | {"benchmark": short})


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"format": "sequoia-plan"}', json.dumps(CONTENT | {"version": 2})]
)
def test_a_file_that_is_no_report_is_refused_by_name(tmp_path, text):
    (tmp_path / "mine.json").write_text(text, encoding="utf-8")
    with pytest.raises(FileFormatError, match=r"mine\.json"):
        load_report(tmp_path / "mine.json")


def test_a_bad_field_in_a_file_is_an_error_of_the_file(tmp_path):
    (tmp_path / "mine.json").write_text(json.dumps(CONTENT | {"name": 3}), encoding="utf-8")
    with pytest.raises(FileFormatError, match=r"mine\.json: name must be a text"):
        load_report(tmp_path / "mine.json")


# The words


def test_the_answer_is_a_tree_a_chain_or_neither():
    tree, straight, neither = report(FLAT), report(NARROW), report(SLOW)
    plan = tree.plan
    assert headline(tree) == f"Use a tree of {plan.budget:,} tokens, {plan.depth} deep."
    assert headline(straight) == "Use a chain of 1 drafted token."
    assert headline(neither) == "Do not speculate."
    assert (neither.plan.budget, neither.plan.depth) == (1, 0)
    assert predicted_words(neither).startswith("Nothing is predicted to beat plain decoding")
    assert f"Predicted {plan.speedup:.2f}× plain decoding (95% interval" in predicted_words(tree)


def test_a_measurement_that_bears_the_plan_out_is_told_with_its_rival():
    right = report(FLAT).plan.speedup
    words = measured_words(report(FLAT, tree=right, chain=right / 1.25))
    assert words.startswith(f"Measured {right:.2f}× (95% interval ")
    assert "). Measured beside it, " in words
    assert "The prediction is" not in words
    words = measured_words(report(FLAT, tree=2.5, chain=2.0))
    off = f"The prediction is {right / 2.5 - 1:.0%} above it, more than chance among prompts"
    assert f"Measured 2.50× (95% interval 2.40 to 2.60). {off}" in words
    assert "the best chain (" in words
    assert words.endswith(
        "came to 2.00× (95% interval 1.90 to 2.10); tree over chain +25.0% (95% interval +20.0% to "
        "+30.0%)."
    )


def test_a_measurement_against_the_plan_says_whether_to_follow_it():
    clear = measured_words(report(FLAT, tree=1.5, chain=2.5))
    assert "Against the plan, the best chain" in clear
    assert clear.endswith("that is beyond chance, so follow the measurement.")
    close = measured_words(report(FLAT, tree=1.58, chain=1.6))
    assert close.endswith(
        "that may be chance, so measure with more prompts before you rely on either."
    )
    paid_after_all = measured_words(report(SLOW, tree=0.9, chain=1.4))
    assert "Against the plan, the best chain" in paid_after_all
    assert "tree over chain" not in paid_after_all
    assert "so follow the measurement." in paid_after_all


def test_a_choice_that_came_out_slower_than_plain_decoding_is_said_to():
    slower = measured_words(report(FLAT, tree=0.8, chain=0.7))
    assert "Against the plan, that is slower than plain decoding, beyond chance: do not" in slower
    assert "That is not told from plain decoding" in measured_words(report(FLAT, tree=1.05))
    base = report(FLAT, tree=0.8, chain=0.7)
    rows = tuple(replace(each, decode_low=None, decode_high=None) for each in base.rows)
    few = measured_words(replace(base, rows=rows, gain=Ratio(1.1, None, None)))
    assert "slower than plain decoding; fewer than six prompts cannot tell how sure" in few
    assert "plain decoding" not in measured_words(report(FLAT, tree=2.5, chain=2.0))


def test_few_prompts_have_no_interval_and_the_words_say_so():
    base = report(FLAT, tree=1.5, chain=1.6)
    rows = tuple(replace(each, decode_low=None, decode_high=None) for each in base.rows)
    words = measured_words(replace(base, rows=rows, gain=Ratio(0.94, None, None)))
    assert words.startswith("Measured 1.50×. Against the plan")
    assert words.endswith("fewer than six prompts cannot tell how sure that is.")


# The interval


def median_ratio(values) -> Ratio:
    return ratio_of(median_interval(list(values), PROMPTS))


def test_the_interval_is_the_sign_test_s_and_needs_six_prompts():
    assert median_ratio([1, 2, 3, 4, 5]) == Ratio(3, None, None)
    assert median_ratio([6, 5, 4, 3, 2, 1]) == Ratio(3.5, 1, 6)
    assert median_ratio(range(1, 11)) == Ratio(5.5, 2, 9)
    assert ratio_of(median_interval([1, 2, 3, 4, 5, 6, 7], REPEATS)) == Ratio(4, None, None)


@pytest.mark.parametrize("count", [6, 7, 9, 10, 15])
def test_the_interval_holds_the_median_of_all_orders_of_chance(count):
    """Each value lies below the true median or above it, all 2^n ways enumerated."""
    held = 0
    for below in itertools.product((False, True), repeat=count):
        signs = [-1 if low else 1 for low in below]
        values = [1 + 0.01 * sign * (place + 1) for place, sign in enumerate(signs)]
        ratio = median_ratio(values)
        held += ratio.low <= 1.0 <= ratio.high
    assert held / 2**count >= 0.95


# The page

VOID = {"meta", "br", "hr", "img", "link", "input"}


class Reader(HTMLParser):
    """Reads a page strictly: tags must nest, and everything is noted."""

    def __init__(self, page: str):
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict]] = []
        self.texts: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.texts).split())


@pytest.mark.parametrize("of", [REPORT, report(SLOW), report(NARROW), report(FLAT)])
def test_the_page_is_well_formed_and_asks_for_nothing(of):
    page = report_page(of)
    read = Reader(page)
    assert page.startswith("<!DOCTYPE html>")
    names = {tag for tag, _ in read.tags}
    assert not names & {"script", "link", "img", "iframe", "object", "embed", "base", "form"}
    attributes = {name for _, attributes in read.tags for name in attributes}
    assert not {name for name in attributes if name.startswith("on")}
    assert not attributes & {"src", "href", "srcset", "action", "xlink:href"}
    style = page[page.index("<style>") : page.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    assert "prefers-color-scheme: dark" in style
    assert headline(of) in read.text
    assert predicted_words(of) in read.text
    assert of.plan.verdict.words in read.text


def test_the_answer_stands_before_everything_else():
    read = Reader(report_page(REPORT))
    headings = [tag for tag, _ in read.tags if tag in ("h1", "h2")]
    assert headings[0] == "h1"
    text = read.text[read.text.index("}", read.text.rindex("user-select")) :]
    assert text.index(headline(REPORT)) < text.index("The planned tree") < text.index("vLLM")


def test_the_page_shows_tree_methods_machine_and_how_to_open_it():
    read = Reader(report_page(REPORT))
    nodes = [each for _, each in read.tags if "node" in (each.get("class") or "").split()]
    assert len(nodes) == REPORT.plan.budget
    assert len([tag for tag, _ in read.tags if tag == "pre"]) >= len(ENGINES) + 1
    for words in ("a device", "2.13", "1.80×", "1.60×", "make run", "Add a file", "80 s"):
        assert words in read.text


def test_a_noisy_profile_is_told_beside_the_answer():
    noisy = replace(REPORT.hardware, noise=Noise(0.4, 0.5, "earlier and later"))
    text = Reader(report_page(replace(REPORT, hardware=noisy))).text
    assert "The measurement behind this answer was noisy" in text
    assert "The measurement behind this answer" not in Reader(report_page(REPORT)).text


def test_a_plan_of_plain_decoding_has_no_tree_to_draw():
    page = report_page(report(SLOW))
    assert "The planned tree" not in page
    assert 'class="edge"' not in page


def test_every_text_of_a_report_is_escaped():
    evil = '<script>alert("x")</script>&amp;'
    vectors = {
        rule: replace(vector, target=evil, draft=evil) for rule, vector in REPORT.vectors.items()
    }
    told = replace(
        REPORT,
        name=evil,
        vectors=vectors,
        settings={evil: evil},
        machine={evil: evil},
        hardware=replace(REPORT.hardware, device=evil, basis=evil, dtype=evil),
        reached=(replace(REPORT.reached[0], stage=evil, words=evil),),
    )
    page = report_page(told)
    read = Reader(page)
    assert "<script" not in page
    assert read.text.count('<script>alert("x")</script>&amp;') >= 10


def test_names_that_no_launch_line_takes_leave_a_note_instead():
    vectors = {rule: replace(v, target="-rf") for rule, v in REPORT.vectors.items()}
    read = Reader(report_page(replace(REPORT, vectors=vectors)))
    assert "does not begin with '-'" in read.text


def test_engines_that_draft_greedily_are_planned_from_the_vector_of_their_rule():
    export = engine_export(REPORT, "vllm")
    assert export.fields["acceptance"]["rule"] == "topk"
    assert export.fields["planned_with"] == "acceptance.sequoia"
    alone = replace(REPORT, vectors={"sequoia": REPORT.vector})
    assert engine_export(alone, "vllm").fields["acceptance"]["rule"] == "sequoia"


# Drawings


def test_a_chart_draws_curves_gaps_marks_and_a_level():
    chart = Chart(
        x_title="x < y",
        y_title="y",
        alt="a & b",
        lines=[Line("curve", [(1, 1.0), (2, float("nan")), (3, 4.0), (4, 5.0)], 0, dots=True)],
        marks=[Mark("point", 2, 3.0, 2.0, 4.0, 1)],
        level=1.0,
    )
    read = Reader(chart.svg())
    [path] = [a["d"] for t, a in read.tags if t == "path" and a.get("class") == "line s0"][:1]
    assert (path.count("M"), path.count("L")) == (2, 1)
    assert len([1 for tag, each in read.tags if each.get("class") == "dot s0"]) == 3
    assert len([1 for tag, each in read.tags if each.get("class") == "level"]) == 1
    assert "x < y" in read.text


@pytest.mark.parametrize("points", [[(1, 1.0)], [(5, 2.0), (5, 2.0)], [(1, 0.001), (1000, 900.0)]])
def test_a_chart_of_few_or_far_points_stays_within_its_frame(points):
    for log in (False, True):
        chart = Chart(
            x_title="x", y_title="y", alt="a", lines=[Line("l", points, 0)], log_x=log, log_y=log
        )
        numbers = re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", chart.svg())
        assert all(0 <= float(x) <= 560 and 0 <= float(y) <= 300 for x, y in numbers)


@pytest.mark.parametrize("tree", [TokenTree([-1]), chain(40), TokenTree([-1, *[0] * 900])])
def test_a_tree_of_any_shape_is_drawn_within_its_frame(tree):
    read = Reader(tree_svg(tree, np.ones(tree.size), "a tree"))
    frame = next(each["viewbox"] for tag, each in read.tags if tag == "svg")
    _, _, width, height = map(float, frame.split())
    circles = [each for tag, each in read.tags if tag == "circle"]
    assert len(circles) == tree.size
    assert all(0 <= float(c["cx"]) <= width and 0 <= float(c["cy"]) <= height for c in circles)


def test_a_profile_of_one_point_makes_a_page():
    tiny = HardwareProfile("tiny", ((1, 1.0),), ((1, 0.1),))
    assert Reader(report_page(report(tiny)))


def test_a_draft_that_is_never_right_makes_a_page_too():
    never = {
        rule: AcceptanceVector(rule, [0.0] * 8, name=f"acceptance.{rule}", target="a", draft="b")
        for rule in REPORT.vectors
    }
    assert (
        "No child is accepted as often as" in Reader(report_page(report(SLOW, vectors=never))).text
    )


def test_a_row_checks_itself():
    with pytest.raises(InputError, match="method must be one of"):
        replace(row("chain", REPORT.plan), method="other")
