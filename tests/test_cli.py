"""The command line: one JSON object, one-line errors, exit codes, no torch for planning."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sequoia_core import cli
from sequoia_core.plan.hardware import ContextCurves, HardwareProfile
from sequoia_core.plan.measurement import Noise
from sequoia_core.plan.plan import load_plan

FULL = Path("/dev/full")


@pytest.fixture
def hardware(tmp_path):
    path = tmp_path / "machine.json"
    HardwareProfile("test", ((1, 1.0), (64, 1.5)), ((1, 0.05), (64, 0.1))).save(path)
    return str(path)


def plan_arguments(hardware, *more):
    return ["plan", "--acceptance", "paper-appendix-e", "--hardware", hardware, *more]


def test_plan_prints_one_json_object_with_all_fields(hardware, capsys):
    assert cli.main(plan_arguments(hardware, "--json", "--budget", "64", "--depth", "9")) == 0
    output = capsys.readouterr()
    plan = json.loads(output.out)
    assert output.out.count("\n") == 1
    assert output.err == ""
    assert (plan["budget"], plan["depth"], len(plan["parents"])) == (64, 9, 64)
    assert sum(plan["level_sizes"]) == 64
    assert set(plan["families"]) == {"sequoia", "chain", "kchains", "kary", "specinfer"}
    for best in plan["families"].values():
        assert {"budget", "depth", "expected_tokens", "speedup"} <= set(best)


def test_plan_tells_people_the_choice_and_the_rivals(hardware, capsys):
    assert cli.main(plan_arguments(hardware)) == 0
    text = capsys.readouterr().out
    assert "tokens per step" in text
    assert "within 2 %" in text
    assert "chains of" in text


def test_plan_writes_its_file_and_says_so_on_stderr(hardware, tmp_path, capsys):
    out = tmp_path / "plan.json"
    assert cli.main(plan_arguments(hardware, "--json", "--out", str(out))) == 0
    output = capsys.readouterr()
    assert load_plan(out).to_dict() == json.loads(output.out)
    assert "wrote" in output.err


def test_plan_takes_the_passes_behind_a_context_and_warns_of_noise(tmp_path, capsys):
    path = tmp_path / "machine.json"
    long = ContextCurves(900, ((1, 1.0), (64, 30.0)), ((1, 0.05), (64, 0.1)))
    HardwareProfile(
        "test",
        ((1, 1.0), (64, 1.5)),
        ((1, 0.05), (64, 0.1)),
        context_length=100,
        contexts=(long,),
        noise=Noise(0.3),
    ).save(path)

    def plan(*more):
        assert cli.main(plan_arguments(str(path), "--json", *more)) == 0
        return json.loads(capsys.readouterr().out)

    short, far = plan("--context", "100"), plan("--context", "900")
    assert (short["context_length"], far["context_length"]) == (100, 900)
    assert far["budget"] < short["budget"] == plan()["budget"]
    assert far["budget"] <= plan("--context", "500")["budget"] <= short["budget"]
    [noise] = short["warnings"]
    assert "machine was noisy" in noise
    beyond = plan("--context", "5000")
    assert beyond["context_length"] == 900
    assert "no passes behind 5,000 tokens; those behind 900" in beyond["warnings"][1]
    assert cli.main(plan_arguments(str(path), "--context", "5000")) == 0
    assert capsys.readouterr().out.count("warning: ") == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required: command"),
        (["frobnicate"], "invalid choice: 'frobnicate'"),
        (["plan"], "required: --acceptance, --hardware"),
        (["plan", "--budget", "many"], "invalid int value: 'many'"),
        (["--hardware", "HARDWARE", "--budget", "0"], "between 1 and 1024, got 0"),
        (["--hardware", "HARDWARE", "--budget", "5000"], "between 1 and 1024, got 5000"),
        (["--hardware", "HARDWARE", "--budget", "4", "--depth", "9"], "at most 3 deep"),
        (["--hardware", "HARDWARE", "--acceptance", "nope"], "called 'nope'"),
        (["--hardware", "nope"], "called 'nope'"),
        (["--hardware", "HARDWARE", "--out", "/nowhere/a.json"], "its folder does not exist"),
        (["--hardware", "HARDWARE", "--out", "/"], "it is a folder; name a file in it"),
        (["--hardware", "HARDWARE", "--out", "x" * 999], "Cannot write"),
        (["--hardware", "HARDWARE", "--out", ""], "--out was given an empty text"),
        (["--hardware", "HARDWARE", "--family="], "--family was given an empty text"),
        (["--hardware", "HARDWARE", "--surprise"], "unrecognized arguments: --surprise"),
    ],
)
def test_bad_input_is_one_line_on_stderr_and_exit_2(arguments, message, hardware, capsys):
    arguments = [hardware if word == "HARDWARE" else word for word in arguments]
    if arguments and arguments[0] == "--hardware":
        arguments = ["plan", "--acceptance", "paper-appendix-e", *arguments]
    assert cli.main(arguments) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.count("\n") == 1
    assert message in output.err


def test_an_interrupt_ends_with_130_and_no_traceback(hardware, capsys, monkeypatch):
    def interrupted(_arguments, _progress):
        raise KeyboardInterrupt

    monkeypatch.setattr("sequoia_core.commands.plan.run", interrupted)
    assert cli.main(plan_arguments(hardware)) == 130
    assert capsys.readouterr().err.count("\n") == 1


def test_every_command_explains_itself(capsys):
    for name in cli.COMMANDS:
        with pytest.raises(SystemExit) as stop:
            cli.main([name, "--help"])
        assert stop.value.code == 0
        assert "--json" in capsys.readouterr().out


def test_every_option_says_what_it_is_and_what_it_is_without_being_named():
    for name in cli.COMMANDS:
        parser = cli._parser(name, cli._module(name))
        [commands] = [action for action in parser._actions if action.choices]
        for action in commands.choices[name]._actions:
            option = f"{name} {'/'.join(action.option_strings) or action.dest}"
            assert action.help, option
            if isinstance(action.default, str | int | float) and action.nargs != 0:
                assert "default" in action.help, option


def test_planning_never_loads_torch(hardware):
    script = (
        "import sys; from sequoia_core.cli import main; "
        f"code = main({plan_arguments(hardware, '--json')!r}); "
        "sys.exit(code or 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


def test_a_reader_that_leaves_early_is_no_error(hardware):
    command = [sys.executable, "-m", "sequoia_core", *plan_arguments(hardware, "--json")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_a_line_of_error_is_short_however_long_the_value(capsys):
    assert cli.main(["plan", "--acceptance", "a" * 100_000, "--hardware", "cpu-2-cores"]) == 2
    line = capsys.readouterr().err
    assert len(line) < 1300
    assert line.startswith("error: No acceptance preset or file is called 'aaa")
    assert "paper-appendix-e" in line


def run_plan(hardware, **options):
    command = [sys.executable, "-m", "sequoia_core", *plan_arguments(hardware)]
    return subprocess.run(command, check=False, **options)


def test_a_terminal_without_a_sign_is_shown_another(hardware):
    narrow = os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = run_plan(hardware, capture_output=True, env=narrow)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"plain decoding" in done.stdout


@pytest.mark.skipif(not FULL.exists(), reason="only some systems have a full device")
def test_a_result_that_cannot_be_printed_is_one_line(hardware):
    with FULL.open("w") as full:
        done = run_plan(hardware, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 2
    assert done.stderr.decode().strip() == (
        "error: Cannot print the result: No space left on device."
    )
