"""The command model-hardware, the plan's range, and the page that keeps the comparison."""

import json
from pathlib import Path

import numpy as np
import pytest

from sequoia_core import cli
from sequoia_core.plan.acceptance import load_acceptance
from sequoia_core.plan.cost import CostModel
from sequoia_core.plan.gpu import CASES, load_gpu
from sequoia_core.plan.hardware import load_hardware
from sequoia_core.plan.model_shape import load_shape
from sequoia_core.plan.modelled import Modelled, model_profile
from sequoia_core.plan.modelled_plan import plan_range
from tools.modelled_speeds import BEGIN, END, comparisons, kept, report, updated

PAIR = ["--target", "qwen3-8b", "--draft", "qwen3-0.6b"]
TYPED = ["--bandwidth", "1000", "--tflops", "150", "--memory", "32"]


def command(*more: str) -> list[str]:
    return ["model-hardware", *PAIR, *more]


@pytest.fixture(scope="module")
def modelled() -> Modelled:
    return model_profile(load_gpu("rtx-4090"), load_shape("qwen3-8b"), load_shape("qwen3-0.6b"))


@pytest.fixture(scope="module")
def page(repository: Path) -> str:
    return (repository / "docs" / "HARDWARE.md").read_text(encoding="utf-8")


def test_the_profile_is_one_json_object_and_plans_at_once(tmp_path, capsys) -> None:
    out = str(tmp_path / "gpu.json")
    assert cli.main(command("--gpu", "rtx-4090", "--json", "--out", out)) == 0
    output = capsys.readouterr()
    result = json.loads(output.out)
    assert output.out.count("\n") == 1
    assert "wrote" in output.err
    assert (result["format"], result["origin"]) == ("sequoia-hardware", "modelled")
    assert result["modelled"]["gpu"]["bandwidth"] == 1008e9
    assert (result["dtype"], result["context_length"]) == ("bfloat16", 1024)
    assert load_hardware(out).to_dict().items() <= result.items()
    assert cli.main(["plan", "--acceptance", "paper-appendix-e", "--hardware", out, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["speedup"] > 1.2


def test_people_read_points_limits_knee_and_uncertainty(capsys) -> None:
    assert cli.main(command("--gpu", "h100-sxm", "--context", "256")) == 0
    text = capsys.readouterr().out
    for words in (
        "NVIDIA H100 80GB SXM (modelled), bfloat16, context 256",
        "GB needed",
        "tokens        ms  between",
        "compute-bound",
        "nearly flat up to about",
        "beside the passes: 1.00 ms a step",
        "Roofline, nothing measured.",
        "Assumed, with the range taken",
    ):
        assert words in text


def test_a_gpu_typed_in_by_hand_gives_an_answer_and_its_uncertainty(capsys) -> None:
    assert cli.main(command(*TYPED, "--acceptance", "paper-appendix-e", "--json")) == 0
    result = json.loads(capsys.readouterr().out)
    plan = result["plan"]
    assert plan["speedup_low"] < plan["speedup"] < plan["speedup_high"]
    assert plan["budget"] > 1
    assert set(result["modelled"]["gpu"]["sources"].values()) == {"typed in by hand"}
    assert cli.main(command(*TYPED, "--acceptance", "paper-appendix-e")) == 0
    assert "with every assumption anywhere in its range" in capsys.readouterr().out


def test_typing_a_bundled_gpus_figures_gives_its_seconds(capsys) -> None:
    figures = ["--bandwidth", "1008", "--tflops", "165.2", "--memory", "24", "--link", "31.5"]
    curves = []
    for how in (figures, ["--gpu", "rtx-4090"]):
        assert cli.main(command(*how, "--json")) == 0
        result = json.loads(capsys.readouterr().out)
        curves.append((result["target_seconds"], result["draft_seconds"]))
    assert curves[0] == curves[1]


def test_quantised_weights_and_offload_are_asked_for_by_option(capsys) -> None:
    seconds = []
    for how in ([], ["--target-bits", "4.5"], ["--offload"], ["--launch", "eager"]):
        assert cli.main(command("--gpu", "rtx-4090", "--json", *how)) == 0
        seconds.append(json.loads(capsys.readouterr().out)["target_seconds"][0][1])
    assert seconds[1] < seconds[0] < seconds[3] < seconds[2]


def test_a_part_that_is_known_loses_its_range(capsys) -> None:
    known = ["--assume", "memory=0.9", "--assume", "step_seconds=0"]
    ranges = []
    for how in ([], known):
        arguments = command("--gpu", "l40s", "--acceptance", "paper-appendix-e", "--json", *how)
        assert cli.main(arguments) == 0
        result = json.loads(capsys.readouterr().out)
        plan = result["plan"]
        ranges.append(plan["speedup_high"] / plan["speedup_low"])
    assert ranges[1] < ranges[0]
    assert result["overhead_seconds"] == 0
    assert "share of the bandwidth 0.9 (given)" in result["basis"]
    assert result["modelled"]["assumed"] == {"memory": 0.9, "step_seconds": 0}


def test_a_config_file_stands_for_a_shape(tmp_path, capsys) -> None:
    config = {"model_type": "llama", "hidden_size": 4096, "intermediate_size": 11008}
    config |= {"num_hidden_layers": 32, "num_attention_heads": 32, "vocab_size": 32000}
    (tmp_path / "config.json").write_text(json.dumps(config | {"torch_dtype": "float16"}))
    results = []
    for target in (str(tmp_path), "llama-2-7b"):
        arguments = ["--target", target, "--draft", "llama-68m", "--gpu", "l40s", "--json"]
        assert cli.main(["model-hardware", *arguments]) == 0
        results.append(json.loads(capsys.readouterr().out)["target_seconds"])
    assert results[0] == results[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Give --gpu, or type a GPU in: --bandwidth, --tflops, --memory is missing"),
        (["--bandwidth", "900"], "--tflops, --memory is missing"),
        (["--gpu", "l4", "--link", "30"], "Give either --gpu or --link"),
        (["--gpu", "voodoo"], "No GPU is called 'voodoo'"),
        (["--gpu", "l4", "--target", "llama-9"], "called 'llama-9'; bundled are"),
        (["--gpu", "l4", "--dtype", "int8"], "invalid choice: 'int8'"),
        (["--gpu", "l4", "--target-bits", "0"], "weight bits must be between 1 and 32, got 0"),
        (["--gpu", "l4", "--launch", "fast"], "launch must be one of graphs, compiled, eager"),
        (["--gpu", "l4", "--context", "-1"], "context length must be between 0"),
        (["--gpu", "m4-max", "--offload"], "has no host link"),
        (["--gpu", "t4", "--dtype", "bfloat16"], "no figure for bfloat16"),
        (["--gpu", "l4", "--target", "llama-3-70b"], "bytes) are missing; use offload"),
        (["--gpu", "l4", "--out", "/nowhere/x.json"], "Cannot write"),
        (["--gpu", "l4", "--acceptance", "nope"], "called 'nope'"),
        (["--gpu", "l4", "--assume", "memory"], "--assume takes PART=VALUE"),
        (["--gpu", "l4", "--assume", "luck=1"], "No assumed part is called 'luck'; they are: mem"),
        (["--gpu", "l4", "--assume", "memory=1.5"], "efficiency of memory must be between"),
        ([*TYPED, "--tflops", "nan"], "tflops must be finite"),
        ([*TYPED, "--memory", "1"], "are missing; use fewer bits"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(arguments: list, message: str, capsys) -> None:
    assert cli.main(command(*arguments)) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.count("\n") == 1
    assert message in output.err


def test_a_plans_range_contains_it_and_the_profiles_own_ends(modelled: Modelled) -> None:
    found = plan_range(modelled, load_acceptance("paper-appendix-e"), max_budget=256)
    for profile in (modelled.profile, modelled.best, modelled.worst):
        cost = CostModel(profile)
        seconds = cost.tree_seconds(found.plan.tree)
        speedup = float(cost.speedup(np.array(found.plan.expected_tokens), seconds))
        assert found.low <= speedup <= found.high
    assert found.low < found.plan.speedup < found.high
    assert found.plan.budget <= 256


def test_the_ends_bracket_every_pass(modelled: Modelled) -> None:
    tokens = np.arange(1, 1025)
    assert np.all(modelled.best.target(tokens) < modelled.profile.target(tokens))
    assert np.all(modelled.profile.target(tokens) < modelled.worst.target(tokens))


def test_the_page_keeps_what_the_tool_prints(page: str) -> None:
    assert kept(page) == report(), "run python -m tools.modelled_speeds --update"
    assert page.count(BEGIN) == page.count(END) == 1


def test_updating_the_page_replaces_the_kept_part_and_nothing_else() -> None:
    old = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    assert updated(old) == f"before\n{BEGIN}\n{report()}\n{END}\nafter\n"


def test_most_published_times_lie_between_the_two_ends() -> None:
    """Rows that set an assumed part are left out: they agree by construction."""
    free = [row for row in comparisons() if not row.fitted]
    assert len(free) > 20
    assert np.mean([row.inside for row in free]) > 0.85
    assert np.mean([abs(row.error) for row in free]) < 0.15
    for row in comparisons():
        assert row.best < row.typical < row.worst
    assert CASES[1] == "typical"
