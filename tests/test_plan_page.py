"""The Plan page without a browser: what it shows is what the core says."""

import json
from pathlib import Path

import pytest
from engine_texts import VLLM_METRICS
from streamlit.testing.v1 import AppTest
from test_pages import APP, errors, metric, press, says, wait_for

from pages import _library as library
from pages._speedup_map import _scale
from sequoia_core.errors import FileFormatError
from sequoia_core.plan.acceptance import load_acceptance
from sequoia_core.plan.counters.registry import read_counters
from sequoia_core.plan.exports.registry import ENGINES, make_export
from sequoia_core.plan.exports.request import Request
from sequoia_core.plan.exports.source import with_vector_of
from sequoia_core.plan.exports.tree_files import growmap_content
from sequoia_core.plan.hardware import HardwareProfile, load_hardware
from sequoia_core.plan.optimizer import judge_tree, make_plan
from sequoia_core.plan.plan import Plan
from sequoia_core.plan.replay import replay
from sequoia_core.plan.what_if import scaled
from sequoia_core.tree.families import chains, k_ary
from sequoia_core.tree.formats import to_paths

VECTOR, PROFILE = load_acceptance("bundled-t0.6"), load_hardware("cpu-2-cores")
TOY = HardwareProfile(
    "toy GPU", ((1, 0.02), (256, 0.021), (1024, 0.05)), ((1, 0.0005),), origin="modelled"
)


def open_plan(**controls) -> AppTest:
    """The page with these controls set; Auto is on unless they hold a budget or a depth."""
    app = AppTest.from_file(str(APP), default_timeout=60).run()
    app.switch_page("pages/plan.py").run()
    assert not app.exception
    app.toggle(key="auto").set_value(not {"budget", "depth"} & set(controls)).run()
    for key, value in controls.items():
        pick = app.selectbox if isinstance(value, str) else app.slider
        pick(key=key).set_value(value)
    return app.run() if controls else app


def verdict(app: AppTest) -> str:
    """The answer's words, emphasis taken off."""
    [words] = [
        shown.value for shown in app.markdown if "Best" in shown.value or "Do not" in shown.value
    ]
    return words.replace("**", "")


def table(app: AppTest, *columns: str):
    """The table with these columns."""
    return next(t.value for t in app.dataframe if set(columns) <= set(t.value.columns))


def upload(app: AppTest, name: str, content: object) -> AppTest:
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    app.file_uploader(key="upload").set_value((name, data, "application/json"))
    return app.run()


@pytest.fixture(scope="module")
def page() -> AppTest:
    return open_plan()


def assert_shows(app: AppTest, plan: Plan) -> None:
    assert not app.exception
    assert verdict(app) == plan.verdict.words
    assert metric(app, "This tree") == f"{plan.speedup:.2f}×"
    assert metric(app, "Tokens per step") == f"{plan.expected_tokens:.2f}"
    assert says(app, f"{plan.family}: {plan.budget:,} nodes, {plan.depth} deep")


def test_the_page_leads_with_the_verdict_and_shows_the_optimum(page):
    plan = make_plan(VECTOR, PROFILE)
    assert_shows(page, plan)
    assert page.slider(key="budget").value == plan.budget
    assert page.slider(key="budget").disabled
    assert says(page, f"{plan.optimum.budget} tokens, {plan.optimum.depth} deep")


def test_every_control_reaches_the_plan():
    app = open_plan(
        budget=200,
        depth=9,
        branch=5,
        batch=3,
        scale=0.9,
        acceptance="bundled-t1.0",
        family="specinfer",
    )
    vector = scaled(load_acceptance("bundled-t1.0"), 0.9)
    wishes = {"budget": 200, "depth": 9, "max_branch": 5, "batch_size": 3, "family": "specinfer"}
    assert_shows(app, make_plan(vector, PROFILE, **wishes))


def test_at_a_batch_that_fills_the_machine_the_page_says_not_to_speculate():
    app = open_plan(batch=64)
    assert verdict(app).startswith("Do not speculate")
    assert app.button(key="measure").disabled


def test_settings_that_fit_no_tree_are_one_sentence_and_the_last_plan_stays():
    app = open_plan(budget=100, depth=6)
    shown = metric(app, "This tree")
    app.slider(key="depth").set_value(1).run()
    assert len(errors(app)) == 1
    assert "No tree of depth 1 has 100 tokens" in errors(app)[0]
    assert metric(app, "This tree") == shown


def test_the_families_are_the_plan_s_best_first(page):
    families = sorted(make_plan(VECTOR, PROFILE).families, key=lambda best: -best.speedup)
    shown = table(page, "family", "over the chain")
    assert shown["family"].tolist() == [best.family for best in families]
    assert shown["speedup"].tolist() == [best.speedup for best in families]
    chain = next(best for best in families if best.family == "chain")
    assert shown["over the chain"].tolist()[0] == pytest.approx(
        100 * (families[0].speedup / chain.speedup - 1)
    )


def test_prediction_and_replay_stand_side_by_side(page):
    plan = make_plan(VECTOR, PROFILE)
    shown = dict(table(page, "how", "speedup")[["how", "per step"]].values.tolist())
    outcome = replay(plan.tree, VECTOR.paths)
    assert shown["predicted, positional"] == f"{plan.expected_tokens:.2f}"
    assert shown["replayed"] == (f"{outcome.tokens_per_step:.2f} ± {outcome.standard_error:.2f}")
    bare = open_plan(acceptance="paper-appendix-e")
    assert len(table(bare, "how", "speedup")) == 1
    assert says(bare, "no rank sequences")


def test_another_profile_shows_what_the_tree_is_worth_there_and_what_would_be_best(page):
    app = upload(open_plan(), "toy-gpu.json", TOY.to_dict())
    app.selectbox(key="versus").set_value("toy-gpu").run()
    plan, there = make_plan(VECTOR, PROFILE), make_plan(VECTOR, TOY)
    moved = judge_tree(plan.tree, VECTOR, TOY, family="sequoia")
    shown = table(app, "tree", "hardware")
    assert shown["speedup"].tolist() == pytest.approx([plan.speedup, moved.speedup, there.speedup])
    assert shown["hardware"].tolist() == ["cpu-2-cores", "toy-gpu", "toy-gpu"]
    assert says(app, f"There: {there.verdict.words}")


# Files


@pytest.mark.parametrize(
    "content",
    [
        judge_tree(k_ary(2, 3), VECTOR, PROFILE, family="kary").to_dict(),
        growmap_content(k_ary(2, 3)),
        to_paths(k_ary(2, 3)),
    ],
    ids=["plan", "growmap", "paths"],
)
def test_a_tree_from_a_file_is_judged_like_a_planned_one(content):
    app = upload(open_plan(), "mine.json", content)
    assert [shown.value for shown in app.success] == ["“mine” was added to the families."]
    app.selectbox(key="family").set_value("mine").run()
    tree = (
        make_plan(VECTOR, PROFILE, family="kary", depth=3).tree
        if "budget" in content
        else k_ary(2, 3)
    )
    assert_shows(app, judge_tree(tree, VECTOR, PROFILE, family="mine"))


def test_a_vector_of_one_s_own_joins_the_picker_under_a_name_of_its_own():
    app = upload(open_plan(), "bundled-t0.json", VECTOR.to_dict())
    app.selectbox(key="acceptance").set_value("bundled-t0 (2)").run()
    assert_shows(app, make_plan(VECTOR, PROFILE))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\xff\xff", "mine.json is not JSON text"),
        (b"{", "mine.json is not valid JSON"),
        (b"7", "none of the files that planning takes"),
        ({"format": "sequoia-trace", "version": 1}, "its format is 'sequoia-trace'"),
        ({"format": "sequoia-acceptance", "version": 9}, "version 9, but only version 1"),
        ({"format": "sequoia-acceptance", "version": 1}, "mine.json: the field 'rule' is missing"),
        (
            TOY.to_dict() | {"target_seconds": [[1, -1]]},
            "target_seconds[0] seconds must be between",
        ),
        ([[0], [0, 5]], "mine.json: "),
        (growmap_content(k_ary(2, 2)) | {"size": 3}, "mine.json: "),
    ],
)
def test_a_file_that_cannot_be_used_is_one_sentence(content, words):
    app = upload(open_plan(), "mine.json", content)
    assert len(errors(app)) == 1
    assert words in errors(app)[0]
    assert metric(app, "This tree") != "–"


def test_a_file_too_large_is_refused_before_it_is_read():
    with pytest.raises(FileFormatError, match=r"6\.0 MB, and at most 5 are read"):
        library.add_file("huge.json", b" " * 6_000_000)


def test_pasted_counters_of_a_server_become_a_vector_that_plans_chains():
    app = open_plan()
    app.text_area(key="counters").set_value(VLLM_METRICS).run()
    assert [shown.value for shown in app.success] == ["“vllm counters” was added to acceptance."]
    assert says(app, "A tree cannot be planned from chain counters")
    app.selectbox(key="acceptance").set_value("vllm counters").run()
    assert_shows(app, make_plan(read_counters(VLLM_METRICS).vector(name="x"), PROFILE))
    app.text_area(key="counters").set_value("nothing of the kind").run()
    assert "No serving engine's counters" in errors(app)[0]


# Exports


@pytest.mark.parametrize("to", sorted(ENGINES))
def test_every_launch_line_is_the_core_s(to):
    app = open_plan()
    app.segmented_control(key="export").set_value(to).run()
    app.text_input(key="export_target").set_value("org/large").run()
    plan = make_plan(VECTOR, PROFILE)
    request = Request(tree=plan.tree, acceptance=VECTOR, hardware=PROFILE, target_model="org/large")
    # The bundled vector of the engine's own rule takes the place of the plan's, in words.
    export = make_export(to, with_vector_of(("topk",), request))
    assert app.code[0].value == export.fields["shell"]
    assert app.code[1].value == export.text.rstrip("\n")
    assert f"Planned from '{VECTOR.name}-topk'" in export.text
    assert not any("for the rule" in warning.value for warning in app.warning)


def test_tree_files_are_offered_and_an_unfit_tree_is_refused_in_words():
    app = open_plan(family="kchains", budget=41, depth=8)
    app.segmented_control(key="export").set_value("specinfer").run()
    assert app.code[0].value == "<5,1,1,1,1,1,1,1>"
    app.segmented_control(key="export").set_value("paths").run()
    assert json.loads(app.code[0].value) == to_paths(chains(5, 8))
    app.selectbox(key="family").set_value("sequoia").run()
    app.segmented_control(key="export").set_value("specinfer").run()
    assert "The tree is no SpecInfer expansion" in errors(app)[0]


def test_the_command_shown_makes_the_plan_shown(tmp_path, monkeypatch):
    from shlex import split

    from sequoia_core.cli import main

    app = open_plan(budget=40, depth=5, batch=2, branch=4)
    words = split(app.code[0].value)
    assert words[:4] == ["python", "-m", "sequoia_core", "plan"]
    monkeypatch.chdir(tmp_path)
    assert main(words[3:]) == 0
    written = json.loads(Path("plan.json").read_text())
    assert metric(app, "This tree") == f"{written['speedup']:.2f}×"
    assert (written["budget"], written["batch_size"]) == (40, 2)


# Measuring


def test_a_measurement_of_the_tree_joins_the_table_and_another_tree_takes_it_away(monkeypatch):
    monkeypatch.setattr("pages._plan_check.NEW_TOKENS", 6)
    monkeypatch.setattr("pages._measure.REPEATS", 1)
    app = open_plan(budget=4, depth=2)
    press(app, "measure")
    job = app.session_state["measure_job"]
    wait_for(lambda: not job.active, 240)
    app.run()
    assert not errors(app)
    shown = table(app, "how", "speedup")["how"].tolist()
    assert shown[-2:] == ["measured, best chain", "measured, this tree"]
    outcome = app.session_state["last_measurement"].read()
    assert outcome.summaries["autoregressive"].speedup.median == 1
    assert says(app, "stories-27m with stories-1m, cpu, float32, temperature 0.6")
    app.slider(key="budget").set_value(5).run()
    assert "measured, this tree" not in table(app, "how", "speedup")["how"].tolist()
    assert says(app, "The last measurement was of another tree.")


def test_a_link_names_an_export_and_a_number_that_the_page_cannot_take():
    app = AppTest.from_file(str(APP), default_timeout=60)
    app.query_params["export"], app.query_params["batch"] = "pdf", "2.5"
    app.run().switch_page("pages/plan.py").run()
    whole, export = (shown.value for shown in app.warning)
    assert whole == "The batch size must be a whole number, got 2.5: 2 was taken."
    assert "There is no export called “pdf”; there are: plan, growmap" in export


def test_explore_and_plan_have_each_a_tree_size_of_their_own():
    app = AppTest.from_file(str(APP), default_timeout=60)
    app.query_params["budget"] = "40"
    app.run().switch_page("pages/plan.py").run()
    best = make_plan(VECTOR, PROFILE)
    assert app.toggle(key="auto").value
    assert app.slider(key="budget").value == best.budget
    app.switch_page("pages/explore.py").run()
    assert (app.toggle(key="auto").value, app.slider(key="budget").value) == (False, 40)
    app.switch_page("pages/plan.py").run()
    assert (app.toggle(key="auto").value, app.slider(key="budget").value) == (True, best.budget)


def test_the_map_s_colours_turn_at_plain_decoding():
    assert _scale(0.5, 2.0)[0] != _scale(1.0, 2.0)[0]
    assert _scale(1.0, 2.0)[-1] == _scale(0.2, 3.0)[-1]
    assert len({*_scale(0.1, 1.9)}) > 15
