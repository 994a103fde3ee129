"""Fixtures shared by all tests: the repository's root, a headless Chromium, a served dashboard.

Browser tests skip where no Chromium is installed, and fail for it under CI=true: a run that is
meant to prove the dashboard must not pass by leaving the dashboard out.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

# Tiny models gain nothing from a second thread, and threads that wait for a core that another
# program holds lose a lot. Read by torch when it is loaded, here and in the served dashboard.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# What pages keep goes when the tests end, and never to the user's own folder.
os.environ["SEQUOIA_DATA"] = ""

ROOT = Path(__file__).resolve().parent.parent
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)
START_SECONDS = 90.0

# The dashboard is asked on the loopback interface, whatever proxy the environment names.
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test's own place for what pages keep."""
    monkeypatch.setenv("SEQUOIA_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture(scope="session")
def repository() -> Path:
    """The repository's root folder."""
    return ROOT


@pytest.fixture(scope="session")
def tracked_files(repository: Path) -> list[Path]:
    """The files git tracks that are here, relative to the root."""
    listing = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z"],
        cwd=repository,
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    return [Path(name) for name in listing.split("\0") if (repository / name).is_file()]


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """Path of a Chromium: $CHROMIUM, or the first of the usual names on the search path."""
    named = os.environ.get("CHROMIUM")
    found = (
        shutil.which(named)
        if named
        else next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
    )
    if found is None:
        reason = "no Chromium: install it (apt-get install chromium) or set CHROMIUM to its path"
        if os.environ.get("CI", "").lower() in {"1", "true", "yes"}:
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@pytest.fixture(scope="session")
def browser(chromium_path: str) -> Iterator:
    """A headless Chromium (playwright `Browser`), one for the whole session."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=chromium_path, headless=True, args=list(CHROMIUM_FLAGS)
        )
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser, app_url) -> Iterator:
    """Makes visitors; each is checked for errors when the test ends."""
    from visitor import Visitor

    visitors = []

    def arrive(**options) -> Visitor:
        visitors.append(Visitor(browser, app_url, **options))
        return visitors[-1]

    yield arrive
    for visitor in visitors:
        visitor.check()
        visitor.page.close()


@pytest.fixture(scope="session")
def app_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of the dashboard, served from this working tree for the whole session."""
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    log = tmp_path_factory.mktemp("dashboard") / "streamlit.log"
    with log.open("w") as stream:
        server = subprocess.Popen(
            _serve_command(port), cwd=ROOT, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream
        )
    try:
        _wait_until_healthy(url, server, log)
        yield url
    finally:
        _stop(server)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _serve_command(port: int) -> list[str]:
    options = {
        "server.address": "127.0.0.1",
        "server.port": str(port),
        "server.headless": "true",
        "server.fileWatcherType": "none",
        "browser.gatherUsageStats": "false",
    }
    flags = [word for key, value in options.items() for word in (f"--{key}", value)]
    return [sys.executable, "-m", "streamlit", "run", "app.py", *flags]


def _wait_until_healthy(url: str, server: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        if _is_healthy(url):
            return
        time.sleep(0.2)
    state = "did not answer" if server.poll() is None else f"ended with {server.returncode}"
    pytest.fail(f"the dashboard {state}; its log:\n{log.read_text()}")


def _is_healthy(url: str) -> bool:
    try:
        with _direct.open(f"{url}/_stcore/health", timeout=2) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


def _stop(server: subprocess.Popen) -> None:
    server.terminate()
    try:
        server.wait(timeout=10)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
