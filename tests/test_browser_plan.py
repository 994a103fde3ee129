"""The Plan page as a visitor meets it, in a headless Chromium."""

import json
import re
from urllib.parse import urlencode

import pytest
from visitor import LOAD_MILLISECONDS, LOADED

from sequoia_core.plan.acceptance import load_acceptance
from sequoia_core.plan.hardware import load_hardware
from sequoia_core.plan.optimizer import make_plan
from sequoia_core.plan.plan import plan_from_dict

playwright = pytest.importorskip("playwright.sync_api")
expect = playwright.expect
pytestmark = pytest.mark.browser


def plan_of(acceptance: str, **wishes):
    return make_plan(load_acceptance(acceptance), load_hardware("cpu-2-cores"), **wishes)


def test_the_first_visitor_of_a_server_may_come_by_a_link_to_the_page(visit):
    visitor = visit().open("plan", acceptance="bundled-t1.0")
    visitor.page.get_by_role("link", name="Explore").wait_for()
    plan = plan_of("bundled-t1.0")
    answer = visitor.page.locator(".st-key-verdict")
    expect(answer).to_contain_text(plan.verdict.words)
    assert visitor.metric("This tree") == f"{plan.speedup:.2f}×"
    assert visitor.nodes("planned").count() == plan.budget - 1


def test_sliders_plan_anew_at_1024_nodes_and_the_link_keeps_what_they_say(visit):
    visitor = visit().open("plan", auto="false", budget=1023, depth=12, batch=2, scale=0.95)
    visitor.page.get_by_text("sequoia: 1,023 nodes, 12 deep").wait_for()
    visitor.slider("budget").press("ArrowRight")
    visitor.page.get_by_text("sequoia: 1,024 nodes, 12 deep").wait_for()
    assert visitor.nodes("planned").count() == 1023
    shown = visitor.metric("This tree")
    again = visit()
    again.page.goto(visitor.page.url)
    again.page.get_by_text("sequoia: 1,024 nodes, 12 deep").wait_for()
    assert again.metric("This tree") == shown
    assert again.slider("batch").get_attribute("value") == "2"
    assert again.slider("scale").get_attribute("value") == "0.95"


def test_zoom_outlives_a_new_plan_of_the_same_shape(visit):
    visitor = visit().open("plan", auto="false", budget=40, depth=5)
    visitor.page.get_by_text("sequoia: 40 nodes, 5 deep").wait_for()
    visitor.page.locator(".tree-in").click()
    visitor.page.locator(".tree-svg:not([data-zoom='1.000'])").wait_for()
    zoom = visitor.tree("zoom")
    before = visitor.metric("A step takes")
    visitor.slider("batch").press("ArrowRight")
    expect(visitor.metric_value("A step takes")).not_to_have_text(before)
    assert visitor.tree("zoom") == zoom


def test_a_click_on_the_map_plans_that_budget_and_depth(visit):
    visitor = visit().open("plan", acceptance="bundled-t0.6")
    canvas = visitor.page.locator(".st-key-map canvas").first
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    visitor.page.mouse.click(box["x"] + 0.6 * box["width"], box["y"] + 0.5 * box["height"])
    visitor.page.locator(".st-key-budget input[type=range]:not([disabled])").wait_for()
    words = visitor.page.get_by_text(re.compile(r"^sequoia: [\d,]+ nodes, \d+ deep")).inner_text()
    budget, depth = map(int, re.findall(r"(\d+) (?:nodes|deep)", words.replace(",", "", 1)))
    assert budget > 50
    assert depth > 4
    plan = plan_of("bundled-t0.6", budget=budget, depth=depth)
    assert visitor.metric("This tree") == f"{plan.speedup:.2f}×"


def test_a_plan_is_taken_away_and_comes_back(visit, tmp_path):
    visitor = visit().open("plan", auto="false", budget=31, depth=4, family="kary")
    visitor.page.get_by_text("kary: ").wait_for()
    with visitor.page.expect_download() as download:
        visitor.button("download").click()
    kept = tmp_path / "taken.json"
    download.value.save_as(kept)
    plan = plan_from_dict(json.loads(kept.read_text()))
    assert plan.family == "kary"
    visitor.page.get_by_text("Add a file").click()
    visitor.page.locator("input[type=file]").set_input_files(kept)
    visitor.page.get_by_text("“taken” was added to the families.").wait_for()
    visitor.page.keyboard.press("Escape")
    expect(visitor.page.locator("input[type=file]")).to_have_count(0)
    visitor.page.locator(".st-key-family input").click()
    visitor.page.keyboard.type("taken")
    visitor.page.get_by_role("option", name="taken").click()
    visitor.page.get_by_text(f"taken: {plan.budget} nodes, {plan.depth} deep").wait_for()


def test_a_launch_line_can_be_copied_and_names_what_it_cannot_take(visit):
    visitor = visit().open("plan", export="vllm")
    line, script = (visitor.page.get_by_test_id("stCode").nth(index) for index in (0, 1))
    expect(line).to_contain_text("vllm serve stories-27m --speculative-config")
    expect(script).to_contain_text("vLLM takes no token tree")
    expect(line.get_by_label("Copy to clipboard")).to_have_count(1)


def test_a_measurement_can_be_stopped_and_the_next_one_finishes(visit):
    visitor = visit().open("plan", acceptance="bundled-t0")
    visitor.page.get_by_text(LOADED).wait_for(timeout=LOAD_MILLISECONDS)
    visitor.button("measure").click()
    visitor.button("measure_stop").click()
    stopped, finished = map(visitor.page.get_by_text, ("nothing was measured", "highest prompt"))
    expect(stopped).to_be_visible(timeout=60_000)
    expect(finished).to_have_count(0)
    visitor.button("measure").click()
    expect(finished).to_be_visible(timeout=240_000)


def test_a_link_with_unknown_values_is_answered_in_words(visit):
    visitor = visit().open("plan", family="oak", batch=500, acceptance="../../etc/passwd")
    for words in (
        "There is no family called “oak”",
        "The batch size must be between 1 and 64, got 500",
        "There is no acceptance called “../../etc/passwd”",
    ):
        expect(visitor.page.get_by_text(words)).to_be_visible()


def test_a_link_that_fits_no_tree_is_answered_in_words_beside_the_best_one(visit):
    visitor = visit().open("plan", auto="false", budget=30, depth=4, family="kary")
    best = plan_of("bundled-t0.6", family="kary")
    for words in (
        "No kary tree of depth 4 has at most 30 tokens",
        f"kary: {best.budget} nodes, {best.depth} deep",
    ):
        expect(visitor.page.get_by_text(words)).to_be_visible()


@pytest.mark.parametrize("page", ["", "compare"])
def test_in_a_narrow_window_the_results_stand_below_the_controls(visit, page):
    visitor = visit().open(page, wait=".st-key-sides > div")
    sides = visitor.page.locator(".st-key-sides > div")
    left, right = (sides.nth(index).bounding_box() for index in (0, 1))
    assert right["x"] > left["x"] + left["width"]
    visitor.page.set_viewport_size({"width": 800, "height": 900})
    wide = "[...document.querySelectorAll('.st-key-sides > div')].every(d => d.clientWidth > 400)"
    visitor.page.wait_for_function(wide)
    left, right = (sides.nth(index).bounding_box() for index in (0, 1))
    assert right["y"] >= left["y"] + left["height"]


def test_dark_reaches_the_map(visit):
    visitor = visit(color_scheme="dark").open("plan")
    assert visitor.page.locator(".tree-view").get_attribute("data-theme") == "dark"
    expect(visitor.page.locator(".st-key-map canvas").first).to_be_visible()


def test_the_hardware_page_models_a_gpu_that_the_link_types_in(visit):
    visitor = visit()
    link = {"source": "Model a GPU", "gpu": "typed in", "bandwidth": 2000, "memory": 48}
    visitor.page.goto(f"{visitor.url}/hardware?{urlencode(link)}")
    visitor.page.get_by_text("With every assumption anywhere in its range").wait_for()
    expect(visitor.page.locator(".st-key-verdict")).to_contain_text("2000 GB/s")
    expect(visitor.page.locator(".st-key-target_seconds canvas").first).to_be_visible()
    visitor.page.locator(".st-key-memory input").fill("8")
    visitor.page.locator(".st-key-memory input").press("Enter")
    visitor.page.get_by_text("are missing; use").wait_for()


def test_the_hardware_page_measures_this_machine_until_it_is_stopped(visit):
    visitor = visit()
    visitor.page.goto(f"{visitor.url}/hardware")
    visitor.page.get_by_text(LOADED).wait_for(timeout=LOAD_MILLISECONDS)
    visitor.button("profile").click()
    visitor.page.get_by_text("Measuring: ").wait_for()
    visitor.button("profile_stop").click()
    visitor.page.get_by_text("Stopped before it was done; nothing was kept.").wait_for()
    expect(visitor.button("profile")).to_be_enabled()
