"""The processes of one run, as torchrun starts them: who they are, what they share, how they end.

The main process writes and prints. Whichever fails first says why; the others then end silently,
for a process whose peer is gone fails too, and its error would only hide the first one.
"""

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from transformers.utils import logging

from sequoia_core.decode.loading import resolve_device
from sequoia_core.errors import EndedElsewhereError, InputError, ProcessError, SequoiaError

T = TypeVar("T")

# A peer that has died is noticed by its connection. This is for one that has much to do.
LONGEST_WAIT = timedelta(days=1)
FAILED, INTERRUPTED = "failed", "interrupted"
MAIN = 0


class Team:
    """The processes of one run; a process by itself is a team of one.

    index: this one's place, 0 for the main process, which alone writes and prints. count: how many
    there are. device: this one's own; None in a team of one, which may choose.
    """

    def __init__(
        self, index: int = MAIN, count: int = 1, device: torch.device | None = None, store=None
    ):
        self.index, self.count, self.device = index, count, device
        self._store = store
        self._counters = 0

    @property
    def is_main(self) -> bool:
        """Whether this process is the one that writes and prints."""
        return self.index == MAIN

    def split(self, items: Sequence[T]) -> list[T]:
        """This process's share: neighbours, so that all shares in order are all items in order."""
        if self.count == 1:
            return list(items)
        with _accelerate().PartialState().split_between_processes(list(items)) as share:
            return share

    def gather(self, items: Sequence[T]) -> list[T]:
        """The items of every process in the order of processes, in every process.

        All of them must call it. Items travel as pickles, between processes of one run only.
        """
        if self.count == 1:
            return list(items)
        return _accelerate().utils.gather_object(list(items))

    def counter(self) -> Callable[[int], int]:
        """A count from 0 that all processes share: adds to it, and returns it; nobody waits.

        All of them must make their counters in the same order.
        """
        self._counters += 1
        store = dist.HashStore() if self._store is None else self._store
        return partial(store.add, f"counter {self._counters}")

    def broadcast(self, tensor: Tensor) -> Tensor:
        """The main process's tensor, written into those of the others, of equal shape and dtype."""
        if self.count > 1:
            dist.broadcast(tensor, MAIN)
        return tensor

    def ended_by(self, kind: str) -> tuple[int, str]:
        """Which process has ended the run, and how; this one, if none has before."""
        try:
            words = self._store.compare_set("ended", "", f"{self.index} {kind}").decode().split()
        except RuntimeError:
            # The store is gone with the process that kept it: torchrun, or else the main one.
            return MAIN, FAILED
        return int(words[0]), words[1]


ALONE = Team()


@contextmanager
def processes(device: str = "auto") -> Iterator[Team]:
    """The team of a process that torchrun has started as one of several.

    device: auto, cpu or cuda; with cuda each process takes the GPU of its place on its machine.
    They talk through gloo on CPUs, and through NCCL about what is on GPUs. Where the body fails in
    several of them, it ends with one error for all: see the head of this module. Raises InputError
    without accelerate, where there are fewer GPUs than processes, and where the processes cannot be
    joined.
    """
    team = _assembled(device)
    if not team.is_main:
        logging.set_verbosity_error()
    try:
        _check_gpu(team)
        yield team
    except BaseException as error:
        cause = _cause(team, error)
        # NCCL would wait here for the peers; the end of the process frees what it holds.
        if team.device.type == "cpu":
            dist.destroy_process_group()
        if cause is error:
            raise
        raise cause from error
    dist.destroy_process_group()


def _accelerate():
    """The library, which a run in one process does without."""
    try:
        import accelerate.utils
    except ImportError as error:
        raise InputError(
            "Several processes need the package accelerate: install it (pip install accelerate), "
            "or start one process."
        ) from error
    return accelerate


def _assembled(name: str) -> Team:
    accelerate = _accelerate()
    device = resolve_device(name)
    if device.index is not None:
        raise InputError(
            f"Several processes take a GPU each, so {name} cannot be the one: say cuda or auto."
        )
    on_cpu = device.type == "cpu"
    try:
        store, index, count = next(dist.rendezvous("env://"))
        dist.init_process_group(
            "gloo" if on_cpu else "cpu:gloo,cuda:nccl",
            store=dist.PrefixStore("group", store),
            rank=index,
            world_size=count,
            timeout=LONGEST_WAIT,
        )
        chosen = accelerate.PartialState(cpu=on_cpu).device
    except (ValueError, RuntimeError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise InputError(
            f"The processes cannot be joined ({reason}); start them with torchrun."
        ) from error
    return Team(index, count, device if on_cpu else chosen, dist.PrefixStore("team", store))


def _check_gpu(team: Team) -> None:
    """A GPU for each process: accelerate would give one to two of them."""
    place, there = _accelerate().PartialState().local_process_index, torch.cuda.device_count()
    if team.device.type == "cuda" and place >= there:
        raise InputError(
            f"There is no GPU for process {place + 1} of this machine, which has {there}; start as "
            "many processes as there are GPUs."
        )


def _cause(team: Team, error: BaseException) -> BaseException:
    """What this process ends with, now that `error` ends its body."""
    interrupted = isinstance(error, KeyboardInterrupt)
    if interrupted and threading.current_thread() is threading.main_thread():
        # torchrun passes on the signal that the terminal has sent already.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    first, kind = team.ended_by(INTERRUPTED if interrupted else FAILED)
    if first != team.index:
        if kind == INTERRUPTED:
            return KeyboardInterrupt()
        return EndedElsewhereError(f"Process {first + 1} of {team.count} has ended the run.")
    if isinstance(error, RuntimeError) and "by peer" in str(error):
        return ProcessError(
            f"One of the {team.count} processes has ended without a word, as the system ends a "
            "process when memory is short; start fewer, or choose smaller models."
        )
    if isinstance(error, SequoiaError) and not team.is_main:
        return ProcessError(f"Process {team.index + 1} of {team.count}: {error}")
    return error
