"""The Hardware page without a browser: what it shows is what the core says."""

import json

import pytest
from streamlit.testing.v1 import AppTest
from test_pages import APP, errors, press, says, wait_for
from test_plan_page import TOY, table, upload, verdict

from sequoia_core.plan.acceptance import load_acceptance
from sequoia_core.plan.gpu import load_gpu, typed_in_gpu
from sequoia_core.plan.hardware import list_hardware_presets, load_hardware
from sequoia_core.plan.knee import knee
from sequoia_core.plan.model_shape import load_shape
from sequoia_core.plan.modelled import model_profile
from sequoia_core.plan.modelled_plan import plan_range
from sequoia_core.plan.optimizer import make_plan

VECTOR = load_acceptance("bundled-t0.6")


def open_hardware() -> AppTest:
    app = AppTest.from_file(str(APP), default_timeout=60).run()
    app.switch_page("pages/hardware.py").run()
    assert not app.exception
    return app


def model_a_gpu(app: AppTest) -> AppTest:
    return app.segmented_control(key="source").set_value("Model a GPU").run()


def test_the_page_says_what_to_draft_on_a_profile_and_where_its_knee_is():
    app = open_hardware()
    profile = load_hardware("cpu-2-cores")
    assert verdict(app) == make_plan(VECTOR, profile).verdict.words
    assert says(app, knee(profile).words)
    assert says(app, profile.basis)


def test_every_profile_has_its_best_tree_within_the_passes_it_knows():
    app = open_hardware()
    shown = table(app, "profile", "choice").set_index("profile")
    assert set(shown.index) == set(list_hardware_presets())
    for name, row in shown.iterrows():
        profile = load_hardware(name)
        plan = make_plan(VECTOR, profile, max_budget=min(1024, profile.last_tokens))
        assert (row["budget"], row["depth"]) == (plan.budget, plan.depth)
        assert row["budget"] <= profile.last_tokens
        assert row["speedup"] == pytest.approx(plan.speedup)
        assert row["choice"] == plan.verdict.choice


def test_a_gpu_from_the_list_is_modelled_with_how_uncertain_that_is():
    app = model_a_gpu(open_hardware())
    app.selectbox(key="gpu").set_value("rtx-4090").run()
    app.selectbox(key="target_shape").set_value("qwen3-8b").run()
    app.selectbox(key="draft_shape").set_value("qwen3-0.6b").run()
    modelled = model_profile(load_gpu("rtx-4090"), load_shape("qwen3-8b"), load_shape("qwen3-0.6b"))
    reach = plan_range(modelled, VECTOR)
    assert verdict(app) == reach.plan.verdict.words
    assert says(app, f"this tree gives {reach.low:.2f}× to {reach.high:.2f}×")
    assert "modelled here" in table(app, "profile", "choice")["profile"].tolist()


def test_a_gpu_typed_in_gives_an_answer_at_once_and_can_be_kept():
    app = model_a_gpu(open_hardware())
    app.selectbox(key="gpu").set_value("typed in").run()
    app.number_input(key="bandwidth").set_value(2000.0).run()
    app.number_input(key="memory").set_value(48.0).run()
    gpu = typed_in_gpu(bandwidth=2000, tflops=100, memory=48, link=25, dtype="bfloat16")
    modelled = model_profile(gpu, load_shape("llama-3-8b"), load_shape("llama-3.2-1b"))
    assert verdict(app) == make_plan(VECTOR, modelled.profile).verdict.words
    press(app, "keep")
    assert says(app, "Kept as `typed-in-llama-3-8b-llama-3.2-1b`")
    app.segmented_control(key="source").set_value("Profiles").run()
    app.selectbox(key="hardware").set_value("typed-in-llama-3-8b-llama-3.2-1b").run()
    assert verdict(app) == make_plan(VECTOR, modelled.profile).verdict.words
    press(app, "delete")
    assert "typed-in-llama-3-8b-llama-3.2-1b" not in app.selectbox(key="hardware").options


@pytest.mark.parametrize(
    ("control", "value", "words"),
    [
        ("memory", 4.0, "bytes) are missing; use offload"),
        ("bandwidth", 0.0, "Type the GPU's bandwidth in"),
    ],
)
def test_what_cannot_be_modelled_is_one_sentence_and_the_last_answer_stays(control, value, words):
    app = model_a_gpu(open_hardware())
    before = verdict(app)
    app.selectbox(key="gpu").set_value("typed in").run()
    app.number_input(key=control).set_value(value).run()
    assert len(errors(app)) == 1
    assert words in errors(app)[0]
    assert verdict(app) or before


def test_two_profiles_stand_side_by_side():
    app = upload(open_hardware(), "toy-gpu.json", TOY.to_dict())
    app.selectbox(key="versus").set_value("toy-gpu").run()
    [target, draft] = [chart.proto.spec for chart in app.get("echarts_chart")]
    for spec in (target, draft):
        names = [series["name"] for series in json.loads(spec)["series"]]
        assert names == ["cpu-2-cores", "toy-gpu"]


def test_this_machine_is_measured_into_a_profile_of_its_own(monkeypatch):
    import sequoia_core.measure.profiler as profiler

    monkeypatch.setattr(profiler, "TARGET_GRID", (1, 2, 8))
    monkeypatch.setattr(profiler, "DRAFT_GRID", (1, 4))
    monkeypatch.setattr(profiler.profile_pair, "__kwdefaults__", _quick(profiler.profile_pair))
    app = open_hardware()
    press(app, "profile")
    job = app.session_state["profile_job"]
    wait_for(lambda: not job.active, 240)
    app.run()
    assert not errors(app)
    app.selectbox(key="hardware").set_value("this machine, stories-27m").run()
    assert says(app, "3 points up to 8 tokens")
    assert says(app, "Measured")


def _quick(function) -> dict:
    return function.__kwdefaults__ | {"repeats": 2}
