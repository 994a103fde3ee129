"""import-acceptance: from an engine's text to a plan and back to it, with one-line errors."""

import io
import json
import subprocess
import sys

import engine_texts as texts
import pytest

from sequoia_core.cli import main
from sequoia_core.plan.acceptance import load_acceptance
from sequoia_core.plan.counters.registry import MAX_CHARACTERS, read_counters
from sequoia_core.plan.hardware import HardwareProfile


@pytest.fixture
def out(tmp_path):
    return tmp_path / "pair.json"


def written(tmp_path, text, name="server.txt"):
    path = tmp_path / name
    path.write_text(text)
    return str(path)


def from_stdin(monkeypatch, data: bytes):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))


def refusal(capsys, arguments, out):
    assert main(["import-acceptance", *arguments, "--out", str(out)]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.count("\n") == 1
    assert not out.exists()
    return output.err


@pytest.mark.parametrize("text", [texts.VLLM_METRICS, texts.SGLANG_REQUEST, texts.LLAMA_LOG])
def test_the_file_holds_the_vector_and_what_was_counted(text, tmp_path, out, capsys):
    source = written(tmp_path, text)
    assert main(["import-acceptance", source, "--out", str(out), "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content == json.loads(out.read_text())
    reading = read_counters(text)
    assert content["counters"] == reading.to_dict()
    vector = load_acceptance(out)
    assert vector.to_dict() == {name: content[name] for name in vector.to_dict()}
    assert vector.probabilities.tolist() == reading.vector().probabilities.tolist()
    assert vector.standard_errors.shape == (len(reading.rates) + 1, 1)


def test_a_served_pair_is_planned_and_its_own_rates_go_back_to_the_engine(tmp_path, out, capsys):
    machine, plan = tmp_path / "machine.json", tmp_path / "plan.json"
    HardwareProfile("test", ((1, 1.0), (64, 1.5)), ((1, 0.05), (64, 0.1))).save(machine)
    source = written(tmp_path, texts.VLLM_METRICS)
    planning = ["--acceptance", str(out), "--hardware", str(machine), "--max-depth", "5"]
    assert main(["import-acceptance", source, "--out", str(out)]) == 0
    assert main(["plan", *planning, "--family", "chain", "--out", str(plan)]) == 0
    capsys.readouterr()
    inputs = ["--acceptance", str(out), "--hardware", str(machine)]
    assert main(["export", "--plan", str(plan), *inputs, "--to", "vllm", "--json"]) == 0
    export = json.loads(capsys.readouterr().out)
    assert "measured for the rule" not in " ".join(export["warnings"])
    rates = export["variants"]["synthetic"]["config"]["synthetic_acceptance_rates"]
    counted = [count / 2043630 for count in (1883866, 1732372, 1489894, 1204113, 958397)]
    assert rates[:5] == pytest.approx(counted[: len(rates)], abs=1e-6)


def test_stdin_is_a_file_called_dash(out, capsys, monkeypatch):
    from_stdin(monkeypatch, texts.LLAMA_LOG.encode() + b"\xff\xfe not text\n")
    assert main(["import-acceptance", "-", "--out", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["counters"]["steps"] == 87


def test_an_earlier_scrape_is_subtracted(tmp_path, out, capsys):
    before = written(tmp_path, texts.LLAMA_METRICS, "before.txt")
    grown = texts.LLAMA_METRICS.replace("drafts_total 86", "drafts_total 186")
    grown = grown.replace("tokens_total 426", "tokens_total 926").replace(" 168", " 208")
    after = written(tmp_path, grown.replace('"0"} 86', '"0"} 126'))
    arguments = ["import-acceptance", after, "--before", before, "--out", str(out), "--json"]
    assert main(arguments) == 0
    content = json.loads(capsys.readouterr().out)
    assert (content["counters"]["steps"], content["probabilities"][0]) == (100, [0.4])


def test_people_read_rates_errors_and_what_to_know(tmp_path, out, capsys):
    assert main(["import-acceptance", written(tmp_path, texts.LLAMA_LOG), "--out", str(out)]) == 0
    text = capsys.readouterr().out
    assert "87 steps, 1.920 of 2.977 drafted tokens accepted a step" in text
    assert "    1              0.8046  0.0431" in text
    assert "below" in text
    assert "A tree cannot be planned from chain counters" in text
    source = written(tmp_path, texts.SGLANG_LOG)
    assert main(["import-acceptance", source, "--out", str(out)]) == 0
    text = capsys.readouterr().out
    assert "an unknown number of steps" in text
    assert f"  any {read_counters(texts.SGLANG_LOG).rates[0]:>19.4f} unknown" in text


def test_bad_input_is_one_line_and_nothing_is_written(tmp_path, out, capsys, monkeypatch):
    nothing = written(tmp_path, "nothing here")
    assert "No serving engine's counters" in refusal(capsys, [nothing], out)
    assert "Cannot read" in refusal(capsys, [str(tmp_path / "nowhere")], out)
    assert "Cannot read" in refusal(capsys, [str(tmp_path)], out)
    assert "choose one of auto" in refusal(capsys, [nothing, "--engine", "tgi"], out)
    timings = written(tmp_path, texts.LLAMA_TIMINGS)
    assert "give it as --draft-tokens" in refusal(capsys, [timings], out)
    assert "got -1" in refusal(capsys, [timings, "--draft-tokens", "-1"], out)
    assert "Only one of the two" in refusal(capsys, ["-", "--before", "-"], out)
    assert "Cannot write" in refusal(capsys, [timings], tmp_path / "nowhere" / "a.json")
    from_stdin(monkeypatch, b"x" * (MAX_CHARACTERS + 10))
    assert "at most 16777216 are read" in refusal(capsys, ["-"], out)


def test_importing_counters_never_loads_torch(tmp_path, out):
    arguments = ["import-acceptance", written(tmp_path, texts.VLLM_LOG), "--out", str(out)]
    script = (
        "import sys; from sequoia_core.cli import main; "
        f"code = main({arguments!r}); sys.exit(code or 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
