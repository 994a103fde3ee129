"""The Compare page without a browser: what it shows is what the core says."""

import json

import pytest
from comparisons import steady
from streamlit.testing.v1 import AppTest
from test_pages import APP, errors, press, says, wait_for

from pages import _comparison_shelf as shelf
from pages._comparison_request import asked, effort_words
from pages._inputs import fitting_hardware
from pages._state import server
from pages._worker import DONE
from sequoia_core.errors import InputError
from sequoia_core.measure.comparison import BASELINE, NAMES
from sequoia_core.measure.comparison_file import to_json
from sequoia_core.measure.summary import text_words, verdict
from sequoia_core.plan.acceptance import load_acceptance
from sequoia_core.plan.hardware import load_hardware
from sequoia_core.plan.optimizer import make_plan

SMALL = {"new_tokens": 6, "repeats": 1}
SETTINGS = {"top_p": 1.0, "max_new_tokens": 8, "seed": 0}


def open_compare(**numbers: int) -> AppTest:
    app = AppTest.from_file(str(APP), default_timeout=60).run()
    app.switch_page("pages/compare.py").run()
    assert not app.exception
    for key, value in numbers.items():
        app.number_input(key=key).set_value(value)
    return app.run() if numbers else app


def load(app: AppTest, data: bytes, name: str = "theirs.json") -> AppTest:
    app.file_uploader(key="comparison_file").set_value((name, data, "application/json"))
    return app.run()


def answer(app: AppTest) -> str:
    return " ".join(shown.value for shown in app.markdown).replace("**", "")


def figures(app: AppTest):
    return next(t.value for t in app.dataframe if "speedup" in t.value.columns)


# What is asked for


def request(**changes):
    wishes = {
        "methods": ["sequoia", "dynamic", "hf-generate"],
        "at": "0, 0.6",
        "prompts": (["Once"], ["My own"], ["x", "y", "z"]),
        "settings": SETTINGS,
        "repeats": 2,
        "names": ("auto", "cpu-2-cores"),
        "sizes": (None, None),
    }
    return asked(**(wishes | changes))


def test_every_method_is_planned_for_every_temperature_beside_plain_decoding():
    wanted = request()
    assert wanted.methods == (BASELINE, "sequoia", "dynamic", "hf-generate")
    assert wanted.prompts == ("Once", "My own")
    keys = [proposal.entry.key for proposal in wanted.proposals]
    assert keys == [(method, at) for at in (0.0, 0.6) for method in wanted.methods]
    plan = make_plan(load_acceptance("bundled-t0.6"), load_hardware("cpu-2-cores"))
    assert wanted.proposals[5].entry.budget == plan.budget
    assert (wanted.effort.measured, wanted.effort.warm_up) == (4 * 2 * 2 * 2, 8)
    assert "32 runs (4 methods × 2 temperatures × 2 prompts × 2 repeats)" in effort_words(wanted)
    assert "134 to tune assisted generation" in effort_words(request(methods=["hf-assisted"]))


def test_a_fixed_size_holds_for_all_methods_but_auto_and_chains():
    wanted = request(methods=["sequoia", "dynamic", "chain", "auto"], sizes=(12, 3), at="0.6")
    sizes = {p.entry.method: (p.entry.budget, p.entry.depth) for p in wanted.proposals}
    assert sizes["sequoia"] == sizes["dynamic"] == (12, 3)
    assert sizes["chain"] == (4, 3)
    free = request(methods=["auto"], at="0.6").proposals[1].entry
    assert sizes["auto"] == (free.budget, free.depth)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"at": "warm"}, "as in 0, 0.6; got “warm”"),
        ({"prompts": ([], [], ["x"])}, "There is no prompt: choose a bundled one"),
        ({"prompts": ([], ["a"] * 51, ["x"])}, "At most 50 prompts of your own are taken, got 51"),
        ({"prompts": (["a"] * 60, [], []), "repeats": 900}, "at most 100,000 runs, and these are"),
        ({"names": ("auto", None)}, "no hardware profile"),
        ({"names": ("bundled-t0.6-topk", "cpu-2-cores"), "methods": ["auto"]}, "leave auto out"),
        ({"methods": ["sequoia"], "sizes": (3, 9)}, "9"),
    ],
)
def test_what_cannot_be_compared_is_one_sentence(changes, words):
    with pytest.raises(InputError) as caught:
        request(**changes)
    assert words in str(caught.value)


def test_auto_takes_the_profile_of_the_loaded_pair_in_its_dtype():
    class Pair:
        target_name, dtype = "stories-27m as demo-300m", "bfloat16"

    assert fitting_hardware(None) == "cpu-2-cores"
    assert fitting_hardware(Pair()) == "cpu-2-cores-demo-300m-bfloat16"
    Pair.target_name = "someone's own"
    assert fitting_hardware(Pair()) == "cpu-2-cores"


# The page


def test_an_empty_page_says_what_to_do_and_how_long_it_would_take():
    app = open_compare()
    assert app.info[0].value.startswith("Nothing has been compared yet.")
    assert says(app, "108 runs (3 methods × 2 temperatures × 6 prompts × 3 repeats)")
    app.text_input(key="temperatures").set_value("hot").run()
    [mistake] = errors(app)
    assert "got “hot”" in mistake
    assert app.button(key="compare").disabled


def test_a_file_is_shown_as_the_core_sees_it_renamed_and_deleted():
    comparison = steady(6, sequoia=2.0, chain=1.6, hf_generate=0.9)
    app = load(open_compare(), to_json(comparison).encode())
    assert not errors(app)
    for words in verdict(comparison):
        assert words in answer(app)
    assert says(app, text_words(comparison)[0])
    assert says(app, "Loaded from `theirs.json`, measured on 24 November 2026, 10:00 UTC")
    shown = figures(app).set_index("method")
    assert shown["speedup"].tolist() == pytest.approx([1, 2, 1.6, 0.9])
    behind = next(t.value for t in app.dataframe if "split, %" in t.value).set_index("method")
    assert behind.loc["sequoia", "predicted"] == 2.5
    assert behind.loc["sequoia", "split, %"] == "22 / 56 / 11 / 11"
    assert behind.loc["hf-generate", "split, %"] == "–"
    speedup, tokens, time = (json.loads(c.proto.spec) for c in app.get("echarts_chart"))
    assert speedup["yAxis"][0]["data"] == ["sequoia", "chain", "hf-generate"]
    assert [point["value"][0] for point in speedup["series"][0]["data"]] == [2, 1.6, 0.9]
    assert {series["name"] for series in tokens["series"]} == {"T = 0"}
    assert [series["name"] for series in time["series"]][-1] == "not split"
    app.toggle(key="comparison_details").set_value(True).run()
    app.text_input(key="name_of_theirs").set_value("the first").run()
    assert app.selectbox(key="shown_comparison").options == ["the first"]
    press(app, "delete_comparison")
    assert app.info[0].value.startswith("Nothing has been compared yet.")


def test_equal_names_get_a_number_and_a_wrong_file_changes_nothing():
    data = to_json(steady(1, chain=2.0)).encode()
    app = load(load(open_compare(), data), to_json(steady(1, chain=1.5)).encode())
    load(app, data)  # It is kept already.
    app.selectbox(key="shown_comparison").set_value("theirs (2)").run()
    assert app.selectbox(key="shown_comparison").options == ["theirs (2)", "theirs"]
    assert "Over 2 repeats such an interval holds in 50% of cases" in answer(app)
    load(app, data.replace(b'"tokens": 12', b'"tokens": -1', 1), "bad.json")
    [mistake] = errors(app)
    assert "bad.json" in mistake
    assert "tokens must be between 1" in mistake
    assert app.selectbox(key="shown_comparison").value == "theirs (2)"


def test_names_of_comparisons_and_their_files_tell_what_they_are():
    assert shelf.proposed_name((BASELINE, "sequoia"), (0.0, 0.6)) == "sequoia at 0, 0.6"
    assert shelf.proposed_name(NAMES, (1.0,)).endswith(f"and {len(NAMES) - 4} more at 1")
    stem = shelf.file_stem("a/b: “c” at 0, 0.6", steady(1, chain=2.0))
    assert stem == "compare-a-b-c-at-0-0.6-2026-11-24"


def test_a_comparison_runs_is_kept_when_the_page_is_left_and_the_next_one_is_stopped():
    app = open_compare(**SMALL)
    wait_for(lambda: not server().load.active, 240)
    app.multiselect(key="prompts").set_value(app.multiselect(key="prompts").options[:2])
    app.text_input(key="temperatures").set_value("0").run()
    press(app, "compare")
    app.switch_page("pages/plan.py").run()
    wait_for(lambda: not app.session_state["compare_job"].active, 240)
    app.switch_page("pages/compare.py").run()
    assert not errors(app)
    record = app.session_state["comparing"]
    comparison = record.read()
    assert comparison.complete
    assert comparison.methods == (BASELINE, "chain", "sequoia")
    for words in [*verdict(comparison), *text_words(comparison)]:
        assert words in answer(app) or says(app, words)
    assert says(app, "Measured here on ")
    press(app, "compare")
    press(app, "compare_stop")
    wait_for(lambda: not app.session_state["compare_job"].active, 60)
    app.run()
    assert says(app, "Stopped.")
    assert "chain, sequoia at 0" in app.selectbox(key="shown_comparison").options


def other_page() -> None:
    from types import SimpleNamespace

    import streamlit as st

    from pages._under_way import under_way
    from pages._worker import RUNNING, Job

    job = Job(1, "s", "comparison", lambda job: None, lambda job: False, RUNNING)
    job.report(0.25, "run 3 of 12, chain at temperature 0")
    st.session_state.setdefault("compare_job", job)
    under_way(SimpleNamespace(title="Explore"))


def test_the_other_pages_say_where_the_comparison_is_until_it_has_ended():
    app = AppTest.from_function(other_page, default_timeout=60).run()
    assert [shown.value for shown in app.sidebar.subheader] == ["Comparison"]
    [progress] = app.sidebar.get("progress")
    assert "run 3 of 12, chain at temperature 0" in progress.proto.text
    app.session_state["compare_job"].state = DONE
    assert not app.run().sidebar.subheader


def test_a_prompt_that_does_not_fit_is_named_before_anything_runs():
    app = open_compare(**SMALL)
    wait_for(lambda: not server().load.active, 240)
    app.text_area(key="own_prompts").set_value("word " * 600).run()
    press(app, "compare")
    wait_for(lambda: not app.session_state["compare_job"].active, 60)
    [mistake] = errors(app.run())
    assert "shorten the prompt" in mistake
    assert app.info[0].value.startswith("Nothing has been compared yet.")
