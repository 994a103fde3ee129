"""Tuning goes on after any end: what is finished is taken, the rest measured, nothing mixed."""

import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from fakes import tiny_llama, tiny_pair, word_tokenizer
from team import in_two_processes

from sequoia_core.cli import main
from sequoia_core.commands import tune as command
from sequoia_core.decode.engine import GenerationSettings
from sequoia_core.errors import FileFormatError, InputError
from sequoia_core.measure.comparison import Outcome, Run
from sequoia_core.measure.comparison_file import read_comparison, to_dict
from sequoia_core.measure.tune import benching, calibrating, profiling
from sequoia_core.measure.tune.amounts import QUICK, Amounts
from sequoia_core.measure.tune.benching import _is_over
from sequoia_core.measure.tune.calibrating import batches, enough
from sequoia_core.measure.tune.progress import Journey
from sequoia_core.measure.tune.stages import Tuned, tune
from sequoia_core.measure.tune.store import RESULTS, fingerprint_of, open_store, spell
from sequoia_core.measure.tune.task import Task
from sequoia_core.measure.tune.texts import hold_out
from sequoia_core.plan.acceptance import load_acceptance
from sequoia_core.plan.exports.source import plan_request
from sequoia_core.plan.hardware import HardwareProfile, load_hardware
from sequoia_core.plan.plan import load_plan
from sequoia_core.report.report import load_report

ROOT = Path(__file__).resolve().parent.parent
SMALL = Amounts(
    profile_seconds=60,
    calibration_seconds=60,
    benchmark_seconds=60,
    profile_repeats=1,
    max_tokens=8,
    rounds=2,
)
SETTINGS = {"target": "tiny", "temperature": 0.6, "quick": False, "like": None}
# A machine where trees pay, whatever the tiny models really take.
PROFILE = HardwareProfile("fake", ((1, 1.0), (8, 1.1)), ((1, 0.01), (8, 0.01)), basis="fake")
METHODS = 3
PAIR = {
    "dtype": "float32", "why": "", "target": "tiny target", "draft": "tiny draft", "trees": True,
    "reason": "", "device": "cpu", "voices": ["tiny target", "tiny draft"],
}  # fmt: skip
PART_RUN = asdict(Run("autoregressive", 0.6, 0, 0, 8, 4, 1.1, 1.0))


def task(**changes) -> Task:
    """A tuning of the tiny pair, one batch and a bit of calibration and two prompts to judge by."""
    fields = {
        "name": "tiny",
        "load": lambda dtype: tiny_pair(context=256),
        "dtypes": ["float32"],
        "encode": lambda pair, prompts: list(prompts),
        "calibration": [f"t1 t{index}" for index in range(1, 8)],
        "benchmark": ["t2 t2", "t3 t3"],
        "generation": GenerationSettings(temperature=0.6, max_new_tokens=8),
        "amounts": SMALL,
        "settings": SETTINGS,
        "machine": {"device": "a device", "python": "3"},
    }
    return Task(**fields | changes)


class Measurements:
    """Stands in for all that measures; counts, and stops the process at a given count."""

    def __init__(self, monkeypatch):
        self.done: list[str] = []
        self.stop_at: int | None = None
        real, known = calibrating.measure_acceptance, {}

        def profile_pair(pair, *, max_tokens, repeats, limit_seconds, **_):
            self._count(f"profile {max_tokens} {repeats}")
            return PROFILE

        def measure_acceptance(pair, prompts, settings, **options):
            what = f"calibrate {settings.seed} {len(prompts)}"
            self._count(what)
            # Equal seeds and prompts give equal results, so each is measured once.
            if what not in known:
                known[what] = real(pair, prompts, settings, **options)
            return known[what]

        def engine_method(pair, settings, method):
            def run(prompt):
                self._count(f"{method.name} {settings.seed} {prompt}")
                seconds = 1.0 if method.name == "autoregressive" else 0.5 + 0.01 * len(prompt)
                return Outcome(8, 4, seconds + 0.1, seconds)

            return run

        monkeypatch.setattr(profiling, "profile_pair", profile_pair)
        monkeypatch.setattr(calibrating, "measure_acceptance", measure_acceptance)
        monkeypatch.setattr(benching, "engine_method", engine_method)

    def _count(self, what: str) -> None:
        if len(self.done) == self.stop_at:
            raise KeyboardInterrupt
        self.done.append(what)


@pytest.fixture
def measurements(monkeypatch) -> Measurements:
    return Measurements(monkeypatch)


def facts(tuned: Tuned) -> dict:
    """A report without what differs from run to run: the time of day, and how long it took."""
    content = json.loads(json.dumps(tuned.content))
    del content["created"]
    for each in content["reached"]:
        del each["seconds"]
    return content


# Going on


def test_a_tuning_stopped_at_any_measurement_goes_on_to_the_same_report(tmp_path, measurements):
    whole = facts(tune(task(), tmp_path / "whole"))
    order = list(measurements.done)
    assert order[:4] == ["profile 8 1", "profile 8 1", "calibrate 0 5", "calibrate 5 2"]
    warm, timed = 2 * METHODS, 2 * 2 * METHODS
    assert len(order) == 4 + warm + timed
    for stop_at in range(len(order)):
        folder = tmp_path / f"stopped-{stop_at}"
        measurements.done, measurements.stop_at = [], stop_at
        with pytest.raises(KeyboardInterrupt):
            tune(task(), folder)
        measurements.done, measurements.stop_at = [], None
        assert facts(tune(task(), folder)) == whole
        # Warming up is done anew, and of what was measured at most one prompt of all methods.
        most = len(order) - stop_at + warm + METHODS - 1
        assert len(measurements.done) <= most
        first = measurements.done[0]
        assert first == order[stop_at] if stop_at < 4 else "profile" not in first


def test_a_finished_tuning_loads_and_measures_nothing_again(tmp_path, measurements):
    said: list[str] = []
    first = tune(task(), tmp_path)
    measurements.stop_at = 0
    measurements.done = []

    def load(dtype):
        raise AssertionError("loaded")

    again = tune(task(load=load), tmp_path, say=said.append)
    assert facts(again) == facts(first)
    assert said[0] == f"profile: taken from {tmp_path}, a moment ago"
    assert [line.split(":")[0] for line in said] == ["profile", "calibrate", "plan", "benchmark"]


def test_results_that_were_deleted_are_written_again(tmp_path, measurements):
    tune(task(), tmp_path)
    for name in RESULTS:
        (tmp_path / name).unlink()
    tune(task(), tmp_path)
    assert all((tmp_path / name).is_file() for name in RESULTS)


def test_all_results_are_files_that_the_other_commands_read(tmp_path, measurements):
    tuned = tune(task(), tmp_path)
    assert set(tuned.files) == set(RESULTS)
    assert load_hardware(tmp_path / "hardware.json").device == "fake"
    assert load_acceptance(tmp_path / "acceptance.topk.json").rule == "topk"
    assert load_plan(tmp_path / "plan.json").budget == tuned.report.plan.budget
    request = plan_request(tmp_path / "plan.json")
    assert (request.acceptance.rule, request.hardware.device) == ("sequoia", "fake")
    assert load_report(tmp_path / "report.json").plan.tree == tuned.report.plan.tree


def test_the_benchmark_is_a_comparison_that_bench_and_the_compare_page_show(
    capsys, tmp_path, measurements
):
    report = tune(task(), tmp_path).report
    comparison = read_comparison(tmp_path / "benchmark.json")
    assert comparison.complete
    assert comparison.prompts == ("t2 t2", "t3 t3")
    assert (comparison.methods, comparison.temperatures) == (
        ("autoregressive", "chain", "sequoia"),
        (0.6,),
    )
    origin, report_file = comparison.origin, load_report(tmp_path / "report.json")
    assert (origin.target, origin.draft, origin.machine) == (
        report.target,
        report.draft,
        "a device",
    )
    assert (origin.created, origin.voices) == (report_file.created, (report.target, report.draft))
    told = {row["method"]: row for row in to_dict(comparison)["rows"]}
    for row in report_file.rows:
        assert told[row.method]["speedup"] == pytest.approx(row.speedup)
        assert told[row.method]["decode_speedup"] == pytest.approx(row.decode_speedup)
        assert told[row.method]["tokens_per_step"] == pytest.approx(row.tokens_per_step)
        assert told[row.method]["predicted_speedup"] == row.predicted_speedup
    assert main(["bench", "--show", str(tmp_path / "benchmark.json")]) == 0
    assert "| sequoia |" in capsys.readouterr().out


def test_the_rows_are_the_plan_s_tree_and_chain_against_plain_decoding(tmp_path, measurements):
    report = tune(task(), tmp_path).report
    assert [row.method for row in report.rows] == ["autoregressive", "chain", "sequoia"]
    plain, chain, tree = report.rows
    assert (plain.speedup, plain.budget, plain.predicted_speedup) == (1, 1, None)
    assert tree.budget == report.candidates["sequoia"].budget
    assert tree.predicted_speedup == report.candidates["sequoia"].speedup
    assert (chain.budget, chain.depth) == (chain.depth + 1, report.candidates["chain"].depth)
    assert tree.decode_speedup == pytest.approx(1 / 0.55)
    assert tree.speedup == pytest.approx(1.1 / 0.65)
    assert (report.gain.value, report.gain.is_settled) == (1.0, False)


def test_a_pair_that_takes_chains_only_is_given_a_chain(tmp_path, measurements):
    def load(dtype):
        pair = tiny_pair(context=256)
        object.__setattr__(pair.shape_support, "trees", False)
        object.__setattr__(pair.shape_support, "reason", "no trees here")
        return pair

    report = tune(task(load=load), tmp_path).report
    assert list(report.candidates) == ["chain"]
    assert report.plan.verdict.choice in ("chain", "plain")


def test_a_process_that_is_killed_leaves_whole_parts_to_go_on_from(tmp_path):
    folder = tmp_path / "killed"
    script = (
        f"import sys; sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / 'tests')!r}]\n"
        "from test_tune import task, tune\n"
        f"tune(task(), {str(folder)!r}, say=lambda line: print(line, flush=True))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    for line in process.stdout:
        if line.startswith("benchmark: round 1"):
            os.kill(process.pid, signal.SIGKILL)
            break
    process.stdout.close()
    process.wait()
    parts = {path: path.read_bytes() for path in (folder / "parts").glob("[pc]*.*")}
    assert {path.name for path in parts} == {
        "pair.json", "plan.json", "profile-look.json", "profile.json",
        "calibration-000.npz", "calibration-001.npz",
    }  # fmt: skip
    (folder / "parts" / ".profile.json.half").write_bytes(b"{")
    report = tune(task(), folder).report
    assert {path: path.read_bytes() for path in parts} == parts
    assert report.reached[2].words.startswith("2 rounds of 2 prompts")
    assert not list((folder / "parts").glob(".*"))


# Never mixed


def test_other_settings_are_refused_by_name_and_fresh_starts_over(tmp_path, measurements):
    tune(task(), tmp_path)
    other = task(settings=SETTINGS | {"temperature": 0.9, "quick": True})
    with pytest.raises(InputError) as refused:
        tune(other, tmp_path)
    words = str(refused.value)
    assert "temperature 0.6 (now 0.9), quick off (now on)" in words
    assert "--fresh" in words
    assert "target" not in words
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    measurements.done = []
    tune(other, tmp_path, fresh=True)
    assert measurements.done[0] == "profile 8 1"
    assert (tmp_path / "notes.txt").read_text(encoding="utf-8") == "mine"


def test_settings_with_nothing_measured_under_them_are_simply_replaced(tmp_path, measurements):
    def load(dtype):
        raise InputError("There is no such model.")

    with pytest.raises(InputError, match="no such model"):
        tune(task(load=load, settings=SETTINGS | {"target": "tyni"}), tmp_path)
    assert tune(task(), tmp_path).report.settings["target"] == "tiny"


def test_prompts_that_do_not_fit_are_found_before_anything_is_measured(tmp_path, measurements):
    long = task(benchmark=["t1 " * 250])
    with pytest.raises(InputError, match="exceed the model's context of 256"):
        tune(long, tmp_path)
    assert measurements.done == []


def test_a_part_of_other_settings_is_never_used(tmp_path):
    with open_store(tmp_path / "a", {"x": 1}) as store:
        store.write("profile", 1, 2.0)
        store.write_arrays("calibration-000", {"ranks": np.arange(3)}, 2.0)
    other = tmp_path / "b" / "parts"
    other.mkdir(parents=True)
    for name in ("profile.json", "calibration-000.npz"):
        (tmp_path / "a" / "parts" / name).rename(other / name)
    (other / "settings.json").write_text(
        json.dumps({"format": "sequoia-tune-settings", "version": 1, "settings": {"x": 2}}),
        encoding="utf-8",
    )
    with open_store(tmp_path / "b", {"x": 2}) as store:
        with pytest.raises(FileFormatError, match="other settings: start over with --fresh"):
            store.read("profile")
        with pytest.raises(FileFormatError, match="other settings: start over with --fresh"):
            store.read_arrays("calibration-000")


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("profile.json", b"{"),
        ("profile.json", None),
        ("profile.json", {"profile": {}}),
        ("profile.json", [1]),
        ("profile.json", {"profile": 3}),
        ("pair.json", {"dtype": "float32"}),
        ("pair.json", PAIR | {"trees": 1}),
        ("pair.json", PAIR | {"device": ["cpu"]}),
        ("plan.json", {"answer": {}}),
        ("plan.json", 3),
        ("benchmark.json", [[[PART_RUN | {"seconds": "long"}] * METHODS]]),
        ("benchmark.json", [[[PART_RUN | {"tokens": 0}] * METHODS]]),
        ("benchmark.json", [[[PART_RUN | {"decode_seconds": None}] * METHODS]]),
        ("benchmark.json", [[[PART_RUN] * METHODS]]),
        ("benchmark.json", [[[PART_RUN]]]),
        ("benchmark.json", 5),
        ("benchmark-prompts.json", {"prompts": "all"}),
        ("calibration-000.npz", b"PK"),
        ("calibration-000.npz", 40),
        ("calibration-000.npz", None),
    ],
)
def test_a_part_that_somebody_changed_is_refused_and_fresh_is_named(
    tmp_path, measurements, name, data
):
    tune(task(), tmp_path)
    path = tmp_path / "parts" / name
    stamp = {"settings": fingerprint_of(SETTINGS), "seconds": 1.0}
    if isinstance(data, bytes):
        path.write_bytes(data)
    elif path.suffix == ".npz" and data is not None:
        changed = bytearray(path.read_bytes())
        changed[data : data + 60] = bytes(60)
        path.write_bytes(changed)
    elif data is None and path.suffix == ".npz":
        np.savez(path, **stamp, width=3)
    else:
        tag = {"format": "sequoia-tune-part", "version": 1}
        path.write_text(json.dumps(tag | stamp | {"content": data}), encoding="utf-8")
    with pytest.raises(FileFormatError, match=name.split(".")[0]):
        tune(task(), tmp_path)
    assert tune(task(), tmp_path, fresh=True).report.rows


def test_results_that_no_tuning_wrote_are_not_overwritten(tmp_path):
    (tmp_path / "plan.json").write_text("mine", encoding="utf-8")
    for fresh in (False, True):
        with (
            pytest.raises(InputError, match=r"holds a plan\.json that no tuning left there"),
            open_store(tmp_path, SETTINGS, fresh=fresh),
        ):
            pass
    assert (tmp_path / "plan.json").read_text(encoding="utf-8") == "mine"


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InputError, match="folder"), open_store(path, SETTINGS):
            pass


def test_two_tunings_do_not_share_a_folder(tmp_path):
    with (
        open_store(tmp_path, SETTINGS),
        pytest.raises(InputError, match="Another tuning is at work"),
        open_store(tmp_path, SETTINGS),
    ):
        pass
    with open_store(tmp_path, SETTINGS) as store:
        assert store.read("profile") is None


# How much is measured


def test_a_stage_ends_with_everything_or_before_the_time_is_over():
    assert not enough([], 3, 1.0)
    assert not enough([9.0], 3, 20.0)
    assert enough([9.0], 3, 17.0)
    assert enough([9.0, 1.0], 2, 100.0)
    prompt = {"autoregressive": Outcome(1, 1, 1.0, 1.0)}
    whole, begun = [prompt, prompt], [prompt]
    assert not _is_over([], 2, 0.0, 5, 10.0)
    assert not _is_over([begun], 2, 99.0, 5, 10.0)
    assert not _is_over([whole], 2, 5.0, 5, 10.0)
    assert _is_over([whole], 2, 5.1, 5, 10.0)
    assert not _is_over([whole, begun], 2, 5.1, 5, 10.0)
    assert _is_over([whole, whole], 2, 1.0, 2, 10.0)


@pytest.mark.parametrize("count", range(2, 40))
def test_batches_cover_all_prompts_and_none_is_alone(count):
    bounds = batches(count)
    assert [index for low, high in bounds for index in range(low, high)] == list(range(count))
    assert all(high - low >= 2 for low, high in bounds)


def test_the_profile_is_as_large_as_its_time_allows():
    look = HardwareProfile("any", ((1, 0.01), (64, 0.02)), ((1, 0.001), (64, 0.001)))
    assert profiling.largest_pass(look, 1e6, 1024) == 1024
    assert profiling.largest_pass(look, 1e6, 256) == 256
    assert profiling.largest_pass(look, 1e6, 8) == 8
    assert profiling.largest_pass(look, 0.0, 1024) == 64
    rooms = (2, 4, 8, 16, 32)
    sizes = [profiling.largest_pass(look, room, 1024) for room in rooms]
    assert sizes == sorted(sizes)
    for room, most in zip(rooms, sizes, strict=True):
        if most > 64:
            # Two rounds to warm up and three that count.
            assert 5 * profiling._round_seconds(look, most) <= room


def test_a_look_that_takes_most_of_the_time_is_the_profile(tmp_path, measurements):
    amounts = Amounts(profile_seconds=1e-9, rounds=1)
    report = tune(task(amounts=amounts), tmp_path).report
    assert [each for each in measurements.done if "profile" in each] == ["profile 64 1"]
    assert report.reached[0].words == "passes of up to 8 tokens"


def test_calibration_and_benchmark_keep_to_their_time(tmp_path, measurements):
    amounts = Amounts(calibration_seconds=1e-9, benchmark_seconds=1e-9, max_tokens=8)
    report = tune(task(amounts=amounts), tmp_path).report
    assert [each for each in measurements.done if "calibrate" in each] == ["calibrate 0 5"]
    assert report.reached[1].words.startswith("5 of 7 prompts, ")
    assert report.reached[2].words.startswith("1 round of 2 prompts")


def test_prompts_to_judge_by_are_none_of_those_calibrated_on():
    for count in range(2, 60):
        texts = [f"text {index // 2 if count > 30 else index}" for index in range(count)]
        calibration, judged = hold_out(texts)
        assert not set(calibration) & set(judged)
        assert sorted(calibration + judged) == sorted(set(texts))
        assert 1 <= len(judged) <= 10
    with pytest.raises(InputError, match="at least 2 prompts to calibrate and 1"):
        task(calibration=["one"])


def test_progress_says_about_how_long_is_left():
    said, time = [], iter([0.0, 10.0, 10.5, 60.0, 60.0, 70.0])
    journey = Journey(said.append, {"profile": 100.0, "bench": 300.0}, lambda: next(time))
    progress = journey.begin("profile")
    progress(0.1, "a tenth")
    progress(0.11, "too soon for another line")
    journey.expect("bench", 30.0)
    progress(0.5, "half")
    assert said == ["profile: a tenth; about 6 min left", "profile: half; about 2 min left"]
    journey.begin("bench", done_seconds=10.0)(0.4, "gone on")
    assert said[2] == "bench: gone on; about 30 s left"
    assert [spell(seconds) for seconds in (59, 60, 3600, 90000)] == [
        "59 seconds", "1 minute", "1 hour", "1 day",
    ]  # fmt: skip


def test_the_share_of_a_benchmark_goes_by_the_pace_and_ends_with_a_whole_round():
    amounts = Amounts(benchmark_seconds=100.0, rounds=5)
    assert benching._share(0, 10, 0.0, amounts) == 0
    assert benching._share(5, 10, 5.0, amounts) == 0.1
    assert benching._share(5, 10, 25.0, amounts) == 0.25
    assert benching._share(5, 10, 5000.0, amounts) == 0.5
    assert benching._share(15, 10, 5000.0, amounts) == 0.75


# The command


@pytest.fixture(scope="module")
def pair_folders(tmp_path_factory) -> list[str]:
    """--target and --draft of two tiny models on disk."""
    folder = tmp_path_factory.mktemp("models")
    for name, seed in (("target", 0), ("draft", 1)):
        tiny_llama(8, seed, context=256).save_pretrained(folder / name)
        word_tokenizer(8).save_pretrained(folder / name)
    return ["--target", str(folder / "target"), "--draft", str(folder / "draft")]


@pytest.fixture
def quick(monkeypatch, tmp_path, pair_folders) -> list[str]:
    """A command that takes seconds."""
    monkeypatch.setattr(command, "QUICK", SMALL)
    prompts = tmp_path / "prompts.jsonl"
    rows = [json.dumps({"text": f"t1 t{index}"}) for index in range(8)]
    prompts.write_text("\n".join(rows), encoding="utf-8")
    return [
        "tune", *pair_folders, "--quick", "--prompts", str(prompts), "--device", "cpu",
        "--dtype", "float32", "--temperature", "0.6", "--new-tokens", "8",
    ]  # fmt: skip


def test_the_command_tunes_a_pair_and_prints_the_report(capsys, tmp_path, quick):
    out = str(tmp_path / "my box")
    assert main([*quick, "--out", out, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["format"], shown["name"]) == ("sequoia-report", "my box")
    assert all(Path(path).is_file() for path in shown["files"].values())
    assert shown["settings"]["temperature"] == 0.6
    assert shown["settings"]["prompts"].startswith("6 and 2 texts, ")
    assert main([*quick, "--out", out]) == 0
    captured = capsys.readouterr()
    assert f"profile: taken from {out}" in captured.err
    assert re.search(r"Use a |Do not speculate", captured.out.splitlines()[0])
    assert "make run" in captured.out
    assert main([*quick, "--out", out, "--temperature", "0"]) == 2
    line = capsys.readouterr().err.strip()
    assert "temperature 0.6 (now 0.0)" in line
    assert "--fresh" in line
    assert len(line.splitlines()) == 1


def test_an_interruption_is_one_line_that_says_how_to_go_on(capsys, tmp_path, quick, measurements):
    measurements.stop_at = 1
    assert main([*quick, "--out", str(tmp_path / "o")]) == 130
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("error: stopped; the same command goes on from here")
    measurements.stop_at = None
    assert main([*quick, "--out", str(tmp_path / "o")]) == 0


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--repeats", "0"], "--repeats must be between 1 and 1000, got 0"),
        (["--new-tokens", "0"], "New tokens must be at least 1, got 0"),
        (["--temperature", "-1"], "temperature must be between"),
        (["--threads", "0"], "--threads must be between 1 and 1024, got 0"),
        (["--dtype", "int8"], "There is no dtype 'int8'"),
        (["--prompts", "missing.jsonl"], "Cannot read missing.jsonl"),
        (["--like", "llama-2-7b"], "A stand-in is made from the bundled pair"),
    ],
)
def test_a_bad_option_is_one_line_and_leaves_no_trace(capsys, tmp_path, quick, more, words):
    out = tmp_path / "out"
    assert main([*quick, *more, "--out", str(out)]) == 2
    assert words in capsys.readouterr().err.strip().splitlines()[-1]
    assert not list(out.glob("*.json"))


def _quickly(rank: int, words: list[str]) -> tuple[int, str, str]:
    """The command in one of several processes, in seconds."""
    from team import command as run

    command.QUICK = SMALL
    return run(rank, words)


@pytest.mark.skipif(
    torch.accelerator.current_accelerator() is not None,
    reason="transformers spreads models over the GPUs that this torch is built for",
)
def test_a_target_spread_over_two_processes_is_tuned_by_the_first(tmp_path, quick):
    for name, seed, heads in (("spread", 0, (4, 2)), ("small", 1, (2, 1))):
        tiny_llama(8, seed, heads=heads, context=256).save_pretrained(tmp_path / name)
        word_tokenizer(8).save_pretrained(tmp_path / name)
    models = ["--target", str(tmp_path / "spread"), "--draft", str(tmp_path / "small")]
    words = [*quick, *models, "--out", str(tmp_path / "o"), "--tensor-parallel", "--json"]
    (status, out, err), other = in_two_processes(_quickly, words)
    assert (status, other) == (0, (0, "", "")), err
    report = json.loads(out)
    assert report["settings"]["device"].startswith("2 x ")
    assert report["hardware"]["device"] == report["settings"]["device"]
    assert load_report(tmp_path / "o" / "report.json").rows


def test_half_a_pair_is_refused(capsys, tmp_path):
    assert main(["tune", "--target", "x", "--out", str(tmp_path / "o")]) == 2
    assert "name the draft as well" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


def test_quick_is_less_of_everything():
    default = Amounts()
    for name in Amounts.__slots__:
        assert getattr(QUICK, name) < getattr(default, name)
