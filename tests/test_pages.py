"""The dashboard without a browser: the worker, what the tree view is fed, and the Explore page."""

import gc
import re
import threading
import time
import weakref
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from fakes import tiny_pair
from streamlit.testing.v1 import AppTest

from pages import _comparing, _generate, _sidebar
from pages._inputs import hardware_words, vector_words
from pages._modelled import modelled_choices
from pages._pair import PairChoice, leave_a_core, load_work
from pages._state import server
from pages._text import run_html
from pages._tree_view import counts_text, decoded, step_table
from pages._url import RANGES, SWITCHES, link_mistakes
from pages._worker import DONE, FAILED, QUEUED, RUNNING, STOPPED, Worker
from sequoia_core import assets
from sequoia_core.decode import memory, shapes
from sequoia_core.decode.capture import eager
from sequoia_core.decode.engine import Engine, GenerationSettings
from sequoia_core.decode.shapes import Shape
from sequoia_core.decode.trace import Bonus, Nodes, Seconds, StepTrace
from sequoia_core.errors import InputError
from sequoia_core.plan.acceptance import load_acceptance
from sequoia_core.plan.methods import NAMES
from sequoia_core.tree.token_tree import TokenTree

APP = Path(__file__).resolve().parent.parent / "app.py"


def wait_for(condition, seconds: float = 60.0):
    """The first true value of `condition`; fails when it stays false for too long."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.02)
    pytest.fail("waited too long")


# The worker


def finished(worker, job):
    wait_for(lambda: not job.active, 5)
    return worker.snapshot(job)


def test_jobs_run_one_at_a_time_in_the_order_they_came_and_know_their_place():
    worker, gate, order = Worker(), threading.Event(), []

    def work(name):
        return lambda job: (order.append(name), gate.wait(5))

    jobs = [worker.submit("generation", name, work(name)) for name in "abc"]
    wait_for(lambda: worker.snapshot(jobs[0]).state == RUNNING)
    assert [worker.snapshot(job).position for job in jobs] == [0, 1, 2]
    assert worker.snapshot(jobs[2]).state == QUEUED
    gate.set()
    assert [finished(worker, job).state for job in jobs] == [DONE] * 3
    assert order == ["a", "b", "c"]


def test_a_waiting_job_is_stopped_at_once_and_a_running_one_when_it_looks():
    worker, started = Worker(), threading.Event()

    def until_cancelled(job):
        started.set()
        wait_for(lambda: job.cancelled, 5)

    running = worker.submit("generation", "a", until_cancelled)
    waiting = worker.submit("generation", "b", until_cancelled)
    assert started.wait(5)
    worker.cancel(waiting)
    assert worker.snapshot(waiting).state == STOPPED
    worker.cancel(running)
    assert finished(worker, running).state == STOPPED


def test_a_job_whose_session_went_silent_is_stopped():
    worker = Worker(patience_seconds=0.1)
    job = worker.submit("generation", "gone", lambda job: wait_for(lambda: job.cancelled, 5))
    assert finished(worker, job).state == STOPPED


def test_errors_of_a_job_become_its_message_and_the_worker_lives_on():
    worker = Worker()

    def user_mistake(job):
        raise InputError("The prompt is empty.")

    def defect(job):
        raise ZeroDivisionError

    assert finished(worker, worker.submit("generation", "a", user_mistake)).error == (
        "The prompt is empty."
    )
    broken = finished(worker, worker.submit("generation", "a", defect))
    assert broken.state == FAILED
    assert "ZeroDivisionError" in broken.error
    assert finished(worker, worker.submit("generation", "a", lambda job: None)).state == DONE


def test_a_session_waits_for_its_own_job_and_a_full_queue_turns_jobs_away():
    worker, gate = Worker(capacity=1), threading.Event()
    running = worker.submit("generation", "a", lambda job: gate.wait(5))
    wait_for(lambda: worker.snapshot(running).state == RUNNING)
    with pytest.raises(InputError, match="not finished"):
        worker.submit("generation", "a", lambda job: None)
    worker.submit("generation", "b", lambda job: None)
    with pytest.raises(InputError, match="1 jobs are waiting"):
        worker.submit("generation", "c", lambda job: None)
    gate.set()


def test_an_earlier_pair_gives_its_memory_back_once_another_one_is_loaded(monkeypatch):
    """With captured passes, that is: they and their model know each other."""
    models = []

    def load_pair(_spec, _report):
        pair = tiny_pair()
        pair.target.use_static_passes(eager)
        models.append(weakref.ref(pair.target.model))
        return pair

    monkeypatch.setattr("sequoia_core.decode.pair.load_pair", load_pair)
    holder = SimpleNamespace(resident=None)
    try:
        for _ in range(2):
            load_work(holder, PairChoice())(SimpleNamespace(report=lambda *_told: None))
    finally:
        gc.unfreeze()
    assert [model() is None for model in models] == [True, False]


def test_a_request_keeps_no_pair_in_memory_and_is_refused_once_another_is_loaded():
    worker = Worker()
    assert worker.mark() is None
    worker.resident = Engine(tiny_pair())
    mark = worker.mark()
    settings = GenerationSettings()
    asked = _generate.Request("Hi", "sequoia", TokenTree([-1, 0]), 1, settings, None, mark)
    compared = _comparing.Request((), (), (), 1, settings, mark)
    for page, request in ((_generate, asked), (_comparing, compared)):
        page._check_pair(worker.resident, request)
    worker.resident = Engine(tiny_pair())
    gc.collect()
    assert mark() is None
    for page, request in ((_generate, asked), (_comparing, compared)):
        with pytest.raises(InputError, match="loaded pair changed to tiny target"):
            page._check_pair(worker.resident, request)


# What is drawn


@pytest.fixture
def step() -> StepTrace:
    """Root with two children; the second was accepted, its only child rejected."""
    nodes = Nodes(
        parent=[-1, 0, 0, 2],
        rank=[0, 0, 1, 0],
        token_id=[7, 1, 2, 3],
        text=["the", " <b>fox", " hen", "\n"],
        draft_prob=[1.0, 0.6, 0.3, 0.9],
        target_prob=[1.0, 0.1, 0.7, 0.05],
        status=["accepted", "rejected", "accepted", "rejected"],
    )
    bonus = Bonus(9, " ran", "residual", 0.4)
    return StepTrace(0, 5, [2], bonus, [2, 9], Seconds(0.1, 0.2, 0.3, 0.4), nodes)


def test_a_step_reaches_the_tree_view_with_its_verdicts_and_its_bonus(step):
    data = decoded(step)
    assert data["status"] == [0, 2, 1, 2]
    assert data["column"] == [0, 1, 1, 2]
    assert data["label"][1:] == ["<b>fox", "hen", "↵"]
    assert (data["bonus"]["at"], data["bonus"]["source"]) == (2, "residual")
    assert counts_text(step).startswith("1 accepted, 2 rejected, 0 not reached")


def test_the_table_says_the_same_as_the_tree(step):
    table = step_table(step.nodes)
    assert table["verdict"] == ["root", "rejected", "accepted", "rejected"]
    assert table["depth"] == decoded(step)["column"]


def test_steps_of_one_topology_keep_the_layout_and_others_change_it(step):
    other = Nodes([-1, 0], [0, 0], [1, 2], ["a", "b"], [1, 1], [1, 1], ["accepted", "accepted"])
    changed = StepTrace(1, 7, [1], step.bonus, [2, 9], step.seconds, other)
    assert decoded(step)["layout"] == decoded(step)["layout"] != decoded(changed)["layout"]


def test_model_text_is_escaped_and_marked_by_origin(step):
    from pages._generate import Request, RunView

    request = Request("<i>Once", "sequoia", None, 1, None, None)
    html = run_html(RunView(request, (step,), ((" <b>hen", " ran"),)), current=0)
    assert "&lt;i&gt;Once" in html
    assert '<span class="accepted"> &lt;b&gt;hen</span><span class="residual"> ran</span>' in html


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("budget", "0", "between 1 and 1,024, got 0"),
        ("budget", "5000", "between 1 and 1,024, got 5,000"),
        ("depth", "deep", "must be a number, got “deep”"),
        ("temperature", "-1", "between 0 and 2, got -1"),
        ("temperature", "nan", "must be between 0 and 2"),
        ("hardware", "abacus", "There is no hardware called “abacus”; there are: cpu"),
        ("hardware", "0", "There is no hardware called “0”; there are: cpu"),
        ("run", "old", "There is no run called “old”; there is none yet."),
        ("seed", "-1", "between 0 and 2,147,483,647, got -1"),
        ("budget", "12.5", "must be a whole number, got 12.5: 12 was taken."),
        ("bandwidth", "1e9", "between 0 and 1,000,000, got 1,000,000,000"),
        ("context", "many", "The context must be a number, got “many”"),
        ("link", "", "The host link must be a number, got “”"),
        ("step", "0", "The step must be between 1 and"),
        ("offload", "1", "offload must be true or false, got “1”. The link's value was left out."),
    ],
)
def test_a_link_with_an_unusable_value_is_answered_with_one_sentence(key, value, words):
    mistakes = link_mistakes({key: value}, {"hardware": ["cpu"], "run": []})
    assert len(mistakes) == 1
    assert words in mistakes[0]


# The Explore page


def open_app(**link: str) -> AppTest:
    app = AppTest.from_file(str(APP), default_timeout=60)
    for key, value in link.items():
        app.query_params[key] = value
    app.run()
    assert not app.exception
    return app


def metric(app: AppTest, label: str) -> str:
    return next(shown.value for shown in app.metric if shown.label == label)


def press(app: AppTest, key: str) -> AppTest:
    return app.button(key=key).click().run()


def generate(app: AppTest) -> AppTest:
    """Press Generate; where that queued a job, wait for its end and look again."""
    earlier = app.session_state.get("job", None)
    press(app, "generate")
    job = app.session_state["job"]
    if job is earlier:
        return app
    wait_for(lambda: not job.active, 120)
    return app.run()


def says(app: AppTest, words: str) -> bool:
    """Whether a caption of the page holds these words."""
    return any(words in shown.value for shown in app.caption)


def errors(app: AppTest) -> list[str]:
    """As they are read: without the marks that keep a file's text from being Markdown."""
    return [re.sub(r"\\([\W_])", r"\1", shown.value) for shown in app.error]


@pytest.fixture(scope="module")
def finished_app() -> AppTest:
    """The page after a short generation with the bundled pair."""
    app = open_app(
        prompt="Once upon a time there was",
        budget="8",
        depth="3",
        new_tokens="10",
        temperature="0",
    )
    return generate(app)


def test_a_run_is_measured_against_plain_decoding_and_shown_step_by_step(finished_app):
    assert not finished_app.exception
    assert not errors(finished_app)
    run = finished_app.session_state["last_run"]
    assert run.tokens == 10 == len(run.plain.token_ids)
    # At temperature 0 drafting changes the time, never the text.
    assert run.summary.token_ids == run.plain.token_ids
    assert metric(finished_app, "Measured speedup") == f"{run.measured_speedup:.2f}×"
    assert metric(finished_app, "Tokens per step") == f"{10 / len(run.steps):.2f}"
    assert says(finished_app, f"Step 1 of {len(run.steps)}")


@pytest.mark.parametrize(
    ("prompt", "new_tokens", "words"),
    [
        ("  ", 10, "The prompt is empty"),
        ("word " * 600, 10, "context"),
        ("Once upon a time", 4000, "ask for at most"),
    ],
)
def test_a_bad_request_gets_one_sentence_and_the_finished_run_stays(
    finished_app, prompt, new_tokens, words
):
    before = finished_app.session_state["last_run"]
    finished_app.text_area(key="prompt").set_value(prompt)
    finished_app.number_input(key="new_tokens").set_value(new_tokens)
    generate(finished_app)
    assert len(errors(finished_app)) == 1
    assert words in errors(finished_app)[0]
    assert finished_app.session_state["last_run"] is before
    assert metric(finished_app, "Measured speedup") != "–"


def test_a_run_that_is_stopped_in_the_queue_says_that_nothing_was_written():
    gate = threading.Event()
    ahead = server().worker.submit("generation", "someone else", lambda job: gate.wait(20))
    wait_for(lambda: server().worker.snapshot(ahead).state == RUNNING, 240)
    app = press(press(open_app(), "generate"), "stop")
    gate.set()
    assert app.session_state["job"].state == STOPPED
    assert says(app.run(), "Stopped before anything was written.")
    assert "run" not in app.query_params


def test_moving_budget_and_temperature_changes_the_plan():
    app = open_app(budget="16", depth="4")
    first = metric(app, "Predicted speedup")
    assert says(app, "16 nodes, 4 deep")
    app.slider(key="budget").set_value(200).run()
    assert says(app, "200 nodes, 4 deep")
    assert metric(app, "Predicted speedup") != first
    assert says(app, "bundled-t0.6`")
    app.slider(key="temperature").set_value(1.0).run()
    assert says(app, "bundled-t1.0`")


def test_auto_shows_what_the_hardware_chose_and_locks_the_sliders():
    app = open_app(auto="true")
    budget, depth = app.slider(key="budget"), app.slider(key="depth")
    assert budget.disabled
    assert depth.disabled
    assert says(app, f"{budget.value} nodes, {depth.value} deep")


def test_a_depth_beyond_the_budget_is_refused_in_one_sentence():
    app = open_app(budget="4", depth="8")
    assert errors(app) == [next(e for e in errors(app) if "at most 3 deep" in e)]
    press(app, "generate")
    assert len(errors(app)) == 1
    assert "job" not in app.session_state


def test_a_typed_budget_out_of_range_is_refused_and_the_slider_stays():
    app = open_app(budget="16")
    app.number_input(key="budget_exact").set_value(5000).run()
    assert errors(app) == [
        "The tree budget must be between 1 and 1,024, got 5,000. It stays at 16."
    ]
    assert app.slider(key="budget").value == 16
    app.number_input(key="budget_exact").set_value(300).run()
    assert app.slider(key="budget").value == 300


def test_a_link_out_of_range_is_named_and_the_page_works():
    app = open_app(budget="5000", temperature="-1")
    assert len(app.warning) == 2
    assert metric(app, "Predicted speedup") != "–"


def link_of(page: Path) -> set[str]:
    """Keys that stand beside a binding to the link in a page's source."""
    text = page.read_text(encoding="utf-8")
    return {
        key
        for call in re.findall(r"\((?:[^()]|\([^()]*\))*bind=LINK", text)
        for key in re.findall(r'key="(\w+)"', call)
    }


def test_every_parameter_of_a_link_is_one_whose_values_are_checked():
    texts = {"prompt", "own_prompts", "temperatures"}  # Any text fits, or is judged as it is used.
    folder = APP.parent / "pages"
    bound = set().union(*map(link_of, folder.glob("*.py"))) | set(modelled_choices())
    assert {"gpu", "context", "offload", "export", "methods", "step"} - bound <= {"context"}
    picked = {"acceptance", "comparison", "export", "family", "hardware", "launch", "machine"}
    picked |= {"method", "methods", "prompts", "source", "versus", *modelled_choices()}
    assert bound <= texts | picked | set(RANGES) | set(SWITCHES)


def test_a_missing_hardware_folder_is_one_sentence(tmp_path, monkeypatch):
    for entry in assets.ASSETS.iterdir():
        if entry.name != "hardware":
            (tmp_path / entry.name).symlink_to(entry)
    monkeypatch.setattr(assets, "ASSETS", tmp_path)
    app = open_app()
    assert len(errors(app)) == 1
    assert "no hardware profile" in errors(app)[0]


def sidebar_alone() -> None:
    # AppTest reruns a page of st.navigation without its frame, so the sidebar is its own app here.
    from pages._sidebar import sidebar

    sidebar()


def load_own(app: AppTest, target: str, draft: str) -> list[str]:
    """Ask for this pair; the errors shown when the attempt has ended."""
    app.text_input(key="target").set_value(target)
    app.text_input(key="draft").set_value(draft)
    press(app, "load")
    if not server().load.active and errors(app):
        return errors(app)
    wait_for(lambda: not server().load.active)
    return errors(app.run())


def test_a_pair_that_cannot_be_loaded_leaves_the_loaded_one(finished_app, tmp_path):
    app = AppTest.from_function(sidebar_alone, default_timeout=60).run()
    app.segmented_control(key="pair_source").set_value("Your own").run()
    resident = server().worker.resident
    assert load_own(app, "", "") == ["Name both models: the target and the draft."]
    [error] = load_own(app, "/no/such/folder", "/no/such/folder")
    assert "There is no folder /no/such/folder" in error
    bundled = str(assets.ASSETS / "models" / "stories-27m")
    [error] = load_own(app, bundled, other_vocabulary(tmp_path))
    assert "do not share a vocabulary" in error
    assert server().worker.resident is resident
    assert any("stories-27m" in shown.value for shown in app.markdown)


def test_the_target_of_ones_own_models_can_be_offloaded(finished_app):
    app = AppTest.from_function(sidebar_alone, default_timeout=60).run()
    assert not [toggle for toggle in app.toggle if toggle.key == "offload_target"]
    app.segmented_control(key="pair_source").set_value("Your own").run()
    app.toggle(key="offload_target").set_value(True).run()
    models = assets.ASSETS / "models"
    assert load_own(app, str(models / "stories-27m"), str(models / "stories-1m")) == []
    pair = server().worker.resident.pair
    assert pair.offloaded
    assert pair.target_name.endswith("stories-27m (offloaded)")
    assert any("(offloaded)" in shown.value for shown in app.markdown)
    assert any("MB of main memory" in shown.value for shown in app.caption)
    assert not any("Stand-in" in shown.value for shown in app.caption)
    again = AppTest.from_function(sidebar_alone, default_timeout=60).run()
    assert again.text_input(key="target").value == str(models / "stories-27m")
    assert again.text_input(key="draft").value == str(models / "stories-1m")
    assert again.toggle(key="offload_target").value
    app.segmented_control(key="pair_source").set_value("Bundled").run()
    load_cost(app, "as it is")
    assert not server().worker.resident.pair.offloaded


def load_cost(app: AppTest, cost: str) -> AppTest:
    """Ask for the bundled pair at this cost, and wait for the end of the attempt."""
    app.selectbox(key="target_cost").set_value(cost).run()
    press(app, "load")
    wait_for(lambda: not server().load.active)
    return app.run()


def test_a_target_cost_is_loaded_labelled_and_refused_where_it_does_not_fit(
    finished_app, monkeypatch
):
    small = Shape("small", 8, 576, 1376, 9, 9, 64, 4096, tied=True)
    monkeypatch.setitem(shapes.SHAPES, "small", small)
    monkeypatch.setattr(memory, "available_bytes", lambda device: 10**9)
    monkeypatch.setattr(_sidebar, "TARGETS", ("small", *shapes.TARGETS))
    app = AppTest.from_function(sidebar_alone, default_timeout=60).run()
    options = app.selectbox(key="target_cost").options
    assert {"as it is", "demo-300m (303.1 M)", "llama-2-7b (6.74 B)"} <= set(options)
    load_cost(app, "small")
    pair = server().worker.resident.pair
    assert (pair.target_name, pair.draft_name) == ("stories-27m as small", "stories-1m")
    assert any("stories-27m as small" in shown.value for shown in app.markdown)
    assert any("the text of stories-27m" in shown.value for shown in app.caption)
    assert not errors(app)
    acceptance = load_acceptance("bundled-t0")
    assert "measured on this pair" in vector_words(acceptance, pair, 0.0)
    assert "profile` measures yours" in hardware_words("cpu-2-cores", pair)
    [error] = errors(load_cost(app, "llama-2-70b"))
    assert "stories-27m as llama-2-70b" in error
    assert "bytes" in error
    assert server().worker.resident.pair is pair
    assert any("stories-27m as small" in shown.value for shown in app.markdown)
    load_cost(app, "as it is")
    assert hardware_words("cpu-2-cores", server().worker.resident.pair) == ""


def test_a_profile_of_another_cost_is_warned_of_with_the_one_to_choose():
    pair = SimpleNamespace(target_name="stories-27m as demo-300m")
    warning = hardware_words("cpu-2-cores", pair)
    assert "measured with stories-27m, not stories-27m as demo-300m" in warning
    assert "choose `cpu-2-cores-demo-300m-" in warning
    assert hardware_words("cpu-2-cores", None) == ""


def other_vocabulary(folder: Path) -> str:
    """A tiny model folder whose tokenizer is not the bundled one."""
    from tokenizers import Tokenizer, models
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({"<end>": 0, "a": 1, "b": 2}, unk_token="<end>"))
    PreTrainedTokenizerFast(tokenizer_object=words, eos_token="<end>").save_pretrained(folder)
    config = LlamaConfig(
        vocab_size=3,
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        num_key_value_heads=1,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize("method", NAMES)
def test_every_method_writes_the_same_greedy_text_on_the_page(finished_app, method):
    app = generate(
        open_app(
            prompt="Once upon a time there was",
            method=method,
            budget="9",
            depth="3",
            new_tokens="10",
            temperature="0",
        )
    )
    assert not errors(app)
    run = app.session_state["last_run"]
    assert run.request.method == method
    assert run.summary.token_ids == finished_app.session_state["last_run"].summary.token_ids
    assert all(len(step.nodes.parent) <= 9 for step in run.steps)


def test_a_method_is_planned_with_its_own_rule_s_vector_or_predicts_nothing():
    app = open_app(method="topk", budget="16", depth="4")
    assert says(app, "bundled-t0.6-topk`")
    assert metric(app, "Predicted speedup") != "–"
    app.selectbox(key="acceptance").set_value("bundled-t0.6").run()
    assert says(app, "measured for the rule sequoia, and this method verifies by topk")
    assert metric(app, "Predicted speedup") == "–"
    app.selectbox(key="method").set_value("dynamic").run()
    assert says(app, "the size that dynamic may fill")
    assert metric(app, "Predicted speedup") == "–"
    app.selectbox(key="method").set_value("chain").run()
    assert says(app, "5 nodes, 4 deep")


def what_if_table(app: AppTest):
    return next(t.value for t in app.dataframe if "tokens per step" in t.value.columns)


def test_replaying_the_tree_that_was_run_gives_its_own_steps_and_other_trees_answer_at_once():
    app = generate(
        open_app(prompt="Once upon a time", budget="12", new_tokens="24", temperature="0")
    )
    run = app.session_state["last_run"]
    table = what_if_table(app)
    assert table["tokens per step"].tolist() == ["predicted", "replayed on this text", "measured"]
    own = table[table.columns[1]].tolist()
    assert own[1] == own[2] == f"{run.tokens / len(run.steps):.2f}"
    app.slider(key="budget").set_value(300).run()
    planned = what_if_table(app)["planned (300 nodes, 5 deep)"].tolist()
    assert float(planned[1]) >= float(own[1])
    assert planned[2] == "–"


@pytest.mark.parametrize(("cores", "used"), [(8, [7]), (2, [1]), (1, [1])])
def test_the_engine_leaves_the_browser_a_core(cores, used, monkeypatch):
    told = []
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setattr(torch, "get_num_threads", lambda: cores)
    monkeypatch.setattr(torch, "set_num_threads", told.append)
    leave_a_core.__wrapped__()
    assert told == used


def test_the_engine_uses_as_many_cores_as_the_environment_says(monkeypatch):
    told = []
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    monkeypatch.setattr(torch, "set_num_threads", told.append)
    leave_a_core.__wrapped__()
    assert told == []
