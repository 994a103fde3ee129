"""The Hardware page without a browser: what it shows is what the core says."""

import json
from dataclasses import replace

import pytest
from streamlit.testing.v1 import AppTest
from test_pages import APP, errors, metric, press, says, wait_for
from test_plan_page import TOY, table, upload, verdict

from pages._state import server
from pages._text import literal
from pages._worker import STOPPED, Job, Worker
from sequoia_core.measure.sweep import Sweep
from sequoia_core.plan.acceptance import load_acceptance
from sequoia_core.plan.gpu import list_gpus, load_gpu, typed_in_gpu
from sequoia_core.plan.hardware import ContextCurves, list_hardware_presets, load_hardware
from sequoia_core.plan.knee import knee
from sequoia_core.plan.measurement import MachineFigures, Measurement, Noise
from sequoia_core.plan.model_shape import load_shape, shape_from_config
from sequoia_core.plan.modelled import model_profile
from sequoia_core.plan.modelled_plan import plan_range
from sequoia_core.plan.optimizer import make_plan
from sequoia_core.plan.twin import twins

SHAPE = {
    "model_type": "llama",
    "hidden_size": 1024,
    "intermediate_size": 2816,
    "num_hidden_layers": 12,
    "num_attention_heads": 16,
    "vocab_size": 32000,
    "dtype": "bfloat16",
}

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
    assert says(app, literal(profile.basis)[1:])


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


def test_a_link_names_each_of_its_values_that_the_page_cannot_take():
    app = AppTest.from_file(str(APP), default_timeout=60)
    wrong = {"gpu": "abacus", "context": "0", "bandwidth": "x", "offload": "1", "launch": "jit"}
    for key, value in (wrong | {"source": "Model a GPU", "tflops": "250"}).items():
        app.query_params[key] = value
    app.run().switch_page("pages/hardware.py").run()
    told = [shown.value for shown in app.warning]
    names = ("The context", "The bandwidth", "offload", "gpu", "launch")
    assert [name in words for name, words in zip(names, told, strict=True)] == [True] * 5
    assert app.number_input(key="context").value == 1024


def curves(app: AppTest) -> list[list[str]]:
    """Names of the lines in each chart."""
    specs = [json.loads(chart.proto.spec) for chart in app.get("echarts_chart")]
    return [[series["name"] for series in spec["series"]] for spec in specs]


def beside(app: AppTest):
    """The table of two profiles."""
    return table(app, "").set_index("")


def test_an_added_profile_is_shown_at_once_and_two_stand_side_by_side():
    app = upload(open_hardware(), "toy-gpu.json", TOY.to_dict())
    assert app.selectbox(key="hardware").value == "toy-gpu"
    app.selectbox(key="versus").set_value("cpu-2-cores").run()
    assert curves(app) == [["toy-gpu", "cpu-2-cores"]] * 2
    shown = beside(app)
    assert shown.columns.tolist() == ["toy-gpu", "cpu-2-cores"]
    assert shown.loc["target, 1 token", "toy-gpu"] == "20 ms"
    for name, profile in (("toy-gpu", TOY), ("cpu-2-cores", load_hardware("cpu-2-cores"))):
        plan = make_plan(VECTOR, profile)
        assert shown.loc["speedup", name] == f"{plan.speedup:.2f}×"
        assert f"{plan.budget} tokens, {plan.depth} deep" in shown.loc["best", name]
    app.selectbox(key="versus").set_value("toy-gpu").run()
    assert says(app, "Both are the same profile")


MEASURED = replace(
    load_hardware("cpu-2-cores"),
    machine=MachineFigures(3e10, 1e11, 2e-4, 1e-4),
    noise=Noise(0.25, 0.7, "alternate"),
    measurement=Measurement(date="2026-11-24", torch="2.13.0", refined=7),
    contexts=(
        ContextCurves(
            400,
            load_hardware("cpu-2-cores-demo-300m-float32").target_seconds,
            load_hardware("cpu-2-cores").draft_seconds,
        ),
    ),
)


def test_a_measurement_stands_beside_its_roofline_with_the_error():
    app = upload(open_hardware(), "mine.json", MEASURED.to_dict())
    [twin] = twins(MEASURED)
    limits = ["memory alone", "computing alone"]
    assert curves(app) == [["mine", "modelled", *limits]] * 2
    assert says(app, twin.words)
    rows = table(app, "modelled from", "target, median").set_index("profile")
    assert rows.loc["mine", "modelled from"] == "measured figures"
    median, worst = twin.differences[0].median, twin.differences[1].worst
    assert rows.loc["mine", "target, median"] == pytest.approx(100 * median)
    assert rows.loc["mine", "draft, worst"].startswith(f"{worst:+.0%} at ")


def test_a_measurement_of_before_says_what_would_give_it_a_model():
    app = upload(open_hardware(), "old.json", replace(MEASURED, machine=None).to_dict())
    assert curves(app) == [["old"]] * 2
    assert says(app, "No model stands beside this measurement")


def test_noise_is_told_wherever_the_profile_is_planned_with():
    app = upload(open_hardware(), "mine.json", MEASURED.to_dict())
    words = (
        "The measurement behind mine was noisy: its alternate halves differ by 25% at the median"
    )
    assert any(words in shown.value for shown in app.warning)
    assert says(app, "7 sizes added")
    rows = table(app, "profile", "choice").set_index("profile")
    assert rows.loc["mine", "origin"] == "measured, noisy"
    app.switch_page("pages/plan.py").run()
    app.selectbox(key="hardware").set_value("mine").run()
    assert says(app, words)


def test_a_profile_of_several_contexts_is_planned_behind_the_one_chosen():
    app = upload(open_hardware(), "mine.json", MEASURED.to_dict())
    assert says(app, "Measured behind 128 tokens")
    app.selectbox(key="behind_128_400").set_value(400).run()
    assert says(app, "Measured behind 400 tokens")
    far = MEASURED.at_context(400)
    assert verdict(app) == make_plan(VECTOR, far, max_budget=far.last_tokens).verdict.words
    app.switch_page("pages/plan.py").run()
    app.selectbox(key="hardware").set_value("mine").run()
    app.toggle(key="auto").set_value(True).run()
    app.selectbox(key="behind_128_400").set_value(400).run()
    assert metric(app, "This tree").startswith(
        f"{make_plan(VECTOR, far, max_budget=far.last_tokens).speedup:.2f}"
    )


def test_two_measurements_of_one_machine_say_whether_they_agree():
    again = replace(MEASURED, draft_seconds=[(n, 1.4 * s) for n, s in MEASURED.draft_seconds])
    app = upload(open_hardware(), "one.json", MEASURED.to_dict())
    app = upload(app, "two.json", again.to_dict())
    app.selectbox(key="versus").set_value("one").run()
    assert says(app, "but do not agree")
    app.selectbox(key="versus").set_value("cpu-2-cores").run()
    assert says(app, "but do not agree")
    app.selectbox(key="hardware").set_value("one").run()
    assert says(app, "and agree: target 0% at the median")


def test_a_modelled_pair_is_planned_on_every_gpu_and_says_where_it_does_not_fit():
    app = model_a_gpu(open_hardware())
    app.selectbox(key="target_shape").set_value("llama-3-8b").run()
    app.toggle(key="every_gpu").set_value(True).run(timeout=60)
    rows = table(app, "GPU", "at worst").set_index("GPU")
    assert set(rows.index) == set(list_gpus())
    assert "are missing" in rows.loc["t4", "note"]
    known = rows[rows["speedup"].notna()]
    assert (known["at worst"] <= known["speedup"]).all()
    assert (known["speedup"] <= known["at best"]).all()
    modelled = model_profile(load_gpu("l4"), load_shape("llama-3-8b"), load_shape("llama-3.2-1b"))
    plan = make_plan(VECTOR, modelled.profile)
    assert (rows.loc["l4", "budget"], rows.loc["l4", "depth"]) == (plan.budget, plan.depth)


def test_acceptance_is_named_with_the_pair_that_it_was_measured_on():
    app = model_a_gpu(open_hardware())
    told = "measured on stories-27m with stories-1m at temperature 0.6."
    assert any(caption.value.endswith(told) for caption in app.caption)
    assert not any("measured on this pair" in caption.value for caption in app.caption)


def test_a_models_config_joins_the_shapes_under_its_own_name():
    config = SHAPE | {"_name_or_path": "somebody/small-llama"}
    app = upload(model_a_gpu(open_hardware()), "config.json", config)
    app.selectbox(key="target_shape").set_value("small-llama").run()
    app.selectbox(key="launch").set_value("compiled").run()
    modelled = model_profile(
        load_gpu("h100-sxm"),
        shape_from_config(config, name="small-llama"),
        load_shape("llama-3.2-1b"),
        launch="compiled",
    )
    assert verdict(app) == make_plan(VECTOR, modelled.profile).verdict.words
    [error] = errors(upload(app, "odd.json", {"model_type": "rwkv"}))
    assert "odd.json: model_type 'rwkv' is not one" in error


def test_this_machine_is_measured_into_a_profile_of_its_own(monkeypatch):
    import sequoia_core.measure.profiler as profiler

    monkeypatch.setattr(profiler, "TARGET_GRID", (1, 2, 8))
    monkeypatch.setattr(profiler, "DRAFT_GRID", (1, 4))
    monkeypatch.setattr(profiler, "LIMIT_SECONDS", {"cpu": 0.0})
    monkeypatch.setattr(profiler.profile_pair, "__kwdefaults__", _quick(profiler.profile_pair))
    app = open_hardware()
    wait_for(lambda: server().worker.resident is not None, 240)
    app.run()
    app.button_group(key="contexts").set_value([64, 128]).run()
    press(app, "profile")
    job = app.session_state["profile_job"]
    wait_for(lambda: not job.active, 240)
    app.run()
    assert not errors(app)
    assert app.selectbox(key="hardware").value == "this machine, stories-27m, float32"
    assert says(app, "Measured behind 128 tokens; 3 points up to 8 tokens")
    assert app.selectbox(key="behind_64_128").options == ["64 tokens", "128 tokens"]
    assert says(app, "This machine reaches")


def test_a_measurement_stops_in_the_middle_of_its_refinement_and_leaves_nothing():
    worker, session = Worker(), "someone"
    job = worker.submit("profile", session, lambda job: _refine(job))
    wait_for(lambda: job.progress[1].startswith("Refining"), 60)
    worker.cancel(job)
    wait_for(lambda: not job.active, 60)
    assert worker.snapshot(job).state == STOPPED


def _refine(job: Job) -> None:
    """A sweep over a slope, which waits in its refinement until it is stopped."""

    def tell(fraction: float, text: str) -> None:
        job.report(fraction, text)
        if text.startswith("Refining"):
            job.stop.wait(60)
        job.go_on()

    Sweep(
        lambda passes: [float(tokens) for _, tokens in passes],
        {"target": (1, 64), "draft": (1, 64)},
        clock=lambda: 0.0,
        until=1e9,
        progress=tell,
    ).run(2)


def _quick(function) -> dict:
    return function.__kwdefaults__ | {"repeats": 2}
