"""Explore's saved and loaded runs, its race and its acceptance, without a browser."""

from dataclasses import replace

import pytest
from test_pages import errors, generate, metric, open_app, press, says
from traces import PARENTS, recorded_run, traced_step

from pages._race import race_data, verdict, why_no_race
from pages._rate_chart import points_of
from pages._run_file import loaded, recorded
from pages._shown_run import _loaded_words
from pages._text import literal
from sequoia_core.decode.trace import PlainRun, Seconds
from sequoia_core.decode.trace_acceptance import trace_acceptance
from sequoia_core.decode.trace_file import trace_text
from sequoia_core.errors import FileFormatError


def view_of(run=None):
    return loaded(trace_text(run or recorded_run()).encode(), "run.json")


@pytest.mark.parametrize(
    "changes",
    [{}, {"plain": None, "ranks": None}, {"tree": None, "method": "dynamic"}],
    ids=["whole", "alone", "grown"],
)
def test_a_run_survives_the_page_and_its_file(changes):
    run = recorded_run(**changes)
    assert recorded(view_of(run)) == run


def test_a_loaded_run_knows_its_figures_without_models():
    view = view_of()
    assert (view.tokens, len(view.steps), view.source) == (4, 2, "run.json")
    assert view.measured_speedup == pytest.approx(0.4 / 0.2)
    assert view.ranks.sequences[0].tolist() == [1, 0, -1, -1]


def test_a_method_that_this_version_does_not_know_is_refused_by_name():
    with pytest.raises(FileFormatError, match=r"bad.json: method must be one of .*got 'oracle'"):
        loaded(trace_text(recorded_run(method="oracle")).encode(), "bad.json")


def test_a_run_that_took_no_time_has_no_speedup():
    run = recorded_run()
    none = Seconds(0.0, 0.0, 0.0, 0.0)
    steps = tuple(replace(step, seconds=none) for step in run.steps)
    view = view_of(replace(run, steps=steps, summary=replace(run.summary, decode_seconds=0.0)))
    assert view.measured_speedup is None


def test_a_file_name_brings_no_markup_onto_the_page():
    name = "../<b>`x`</b>[a](b).json"
    assert loaded(trace_text(recorded_run()).encode(), name).source == "ba(b).json"


def test_no_text_of_a_file_becomes_a_link_or_an_image():
    image = "![x](//y.z/$a$)"
    assert literal(image) == r"!\[x\](//y.z/\$a\$)"
    origin = replace(recorded_run().origin, target=image, created=image)
    words = _loaded_words(view_of(recorded_run(origin=origin)))
    assert words.count(literal(image)) == 2
    assert image not in words


# The race


def test_the_race_has_every_token_at_the_end_of_the_step_that_wrote_it():
    data = race_data(view_of())
    own, plain = data["lanes"]
    assert own["ends"] == pytest.approx([0.1, 0.2])
    assert own["steps"] == [
        [["accepted", " a"], ["accepted", " time"], ["leaf", " fox"]],
        [["residual", " fox"]],
    ]
    assert plain["ends"] == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert [step[0][1] for step in plain["steps"]] == [" a", " time", " fox", " fox"]
    assert data["seconds"] == pytest.approx(0.4)


def test_the_race_ends_with_both_times_and_per_token_where_the_lengths_differ():
    assert verdict(view_of()) == "2.00×: 0.20 s against 0.40 s for 4 tokens."
    shorter = recorded_run(plain=PlainRun([2, 9], [" a", " fox"], [0.1, 0.1], 0.4))
    assert verdict(view_of(shorter)).startswith("2.00× per token: 4 tokens in 0.20 s against 2 in")


def test_another_run_is_another_race_and_the_same_run_is_not():
    first, again = race_data(view_of()), race_data(view_of())
    slower = recorded_run(plain=PlainRun([2] * 4, ["a"] * 4, [0.2] * 4, 0.4))
    assert first["id"] == again["id"] != race_data(view_of(slower))["id"]


def test_a_run_without_a_rival_says_why_there_is_no_race():
    assert why_no_race(view_of()) == ""
    assert "No plain run was measured" in why_no_race(view_of(recorded_run(plain=None)))
    timeless = recorded_run(plain=replace(recorded_run().plain, seconds=[0.0] * 4))
    assert "all zero" in why_no_race(view_of(timeless))
    plain = recorded_run(
        method="autoregressive",
        tree=None,
        steps=(traced_step(0, 1, [-1], [], root=7),),
        summary=replace(recorded_run().summary, token_ids=[9], steps=1, decode_seconds=0.1),
        ranks=None,
    )
    assert "plain decoding itself" in why_no_race(view_of(plain))


def test_the_chart_leaves_out_what_was_never_offered():
    found = trace_acceptance([traced_step(0, 0, PARENTS, [2, 3])])
    points = points_of(found.by_rank, 2, 1)
    assert [(x, rate) for x, rate, _, _ in points] == [(1, 0.5), (2, 0.5)]
    assert points[0][3].endswith("of 2")


# The page


@pytest.fixture(scope="module")
def saved_app():
    """The page after a short run of its own."""
    return generate(open_app(budget="8", depth="3", new_tokens="10", temperature="0"))


def upload(app, name: str, text: str):
    app.file_uploader(key="trace_file").set_value((name, text.encode(), "application/json"))
    return app.run()


def test_a_loaded_run_is_shown_named_and_given_back(saved_app):
    own = saved_app.session_state["last_run"]
    assert not saved_app.download_button(key="save_trace").disabled
    upload(saved_app, "theirs.json", trace_text(recorded_run()))
    assert not saved_app.exception
    assert not errors(saved_app)
    assert says(saved_app, "Loaded from `theirs.json`: big with small, float32, abacus")
    assert says(saved_app, "Step 1 of 2")
    assert metric(saved_app, "Measured speedup") == "2.00×"
    assert says(saved_app, "was not measured on this run's pair")
    press(saved_app, "own_run_again")
    assert saved_app.session_state["last_run"] is own
    assert not says(saved_app, "Loaded from")


def test_what_was_saved_is_what_was_run_and_races(saved_app):
    own = saved_app.session_state["last_run"]
    text = trace_text(recorded(own))
    again = loaded(text.encode(), "mine.json")
    assert (again.steps, again.pieces, again.plain) == (own.steps, own.pieces, own.plain)
    assert replace(again.request, pair=None) == replace(own.request, pair=None)
    saved_app.toggle(key="race").set_value(True).run()
    assert not saved_app.exception
    assert says(saved_app, "Both clocks start once the prompt has been read")
    assert not says(saved_app, "Step 1 of")
    saved_app.toggle(key="race").set_value(False).run()
    assert says(saved_app, "Step 1 of")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "theirs.json is not valid JSON"),
        ('{"format": "sequoia-plan", "version": 1}', "theirs.json is not a sequoia-trace file"),
    ],
)
def test_a_file_that_is_no_trace_is_one_sentence_and_the_run_stays(saved_app, text, words):
    own = saved_app.session_state["last_run"]
    upload(saved_app, "theirs.json", text)
    [error] = errors(saved_app)
    assert words in error
    assert saved_app.session_state["last_run"] is own


def test_a_run_of_a_loaded_page_is_that_of_a_fresh_session_too():
    app = open_app(race="true")
    assert app.download_button(key="save_trace").disabled
    upload(app, "theirs.json", trace_text(recorded_run()))
    assert not app.exception
    assert app.toggle(key="race").value
    assert says(app, "Every token appears when it was written in the two runs that the file keeps")
    assert not [button for button in app.button if button.key == "own_run_again"]
