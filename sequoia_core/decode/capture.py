"""Ways to keep a pass of fixed shape for repetition: as a CUDA graph, or as the call that it is."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

# A pass without arguments and results: it reads and writes tensors that stay where they are.
Pass = Callable[[], None]
# Makes of a pass one that repeats it. Raises RuntimeError where that cannot be done.
Capture = Callable[[Pass], Pass]


def eager(run: Pass) -> Pass:
    """No graph: every repetition runs the pass anew. What a CPU can do, and tests use."""
    return run


class GraphCapture:
    """CUDA graphs that share one pool of memory; one object for both models of a pair.

    Sharing is safe because all graphs are replayed one after the other on one stream, and nothing
    that a pass leaves behind for others lies in the pool.
    """

    def __init__(self, device: torch.device):
        self._device = device
        with torch.cuda.device(device):
            self._pool = torch.cuda.graph_pool_handle()
            self._stream = torch.cuda.Stream(device)
        self._keeper: torch.cuda.CUDAGraph | None = None

    def __call__(self, run: Pass) -> Pass:
        """Capture after two passes that warm up. Raises RuntimeError for a pass that synchronises.

        That is asked of the second of them: a capture that fails is not without traces in torch.
        """
        with torch.cuda.device(self._device):
            current = torch.cuda.current_stream()
            self._stream.wait_stream(current)
            try:
                with torch.cuda.stream(self._stream):
                    run()
                    with _synchronising_forbidden():
                        run()
            finally:
                # What was queued before a failure still writes to the cache and reads the buffers.
                current.wait_stream(self._stream)
            self._keep_pool()
            return self._captured(run).replay

    def _keep_pool(self) -> None:
        """An empty graph has the pool live on when all others have been dropped with a cache."""
        if self._keeper is None:
            with warnings.catch_warnings():
                # That it is empty.
                warnings.simplefilter("ignore")
                self._keeper = self._captured(lambda: None)

    def _captured(self, run: Pass) -> torch.cuda.CUDAGraph:
        graph = torch.cuda.CUDAGraph()
        current = torch.cuda.current_stream()
        try:
            # Other threads may use the device for things of their own.
            with torch.cuda.graph(
                graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"
            ):
                run()
        except BaseException:
            self._clear_up(current)
            raise
        return graph

    def _clear_up(self, current: torch.cuda.Stream) -> None:
        """After a capture that failed, where torch leaves its stream the current one and, in some
        versions, its generator in the belief that it is captured, so that it draws no more.
        """
        torch.cuda.set_stream(current)
        index = self._device.index
        number = torch.cuda.current_device() if index is None else index
        generator = torch.cuda.default_generators[number]
        generator.graphsafe_set_state(generator.clone_state())


def default_capture(device: torch.device) -> Capture | None:
    """CUDA graphs on a GPU; None elsewhere, where passes of fixed shape only cost more."""
    return GraphCapture(device) if device.type == "cuda" else None


@contextmanager
def _synchronising_forbidden() -> Iterator[None]:
    before = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings():
        # That the mode is a prototype.
        warnings.simplefilter("ignore")
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode(before)
