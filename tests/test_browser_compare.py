"""The Compare page as a visitor meets it, in a headless Chromium."""

import json
import re

import pytest
from visitor import LOAD_MILLISECONDS, LOADED, Visitor

from sequoia_core.measure.comparison_file import read_comparison
from sequoia_core.measure.summary import verdict

playwright = pytest.importorskip("playwright.sync_api")
expect = playwright.expect
pytestmark = pytest.mark.browser

TINY = {
    "methods": ["sequoia", "topk"],
    "temperatures": "0,0.6",
    "prompts": ["The miller's lantern"],
    "own_prompts": "Once upon a time there was a fox",
    "new_tokens": 8,
    "repeats": 2,
}


def arrive(visitor: Visitor, **link) -> Visitor:
    return visitor.open("compare", wait=".st-key-compare button", **link)


def answer(visitor: Visitor):
    return visitor.page.locator(".st-key-verdict")


def assert_no_table_scrolls_sideways(visitor: Visitor) -> None:
    """At the width of a small laptop, in both tables of figures."""
    visitor.page.set_viewport_size({"width": 1280, "height": 800})
    visitor.page.get_by_text("Beside the plan, and where the time goes").click()
    tables = visitor.page.get_by_test_id("stDataFrame")
    expect(tables).to_have_count(2)
    for table in tables.all():
        table.scroll_into_view_if_needed()
        rows = table.locator(".dvn-scroller")
        rows.wait_for()
        assert rows.evaluate("shown => shown.scrollWidth <= shown.clientWidth")


def test_a_comparison_by_link_runs_is_left_comes_back_is_saved_and_loaded(visit, tmp_path):
    visitor = arrive(visit(), **TINY)
    visitor.page.get_by_text("24 runs (3 methods × 2 temperatures × 2 prompts").wait_for()
    visitor.page.get_by_text(LOADED).wait_for(timeout=LOAD_MILLISECONDS)
    visitor.button("compare").click()
    expect(visitor.button("compare_stop")).to_be_enabled(timeout=60_000)
    visitor.page.get_by_role("link", name="Explore").click()
    visitor.page.locator(".tree-svg .node").first.wait_for()
    visitor.page.get_by_role("link", name="Compare").click()
    basis = visitor.page.get_by_text(re.compile("Measured here on .*, 2 repeats.$"))
    basis.wait_for(timeout=90_000)
    expect(visitor.button("save_json")).to_be_enabled()
    files = {}
    for kind in ("csv", "json"):
        with visitor.page.expect_download() as download:
            visitor.button(f"save_{kind}").click()
        files[kind] = tmp_path / download.value.suggested_filename
        download.value.save_as(files[kind])
    assert files["csv"].read_text().count("\n") == 1 + 24
    comparison = read_comparison(files["json"])
    assert comparison.complete
    assert comparison.prompts[1] == TINY["own_prompts"]
    said = answer(visitor).inner_text()
    assert all(sentence in said for sentence in verdict(comparison))
    for chart in ("speedup", "tokens", "time"):
        expect(visitor.page.locator(f".st-key-comparison_{chart} canvas").first).to_be_visible()

    assert_no_table_scrolls_sideways(visitor)

    visitor.page.reload()
    basis.wait_for()
    expect(answer(visitor)).to_contain_text(verdict(comparison)[0])

    other = arrive(visit(color_scheme="dark"))
    other.button("load_comparison").click()
    other.page.locator("input[type=file]").set_input_files(files["json"])
    other.page.get_by_text("Loaded from").wait_for()
    expect(answer(other)).to_contain_text(verdict(comparison)[0])
    content = json.loads(files["json"].read_text())
    content["runs"][3]["steps"] = 0
    (tmp_path / "broken.json").write_text(json.dumps(content))
    other.button("load_comparison").click()
    other.page.locator("input[type=file]").set_input_files(tmp_path / "broken.json")
    other.page.get_by_text(re.compile(r"broken\.json: runs\[3\]\.steps must be")).wait_for()
    expect(answer(other)).to_contain_text(verdict(comparison)[0])


def test_a_comparison_is_stopped_and_its_rounds_stay(visit):
    visitor = arrive(visit(), **TINY | {"new_tokens": 64, "repeats": 50, "temperatures": "0"})
    visitor.page.get_by_text(LOADED).wait_for(timeout=LOAD_MILLISECONDS)
    visitor.button("compare").click()
    visitor.page.get_by_text(re.compile(r"So far \d+ of 300 runs")).wait_for(timeout=240_000)
    visitor.page.reload()
    visitor.page.get_by_text(re.compile(r"So far \d+ of 300 runs")).wait_for()
    visitor.button("compare_stop").click()
    visitor.page.get_by_text("Stopped. The rounds that were done are kept below.").wait_for()
    expect(visitor.page.get_by_text(re.compile(r"So far \d+ of 300 runs"))).to_be_visible()
    expect(visitor.button("compare")).to_be_enabled()


def test_a_link_with_unknown_values_is_answered_in_words(visit):
    visitor = arrive(visit(), methods=["chain", "magic"], repeats=999, machine="abacus")
    for words in (
        "There is no method called “magic”",
        "Repeats must be between 1 and 50, got 999",
        "There is no machine called “abacus”",
    ):
        expect(visitor.page.get_by_text(words).first).to_be_visible()
