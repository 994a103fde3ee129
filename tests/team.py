"""Two processes of one run, as torchrun would start them: gloo on this machine's loopback."""

import contextlib
import io
import multiprocessing
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
from torch.distributed import TCPStore

COUNT = 2
# Far beyond what any test takes: a hung pair must end, and a slow machine must not fail.
PATIENCE_SECONDS = 120.0
# Read once by a server without threads, from which the processes are forked.
HEAVY = (
    "torch.distributed.tensor",
    "accelerate.utils",
    "transformers.models.llama.modeling_llama",
    "transformers.models.qwen3.modeling_qwen3",
    "transformers.models.auto.modeling_auto",
    "transformers.generation",
)


def in_two_processes(function: Callable, *arguments) -> list[Any]:
    """function(rank, *arguments) in both; what each returned, in order. Errors fail the test.

    The store is kept here, as torchrun keeps it, on a port that the system chooses.
    """
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(HEAVY))
    pipes = [context.Pipe(duplex=False) for _ in range(COUNT)]
    workers = [
        context.Process(target=_work, args=(sender, rank, store.port, function, arguments))
        for rank, (_, sender) in enumerate(pipes)
    ]
    with _empty_main():
        for worker, (_, sender) in zip(workers, pipes, strict=True):
            worker.start()
            sender.close()
    try:
        answers = [_answer(receiver) for receiver, _ in pipes]
    finally:
        for worker in workers:
            worker.kill()
            worker.join()
    wrong = [answer for answer in answers if isinstance(answer, Failed)]
    assert not wrong, wrong[0].text
    return answers


@contextlib.contextmanager
def _empty_main() -> Iterator[None]:
    """No main module for a process to run again.

    A test of a page leaves app.py there, and a process would run the dashboard, whose worker loads
    the bundled pair in a thread, beside what is tested.
    """
    before = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = before


class Failed:
    """An error of a process, as text."""

    def __init__(self, text: str):
        self.text = text


def _answer(receiver) -> Any:
    if not receiver.poll(PATIENCE_SECONDS):
        pytest.fail(f"a process said nothing for {PATIENCE_SECONDS:.0f} seconds")
    try:
        return receiver.recv()
    except EOFError:
        return None


def _work(sender, rank: int, port: int, function: Callable, arguments: tuple) -> None:
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(COUNT),
        "LOCAL_WORLD_SIZE": str(COUNT),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "TORCHELASTIC_USE_AGENT_STORE": "True",
    }
    try:
        sender.send(function(rank, *arguments))
    except BaseException:
        sender.send(Failed(traceback.format_exc()))


def command(rank: int, words: list[str]) -> tuple[int, str, str]:
    """Exit status, output and errors of a command in one of the processes."""
    from sequoia_core.cli import main

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main(words)
    return status, out.getvalue(), err.getvalue()
