"""A tuning's report in the dashboard: one file brings its profile, its vectors and its tree."""

import json

import pytest
from reports import SLOW, content, report
from streamlit.testing.v1 import AppTest
from test_hardware_page import open_hardware
from test_pages import errors
from test_plan_page import open_plan, upload, verdict

from sequoia_core.plan.optimizer import judge_tree

REPORT = report(name="gpu box")
PARTS = ["gpu box", "gpu box sequoia", "gpu box specinfer", "gpu box topk", "gpu box tree"]


@pytest.fixture
def app() -> AppTest:
    return upload(open_plan(), "report.json", content(REPORT))


def test_plan_shows_a_report_s_plan_as_soon_as_it_is_added(app):
    assert not app.exception
    assert app.selectbox(key="hardware").value == "gpu box"
    assert app.selectbox(key="acceptance").value == "gpu box sequoia"
    assert verdict(app) == REPORT.plan.verdict.words
    assert app.slider(key="budget").value == REPORT.plan.budget
    assert app.slider(key="depth").value == REPORT.plan.depth
    [note] = [shown.value for shown in app.success]
    assert [f"“{name}” was added" in note for name in PARTS] == [True] * len(PARTS)
    assert [toast.value for toast in app.toast][:1] == [
        "“gpu box” is shown: its profile, acceptance and plan."
    ]


def test_every_part_of_a_report_joins_its_picker(app):
    assert {"gpu box"} <= set(app.selectbox(key="hardware").options)
    assert set(PARTS[1:4]) <= set(app.selectbox(key="acceptance").options)
    app.selectbox(key="family").set_value("gpu box tree").run()
    plan = judge_tree(REPORT.plan.tree, REPORT.vector, REPORT.hardware, family="gpu box tree")
    assert verdict(app) == plan.verdict.words
    app.selectbox(key="family").set_value("sequoia").run()


def test_the_hardware_page_takes_a_report_too():
    app = upload(open_hardware(), "report.json", content(REPORT))
    assert not app.exception
    assert app.selectbox(key="hardware").value == "gpu box"
    assert verdict(app) == REPORT.plan.verdict.words


def test_names_of_a_report_are_shown_as_they_stand():
    named = content(report(name="![x](http://y)"))
    app = upload(open_plan(), "report.json", named)
    [note] = [shown.value for shown in app.success]
    assert "\\[x\\](http" in note


def test_a_report_that_does_not_speculate_brings_no_tree():
    app = upload(open_plan(), "report.json", content(report(SLOW, name="slow box")))
    assert not app.exception
    assert verdict(app) == report(SLOW).plan.verdict.words
    assert "slow box tree" not in app.selectbox(key="family").options


def test_a_broken_report_is_one_sentence_and_adds_nothing():
    wrong = json.dumps(content(REPORT) | {"benchmark": {"rows": []}}).encode()
    app = upload(open_plan(), "report.json", wrong)
    assert errors(app) == ["report.json: benchmark.rows must have 1 to 3 entries, got 0."]
    assert "gpu box" not in app.selectbox(key="hardware").options
