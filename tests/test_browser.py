"""The dashboard as a visitor meets it, in a headless Chromium."""

import re
from collections.abc import Iterator

import pytest
from visitor import LOAD_MILLISECONDS, LOADED, Visitor

playwright = pytest.importorskip("playwright.sync_api")
expect = playwright.expect
pytestmark = pytest.mark.browser

SHORT = {"prompt": "Once upon a time there was", "budget": 24, "depth": 5, "new_tokens": 28}


@pytest.fixture(scope="module")
def reader(browser, app_url) -> Iterator[Visitor]:
    """A visitor with a finished run in front of them."""
    visitor = Visitor(browser, app_url).open(**SHORT).generate()
    yield visitor
    visitor.check()
    visitor.page.close()


def test_a_story_is_written_and_both_speedups_are_shown(reader):
    story = reader.page.locator(".run-text")
    assert story.locator(".prompt").inner_text() == SHORT["prompt"]
    assert len(story.inner_text()) > len(SHORT["prompt"])
    for label in ("Predicted speedup", "Measured speedup"):
        assert re.fullmatch(r"\d+\.\d\d×", reader.metric(label))
    reader.check()


def test_the_tree_of_every_step_shows_what_its_words_and_its_table_say(reader):
    for number in (1, 2, 3):
        words = reader.step_words(number)
        reader.page.locator(f".tree-svg[data-step='{number}']").wait_for()
        accepted, rejected, unreached = map(int, re.findall(r"(\d+) (?:acc|rej|not)", words))
        assert reader.nodes("accepted").count() == accepted
        assert reader.nodes("rejected").count() == rejected
        assert reader.nodes("unreached").count() == unreached
        assert reader.nodes("bonus").count() == 1
        assert 1 + accepted + rejected + unreached == SHORT["budget"]
        if number < 3:
            reader.button("step_forward").click()


def test_stepping_by_button_and_by_key_keeps_the_zoom(reader):
    here = int(reader.tree("step"))
    stage = reader.page.locator(".tree-stage").bounding_box()
    reader.page.mouse.move(stage["x"] + 200, stage["y"] + 150)
    reader.page.mouse.wheel(0, -400)
    reader.page.locator(".tree-svg:not([data-zoom='1.000'])").wait_for()
    view = reader.tree("zoom"), reader.tree("origin")
    assert float(view[0]) > 1.5
    reader.button("step_back").click()
    reader.page.locator(f".tree-svg[data-step='{here - 1}']").wait_for()
    reader.page.keyboard.press("ArrowRight")
    reader.page.locator(f".tree-svg[data-step='{here}']").wait_for()
    assert (reader.tree("zoom"), reader.tree("origin")) == view
    reader.page.get_by_role("button", name="Fit").click()
    reader.page.locator(".tree-svg[data-zoom='1.000']").wait_for()


def test_a_node_says_what_happened_to_it_when_clicked_and_by_keyboard(reader):
    root = reader.nodes("root").bounding_box()
    reader.page.mouse.click(root["x"] + root["width"] / 2, root["y"] + root["height"] / 2)
    detail = reader.page.locator(".tree-detail")
    assert "last committed token" in detail.inner_text()
    reader.page.keyboard.press("ArrowRight")
    assert re.search(r"draft \d.*target \d.*(Accepted|Rejected|Not reached)", detail.inner_text())
    reader.page.keyboard.press("Escape")
    assert "click a node" in detail.inner_text()


def test_a_page_loaded_again_shows_the_run_and_the_step_that_it_showed(reader):
    story = reader.page.locator(".run-text").inner_text()
    speedup, here = reader.metric("Measured speedup"), reader.tree("step")
    reader.page.reload()
    reader.page.locator(f".tree-svg[data-step='{here}']").wait_for()
    assert reader.page.locator(".run-text").inner_text() == story
    assert reader.metric("Measured speedup") == speedup
    assert reader.page.locator(".st-key-prompt textarea").input_value() == SHORT["prompt"]


def test_bad_input_is_one_sentence_and_the_finished_run_stays(reader):
    story = reader.page.locator(".run-text").inner_text()
    prompt = reader.page.locator(".st-key-prompt textarea")
    for text, words in (("", "The prompt is empty"), ("word " * 600, "shorten the prompt")):
        prompt.fill(text)
        reader.button("generate").click()
        reader.page.get_by_text(words).wait_for()
        expect(reader.page.get_by_test_id("stAlert")).to_have_count(1)
        expect(reader.page.locator(".run-text")).to_have_text(story, use_inner_text=True)
    prompt.fill(SHORT["prompt"])


def test_sliders_redraw_the_plan_at_1024_nodes(visit):
    visitor = visit().open(budget=1023, depth=10)
    assert visitor.nodes("planned").count() == 1022
    visitor.slider("budget").press("ArrowRight")
    visitor.page.get_by_text("1,024 nodes, 10 deep").wait_for()
    assert visitor.nodes("planned").count() == 1023
    visitor.slider("depth").press("Home")
    visitor.page.get_by_text("Depth 0 leaves the root alone").wait_for()
    expect(visitor.metric_value("Predicted speedup")).to_have_text("–")
    visitor.slider("depth").press("End")
    visitor.page.get_by_text(re.compile(r"1,024 nodes, [123]\d deep")).wait_for()
    expect(visitor.metric_value("Predicted speedup")).to_have_text(re.compile(r"\d\.\d\d×"))


def test_a_link_reproduces_the_controls_and_names_what_it_cannot(visit):
    visitor = visit().open(
        prompt="Reddy Fox",
        budget=77,
        depth=7,
        temperature=0.8,
        top_p=0.9,
        new_tokens=33,
        seed=5,
        method="autoregressive",
        acceptance="paper-appendix-e",
    )
    expected = {"budget": "77", "depth": "7", "temperature": "0.8", "top_p": "0.9"}
    for key, value in expected.items():
        assert visitor.slider(key).get_attribute("value") == value
    assert visitor.page.locator(".st-key-prompt textarea").input_value() == "Reddy Fox"
    assert visitor.page.locator(".st-key-new_tokens input").input_value() == "33"
    assert visitor.page.locator(".st-key-seed input").input_value() == "5"
    assert visitor.page.locator(".st-key-acceptance input").input_value() == "paper-appendix-e"
    visitor.open(budget=5000, temperature=-1)
    visitor.page.get_by_text("between 1 and 1,024, got 5,000").wait_for()
    visitor.page.get_by_text("between 0 and 2, got -1").wait_for()


def test_stop_ends_a_run_and_keeps_what_was_written(visit):
    visitor = visit().open(prompt="Once upon a time", budget=200, depth=3, new_tokens=400)
    visitor.page.get_by_text(LOADED).wait_for(timeout=LOAD_MILLISECONDS)
    visitor.button("generate").click()
    visitor.page.locator(".run-text .leaf, .run-text .residual").first.wait_for()
    visitor.button("stop").click()
    visitor.page.get_by_text("What was made until then is kept").wait_for()
    assert visitor.page.locator(".run-text .leaf, .run-text .residual").count() >= 1
    assert visitor.metric("Measured speedup") == "–"


def test_dark_follows_the_visitor_and_the_tree_follows_dark(visit):
    visitor = visit(color_scheme="dark").open(budget=16, depth=4)
    assert visitor.page.locator(".tree-view").get_attribute("data-theme") == "dark"
    visitor.page.emulate_media(color_scheme="light")
    visitor.page.locator(".tree-view[data-theme=light]").wait_for()
