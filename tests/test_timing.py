"""Where a step's time goes, by the host's clock and by events on the device."""

import pytest
import torch
from fakes import tiny_pair

from sequoia_core.decode import engine, timing
from sequoia_core.decode.engine import Engine, GenerationSettings
from sequoia_core.decode.timing import DeviceLaps, EventWatch, Laps, Stopwatch, laps, stopwatch
from sequoia_core.tree.token_tree import TokenTree


class Device:
    """A queue of events that the device reaches at given milliseconds."""

    def __init__(self, *milliseconds: float):
        self.times = list(milliseconds)
        self.made = self.waits = 0

    def event(self) -> "Event":
        self.made += 1
        return Event(self)


class Event:
    def __init__(self, device: Device):
        self.device, self.time = device, -1.0

    def record(self) -> None:
        self.time = self.device.times.pop(0)

    def synchronize(self) -> None:
        self.device.waits += 1

    def elapsed_time(self, later: "Event") -> float:
        return later.time - self.time


def test_a_part_lasts_until_the_next_one_and_a_step_waits_once():
    device = Device(0, 2, 5, 6, 10, 11)
    watch = EventWatch(device.event)
    for name in ("draft", "sample", "draft", "verify", "commit"):
        with watch.part(name):
            pass
    assert device.waits == 0
    seconds = watch.take()
    assert device.waits == 1
    assert (seconds.draft, seconds.sample, seconds.verify, seconds.commit) == pytest.approx(
        (3e-3, 3e-3, 4e-3, 1e-3)
    )
    assert seconds.total == pytest.approx(11e-3)


def test_events_are_used_again_and_steps_start_from_zero():
    device = Device(*range(100))
    watch = EventWatch(device.event)
    for _ in range(5):
        with watch.part("verify"):
            pass
        assert watch.take().total == pytest.approx(1e-3)
    assert device.made == 2


def test_works_in_a_row_are_waited_for_once_and_what_is_between_them_does_not_count():
    device, done = Device(0, 2, 5, 6), []
    watch = DeviceLaps(device.event)
    for name in ("draft", "target"):
        watch.time(lambda name=name: done.append((name, device.waits)))
    assert done == [("draft", 0), ("target", 0)]
    assert watch.take() == [2e-3, 1e-3]
    assert device.waits == 1


def test_on_a_cpu_works_in_a_row_are_timed_one_by_one(monkeypatch):
    ticks = iter([1.0, 1.5, 2.0, 4.0])
    monkeypatch.setattr(timing.time, "perf_counter", lambda: next(ticks))
    watch = laps(torch.device("cpu"))
    assert isinstance(watch, Laps)
    for _ in range(2):
        watch.time(lambda: None)
    assert watch.take() == [0.5, 2.0]


def test_a_step_without_any_part_takes_no_time():
    assert EventWatch(Device(0).event).take().total == 0


def test_a_cpu_is_timed_by_the_hosts_clock(monkeypatch):
    ticks = iter([1.0, 1.5, 2.0, 4.0])
    monkeypatch.setattr(timing.time, "perf_counter", lambda: next(ticks))
    watch = stopwatch(torch.device("cpu"))
    assert isinstance(watch, Stopwatch)
    for name in ("draft", "verify"):
        with watch.part(name):
            pass
    seconds = watch.take()
    assert (seconds.draft, seconds.verify) == (0.5, 2.0)


def test_a_run_timed_by_events_accounts_for_its_steps_without_gaps(monkeypatch):
    device = Device(*range(10_000))
    monkeypatch.setattr(engine, "stopwatch", lambda _device: EventWatch(device.event))
    tree = TokenTree([-1, 0, 0, 1])
    run = Engine(tiny_pair()).run([1], GenerationSettings(max_new_tokens=20), tree)
    steps = list(run)
    # Two levels are drafted and sampled from, the tree verified, walked, committed; from the
    # second step on the method is chosen before.
    marks = [round(step.seconds.total * 1e3) for step in steps]
    assert marks == [7] + [8] * (len(steps) - 1)
    assert run.decode_seconds == pytest.approx(sum(marks) / 1e3)
    assert device.waits == len(steps)


def test_marks_are_put_into_the_queue_of_the_runs_own_gpu(monkeypatch):
    recorded = []

    class CudaEvent:
        def __init__(self, enable_timing):
            assert enable_timing

        def record(self, stream):
            recorded.append(stream)

        def synchronize(self):
            recorded.append("waited")

        def elapsed_time(self, _later):
            return 2.0

    monkeypatch.setattr(timing.torch.cuda, "Event", CudaEvent)
    monkeypatch.setattr(timing.torch.cuda, "current_stream", lambda device: f"stream of {device}")
    watch = stopwatch(torch.device("cuda", 1))
    with watch.part("commit"):
        pass
    assert watch.take().commit == 2e-3
    assert recorded == ["stream of cuda:1"] * 2 + ["waited"]
