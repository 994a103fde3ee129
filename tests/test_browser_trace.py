"""A loaded run in a headless Chromium: shown, raced, saved again, without any model."""

import json
import re
from collections.abc import Iterator

import pytest
from traces import recorded_run
from visitor import Visitor

from sequoia_core.decode.trace_file import read_trace, write_trace

playwright = pytest.importorskip("playwright.sync_api")
expect = playwright.expect
pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def run_file(tmp_path_factory):
    file = tmp_path_factory.mktemp("traces") / "theirs.json"
    write_trace(file, recorded_run())
    return file


def load(visitor: Visitor, file) -> None:
    visitor.button("load_trace").click()
    visitor.page.locator("input[type=file]").set_input_files(file)


@pytest.fixture(scope="module")
def reader(browser, app_url, run_file) -> Iterator[Visitor]:
    """A visitor with a loaded run in front of them."""
    visitor = Visitor(browser, app_url).open()
    load(visitor, run_file)
    visitor.page.get_by_text("Loaded from").wait_for()
    yield visitor
    visitor.check()
    visitor.page.close()


def seconds(reader: Visitor) -> float:
    return float(reader.page.locator(".race-clock").inner_text().removesuffix(" s"))


def test_a_loaded_run_is_stepped_through_and_saved_as_it_was(reader, run_file, tmp_path):
    assert "2 accepted" in reader.step_words(1)
    reader.page.locator(".tree-svg[data-step='1']").wait_for()
    assert reader.nodes("accepted").count() == 2
    assert reader.page.locator(".run-text .prompt").inner_text() == "Tell <b>me"
    assert reader.metric("Measured speedup") == "2.00×"
    with reader.page.expect_download() as download:
        reader.button("save_trace").click()
    assert download.value.suggested_filename == "theirs.json"
    download.value.save_as(tmp_path / "again.json")
    assert read_trace(tmp_path / "again.json") == read_trace(run_file)


def test_the_race_plays_to_the_end_and_is_scrubbed_back(reader):
    reader.page.locator(".st-key-race label").first.click()
    reader.page.locator(".race[data-state=ended]").wait_for()
    assert "race=true" in reader.page.url
    verdict = reader.page.locator(".race-verdict")
    expect(verdict).to_have_text("2.00×: 0.20 s against 0.40 s for 4 tokens.")
    lanes = reader.page.locator(".lane")
    assert [lane.split("\n")[0] for lane in lanes.all_inner_texts()] == [
        "sequoia, 5 nodes",
        "plain decoding",
    ]
    assert "Tell <b>me" in lanes.first.inner_text()
    reader.page.locator(".race-lanes").press("ArrowLeft")
    expect(verdict).to_have_text("")
    reader.page.locator(".race-scrub").fill("300")  # 0.12 s: one step there, one token here
    assert seconds(reader) == pytest.approx(0.12)
    assert "3 tokens" in lanes.first.inner_text()
    assert "1 token " in lanes.last.inner_text()
    reader.page.locator(".race-speed").select_option("8")
    reader.page.get_by_role("button", name="Play", exact=True).click()
    reader.page.locator(".race[data-state=ended]").wait_for()
    assert seconds(reader) == pytest.approx(0.40)


def test_the_tree_comes_back_from_the_race_as_it_was_left(reader):
    race = reader.page.locator(".st-key-race label").first
    if "race=true" in reader.page.url:
        race.click()
    reader.page.locator(".tree-svg").wait_for()
    reader.page.get_by_role("button", name="Zoom in").click()
    reader.page.locator(".tree-svg:not([data-zoom='1.000'])").wait_for()
    left = reader.tree("zoom"), reader.tree("origin")
    race.click()
    reader.page.locator(".race").wait_for()
    race.click()
    reader.page.locator(".tree-svg:not([data-zoom='1.000'])").wait_for()
    assert (reader.tree("zoom"), reader.tree("origin")) == left


def test_who_wants_less_motion_starts_the_race_themselves(visit, run_file):
    visitor = visit(reduced_motion="reduce", color_scheme="dark").open(race="true")
    load(visitor, run_file)
    visitor.page.locator(".race[data-state=paused][data-theme=dark]").wait_for()
    assert seconds(visitor) == 0
    visitor.page.locator(".race-lanes").press(" ")
    visitor.page.locator(".race[data-state=ended]").wait_for()


def test_a_broken_trace_is_one_sentence_and_the_shown_run_stays(reader, run_file, tmp_path):
    content = json.loads(run_file.read_text(encoding="utf-8"))
    content["steps"][1]["seconds"]["draft"] = -1
    (tmp_path / "broken.json").write_text(json.dumps(content), encoding="utf-8")
    load(reader, tmp_path / "broken.json")
    reader.page.get_by_text(
        re.compile(r"broken\.json: steps\[1\]\.seconds\.draft must be")
    ).wait_for()
    assert reader.page.get_by_text("Loaded from").count() == 1
