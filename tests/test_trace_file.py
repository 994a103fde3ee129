"""Trace files: what is written comes back, and what is wrong is named by its field."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest
from traces import PARENTS, recorded_run

from sequoia_core.decode.trace_file import (
    parse_trace,
    read_trace,
    trace_text,
    write_trace,
)
from sequoia_core.errors import FileFormatError
from sequoia_core.files import MAX_BYTES

LATER = (
    "stopped",
    "budget",
    "depth",
    "prompt",
    "predicted",
    "device",
    "dtype",
    "machine",
    "created",
    "versions",
    "voices",
    "plain",
    "ranks",
)


def loaded(content: dict):
    return parse_trace(json.dumps(content).encode(), "run.json")


@pytest.fixture
def content() -> dict:
    return json.loads(trace_text(recorded_run()))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"plain": None, "ranks": None},
        {"tree": None, "method": "dynamic"},
        {"prompt": "", "budget": 64, "depth": 9},
        {"steps": tuple(replace(step, captured=True) for step in recorded_run().steps)},
    ],
)
def test_a_run_comes_back_from_its_file_as_it_was(tmp_path, changes):
    run = recorded_run(**changes)
    write_trace(tmp_path / "run.json", run)
    assert read_trace(tmp_path / "run.json") == run
    assert parse_trace(trace_text(run).encode(), "run.json") == run


def test_pieces_are_the_committed_tokens_and_a_cut_step_has_fewer():
    run = recorded_run()
    assert run.pieces == ((" a", " time", " fox"), (" fox",))
    cut = replace(run.steps[0], committed=[2, 3])
    assert replace(run, steps=(cut,)).pieces == ((" a", " time"),)


def test_a_file_of_an_earlier_version_loads_with_what_it_lacks_unknown(content):
    for name in LATER:
        del content[name]
    run = loaded(content)
    assert (run.budget, run.depth) == (5, 2)
    assert (run.prompt, run.plain, run.ranks, run.origin.machine) == ("", None, None, "")
    assert run.steps == recorded_run().steps


STEP = "steps[0]"
WRONG = [
    ("prompt_ids", [], "prompt_ids must have 1 to"),
    ("prompt_ids", [5, -7], "prompt_ids must be between 0 and"),
    ("parents", [-1, 3], "parents[1] must be between 0 and 0"),
    ("rule", "guess", "rule must be one of sequoia, specinfer, topk, got 'guess'"),
    ("budget", 4, "steps[0].nodes must stay within the budget of 4, got 5"),
    ("depth", 1, "steps[0].nodes must stay within the depth of 1, got 2"),
    ("settings.temperature", -1, "temperature must be between 0 and 10"),
    ("settings.top_p", "much", "settings.top_p must be a number"),
    ("settings.max_new_tokens", 0, "New tokens must be at least 1"),
    ("timings.decode_seconds", 9.0, "timings.decode_seconds must be the sum"),
    ("timings.prefill_seconds", float("inf"), "timings.prefill_seconds must be finite"),
    ("versions", {"torch": 2}, "versions.torch must be a text"),
    ("voices", ["big"], "voices must have 2 to 2 entries, got 1"),
    ("plain.pieces", ["a"], "plain.pieces must have 4 to 4 entries, got 1"),
    ("plain.seconds", [0.1, 0.1, -1, 0.1], "plain.seconds[2] must be between 0 and"),
    ("ranks.ranks", [0, 0, 0, 4], "ranks.ranks must be between -1 and 3, got 4"),
    ("predicted.speedup", "fast", "predicted.speedup must be a number"),
    ("steps", [], "steps must have 1 to"),
    (f"{STEP}.captured", 1, "steps[0].captured must be true or false, got 1"),
    (f"{STEP}.index", 3, "steps[0].index must be 0, got '3'"),
    (f"{STEP}.prefix_length", 8, "steps[0].prefix_length must be 1, got '8'"),
    (f"{STEP}.nodes.parent", [-1, 0, 5, 2, 2], "steps[0].nodes.parent is not a tree"),
    (f"{STEP}.nodes.rank", [0, 0, 0, 0, 1], "steps[0].nodes.rank must be each node's place"),
    (f"{STEP}.nodes.token_id", [7, 1, 2], "steps[0].nodes.token_id must have 5 to 5 entries"),
    (f"{STEP}.nodes.token_id", [8, 1, 2, 3, 4], "steps[0].nodes.token_id[0] must be 7, got '8'"),
    (f"{STEP}.nodes.text", ["a", "b", "c", "d", 5], "steps[0].nodes.text must be a text"),
    (f"{STEP}.nodes.draft_prob", [1, 1, 1, 1, 1.5], "steps[0].nodes.draft_prob[4] must be"),
    (f"{STEP}.nodes.target_prob", [1, 1, 1, 1], "steps[0].nodes.target_prob must have 5"),
    (f"{STEP}.nodes.status", ["accepted"] * 5, "steps[0].nodes.status must be what follows"),
    (f"{STEP}.nodes.status", ["maybe"] * 5, "steps[0].nodes.status must be what follows"),
    (f"{STEP}.accepted", [1, 3], "steps[0].accepted must be a path of nodes from the root"),
    (f"{STEP}.accepted", [2, 30], "steps[0].accepted must be between 1 and 4, got 30"),
    (f"{STEP}.committed", [2, 3, 8], "steps[0].committed must be the accepted tokens and the"),
    (f"{STEP}.committed", [2, 3], "only the last step can be cut short, got 2"),
    (f"{STEP}.committed", [], "steps[0].committed must have 1 to"),
    (f"{STEP}.bonus.source", "residual", "steps[0].bonus.source must be 'leaf'"),
    (f"{STEP}.bonus.source", "luck", "steps[0].bonus.source must be leaf or residual"),
    (f"{STEP}.bonus.prob", 1.01, "steps[0].bonus.prob must be between 0 and 1"),
    (f"{STEP}.seconds.verify", -0.1, "steps[0].seconds.verify must be between 0 and"),
    (f"{STEP}.seconds.commit", None, "steps[0].seconds.commit must be a number"),
    (f"{STEP}.nodes", None, "steps[0].nodes must be an object"),
]


@pytest.mark.parametrize(("field", "value", "words"), WRONG)
def test_a_wrong_field_is_named_with_its_limits(content, field, value, words):
    place, *path = field.replace("steps[0]", "steps.0").split(".")
    inside, keys = content, [place, *path]
    for key in keys[:-1]:
        inside = inside[int(key) if key.isdigit() else key]
    inside[keys[-1]] = value
    with pytest.raises(FileFormatError) as caught:
        loaded(content)
    assert str(caught.value).startswith("run.json: ")
    assert words in str(caught.value)


@pytest.mark.parametrize("field", ["settings", "steps", "method", "target", "timings", "text"])
def test_a_missing_field_is_named(content, field):
    del content[field]
    with pytest.raises(FileFormatError, match=f"the field '{field}' is missing"):
        loaded(content)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\xff", "is not JSON"),
        (b"[1]", "must hold one JSON object"),
        (b'{"format": "sequoia-plan", "version": 1}', "is not a sequoia-trace file"),
        (b'{"format": "sequoia-trace", "version": 2}', "only version 1 can be read"),
        (b" " * (MAX_BYTES + 1), "40.0 MB, and at most 40 are read"),
    ],
    ids=["bytes", "list", "kind", "version", "size"],
)
def test_what_is_no_trace_is_refused(data, words):
    with pytest.raises(FileFormatError, match=words):
        parse_trace(data, "run.json")


def test_traces_are_read_and_written_without_torch(repository):
    script = (
        "import sys, sequoia_core.decode.trace_file, sequoia_core.decode.trace_acceptance;"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], cwd=repository).returncode == 0


def test_the_hand_made_tree_is_the_one_of_its_steps():
    assert all(step.nodes.parent == PARENTS for step in recorded_run().steps)


ODD = [None, True, -1, 0, 10**30, 1e300, float("nan"), "x", "\ud800", [], {}, [None], {"a": 1}]


def _places(value, path=()):
    """The way to every value inside, containers included."""
    yield path
    inside = value.items() if isinstance(value, dict) else ()
    for key, inner in enumerate(value) if isinstance(value, list) else inside:
        yield from _places(inner, (*path, key))


def test_no_odd_value_anywhere_is_more_than_one_sentence(content):
    """Whatever stands in the place of any value, reading takes it or names it: it never breaks,
    and what it takes can be written again."""
    text = json.dumps(content)
    for path in list(_places(content))[1:]:
        for odd in ODD:
            changed = inside = json.loads(text)
            for key in path[:-1]:
                inside = inside[key]
            inside[path[-1]] = odd
            try:
                trace_text(loaded(changed)).encode()
            except FileFormatError as error:
                assert "\n" not in str(error)
                assert len(str(error)) < 400
