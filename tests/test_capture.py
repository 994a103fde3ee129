"""How a pass becomes a CUDA graph, on a device that only writes down what it is asked."""

from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch

from sequoia_core.decode import capture
from sequoia_core.decode.capture import GraphCapture, default_capture


class Cuda:
    """Stands in for torch.cuda."""

    def __init__(self):
        self.log: list[str] = []
        self.mode = 0
        self.current = self.Stream("main")

    class Stream:
        def __init__(self, name):
            self.name = str(name)

        def wait_stream(self, other) -> None:
            self.waits = other

    def current_stream(self):
        return self.current

    def graph_pool_handle(self) -> str:
        return "the pool"

    @contextmanager
    def device(self, _device):
        yield

    @contextmanager
    def stream(self, stream):
        before, self.current = self.current, stream
        yield
        self.current = before

    def get_sync_debug_mode(self) -> int:
        return self.mode

    def set_sync_debug_mode(self, mode) -> None:
        self.mode = mode

    def CUDAGraph(self):  # noqa: N802
        return SimpleNamespace(replay=lambda: self.log.append("replay"))

    @contextmanager
    def graph(self, _graph, *, pool, stream, capture_error_mode):
        self.log.append(f"capture in {pool}, {capture_error_mode}")
        with self.stream(stream):
            yield
        self.log.append("captured")


@pytest.fixture
def cuda(monkeypatch) -> Cuda:
    fake = Cuda()
    monkeypatch.setattr(capture.torch, "cuda", fake)
    return fake


def test_a_pass_is_warmed_up_beside_the_main_stream_then_captured_and_replayed(cuda):
    def run():
        cuda.log.append(f"run on {cuda.current.name}, synchronising {cuda.mode or 'allowed'}")

    repeat = default_capture(torch.device("cuda", 0))(run)
    repeat()
    assert cuda.log == [
        "run on cuda:0, synchronising allowed",
        "run on cuda:0, synchronising error",
        "capture in the pool, thread_local",
        "run on cuda:0, synchronising allowed",
        "captured",
        "replay",
    ]
    assert cuda.current.name == "main"
    assert cuda.current.waits.name == "cuda:0"


def test_a_pass_that_synchronises_is_never_begun_to_capture(cuda):
    def run():
        if cuda.mode == "error":
            raise RuntimeError("called a synchronizing CUDA operation")

    with pytest.raises(RuntimeError, match="synchronizing"):
        GraphCapture(torch.device("cuda", 0))(run)
    assert cuda.log == []
    assert cuda.mode == 0
