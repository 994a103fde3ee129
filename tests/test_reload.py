"""Nothing that a visitor made is lost when a page is loaded again, in another tab or later."""

import json
from dataclasses import replace

import pytest
from comparisons import steady
from streamlit.testing.v1 import AppTest
from test_compare_page import answer, load, open_compare
from test_hardware_page import SHAPE, model_a_gpu, open_hardware
from test_pages import APP, errors, generate, metric, open_app, press, says
from test_plan_page import TOY, VECTOR, open_plan, upload, verdict
from test_run_page import upload as upload_run
from traces import recorded_run

from pages._comparing import Comparing, content
from pages._generate import Record
from pages._kept_runs import keep_run, run_line
from pages._profiling import Profiling
from pages._run_file import loaded
from pages._state import server
from pages._store import ACCEPTANCE, COMPARISONS, HARDWARE, RUNS, SHAPES, TREES, Store
from pages._worker import RUNNING, Job
from sequoia_core.decode.trace_file import trace_text
from sequoia_core.measure.comparison_file import parse_comparison, to_json
from sequoia_core.measure.summary import verdict as answers
from sequoia_core.tree.families import k_ary
from sequoia_core.tree.formats import to_paths


def warnings(app: AppTest) -> list[str]:
    return [shown.value for shown in app.warning]


def break_all(data, kind: str) -> None:
    """As a full disk or an editor leaves a file."""
    [file] = (data / kind).glob("*.json")
    file.write_bytes(file.read_bytes()[:40])


# Files that were added


def test_added_files_of_every_kind_are_there_in_a_new_session_with_the_same_values(data):
    app = upload(open_plan(), "my vector.json", VECTOR.to_dict())
    upload(app, "my tree.json", to_paths(k_ary(2, 7)))
    upload(app, "my gpu.json", TOY.to_dict())
    upload(app, "small.json", SHAPE)
    app.selectbox(key="hardware").set_value("my gpu")
    app.selectbox(key="acceptance").set_value("my vector")
    app.selectbox(key="family").set_value("my tree").run()
    said = verdict(app), metric(app, "This tree")
    assert not errors(app)
    again = open_plan(hardware="my gpu", acceptance="my vector", family="my tree")
    assert (verdict(again), metric(again, "This tree")) == said
    assert {entry.parent.name for entry in data.rglob("*.json")} == {
        ACCEPTANCE, HARDWARE, TREES, SHAPES,
    }  # fmt: skip
    assert "small" in model_a_gpu(open_hardware()).selectbox(key="target_shape").options


def test_the_same_file_added_again_is_not_kept_twice(data):
    for _ in range(2):
        upload(open_plan(), "mine.json", VECTOR.to_dict())
        load(open_compare(), to_json(steady(1, chain=2.0)).encode())
        upload_run(open_app(), "run.json", trace_text(recorded_run()))
    assert [path.name for path in sorted(data.rglob("*.json"))] == [
        "mine.json", "theirs.json", "run.json",
    ]  # fmt: skip
    upload(open_plan(), "mine.json", VECTOR.to_dict() | {"origin": "another"})
    assert open_plan().selectbox(key="acceptance").options[-1] == "mine (2)"


def test_a_file_of_another_page_is_sent_there():
    comparison, run = to_json(steady(1, chain=2.0)), trace_text(recorded_run())
    [error] = errors(load(open_compare(), run.encode()))
    assert error.endswith("its format is 'sequoia-trace'. The page Explore takes it.")
    [error] = errors(upload_run(open_app(), "theirs.json", comparison))
    assert error.endswith("its format is 'sequoia-benchmark'. The page Compare takes it.")
    [error] = errors(upload_run(open_app(), "theirs.json", json.dumps(VECTOR.to_dict())))
    assert error.endswith("The page Plan takes it.")


def test_a_link_names_an_added_profile_and_vector():
    upload(open_plan(), "my gpu.json", TOY.to_dict())
    app = open_app(hardware="my gpu")
    assert app.selectbox(key="hardware").value == "my gpu"
    assert not warnings(app)


def test_an_acceptance_vector_is_deleted_beside_its_picker_and_presets_are_not(data):
    app = upload(open_hardware(), "my vector.json", VECTOR.to_dict())
    other = open_plan(acceptance="my vector")
    assert "delete_acceptance" not in [button.key for button in app.button]
    app.selectbox(key="acceptance").set_value("my vector").run()
    press(app, "delete_acceptance")
    assert "my vector" not in app.selectbox(key="acceptance").options
    assert "delete_acceptance" not in [button.key for button in app.button]
    assert list((data / ACCEPTANCE).iterdir()) == []
    # The other tab had picked it: it goes on with the default.
    assert not other.run().exception
    assert not errors(other)
    assert other.selectbox(key="acceptance").value == "auto"


@pytest.mark.parametrize(
    ("file", "told"),
    [
        ({"name": "my gpu.json", "content": TOY.to_dict()}, "my gpu (hardware)"),
        ({"name": "a tree.json", "content": to_paths(k_ary(2, 7))}, "a tree (family)"),
        ({"name": "small.json", "content": SHAPE}, "small (shape)"),
    ],
)
def test_everything_added_stands_in_one_list_from_which_it_is_deleted(data, file, told):
    app = upload(open_plan(), **file)
    assert app.selectbox(key="added_file").options == [told]
    assert says(app, "on this machine until you delete it")
    press(app, "delete_added")
    assert not [box for box in app.selectbox if box.key == "added_file"]
    assert not list(data.rglob("*.json"))


@pytest.mark.parametrize(
    ("kind", "key", "name", "file"),
    [
        (HARDWARE, "hardware", "my gpu", TOY.to_dict()),
        (ACCEPTANCE, "acceptance", "mine", VECTOR.to_dict()),
        (TREES, "family", "twigs", to_paths(k_ary(2, 7))),
    ],
)
def test_a_broken_kept_file_is_one_sentence_and_the_pages_go_on(data, kind, key, name, file):
    before = verdict(upload(open_plan(), f"{name}.json", file))
    break_all(data, kind)
    app = open_plan()
    assert not errors(app)
    assert verdict(app) == before
    app.selectbox(key=key).set_value(name).run()
    assert not app.exception
    [error] = errors(app)
    assert f"{name}.json is not valid JSON" in error
    assert verdict(app) == before
    page = open_hardware()
    assert not page.exception
    assert len(errors(page)) <= 1  # A profile is named where all of them are listed.
    page = open_app()
    assert not errors(page)
    press(app, "delete_added")
    assert not errors(app)


# Comparisons


def test_a_comparison_is_there_again_in_a_new_session_under_its_name_and_source():
    comparison = steady(6, sequoia=2.0, chain=1.6)
    load(open_compare(), to_json(comparison).encode())
    app = open_compare()
    assert answers(comparison)[0] in answer(app)
    assert says(app, "Loaded from `theirs.json`, measured on 24 November 2026")
    app.text_input(key="name_of_theirs").set_value("the first").run()
    assert open_compare().selectbox(key="shown_comparison").options == ["the first"]
    press(app, "delete_comparison")
    assert open_compare().info[0].value.startswith("Nothing has been compared yet.")


def test_the_link_says_which_comparison_is_shown_and_a_wrong_name_is_one_sentence():
    for name in ("one", "two"):
        app = load(open_compare(), to_json(steady(1, chain=2.0)).encode(), f"{name}.json")
    assert app.query_params["comparison"] == "two"
    app.selectbox(key="shown_comparison").set_value("one").run()
    assert app.query_params["comparison"] == "one"

    def arrive(name: str) -> AppTest:
        again = AppTest.from_file(str(APP), default_timeout=60)
        again.query_params["comparison"] = name
        again.run().switch_page("pages/compare.py").run()
        return again

    assert arrive("one").selectbox(key="shown_comparison").value == "one"
    lost = arrive("three")
    assert warnings(lost) == [
        "There is no comparison called “three”; there are: two, one. The link's value was left out."
    ]
    assert lost.selectbox(key="shown_comparison").value == "two"


def test_a_broken_comparison_is_one_sentence_and_can_be_deleted(data):
    load(open_compare(), to_json(steady(1, chain=2.0)).encode())
    break_all(data, COMPARISONS)
    app = open_compare()
    assert not app.exception
    [error] = errors(app)
    assert "theirs.json is not valid JSON" in error
    assert app.download_button(key="save_json").disabled
    press(app, "delete_comparison")
    assert not errors(app)


def test_a_page_loaded_again_finds_the_comparison_that_is_being_measured(data):
    job = Job(1, "the tab before", "comparison", lambda job: None, lambda job: False, RUNNING)
    job.report(0.25, "run 3 of 12, chain at temperature 0")
    record = Comparing(steady(1, chain=2.0), name="mine")
    server().announce("comparison mine", job, record)
    app = AppTest.from_file(str(APP), default_timeout=60)
    app.query_params["comparison"] = "mine"
    app.run().switch_page("pages/compare.py").run()
    assert not warnings(app)
    assert app.session_state["session_id"] == "the tab before"
    [progress] = app.main.get("progress")
    assert "run 3 of 12, chain at temperature 0" in progress.proto.text
    assert app.selectbox(key="shown_comparison").value == "mine"
    press(app, "compare_stop")
    assert job.stop.is_set()
    job.state = "stopped"
    record.save(Store(data))
    app.run()
    assert app.selectbox(key="shown_comparison").options == ["mine"]
    server().announce("comparison other", job, record)
    assert "comparison mine" not in server().live


def test_what_is_measured_is_kept_as_it_grows_and_told_where_it_cannot_be(tmp_path):
    comparison, store = steady(2, chain=2.0), Store(tmp_path / "kept")
    record = Comparing(name="mine")
    record.save(store)
    assert store.names(COMPARISONS) == []
    record.begin(comparison)
    record.save(store)
    record.save(store)
    assert store.names(COMPARISONS) == ["mine"] == [record.kept]
    assert parse_comparison(store.read(COMPARISONS, "mine"), "mine") == comparison
    assert json.loads(content(comparison, "x.json"))["loaded_from"] == "x.json"
    (tmp_path / "file").touch()
    lost = Comparing(comparison, name="mine")
    lost.save(Store(tmp_path / "file"))
    assert "Cannot write to" in lost.mistake
    assert not lost.kept


def test_a_page_loaded_again_finds_the_measurement_of_the_machine_that_is_under_way():
    profiling = Profiling([128])
    job = Job(1, "the tab before", "profile", lambda job: None, lambda job: False, RUNNING)
    server().announce(f"measuring {profiling.id}", job, profiling)
    app = AppTest.from_file(str(APP), default_timeout=60)
    app.query_params["measuring"] = profiling.id
    app.run().switch_page("pages/hardware.py").run()
    assert app.session_state["profile_job"] is job
    assert app.button(key="profile").disabled
    assert server().live_names("measuring") == {profiling.id}
    press(app, "profile_stop")
    assert job.stop.is_set()
    job.state = "stopped"
    app.run()
    assert "measuring" not in app.query_params
    assert not app.button(key="profile").disabled
    assert server().live_names("measuring") == set()


# Runs


def test_a_finished_run_is_shown_again_by_its_link_at_the_step_of_the_link():
    app = generate(open_app(budget="8", depth="3", new_tokens="10", temperature="0"))
    own = app.session_state["last_run"]
    assert app.query_params["run"] == own.kept
    again = open_app(run=own.kept, step="2")
    view = again.session_state["last_run"]
    assert (view.steps, view.pieces, view.plain, view.ranks is None) == (
        own.steps, own.pieces, own.plain, own.ranks is None,
    )  # fmt: skip
    assert says(again, f"Step 2 of {len(own.steps)}")
    assert metric(again, "Measured speedup") == metric(app, "Measured speedup")
    assert says(again, "Kept from earlier: stories-27m with stories-1m")
    assert again.selectbox(key="kept_run").value == own.kept
    press(again, "delete_run")
    assert "run" not in again.query_params
    assert not [box for box in again.selectbox if box.key == "kept_run"]
    assert warnings(open_app(run=own.kept)) == [
        f"There is no run called “{own.kept}” on this machine. The link's value was left out."
    ]


def test_a_run_is_kept_by_the_worker_and_told_where_it_cannot_be(tmp_path):
    view = loaded(trace_text(recorded_run()).encode(), "x")
    record = Record(replace(view, source=""), "20261124-101500-sequoia-5")
    store = Store(tmp_path / "kept")
    keep_run(store, Record(replace(view, summary=None), "never begun"))
    keep_run(store, record)
    assert store.names(RUNS) == ["20261124-101500-sequoia-5"] == [record.read().kept]
    assert run_line(record.read().kept) == "24 Nov 2026, 10:15 UTC: sequoia, 5 nodes"
    assert run_line("theirs") == "theirs"
    (tmp_path / "file").touch()
    lost = Record(view, "lost")
    keep_run(Store(tmp_path / "file"), lost)
    app = open_app()
    app.session_state["record"] = lost
    assert says(app.run(), "This run is not kept, so it goes with this page: Cannot write to")
    assert "run" not in app.query_params


def test_a_loaded_run_is_there_again_with_the_name_of_its_file():
    app = upload_run(open_app(), "theirs.json", trace_text(recorded_run()))
    assert app.query_params["run"] == "theirs"
    again = open_app(run="theirs")
    assert says(again, "Loaded from `theirs.json`: big with small, float32, abacus")
    assert says(again, "Step 1 of 2")


def test_an_earlier_run_is_picked_from_the_list():
    app = open_app()
    for name in ("one", "two"):
        upload_run(app, f"{name}.json", trace_text(recorded_run()))
    assert app.selectbox(key="kept_run").options == ["two", "one"]
    app.selectbox(key="kept_run").set_value("one").run()
    press(app, "show_kept")
    assert says(app, "Loaded from `one.json`")
    assert app.query_params["run"] == "one"


def test_a_broken_kept_run_is_one_sentence(data):
    upload_run(open_app(), "theirs.json", trace_text(recorded_run()))
    break_all(data, RUNS)
    app = open_app(run="theirs")
    assert not app.exception
    [warning] = warnings(app)
    assert "theirs.json is not valid JSON" in warning
    press(app, "show_kept")
    [error] = errors(app)
    assert "theirs.json is not valid JSON" in error
    press(app, "delete_run")
    assert not errors(app)


def test_a_page_loaded_again_finds_the_run_that_is_being_written():
    view = loaded(trace_text(recorded_run()).encode(), "x")
    job = Job(1, "the tab before", "generation", lambda job: None, lambda job: False, RUNNING)
    server().announce("run now", job, Record(view, "now"))
    app = open_app(run="now")
    assert not warnings(app)
    assert app.session_state["job"] is job
    assert not app.button(key="stop").disabled
    assert app.query_params["run"] == "now"
    job.state = "done"
