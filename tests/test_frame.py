"""The frame: what `make run` and `make test` do, and what the repository may hold."""

import os
import re
import shutil
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import serve

MAX_FILE_BYTES = 50 * 1000 * 1000
MACHINE_PATHS = ("/work/", "../shared", "/root/", "/tmp/", "/home/")
REGISTRY_HOSTS = ("pypi.", "pythonhosted", "index-url", "download.pytorch")


def make(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
    """Run make in `folder`, cut off from pip's configuration and from an outer make's flags."""
    inherited = {
        k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS", "PIP_"))
    }
    return subprocess.run(
        ["make", *arguments],
        cwd=folder,
        env=inherited | {"PIP_NO_INDEX": "1", "PYTHON": sys.executable} | environment,
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Path:
    """A checkout with the Makefile, nothing to install, a space in its path, and an environment."""
    folder = tmp_path_factory.mktemp("a checkout")
    shutil.copy(repository / "Makefile", folder)
    (folder / "requirements.txt").write_text("# nothing\n")
    result = make(folder, "env")
    assert result.returncode == 0, result.stderr
    return folder


def test_first_run_makes_an_environment_and_remembers_what_it_installed(checkout: Path) -> None:
    assert (checkout / ".venv" / "installed.txt").read_text() == "# nothing\n"


def test_nothing_is_installed_again_while_requirements_are_unchanged(checkout: Path) -> None:
    (checkout / "requirements.txt").touch()
    result = make(checkout, "env")
    assert result.returncode == 0
    assert "Installing" not in result.stdout


def test_failed_installation_is_not_remembered(checkout: Path) -> None:
    (checkout / "requirements.txt").write_text("no-such-distribution==1.0\n")
    try:
        assert make(checkout, "env").returncode != 0
        assert not (checkout / ".venv" / "installed.txt").exists()
    finally:
        (checkout / "requirements.txt").write_text("# nothing\n")
    assert "Installing" in make(checkout, "env").stdout
    assert (checkout / ".venv" / "installed.txt").exists()


def test_missing_python_is_met_with_a_sentence(checkout: Path) -> None:
    result = make(checkout, "env", "PYTHON=no-such-python")
    assert result.returncode != 0
    assert "'no-such-python' was not found" in result.stderr


def test_old_python_is_met_with_a_sentence(checkout: Path, tmp_path: Path) -> None:
    old = tmp_path / "python3"
    old.write_text('#!/bin/sh\n[ "$1" = -V ] && echo "Python 3.9.2" && exit 0\nexit 1\n')
    old.chmod(0o755)
    result = make(checkout, "env", f"PYTHON={old}")
    assert result.returncode != 0
    assert "Python 3.9.2, and 3.11 or newer is needed" in result.stderr


def test_run_serves_on_loopback_at_the_chosen_port(repository: Path) -> None:
    planned = make(repository, "--dry-run", "run", "PORT=8765").stdout
    assert 'tools/serve.py --port "8765"' in planned
    command = serve.serve_command(8765)
    assert command[command.index("--server.address") + 1] == "127.0.0.1"
    assert command[command.index("--server.port") + 1] == "8765"


def test_settings_keep_the_dashboard_local_and_silent(repository: Path) -> None:
    settings = tomllib.loads((repository / ".streamlit" / "config.toml").read_text())
    assert settings["server"]["address"] == "127.0.0.1"
    assert settings["server"]["allowedHosts"] == ["127.0.0.1", "localhost"]
    assert settings["server"]["enableXsrfProtection"]
    assert settings["server"]["enableCORS"]
    assert settings["browser"]["gatherUsageStats"] is False
    assert {"light", "dark"} <= set(settings["theme"])


def test_port_in_use_is_one_sentence_with_a_way_out(repository: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = subprocess.run(
            [sys.executable, "tools/serve.py", "--port", str(port)],
            cwd=repository,
            capture_output=True,
            text=True,
        )
    assert result.returncode == 2
    assert f"Port {port} is in use" in result.stderr
    assert "make run PORT=" in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("text", ["", "0", "65536", "-1", "80x", "8501.5", "٣"])
def test_a_port_that_is_no_port_is_refused(text: str) -> None:
    with pytest.raises(serve.ServeError, match="from 1 to 65535"):
        serve.parse_port(text)


def test_missing_models_are_named_with_a_way_out(tmp_path: Path, repository: Path) -> None:
    assert "git checkout -- assets/models" in (serve.missing_models(tmp_path) or "")
    assert serve.missing_models(repository / "assets" / "models") is None


def test_every_requirement_is_pinned_exactly(repository: Path) -> None:
    pin = re.compile(r"[A-Za-z0-9._-]+==[0-9][0-9A-Za-z.]*")
    for name in ("requirements.txt", "tests/requirements.txt"):
        lines = [line.split("#")[0].strip() for line in (repository / name).open()]
        loose = [line for line in filter(None, lines) if not pin.fullmatch(line)]
        assert set(loose) <= {"-r ../requirements.txt"}, name


def test_no_tracked_file_is_over_50_megabytes(repository: Path, tracked_files: list[Path]) -> None:
    assert not [f for f in tracked_files if (repository / f).stat().st_size > MAX_FILE_BYTES]


def test_no_tracked_text_names_a_machine_path_or_a_registry(
    repository: Path, tracked_files: list[Path]
) -> None:
    assert tracked_files
    for file in tracked_files:
        content = (repository / file).read_bytes()
        if b"\0" in content or file == Path("tests/test_frame.py"):
            continue
        text = content.decode("utf-8")
        assert not [word for word in MACHINE_PATHS + REGISTRY_HOSTS if word in text], file


def test_continuous_integration_runs_the_readmes_test_command(repository: Path) -> None:
    script = repository / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert script.read_text().rstrip().endswith("make test")
    readme = (repository / "README.md").read_text()
    assert "make run" in readme
    assert "make test" in readme
    assert subprocess.run(["bash", "-n", str(script)]).returncode == 0
