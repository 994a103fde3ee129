"""Losslessness, hardware profiles, benchmarks and offload on a GPU, in one command and a set time.

    make gpu-check ARGS="--out build/gpu-check --minutes 9.5"

Needs torch, transformers and numpy of whatever versions the machine has, nothing of the dashboard.
Sections run one after the other, the surest and most telling first, each in a process of its own
that is stopped when its time is up: neither an error nor a hang nor a broken CUDA context takes
anything from the others. All is kept in the folder as soon as it is there:

    figures.md            what every section says, and how it ended
    summary.json          the sections, their status and seconds
    logs/                 all that a section wrote to stderr
    probe.json, graphs.json, hardware*.json, bench*.json, offload.json
    profiles/             the hardware profiles under names fit for assets/hardware

A benchmark that is cut short is shown as far as it came. --go-on leaves out the sections that have
passed in this folder before; --only takes some. Status 1 where a section failed or was left out.
Runs on the CPU as well; --quick is for trying that out.
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

TOOLS = Path(__file__).resolve().parent
ROOT = TOOLS.parent
PASSED, FAILED, CUT_SHORT, LEFT_OUT = "passed", "failed", "out of time", "left out"
# A section is not begun with less, and has so long to put away what it has.
LEAST_SECONDS, GRACE_SECONDS = 15.0, 15.0
LAST_LINES = 12
TEMPERATURES = "0,0.6"
LARGE_METHODS = "autoregressive,chain,sequoia,hf-generate"
WITHOUT_GRAPHS = "autoregressive,sequoia"
# What trees are planned with where no profile could be measured: better some tree than none.
PRESETS = {"": "cpu-2-cores", "-llama-2-7b": "a100-llama-2-7b-paper-t0"}


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@dataclass(frozen=True, slots=True)
class Section:
    """One process. seconds: it may take; out: the file that it writes, if any.

    instead: a file that another section should have written, and what to name where it has not.
    """

    name: str
    title: str
    argv: list[str]
    seconds: float
    out: Path | None = None
    instead: tuple[Path, str] | None = None

    def with_what_there_is(self) -> "Section":
        """The same with the substitute, if it is needed."""
        if self.instead is None or self.instead[0].exists():
            return self
        missing, preset = self.instead
        argv = [preset if word == str(missing) else word for word in self.argv]
        return replace(self, argv=argv, title=f"{self.title}, planned with {preset}")


@dataclass(frozen=True, slots=True)
class Ending:
    """How a section ended."""

    name: str
    title: str
    status: str
    code: int | None = None
    seconds: float = 0.0


class Folder:
    """What was found so far: on the screen, and in files that always have all of it."""

    def __init__(self, path: Path, go_on: bool):
        self.path = path
        (path / "logs").mkdir(parents=True, exist_ok=True)
        self._figures, self._summary = path / "figures.md", path / "summary.json"
        kept = go_on and self._summary.exists()
        found = json.loads(self._summary.read_text(encoding="utf-8")) if kept else []
        self.endings = [Ending(**each) for each in found]
        if not kept:
            self._figures.write_text("# Figures\n", encoding="utf-8")

    def add(self, ending: Ending, text: str) -> None:
        """Keep what a section said, and how it ended."""
        head = f"## {ending.title}\n\n{ending.status.capitalize()} ({ending.seconds:.0f} s).\n"
        print(f"{head}\n{text.strip()}\n", flush=True)
        with self._figures.open("a", encoding="utf-8") as stream:
            stream.write(f"\n{head}\n{text.strip()}\n")
        self.endings = [each for each in self.endings if each.name != ending.name] + [ending]
        rows = [asdict(each) for each in self.endings]
        self._summary.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")

    def has_passed(self, name: str) -> bool:
        return any(each.name == name and each.status == PASSED for each in self.endings)

    def log(self, name: str) -> Path:
        return self.path / "logs" / f"{name}.txt"


def main() -> int:
    arguments = _arguments()
    # A shell that has put this into its background ignores it, and so would the sections.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    folder = Folder(arguments.out, arguments.go_on)
    deadline = time.monotonic() + 60 * arguments.minutes
    wanted = sections(arguments)
    for section in wanted:
        if arguments.go_on and folder.has_passed(section.name):
            continue
        left = deadline - time.monotonic() - GRACE_SECONDS
        if left < LEAST_SECONDS:
            folder.add(Ending(section.name, section.title, LEFT_OUT), "No time was left for it.")
            continue
        say(section.title)
        run(section.with_what_there_is(), min(section.seconds, left), folder)
        keep_profile(section, arguments.out)
    names = {section.name for section in wanted}
    ended = {each.name: each.status for each in folder.endings if each.name in names}
    say(", ".join(f"{name}: {status}" for name, status in ended.items()))
    return 0 if set(ended.values()) <= {PASSED} else 1


def run(section: Section, seconds: float, folder: Folder) -> None:
    """Run a section for so long at the most, and keep what it says."""
    started = time.monotonic()
    log, told = folder.log(section.name), folder.log(f"{section.name}.out")
    if section.out is not None:
        section.out.unlink(missing_ok=True)
    with log.open("w", encoding="utf-8") as errors, told.open("w", encoding="utf-8") as out:
        process = subprocess.Popen(
            section.argv,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=errors,
            cwd=ROOT,
            # The models are all here, and a look for others could hang.
            env=os.environ | {"HF_HUB_OFFLINE": "1"},
        )
        code = _ended(process, seconds)
    text = told.read_text(encoding="utf-8")
    told.unlink()
    status = CUT_SHORT if code is None else PASSED if code == 0 else FAILED
    if status != PASSED:
        text += _last_lines(log) + _partial(section)
    took = time.monotonic() - started
    folder.add(Ending(section.name, section.title, status, code, took), text)


def _ended(process: subprocess.Popen, seconds: float) -> int | None:
    """The exit status; None where it had to be stopped."""
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        # As Ctrl-C: a benchmark then writes what it has.
        process.send_signal(signal.SIGINT)
    try:
        process.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    return None


def _last_lines(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-LAST_LINES:]
    return "\n".join(["", "The end of its log:", "", *(f"    {line}" for line in lines), ""])


def _partial(section: Section) -> str:
    """The table of a benchmark that was cut short."""
    part = section.out.with_suffix(".partial.json") if section.out else None
    if part is None or not part.exists():
        return ""
    shown = subprocess.run(
        [*_core("bench"), "--show", str(part)], cwd=ROOT, capture_output=True, text=True
    )
    return f"\nAs far as it came:\n\n{shown.stdout}"


def keep_profile(section: Section, out: Path) -> None:
    """Put a profile that was measured beside the others, named by device, cost and dtype."""
    path = section.out
    if path is None or not path.name.startswith("hardware") or not path.exists():
        return
    profile = json.loads(path.read_text(encoding="utf-8"))
    device = re.sub(r"[^a-z0-9]+", "-", profile["device"].lower()).strip("-")
    name = "-".join([device, *path.stem.split("-")[1:], profile["dtype"]])
    (out / "profiles").mkdir(exist_ok=True)
    (out / "profiles" / f"{name}.json").write_bytes(path.read_bytes())


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("build/gpu-check"))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--minutes", type=float, default=9.5, help="for everything")
    parser.add_argument("--only", default="", help="sections, comma-separated")
    parser.add_argument("--go-on", action="store_true", help="leave out what has passed before")
    parser.add_argument("--quick", action="store_true", help="as little of everything as possible")
    parser.add_argument("--like", default="llama-2-7b", help="shape of the stand-in; or none")
    arguments = parser.parse_args()
    arguments.out = arguments.out.resolve()
    known = [section.name for section in sections(arguments, everything=True)]
    unknown = [name for name in filter(None, arguments.only.split(",")) if name not in known]
    if unknown:
        parser.error(f"there is no section '{unknown[0]}'; choose from {', '.join(known)}")
    return arguments


def sections(arguments: argparse.Namespace, *, everything: bool = False) -> list[Section]:
    """In order; those of --only, unless `everything` is asked for."""
    found = [*_correctness(arguments), *_large(arguments), *_small(arguments)]
    only = [] if everything else list(filter(None, arguments.only.split(",")))
    return [section for section in found if not only or section.name in only]


def _correctness(arguments: argparse.Namespace) -> list[Section]:
    out, device = arguments.out, ["--device", arguments.device]
    probe, graphs = out / "probe.json", out / "graphs.json"
    few = ["--prompts", "1"] if arguments.quick else ["--prompts", "4"]
    return [
        Section(
            "probe",
            "What the engine asks of CUDA, one by one",
            _tool("gpu_probe", *device, "--out", str(probe)),
            90,
            probe,
        ),
        Section(
            "graphs",
            "The same text with captured passes as without, in float32",
            _tool("gpu_graphs", *device, *few, *_tokens(arguments, 48), "--out", str(graphs)),
            90,
            graphs,
        ),
        Section(
            "verify-short",
            "Every method lossless in float32, a first look",
            _verify(arguments, "4", 32, "100", ["--temperatures", "0.6", "--top-ps", "0.9"]),
            100,
        ),
    ]


def _large(arguments: argparse.Namespace) -> list[Section]:
    """A stand-in of the shape named: profile, benchmark, offload."""
    if arguments.like == "none":
        return []
    like, stem = ["--like", arguments.like], f"-{Path(arguments.like).stem}"
    offload, device = arguments.out / "offload.json", ["--device", arguments.device]
    return [
        *_measured(arguments, like, stem, "2", ["--methods", LARGE_METHODS], 150),
        Section(
            "offload",
            f"Offload of a stand-in of {arguments.like} beside the bound of its copies",
            _tool("gpu_offload", *device, *like, "--out", str(offload)),
            120,
            offload,
        ),
    ]


def _small(arguments: argparse.Namespace) -> list[Section]:
    """The bundled pair: profile, benchmarks, and the whole proof."""
    without = ["--no-graphs", "--methods", WITHOUT_GRAPHS]
    methods = ["--methods", WITHOUT_GRAPHS] if arguments.quick else []
    return [
        *_measured(arguments, [], "", "3", methods, 180),
        _bench(arguments, "-no-graphs", [], "", "2", without, 60),
        Section(
            "verify",
            "Every method lossless in float32",
            _verify(arguments, "20", 64, "500", []),
            900,
        ),
    ]


def _measured(
    arguments: argparse.Namespace,
    pair: list[str],
    stem: str,
    repeats: str,
    options: list[str],
    seconds: float,
) -> list[Section]:
    """A profile, and a benchmark of the trees planned from it."""
    hardware = arguments.out / f"hardware{stem}.json"
    amounts = ["--limit", "25", "--repeats", "5", "--max-tokens", "512"]
    if arguments.quick:
        amounts = ["--limit", "0", "--repeats", "1", "--max-tokens", "8"]
    profile = Section(
        f"profile{stem}",
        f"Hardware profile{_named(stem)}",
        [
            *_core("profile"),
            *["--device", arguments.device, *pair, *amounts],
            *["--out", str(hardware)],
        ],
        110,
        hardware,
    )
    return [profile, _bench(arguments, "", pair, stem, repeats, options, seconds)]


def _bench(
    arguments: argparse.Namespace,
    kind: str,
    pair: list[str],
    stem: str,
    repeats: str,
    options: list[str],
    seconds: float,
) -> Section:
    out = arguments.out / f"bench{stem}{kind}.json"
    hardware = arguments.out / f"hardware{stem}.json"
    without = ", without CUDA graphs" if kind else ""
    return Section(
        out.stem,
        f"Benchmark{_named(stem)}{without}",
        [
            *_core("bench"),
            *["--device", arguments.device, *pair],
            *["--hardware", str(hardware)],
            *["--temperatures", TEMPERATURES, "--repeats", "1" if arguments.quick else repeats],
            *[*_tokens(arguments, 64), *options, "--out", str(out)],
        ],
        seconds,
        out,
        (hardware, PRESETS[stem]) if stem in PRESETS else None,
    )


def _named(stem: str) -> str:
    return f" as {stem[1:]}" if stem else ""


def _verify(
    arguments: argparse.Namespace, prompts: str, tokens: int, runs: str, options: list[str]
) -> list[str]:
    if arguments.quick:
        prompts, runs, options = "1", "100", ["--temperatures", "0.6", "--top-ps", "1.0"]
    return [
        *_core("verify"),
        *["--device", arguments.device, "--dtype", "float32"],
        *["--prompt-count", prompts, "--runs", runs, *_tokens(arguments, tokens), *options],
    ]


def _tokens(arguments: argparse.Namespace, tokens: int) -> list[str]:
    return ["--max-new-tokens", "8" if arguments.quick else str(tokens)]


def _core(command: str) -> list[str]:
    return [sys.executable, "-m", "sequoia_core", command]


def _tool(name: str, *options: str) -> Sequence[str]:
    return [sys.executable, str(TOOLS / f"{name}.py"), *options]


if __name__ == "__main__":
    sys.exit(main())
