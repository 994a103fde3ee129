"""The benchmark's arithmetic on methods of known speed, and its command on the real pair."""

import json

import pytest
import torch

from sequoia_core.cli import main
from sequoia_core.commands import bench
from sequoia_core.decode.packing import native_dtypes
from sequoia_core.errors import InputError, ModelError
from sequoia_core.measure.benchmark import Outcome, Prediction, benchmark
from sequoia_core.measure.compare import compare
from sequoia_core.measure.comparison_file import read_comparison
from sequoia_core.measure.summary import text_words
from sequoia_core.plan.methods import NAMES


def steady(tokens: int, steps: int, seconds: float):
    """A method that always takes the same time."""
    return lambda prompt: Outcome(tokens, steps, seconds)


def test_speedup_is_tokens_per_second_over_the_baselines():
    rows = benchmark(
        {"autoregressive": steady(10, 10, 2.0), "sequoia": steady(12, 4, 1.2)},
        ["a", "b"],
        repeats=3,
        predicted={"sequoia": Prediction(1.9, 3.1)},
    )
    plain, tree = rows
    assert (plain.method, plain.speedup, plain.predicted_speedup) == ("autoregressive", 1.0, None)
    assert (tree.tokens_per_second, tree.tokens_per_step) == (pytest.approx(10), 3)
    assert tree.speedup == tree.speedup_low == tree.speedup_high == pytest.approx(2)
    assert (tree.predicted_speedup, tree.predicted_tokens_per_step) == (1.9, 3.1)


def test_the_decode_speedup_leaves_the_reading_of_the_prompt_out():
    rows = benchmark(
        {
            "autoregressive": lambda prompt: Outcome(10, 10, 3.0, 2.0),
            "sequoia": lambda prompt: Outcome(10, 4, 2.0, 1.0),
            "hf-generate": steady(10, 10, 2.0),
        },
        ["a"],
        repeats=2,
        predicted={},
    )
    assert [row.decode_speedup for row in rows] == [1.0, 2.0, None]
    assert [row.speedup for row in rows] == [1.0, 1.5, 1.5]


def test_low_and_high_are_the_extremes_of_the_repeats():
    seconds = iter([1.0, 1.0, 2.0, 4.0])
    rows = benchmark(
        {
            "autoregressive": steady(8, 8, 4.0),
            "sequoia": lambda prompt: Outcome(8, 2, next(seconds)),
        },
        ["a"],
        repeats=3,
        predicted={},
    )
    assert (rows[1].speedup_low, rows[1].speedup, rows[1].speedup_high) == (1.0, 2.0, 4.0)


def test_every_method_sees_every_prompt_once_a_repeat_after_one_warm_up():
    seen = []

    def method(prompt: str) -> Outcome:
        seen.append(prompt)
        return Outcome(1, 1, 1.0)

    benchmark({"autoregressive": method}, ["a", "b"], repeats=2, predicted={})
    assert seen == ["a", "a", "b", "a", "b"]


def test_a_benchmark_without_a_baseline_is_refused():
    with pytest.raises(InputError, match="autoregressive"):
        benchmark({"sequoia": steady(1, 1, 1)}, ["a"], repeats=1, predicted={})


def test_the_command_measures_every_method(capsys):
    code = main([
        "bench", "--device", "cpu", "--dtype", "float32", "--max-new-tokens", "4",
        "--repeats", "1", "--json",
    ])  # fmt: skip
    result = json.loads(capsys.readouterr().out)
    assert code == 0
    rows = {row["method"]: row for row in result["rows"]}
    assert set(rows) == {*NAMES, "hf-generate", "hf-assisted"}
    assert rows["autoregressive"]["speedup"] == 1
    assert rows["autoregressive"]["tokens_per_step"] == rows["hf-generate"]["tokens_per_step"] == 1
    assert all(row["tokens_per_second"] > 0 for row in rows.values())


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--repeats", "0"], "at least one repeat, got 0"),
        (["--repeats", "9999999"], "at most 100,000 runs"),
        (["--temperature", "11"], "between 0 and 10, got 11"),
        (["--max-new-tokens", "0"], "New tokens must be at least 1"),
        (["--prompts", "EMPTY"], "holds no prompt"),
    ],
)
def test_a_comparison_of_nothing_or_too_much_ends_before_a_model_is_loaded(
    capsys, tmp_path, monkeypatch, more, words
):
    monkeypatch.setattr(bench, "load_named_pair", None)
    (tmp_path / "empty.jsonl").write_text("\n", encoding="utf-8")
    more = [str(tmp_path / "empty.jsonl") if word == "EMPTY" else word for word in more]
    assert main(["bench", "--device", "cpu", *more]) == 2
    assert words in capsys.readouterr().err.strip().splitlines()[-1]


def test_several_temperatures_give_a_file_of_runs_in_which_greedy_texts_agree(capsys, tmp_path):
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text('{"text": "Once upon a time"}\n{"text": "There was a fox"}\n')
    file = tmp_path / "kept.json"
    code = main([
        "bench", "--device", "cpu", "--dtype", "float32", "--max-new-tokens", "6",
        "--methods", "sequoia,dynamic,hf-generate", "--temperatures", "0,0.6", "--repeats", "2",
        "--prompts", str(prompts), "--seed", "4", "--out", str(file), "--json",
    ])  # fmt: skip
    assert code == 0
    assert json.loads(capsys.readouterr().out) == json.loads(file.read_text())
    comparison = read_comparison(file)
    assert (len(comparison.runs), comparison.complete) == (2 * 4 * 2 * 2, True)
    assert comparison.temperatures == (0.0, 0.6)
    assert comparison.prompts == ("Once upon a time", "There was a fox")
    assert (comparison.settings.seed, comparison.origin.target) == (4, "stories-27m")
    for run in comparison.runs:
        assert run.shared_tokens == (run.tokens if run.temperature == 0 else None)
        if run.method != "hf-generate":
            assert run.parts.total <= run.decode_seconds <= run.seconds
            assert run.hits <= run.steps
    [tree] = [e for e in comparison.entries if e.key == ("sequoia", 0.6)]
    assert (tree.acceptance, tree.hardware) == ("bundled-t0.6", "cpu-2-cores")
    assert sum(tree.level_sizes) == tree.budget
    assert tree.predicted_speedup > 1
    assert text_words(comparison) == [
        "At temperature 0 all methods wrote the text of plain decoding, token for token "
        "(2 prompts)."
    ]


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (KeyboardInterrupt(), 130, "error: interrupted; the 2 runs that were done are in"),
        (ModelError("cuda:0 ran out of memory."), 2, "error: cuda:0 ran out of memory; the 2 runs"),
    ],
)
def test_rounds_that_were_done_before_it_breaks_off_are_kept(
    error, code, words, capsys, tmp_path, monkeypatch
):
    def broken(arms, prompts, *, keep, **options):
        def stop(runs):
            keep(runs)
            raise error

        return compare(arms, prompts, keep=stop, **options)

    monkeypatch.setattr(bench, "compare", broken)
    file = tmp_path / "kept.json"
    file.write_text("an earlier result")
    argv = ["--device", "cpu", "--dtype", "float32", "--max-new-tokens", "2", "--repeats", "2"]
    assert main(["bench", *argv, "--methods", "sequoia", "--out", str(file)]) == code
    assert file.read_text() == "an earlier result"
    part = tmp_path / "kept.partial.json"
    assert capsys.readouterr().err.splitlines()[-1].startswith(words)
    comparison = read_comparison(part)
    assert ([run.method for run in comparison.runs], comparison.complete) == (
        ["autoregressive", "sequoia"],
        False,
    )


def test_an_unknown_method_is_refused(capsys):
    assert main(["bench", "--methods", "magic"]) == 2
    assert "no method 'magic'" in capsys.readouterr().err


def test_the_threads_named_are_those_measured_with(capsys):
    before = torch.get_num_threads()
    try:
        code = main([
            "bench", "--device", "cpu", "--threads", "1", "--methods", "autoregressive",
            "--max-new-tokens", "2", "--repeats", "1", "--json",
        ])  # fmt: skip
    finally:
        torch.set_num_threads(before)
    result = json.loads(capsys.readouterr().out)
    assert (code, result["dtype"]) == (0, native_dtypes()[-1])
    assert result["machine"].endswith(" 1 thread")


def test_no_threads_at_all_are_refused(capsys):
    assert main(["bench", "--device", "cpu", "--threads", "0"]) == 2
    assert "--threads must be between 1 and 1024, got 0" in capsys.readouterr().err
