"""The GPU machine's check: its order, that it ends at the first failure, and what it needs."""

import subprocess
import sys

import gpu_check
import pytest
from fakes import tiny_pair

from sequoia_core.decode.capture import eager
from sequoia_core.decode.model import TreeModel
from sequoia_core.measure.graph_check import check_graphs

CORRECTNESS = ["verify", "graphs"]
MEASURED = ["profile", "bench", "bench", "bench"]


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """Runs the check with commands that return given codes; returns what was asked for."""

    def check(codes: dict[str, int], *options: str) -> tuple[int, list[list[str]]]:
        seen = []

        def command(argv):
            seen.append(argv)
            return codes.get(argv[0], 0)

        monkeypatch.setattr(gpu_check, "command", command)
        monkeypatch.setattr(gpu_check, "graphs", lambda *_: command(["graphs"]))
        monkeypatch.setattr(gpu_check.gpu_offload, "check", lambda *_: command(["offload"]))
        out = tmp_path / "out"
        monkeypatch.setattr("sys.argv", ["gpu_check.py", "--out", str(out), *options])
        return gpu_check.main(), seen

    return check


@pytest.mark.parametrize(
    ("codes", "ran"),
    [
        ({}, [*CORRECTNESS, *MEASURED, "offload"]),
        ({"offload": 1}, [*CORRECTNESS, *MEASURED, "offload"]),
        ({"verify": 1}, ["verify"]),
        ({"graphs": 1}, ["verify", "graphs"]),
        ({"profile": 2}, ["verify", "graphs", "profile"]),
    ],
)
def test_the_check_stops_at_the_first_that_fails(asked, codes, ran):
    code, seen = asked(codes)
    assert code == max(codes.values(), default=0)
    assert [argv[0] for argv in seen] == ran


def test_a_stand_in_is_measured_after_the_pair_itself_into_files_of_its_own(asked):
    _, seen = asked({}, "--like", "llama-2-7b", "--offload-like", "none")
    assert [argv[0] for argv in seen] == [*CORRECTNESS, *MEASURED, *MEASURED]
    files = [argv[argv.index("--out") + 1].rpartition("/")[2] for argv in seen[2:]]
    assert len(set(files)) == len(files)
    assert files[4:] == [name.replace(".", "-llama-2-7b.") for name in files[:1]] + [
        name.replace("bench", "bench-llama-2-7b") for name in files[1:4]
    ]
    assert all(argv[argv.index("--like") + 1] == "llama-2-7b" for argv in seen[6:])


def test_commands_are_ones_that_the_command_line_takes(asked):
    from sequoia_core.cli import _module, _parser

    for argv in asked({}, "--like", "demo-300m")[1]:
        if argv[0] not in ("graphs", "offload"):
            assert _parser(argv[0], _module(argv[0])).parse_args(argv).command == argv[0]


def test_captured_passes_are_compared_text_by_text():
    pair, said = tiny_pair(vocab=12), []
    names = ["autoregressive", "sequoia"]
    check = check_graphs(pair, names, ["t1 t2", "t3"], 30, eager, lambda _, text: said.append(text))
    assert check.passed
    assert [(row.method, row.identical) for row in check.rows] == [(name, 2) for name in names]
    assert [model.passes > 1 for model in check.models] == [True, True]
    assert said[0] == "autoregressive without graphs"
    lines = gpu_check.graph_lines(check)
    assert lines[0].startswith("autoregressive: 2 of 2 texts the same with captured passes, 0 part")
    assert lines[-1].endswith("shapes of pass captured")


def test_a_captured_pass_that_repeats_its_first_inputs_is_found():
    """What a graph does whose inputs were never written."""
    pair = tiny_pair(vocab=12)

    def stuck(run):
        done = []

        def once():
            if len(done) < 1:
                done.append(run())

        return once

    check = check_graphs(pair, ["autoregressive"], ["t1 t2", "t3"], 30, stuck)
    assert not check.passed
    assert "differ" in gpu_check.graph_lines(check)[0]


def test_a_model_without_graphs_says_so(monkeypatch):
    monkeypatch.setattr(TreeModel, "capturable", False)
    check = check_graphs(tiny_pair(vocab=12), ["chain"], ["t1"], 5, eager)
    assert "no graphs" in gpu_check.graph_lines(check)[-1]


def test_figures_are_kept_of_every_command_up_to_the_one_that_fails(monkeypatch, tmp_path):
    def command(argv):
        print(f"| table of {argv[0]} |")
        return int(argv[0] == "profile")

    monkeypatch.setattr(gpu_check, "command", command)
    monkeypatch.setattr(gpu_check, "graphs", lambda *_: 0)
    monkeypatch.setattr("sys.argv", ["gpu_check.py", "--out", str(tmp_path)])
    assert gpu_check.main() == 1
    text = (tmp_path / "figures.md").read_text(encoding="utf-8")
    assert text == (
        "# Figures\n\n## Every method lossless in float32\n\n| table of verify |\n"
        "\n## Hardware profile\n\n| table of profile |\n"
    )


def test_it_needs_nothing_of_the_dashboard(repository):
    """Nor what the core uses elsewhere: a GPU machine has torch, transformers and numpy."""
    script = (
        "import sys\n"
        "for name in ('streamlit', 'plotly', 'pandas', 'accelerate', 'scipy', 'networkx'):\n"
        "    sys.modules[name] = None\n"
        "sys.path.insert(0, 'tools')\n"
        "import gpu_check\n"
        "sys.exit(gpu_check.command(['generate', '--device', 'cpu', '--prompt', 'Once upon',\n"
        "                            '--max-new-tokens', '3']))\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=repository, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
