"""Serves the dashboard, after checking what would otherwise end in a traceback.

`make run` calls it; by hand it is `.venv/bin/python tools/serve.py --port 8502`.
"""

import argparse
import os
import socket
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ADDRESS = "127.0.0.1"  # loopback: the dashboard has no log-in


class ServeError(Exception):
    """Why the dashboard cannot be served, in a sentence that says what to do."""


def parse_port(text: str) -> int:
    """Port number from what the user typed; ServeError unless it is from 1 to 65535."""
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 65535):
        raise ServeError(
            f"Port '{text}' is not a number from 1 to 65535: try `make run PORT=8502`."
        )
    return int(text)


def check_port(port: int) -> None:
    """Raise ServeError unless this user can listen on `port` of the loopback interface."""
    with socket.socket() as probe:
        # As a server would: a port whose last connections are still closing is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((ADDRESS, port))
            probe.listen()
        except PermissionError:
            raise ServeError(
                f"Port {port} needs administrator rights: choose one above 1023, "
                "for instance `make run PORT=8502`."
            ) from None
        except OSError:
            raise ServeError(
                f"Port {port} is in use, perhaps by a dashboard that is already running "
                f"(http://{ADDRESS}:{port}): stop that one or choose another port, "
                f"for instance `make run PORT={port + 1 if port < 65535 else 8502}`."
            ) from None


def missing_models(models: Path) -> str | None:
    """A sentence for the user if the bundled pair in folder `models` is incomplete, else None."""
    complete = [
        config.parent
        for config in models.glob("*/config.json")
        if any(config.parent.glob("*.safetensors"))
    ]
    if len(complete) >= 2:
        return None
    return (
        f"Note: the bundled models are missing from {models}: restore that folder from the "
        "repository (`git checkout -- assets/models`), or choose models of your own in the sidebar."
    )


def serve_command(port: int) -> list[str]:
    """The command line that serves app.py on loopback; the rest is in .streamlit/config.toml."""
    options = ["--server.address", ADDRESS, "--server.port", str(port)]
    return [sys.executable, "-m", "streamlit", "run", str(ROOT / "app.py"), *options]


def main() -> None:
    """Check, then become the server; if that cannot be, one line on stderr and exit status 2."""
    parser = argparse.ArgumentParser(description="Serve Sequoia Explorer on the loopback interface")
    parser.add_argument("--port", default="8501", help="port to listen on (default: 8501)")
    try:
        port = parse_port(parser.parse_args().port)
        check_port(port)
    except ServeError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    if note := missing_models(ROOT / "assets" / "models"):
        print(note, file=sys.stderr)
    os.chdir(ROOT)
    os.execv(sys.executable, serve_command(port))


if __name__ == "__main__":
    main()
