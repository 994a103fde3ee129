"""The GPU machine's check: its order, that every section stands for itself, and what it needs."""

import json
import subprocess
import sys
from pathlib import Path

import gpu_check
import gpu_graphs
import gpu_probe
import pytest
import torch
from fake_cuda import Gpu
from fake_tensors import GPU
from fakes import tiny_pair
from gpu_check import CUT_SHORT, FAILED, LEFT_OUT, PASSED, Section

from sequoia_core.decode.capture import eager
from sequoia_core.decode.model import TreeModel
from sequoia_core.measure.graph_check import check_graphs
from sequoia_core.plan.hardware import load_hardware

ORDER = [
    *("probe", "graphs", "verify-short"),
    *("profile-llama-2-7b", "bench-llama-2-7b", "offload"),
    *("profile", "bench", "bench-no-graphs", "verify"),
]


def arguments(monkeypatch, out: Path, *options: str):
    monkeypatch.setattr("sys.argv", ["gpu_check.py", "--out", str(out), *options])
    return gpu_check._arguments()


def script(name: str, code: str, seconds: float = 60, out: Path | None = None) -> Section:
    return Section(name, f"Section {name}", [sys.executable, "-c", code], seconds, out)


@pytest.fixture
def check(monkeypatch, tmp_path):
    """Runs the check with sections of Python; returns its status and the folder."""

    def run(sections: list[Section], *options: str) -> tuple[int, Path]:
        monkeypatch.setattr(gpu_check, "sections", lambda *_args, **_options: sections)
        monkeypatch.setattr("sys.argv", ["gpu_check.py", "--out", str(tmp_path), *options])
        return gpu_check.main(), tmp_path

    return run


def statuses(folder: Path) -> dict[str, str]:
    rows = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    return {row["name"]: row["status"] for row in rows}


def test_what_is_surest_and_most_telling_comes_first(monkeypatch, tmp_path):
    found = gpu_check.sections(arguments(monkeypatch, tmp_path))
    assert [section.name for section in found] == ORDER
    outs = [section.out for section in found if section.out]
    assert len(set(outs)) == len(outs)
    alone = gpu_check.sections(arguments(monkeypatch, tmp_path, "--like", "none"))
    assert [section.name for section in alone] == [
        name for name in ORDER if "llama" not in name and name != "offload"
    ]
    some = gpu_check.sections(arguments(monkeypatch, tmp_path, "--only", "graphs,bench"))
    assert [section.name for section in some] == ["graphs", "bench"]


def test_a_section_that_is_not_there_is_refused(monkeypatch, tmp_path, capsys):
    with pytest.raises(SystemExit):
        arguments(monkeypatch, tmp_path, "--only", "grafs")
    assert "there is no section 'grafs'; choose from probe, graphs" in capsys.readouterr().err


@pytest.mark.parametrize("quick", [[], ["--quick"]])
def test_commands_are_ones_that_the_command_line_takes(monkeypatch, tmp_path, quick):
    from sequoia_core.cli import _module, _parser

    for section in gpu_check.sections(arguments(monkeypatch, tmp_path, *quick)):
        python, *rest = section.argv
        assert python == sys.executable
        if rest[:2] == ["-m", "sequoia_core"]:
            name = rest[2]
            assert _parser(name, _module(name)).parse_args(rest[2:]).command == name
        else:
            assert Path(rest[0]).is_file()


def test_a_section_that_fails_takes_nothing_from_the_others(check):
    code, folder = check(
        [
            script("first", "print('| table |')"),
            script("second", "import sys; print('half'); sys.exit('no such kernel')"),
            script("third", "import os; os.abort()"),
            script("fourth", "print('all is well')"),
        ]
    )
    assert code == 1
    found = statuses(folder)
    assert list(found) == ["first", "second", "third", "fourth"]
    assert list(found.values()) == [PASSED, FAILED, FAILED, PASSED]
    page = (folder / "figures.md").read_text(encoding="utf-8")
    assert page.startswith("# Figures\n\n## Section first\n\nPassed (")
    assert "half" in page
    assert "    no such kernel" in page
    assert page.rstrip().endswith("all is well")
    assert "no such kernel" in (folder / "logs" / "second.txt").read_text(encoding="utf-8")


def test_a_section_that_hangs_is_stopped_and_a_benchmark_shows_what_it_has(check, monkeypatch):
    monkeypatch.setattr(gpu_check, "_partial", lambda section: f"shown: {section.name}")
    hang = "import time\ntry:\n    time.sleep(60)\nfinally:\n    print('put away')"
    code, folder = check([script("slow", hang, 4), script("next", "print('went on')")])
    assert code == 1
    assert statuses(folder) == {"slow": CUT_SHORT, "next": PASSED}
    page = (folder / "figures.md").read_text(encoding="utf-8")
    assert "Out of time (" in page
    assert "put away" in page
    assert "shown: slow" in page
    assert "went on" in page


def test_what_is_left_out_for_want_of_time_is_said_and_done_when_it_goes_on(check):
    sections = [script("first", "print(1)"), script("second", "print(2)")]
    assert check(sections, "--minutes", "0")[0] == 1
    code, folder = check(sections[:1])
    assert (code, statuses(folder)) == (0, {"first": PASSED})
    ran = script("first", "raise SystemExit('it has passed')")
    code, folder = check([ran, sections[1]], "--go-on")
    assert (code, statuses(folder)) == (0, {"first": PASSED, "second": PASSED})
    assert "## Section second" in (folder / "figures.md").read_text(encoding="utf-8")
    assert LEFT_OUT not in statuses(folder).values()


def test_without_a_profile_trees_are_planned_with_a_preset(monkeypatch, tmp_path):
    found = gpu_check.sections(arguments(monkeypatch, tmp_path))
    for name, preset in (
        ("bench-llama-2-7b", "a100-llama-2-7b-paper-t0"),
        ("bench", "cpu-2-cores"),
    ):
        section = next(each for each in found if each.name == name)
        ran = section.with_what_there_is()
        assert ran.argv[ran.argv.index("--hardware") + 1] == preset
        assert ran.title.endswith(f", planned with {preset}")
        assert load_hardware(preset).name == preset
        section.instead[0].write_text("{}", encoding="utf-8")
        assert section.with_what_there_is() == section


def test_profiles_are_kept_under_names_for_the_assets(tmp_path):
    out = tmp_path / "hardware-llama-2-7b.json"
    out.write_text('{"device": "NVIDIA H100 80GB HBM3", "dtype": "bfloat16"}', encoding="utf-8")
    gpu_check.keep_profile(script("profile", "", out=out), tmp_path)
    gpu_check.keep_profile(script("bench", "", out=tmp_path / "bench.json"), tmp_path)
    kept = [path.name for path in (tmp_path / "profiles").iterdir()]
    assert kept == ["nvidia-h100-80gb-hbm3-llama-2-7b-bfloat16.json"]


def test_captured_passes_are_compared_text_by_text():
    pair, said = tiny_pair(vocab=12), []
    names = ["autoregressive", "sequoia"]
    check = check_graphs(pair, names, ["t1 t2", "t3"], 30, eager, lambda _, text: said.append(text))
    assert check.passed
    assert [(row.method, row.identical) for row in check.rows] == [(name, 2) for name in names]
    assert [model.passes > 1 for model in check.models] == [True, True]
    assert said[0] == "autoregressive without graphs"
    lines = gpu_graphs.graph_lines(check)
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
    assert "differ" in gpu_graphs.graph_lines(check)[0]


def test_a_model_without_graphs_says_so(monkeypatch):
    monkeypatch.setattr(TreeModel, "capturable", False)
    check = check_graphs(tiny_pair(vocab=12), ["chain"], ["t1"], 5, eager)
    assert "no graphs" in gpu_graphs.graph_lines(check)[-1]


def test_a_probe_that_fails_takes_nothing_from_the_others(monkeypatch, capsys):
    def broken(_device):
        raise RuntimeError("CUDA error: an illegal memory access\nsecond line")

    monkeypatch.setitem(gpu_probe.PROBES, "transfer", (broken, False))
    found = gpu_probe.run(torch.device("cpu"), ["versions", "transfer", "graph", "peak memory"])
    assert [found[name]["passed"] for name in found] == [True, False, True]
    assert found["transfer"]["words"] == "RuntimeError: CUDA error: an illegal memory access"
    assert "graph" not in found
    told = capsys.readouterr()
    assert "- transfer: FAILED, RuntimeError" in told.out
    assert "Traceback" in told.err


def test_probes_of_cuda_itself_ask_for_what_there_is(capsys):
    """On a simulated GPU, where a failed capture leaves what it leaves in torch."""
    names = ["versions", "transfer", "launches", "events", "graph", "refusal", "peak memory"]
    with Gpu():
        found = gpu_probe.run(GPU, names)
    assert {name: each["words"] for name, each in found.items() if not each["passed"]} == {}
    assert list(found) == [name for name in gpu_probe.PROBES if name in names]
    assert "synchronizing" in found["refusal"]["words"]
    assert "capturing" in found["refusal"]["words"]


def test_the_whole_program_needs_nothing_of_the_dashboard(repository):
    """Nor what the core uses elsewhere: a GPU machine has torch, transformers and numpy."""
    script = (
        "import sys\n"
        "for name in ('streamlit', 'plotly', 'pandas', 'accelerate', 'scipy', 'networkx'):\n"
        "    sys.modules[name] = None\n"
        "sys.path.insert(0, 'tools')\n"
        "import gpu_check, gpu_graphs, gpu_offload, gpu_probe\n"
        "from sequoia_core.cli import main\n"
        "sys.exit(main(['generate', '--device', 'cpu', '--prompt', 'Once upon',\n"
        "               '--max-new-tokens', '3']))\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=repository, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
