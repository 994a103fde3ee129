"""The command `bench` on the real pair."""

import json

import pytest
import torch

from sequoia_core.cli import main
from sequoia_core.commands import bench
from sequoia_core.decode.packing import native_dtypes
from sequoia_core.errors import ModelError
from sequoia_core.measure.compare import compare
from sequoia_core.measure.comparison_file import read_comparison
from sequoia_core.measure.summary import text_words
from sequoia_core.plan.methods import NAMES


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
