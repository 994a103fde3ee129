"""generate, calibrate and profile as a user calls them, on the bundled pair."""

import json
import re
import shutil

import numpy as np
import pytest

from sequoia_core.assets import asset
from sequoia_core.cli import main
from sequoia_core.commands._prompts import read_prompts
from sequoia_core.commands.profile import describe
from sequoia_core.decode.chat import turns_of
from sequoia_core.decode.methods import NAMES
from sequoia_core.decode.trace_acceptance import trace_acceptance
from sequoia_core.decode.trace_file import read_trace
from sequoia_core.plan.acceptance import load_acceptance
from sequoia_core.plan.hardware import load_hardware
from sequoia_core.plan.replay import replay

PAIR = ["--device", "cpu", "--dtype", "float32"]
PROMPT = ["--prompt", "Once upon a time there was a little girl"]


def answer(capsys, *argv: str) -> dict:
    """The one JSON object that a command prints."""
    assert main([*argv, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def refusal(capsys, *argv: str) -> str:
    """The one line that a refused command prints."""
    assert main([*argv, "--json"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    message = captured.err.strip().splitlines()[-1]
    assert "Traceback" not in captured.err
    return message


def test_generate_gives_the_same_text_with_a_tree_and_without(capsys):
    common = [*PROMPT, *PAIR, "--max-new-tokens", "24"]
    tree = answer(capsys, "generate", *common, "--budget", "8", "--depth", "3")
    plain = answer(capsys, "generate", *common, "--method", "autoregressive")
    assert tree["token_ids"] == plain["token_ids"]
    assert tree["text"] == plain["text"]
    assert (tree["budget"], tree["depth"], plain["budget"], plain["depth"]) == (8, 3, 1, 0)
    assert plain["steps"] == 24
    assert tree["tokens_per_step"] == 24 / tree["steps"] > 1
    assert tree["tokens_per_second"] == pytest.approx(24 / tree["seconds"])


@pytest.mark.parametrize("method", NAMES)
def test_generate_takes_every_method_to_the_same_greedy_text(capsys, tmp_path, method):
    file = tmp_path / "trace.json"
    common = [*PROMPT, *PAIR, "--max-new-tokens", "12"]
    plain = answer(capsys, "generate", *common, "--method", "autoregressive")
    result = answer(
        capsys, "generate", *common, "--method", method, "--budget", "6", "--trace", str(file)
    )
    assert result["token_ids"] == plain["token_ids"]
    assert (result["method"], result["budget"] <= 6) == (method, True)
    trace = json.loads(file.read_text(encoding="utf-8"))
    grown = method in ("specexec", "dynamic")
    assert trace["method"] == method
    assert (trace["parents"] is None) == grown
    assert all(len(step["nodes"]["parent"]) <= 6 for step in trace["steps"])


def test_a_vector_of_another_rule_is_never_used_silently(capsys):
    common = [*PROMPT, *PAIR, "--max-new-tokens", "2", "--temperature", "0.6"]
    argv = ["generate", *common, "--acceptance", "bundled-t0.6", "--method"]
    assert main([*argv, "topk", "--json"]) == 0
    captured = capsys.readouterr()
    assert "topk is planned with bundled-t0.6, whose acceptance is that of sequoia" in captured.err
    assert json.loads(captured.out)["planned_with"]["acceptance_rule"] == "sequoia"
    assert main([*argv, "sequoia", "--json"]) == 0
    assert "is planned with" not in capsys.readouterr().err


def test_a_trace_file_holds_every_step_and_the_plain_run_beside_it(capsys, tmp_path):
    file = tmp_path / "trace.json"
    result = answer(
        capsys, "generate", *PROMPT, *PAIR, "--max-new-tokens", "12", "--budget", "6",
        "--depth", "2", "--trace", str(file), "--with-plain",
    )  # fmt: skip
    run = read_trace(file)
    assert (run.method, run.budget, run.depth, run.prompt) == ("sequoia", 6, 2, PROMPT[1])
    assert [token for step in run.steps for token in step.committed] == result["token_ids"]
    assert all(len(step.nodes.parent) == 6 for step in run.steps)
    assert run.plain.token_ids == result["token_ids"]
    assert "".join(run.plain.pieces) == "".join(map("".join, run.pieces))
    assert replay(run.tree, [run.ranks.ranks]).steps == result["steps"]
    # At temperature 0 the rank sequence says of every node on the walk which child it accepts.
    counted = trace_acceptance(run.steps)
    expected = _by_ranks(run.tree, run.ranks.ranks)
    assert counted.counts.tolist() == expected.tolist()


def _by_ranks(tree, ranks: list[int]) -> np.ndarray:
    """Accepted children by depth and rank when `tree` runs over a text of these ranks."""
    counts, position = np.zeros((tree.depth, int(tree.child_counts.max())), int), 0
    while position < len(ranks):
        node, depth = 0, 0
        while position < len(ranks) and 0 <= ranks[position] < tree.child_counts[node]:
            counts[depth, ranks[position]] += 1
            node = tree.children(node)[ranks[position]]
            position, depth = position + 1, depth + 1
        position += 1
    return counts


def test_the_plain_run_is_kept_in_a_trace_or_not_measured(capsys):
    assert "name its file with --trace" in refusal(capsys, "generate", *PROMPT, "--with-plain")


def test_calibrate_and_profile_write_files_that_plan_reads(capsys, tmp_path):
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text('{"text": "Once upon"}\n{"text": "The king"}\n', encoding="utf-8")
    acceptance, hardware = str(tmp_path / "a.json"), str(tmp_path / "h.json")
    answer(
        capsys, "calibrate", *PAIR, "--prompts", str(prompts), "--temperature", "0.6",
        "--max-new-tokens", "6", "--width", "4", "--out", acceptance,
    )  # fmt: skip
    result = answer(
        capsys, "profile", *PAIR, "--context", "16,32", "--max-tokens", "8", "--repeats", "1",
        "--limit", "0", "--out", hardware,
    )  # fmt: skip
    assert load_acceptance(acceptance).temperature == 0.6
    profile = load_hardware(hardware)
    assert (profile.origin, profile.context_lengths) == ("measured", (16, 32))
    words = describe(result)
    assert "context 32" in words
    assert "This machine reaches" in words
    plan = answer(capsys, "plan", "--acceptance", acceptance, "--hardware", hardware)
    assert plan["budget"] >= 1


def test_one_measurement_writes_a_file_for_every_rule_asked_for(capsys, tmp_path):
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text('{"text": "Once upon"}\n{"text": "The king"}\n', encoding="utf-8")
    common = [
        "calibrate", *PAIR, "--prompts", str(prompts), "--temperature", "0.6",
        "--max-new-tokens", "6", "--width", "4", "--out", str(tmp_path / "pair.json"),
    ]  # fmt: skip
    result = answer(capsys, *common, "--rule", "all")
    assert list(result["vectors"]) == ["sequoia", "specinfer", "topk"]
    for rule, file in result["files"].items():
        assert file == str(tmp_path / f"pair.{rule}.json")
        vector = load_acceptance(file)
        assert (vector.rule, vector.to_dict()) == (rule, result["vectors"][rule])
    assert not (tmp_path / "pair.json").exists()
    assert main([*common, "--rule", "topk,sequoia"]) == 0
    printed = capsys.readouterr().out
    assert f"written to {tmp_path / 'pair.topk.json'}" in printed
    # One rule keeps the name and prints the file's own content, the same numbers.
    alone = answer(capsys, *common, "--rule", "topk")
    assert alone == result["vectors"]["topk"]
    assert load_acceptance(tmp_path / "pair.json").to_dict() == alone
    assert "got 'magic'" in refusal(capsys, *common, "--rule", "topk,magic")


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--prompt", " "], "prompt is empty"),
        (["--prompt", "word " * 3000], "context"),
        ([*PROMPT, "--budget", "0"], "1"),
        ([*PROMPT, "--budget", "5000"], "1024"),
        ([*PROMPT, "--budget", "4", "--depth", "9"], "depth"),
        ([*PROMPT, "--temperature", "-1"], "temperature must be between 0"),
        ([*PROMPT, "--top-p", "2"], "Top-p must be"),
        ([*PROMPT, "--method", "magic"], "no method 'magic'"),
        ([*PROMPT, "--target", "/nowhere", "--draft", "/nowhere"], "There is no folder /nowhere"),
        ([*PROMPT, "--target", "/nowhere"], "name the draft"),
        ([*PROMPT, "--acceptance", "nothing"], "nothing"),
        ([*PROMPT, "--hardware", "nothing"], "nothing"),
        ([*PROMPT, "--budget", "8", "--trace", "/no/such/folder/t.json"], "/no/such/folder"),
    ],
)
def test_bad_input_is_refused_in_one_line(capsys, argv, words):
    assert words.lower() in refusal(capsys, "generate", *argv).lower()


def test_an_output_that_cannot_be_written_is_refused_before_the_work(capsys):
    for command in ("calibrate", "profile"):
        assert "/no/such/x.json" in refusal(capsys, command, "--out", "/no/such/x.json")


def test_a_profile_is_held_against_an_earlier_one_of_this_machine_alone(capsys, tmp_path):
    first, second = str(tmp_path / "first.json"), str(tmp_path / "second.json")
    small = ["profile", *PAIR, "--max-tokens", "2", "--repeats", "1", "--limit", "0"]
    answer(capsys, *small, "--context", "16", "--out", first)
    again = answer(capsys, *small, "--context", "16", "--against", first, "--out", second)
    assert isinstance(again["against"]["agrees"], bool)
    assert again["against"]["target_median"] >= 0
    assert "against" not in json.loads((tmp_path / "second.json").read_text(encoding="utf-8"))
    assert again["against"]["words"] in describe(again)
    other = answer(capsys, *small, "--context", "17", "--against", first, "--out", second)
    assert other["against"]["agrees"] is None
    assert "nothing to compare" in other["against"]["words"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--context", "few"], "--context takes whole numbers, as in 128 or 128,512, got 'few'"),
        (["--context", "16,16"], "each length once, and none below 1, got '16,16'"),
        (["--context", "0"], "none below 1, got '0'"),
        (["--limit", "-1"], "--limit must be between 0"),
        (["--repeats", "0"], "--repeats must be at least 1"),
        (["--max-tokens", "0"], "--max-tokens must be at least 1"),
    ],
)
def test_a_profile_that_cannot_be_measured_is_refused_in_one_line(capsys, tmp_path, options, words):
    out = str(tmp_path / "h.json")
    assert words in refusal(capsys, "profile", *PAIR, *options, "--out", out)


@pytest.mark.parametrize("content", ["not json\n", '{"words": 1}\n', '{"text": ""}\n', "[1]\n"])
def test_a_prompts_file_of_another_kind_is_refused(capsys, tmp_path, content):
    file = tmp_path / "p.jsonl"
    file.write_text(content, encoding="utf-8")
    out = str(tmp_path / "a.json")
    assert str(file) in refusal(capsys, "calibrate", "--prompts", str(file), "--out", out)


def test_a_prompts_file_may_hold_conversations(tmp_path):
    file = tmp_path / "p.jsonl"
    turns = [{"role": "user", "content": "Hello"}]
    rows = [{"text": "Once"}, {"text": turns}]
    file.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    plain, conversation = read_prompts(file)
    assert (plain, turns_of(conversation)) == ("Once", turns)


def test_a_conversation_with_a_bad_turn_is_refused_by_the_files_name(capsys, tmp_path):
    file = tmp_path / "p.jsonl"
    file.write_text('{"text": [{"role": "user"}]}', encoding="utf-8")
    out = str(tmp_path / "a.json")
    message = refusal(capsys, "calibrate", "--prompts", str(file), "--out", out)
    assert str(file) in message
    assert "Turn 0" in message


def test_the_bundled_pair_has_no_chat_template(capsys):
    message = refusal(capsys, "generate", *PROMPT, *PAIR, "--chat", "--budget", "4")
    assert "stories-27m has no chat template" in message


def test_generate_answers_a_conversation(capsys, tmp_path):
    """A folder of the bundled draft with a template added: --chat must put the turns into it."""
    folder = tmp_path / "chat"
    shutil.copytree(asset("models/stories-1m"), folder)
    template = "{% for turn in messages %}{{ turn.role + ': ' + turn.content + '. ' }}{% endfor %}"
    (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    models = ["--target", str(folder), "--draft", str(folder), *PAIR]
    options = [*models, "--max-new-tokens", "4", "--budget", "3", "--depth", "1"]
    turns = '[{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Yes"}]'
    chat = answer(capsys, "generate", "--prompt", turns, "--chat", *options)
    text = answer(capsys, "generate", "--prompt", "user: Hello. assistant: Yes. ", *options)
    assert chat["token_ids"] == text["token_ids"]


def test_a_missing_prompts_file_is_refused(capsys, tmp_path):
    missing = str(tmp_path / "none.jsonl")
    out = str(tmp_path / "a.json")
    assert missing in refusal(capsys, "calibrate", "--prompts", missing, "--out", out)


def test_auto_says_what_it_decided_and_writes_the_text_of_plain_decoding(capsys, tmp_path):
    file = tmp_path / "trace.json"
    common = [*PROMPT, *PAIR, "--max-new-tokens", "24"]
    plain = answer(capsys, "generate", *common, "--method", "autoregressive")
    result = answer(capsys, "generate", *common, "--method", "auto", "--trace", str(file))
    assert result["token_ids"] == plain["token_ids"]
    assert result["method"] == "auto"
    first = result["decisions"][0]
    assert (first["step"], first["before"]) == (0, "")
    assert first["reason"].startswith("planned with bundled-t0 and cpu-2-cores: ")
    trace = json.loads(file.read_text(encoding="utf-8"))
    assert (trace["method"], trace["parents"]) == ("auto", None)
    assert trace["decisions"] == result["decisions"]
    assert trace["steps"][0]["decision"] == first
    assert main(["generate", *common, "--method", "auto"]) == 0
    assert re.search(r"step 1: a (tree|chain) of \d+ .*since planned with", capsys.readouterr().out)


def test_auto_takes_no_wishes_and_no_vector_of_another_rule(capsys):
    argv = ["generate", *PROMPT, *PAIR, "--method", "auto"]
    assert "leave out --budget and --depth" in refusal(capsys, *argv, "--budget", "6")
    other = ["--temperature", "0.6", "--acceptance", "bundled-t0.6-topk"]
    assert "holds for topk: name a vector of the rule sequoia" in refusal(capsys, *argv, *other)
