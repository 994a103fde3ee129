"""What is asked of CUDA, on a device that only writes it down."""

from argparse import ArgumentParser
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from fakes import tiny_pair

from sequoia_core.commands import _models
from sequoia_core.decode import capture, pair, transfer
from sequoia_core.decode.capture import GraphCapture, default_capture, eager


class Cuda:
    """Stands in for torch.cuda."""

    def __init__(self):
        self.log: list[str] = []
        self.mode = 0
        self.current = self.Stream("main")
        self.default_generators = [self, self]

    class Stream:
        def __init__(self, name):
            self.name = str(name)

        def wait_stream(self, other) -> None:
            self.waits = other

    def current_stream(self):
        return self.current

    def set_stream(self, stream) -> None:
        self.current = stream

    def clone_state(self) -> str:
        return "a state that is not captured"

    def graphsafe_set_state(self, state: str) -> None:
        self.log.append(f"generator has {state}")

    def graph_pool_handle(self) -> str:
        return "the pool"

    @contextmanager
    def device(self, _device):
        yield

    @contextmanager
    def stream(self, stream):
        before, self.current = self.current, stream
        try:
            yield
        finally:
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
        # torch goes back only where all has gone well.
        before, self.current = self.current, stream
        yield
        self.current = before
        self.log.append("captured")


@pytest.fixture
def cuda(monkeypatch) -> Cuda:
    fake = Cuda()
    monkeypatch.setattr(capture.torch, "cuda", fake)
    return fake


def test_a_pass_is_warmed_up_beside_the_main_stream_then_captured_and_replayed(cuda):
    def run():
        cuda.log.append(f"run on {cuda.current.name}, synchronising {cuda.mode or 'allowed'}")

    capture_pass = default_capture(torch.device("cuda", 0))
    repeat = capture_pass(run)
    repeat()
    assert cuda.log == [
        "run on cuda:0, synchronising allowed",
        "run on cuda:0, synchronising error",
        # The empty graph that keeps the pool, once.
        "capture in the pool, thread_local",
        "captured",
        "capture in the pool, thread_local",
        "run on cuda:0, synchronising allowed",
        "captured",
        "replay",
    ]
    assert cuda.current.name == "main"
    assert cuda.current.waits.name == "cuda:0"
    cuda.log.clear()
    capture_pass(run)
    assert cuda.log.count("captured") == 1


def test_a_pass_that_synchronises_is_never_begun_to_capture(cuda):
    def run():
        if cuda.mode == "error":
            raise RuntimeError("called a synchronizing CUDA operation")

    capture_pass = GraphCapture(torch.device("cuda", 0))
    with pytest.raises(RuntimeError, match="synchronizing"):
        capture_pass(run)
    assert cuda.log == []
    assert cuda.mode == 0
    assert cuda.current.name == "main"


def test_the_main_stream_waits_for_what_a_failed_warm_up_has_queued(cuda):
    def run():
        raise RuntimeError("no such kernel")

    with pytest.raises(RuntimeError, match="kernel"):
        GraphCapture(torch.device("cuda", 0))(run)
    assert cuda.current.name == "main"
    assert cuda.current.waits.name == "cuda:0"


def test_a_capture_that_fails_leaves_the_main_stream_and_its_generator_as_they_were(cuda):
    def run():
        if cuda.log and cuda.log[-1].startswith("capture in"):
            raise RuntimeError("operation not permitted when stream is capturing")

    def keeper(self):
        self._keeper = "made before"

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(GraphCapture, "_keep_pool", keeper)
        with pytest.raises(RuntimeError, match="capturing"):
            GraphCapture(torch.device("cuda", 1))(run)
    assert cuda.log[-1] == "generator has a state that is not captured"
    assert cuda.current.name == "main"


def test_both_models_of_a_pair_share_one_capture_and_give_it_up_together(monkeypatch):
    made = []
    monkeypatch.setattr(pair, "default_capture", lambda device: made.append(device) or eager)
    models = tiny_pair()
    models.use_graphs()
    assert len(made) == 1
    assert models.target.static is not None
    assert models.draft.static is not None
    models.use_graphs(False)
    assert (models.target.static, models.draft.static) == (None, None)


@pytest.mark.parametrize(("options", "graphs"), [([], True), (["--no-graphs"], False)])
def test_graphs_are_left_out_by_an_option(monkeypatch, options, graphs):
    monkeypatch.setattr(_models, "load_pair", lambda spec, *_others: spec)
    parser = ArgumentParser()
    _models.add_model_arguments(parser)
    assert _models.load_named_pair(parser.parse_args(options), print).graphs is graphs


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([3, 1], torch.tensor([3, 1])),
        (range(2), torch.tensor([0, 1])),
        (np.array([[1, 2]], np.int32), torch.tensor([[1, 2]])),
        (np.zeros((0, 2), bool), torch.zeros(0, 2, dtype=torch.bool)),
        (np.array([True, False]), torch.tensor([True, False])),
    ],
)
def test_index_tensors_come_to_the_device_as_they_are(values, expected):
    made = transfer.to_device(values, torch.device("cpu"))
    assert made.dtype == expected.dtype
    assert torch.equal(made, expected)


def test_a_gpu_is_not_waited_for_when_index_tensors_are_sent(monkeypatch):
    class Pinned:
        def to(self, device, non_blocking):
            return device.type, non_blocking

    def tensor(values, dtype, pin_memory):
        assert (values, dtype, pin_memory) == ([1], torch.long, True)
        return Pinned()

    monkeypatch.setattr(transfer.torch, "tensor", tensor)
    assert transfer.to_device([1], torch.device("cuda", 0)) == ("cuda", True)
