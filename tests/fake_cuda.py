"""A GPU that is none: tensors that say they are on cuda:0, with their numbers in main memory.

The real code runs on it, with real numbers, and what a GPU would object to is objected to here:
operations on tensors of two devices, waits where none are allowed, and whatever a CUDA graph cannot
hold. Everything that the host would wait for is written down. A graph keeps the operations of its
capture and no Python: a replay makes them again on the same memory, and then spoils all that the
pass has left in the pool. Operations of different streams on the same memory must be ordered by
events or waits.

What it cannot show: kernels that do not exist or are slow, rounding, memory, and time. An
operation takes one millisecond of its clock.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache, partial
from itertools import count
from types import SimpleNamespace
from unittest.mock import patch

import torch
from fake_queues import Event, Graph, Operation, Stream
from fake_tensors import Generator, GpuTensor, on_gpu, values_of
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten, tree_leaves, tree_map, tree_unflatten
from transformers.utils import import_utils

# The host needs a value, or a size that values decide.
WAITING = {
    "_local_scalar_dense", "item", "is_nonzero", "nonzero", "nonzero_numpy", "argwhere", "equal",
    "masked_select", "unique", "_unique2", "unique_consecutive", "unique_dim", "bincount",
    "multinomial", "repeat_interleave", "allclose",
}  # fmt: skip
RANDOM = {"rand", "randn", "randint", "randperm", "bernoulli_", "exponential_", "uniform_"}
# Takes indices from main memory, by a copy that the host waits for.
INDEXING = {"index", "index_put", "index_put_", "_index_put_impl_"}
FACTORIES = {
    getattr(torch, name)
    for name in (
        "arange", "as_tensor", "empty", "empty_strided", "eye", "full", "linspace", "ones", "rand",
        "randint", "randn", "randperm", "tensor", "zeros",
    )
}  # fmt: skip
# A GPU's takes whole numbers, a CPU's none.
OTHERWISE = {
    "histc": lambda func: (
        lambda values, *args, **kwargs: func(values.float(), *args, **kwargs).to(values.dtype)
    )
}


class WrongDeviceError(RuntimeError):
    """What torch raises as a RuntimeError too."""


class Gpu(TorchFunctionMode):
    """The device, as a context: inside it torch has CUDA.

    waits: what the host has waited for, by kind, from `forget` on. launches: names of operations
    given to the device one by one; a graph is one. free: bytes that it says are free.
    """

    def __init__(self, free: int = 2**33):
        super().__init__()
        self.free = free
        self.waits: list[str] = []
        self.launches: list[str] = []
        self.kept: list[str] = []
        self.graphs: list[Graph] = []
        self.operations = 0
        self.host: dict[str, int] = {}
        self.main = Stream(self, "main")
        self.stream = self.main
        self.mode = 0
        self.generator_free = True
        self._capturing: Graph | None = None
        self._names = count(1)
        self._touched: dict[int, tuple] = {}

    def forget(self) -> None:
        """Begin to count anew."""
        self.waits.clear()
        self.launches.clear()

    @staticmethod
    def merge(clock: dict[str, int], other: dict[str, int]) -> None:
        for name, done in other.items():
            clock[name] = max(clock.get(name, 0), done)

    def put(self, values: torch.Tensor) -> GpuTensor:
        """These numbers on the device."""
        return GpuTensor(values, self)

    def no_capture(self, what: str) -> None:
        if self._capturing is not None:
            raise RuntimeError(f"operation not permitted when stream is capturing: {what}")

    def wait(self, why: str, stream: Stream | None = None) -> None:
        """The host waits for a stream, the present one if none is named."""
        self.no_capture(why)
        if self.mode == 2 and why not in ("stream", "event"):
            raise RuntimeError(f"called a synchronizing CUDA operation: {why}")
        self.waits.append(why)
        self.merge(self.host, (stream or self.stream).clock)

    def launch(self, func, args: tuple, kwargs: dict):
        """One operation on the device."""
        name = func._schema.name.split("::")[1]
        leaves, form = tree_flatten((args, kwargs))
        self._check_devices(name, func, args, leaves)
        given = [each for each in leaves if type(each) is GpuTensor]
        plain_args, plain_kwargs = tree_unflatten([values_of(each) for each in leaves], form)
        run = partial(OTHERWISE.get(name, _same)(func), *plain_args, **plain_kwargs)
        found = run()
        made = [each for each in _leaves(found) if isinstance(each, torch.Tensor)]
        self._keep(name, run, _written(func, plain_args, plain_kwargs), leaves, made)
        back = {id(each.values_): each for each in given}

        def wrapped(each):
            if not isinstance(each, torch.Tensor):
                return each
            known = back.get(id(each))
            if known is not None:
                assert known.shape == each.shape, f"{name} changes a shape in place"
                return known
            # A view is of inference mode where what it shows is, and torch insists on that.
            base = next((other for other in given if _place(other.values_) == _place(each)), None)
            mode = torch.is_inference_mode_enabled() if base is None else base.is_inference()
            with torch.inference_mode(mode):
                return self.put(each)

        return wrapped(found) if isinstance(found, torch.Tensor) else tree_map(wrapped, found)

    def _check_devices(self, name: str, func, args: tuple, leaves: list) -> None:
        """As strict as torch on a GPU."""
        tensors = [each for each in leaves if isinstance(each, torch.Tensor)]
        strange = [each for each in tensors if type(each) is not GpuTensor]
        generators = [each for each in leaves if isinstance(each, torch.Generator)]
        if any(not isinstance(each, Generator) for each in generators):
            raise WrongDeviceError(f"{name}: a generator of the CPU for a tensor on the GPU")
        if name in WAITING and not (name == "repeat_interleave" and len(tensors) == 1):
            self.wait(name)
        if name == "_grouped_mm" and args[0].dtype != torch.bfloat16:
            # There is a kernel for bfloat16; others go group by group, by sizes that are read.
            self.wait("_grouped_mm")
        if name in INDEXING and any(
            each is not None and each.dtype == torch.bool for each in args[1]
        ):
            self.wait(f"{name} by flags")
        if name == "copy_":
            self._check_copy(args[0], args[1], bool(args[2:3] and args[2]))
        elif name in INDEXING and type(args[0]) is GpuTensor and strange:
            self.wait(f"{name} from the host")
        elif any(each.dim() for each in strange):
            raise WrongDeviceError(f"{name}: expected all tensors to be on the same device")
        elif strange and torch.Tag.pointwise not in func.tags:
            raise WrongDeviceError(f"{name}: a number on the CPU among tensors on the GPU")

    def _check_copy(self, to: torch.Tensor, source: torch.Tensor, ahead: bool) -> None:
        if type(to) is not GpuTensor:
            self.wait("copy to the host")
        elif type(source) is not GpuTensor and not (ahead and _pinned(source)):
            self.wait("copy from the host")

    def _keep(self, name: str, run, written: list, leaves: list, made: list) -> None:
        """Write the operation down, unless it only looks at memory in another way."""
        given = [values_of(each) for each in leaves if isinstance(each, torch.Tensor)]
        if not written and made:
            known = {_place(each) for each in given}
            if all(_place(each) in known for each in made):
                return
        read = [each for each in given if not any(each is other for other in written)]
        if self._capturing is None:
            self.ran(name, read, written or made)
            return
        if name in RANDOM:
            raise RuntimeError("a generator that the graph does not know is at work in it")
        own = [] if written else made
        self._capturing.operations.append(Operation(run, read, written or made, own))

    def ran(self, name: str, read, written) -> None:
        """An operation in the present stream; raises where another stream's is not over."""
        self.operations += 1
        self.launches.append(name)
        self.stream.advance()
        clock, own = self.stream.clock, (self.stream.name, self.stream.done)
        for each in read:
            storage, writer, readers = self._known(each)
            self._ordered(name, clock, [writer])
            readers[own[0]] = own[1]
        for each in written:
            storage, writer, readers = self._known(each)
            self._ordered(name, clock, [writer, *readers.items()])
            self._touched[_place(each)] = (storage, own, {})

    def _known(self, values: torch.Tensor) -> tuple:
        """Of the memory: itself, so that no other takes its place, its writer and its readers."""
        return self._touched.setdefault(_place(values), (values.untyped_storage(), ("main", 0), {}))

    @staticmethod
    def _ordered(name: str, clock: dict[str, int], others) -> None:
        for stream, done in others:
            if clock.get(stream, 0) < done:
                raise AssertionError(f"{name} races with an operation of stream {stream}")

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        pinned = kwargs.pop("pin_memory", False) if func in FACTORIES else False
        if func in FACTORIES and on_gpu(kwargs.get("device")):
            return self._made(func, args, kwargs)
        if func is torch._has_compatible_shallow_copy_type:
            return False
        if func is torch.Tensor.pin_memory:
            return _pin(args[0].clone())
        if func is torch.Tensor.copy_ and any(type(each) is GpuTensor for each in args[:2]):
            # Its C++ would ask for a CUDA library.
            ahead = args[2] if len(args) > 2 else kwargs.get("non_blocking", False)
            return self.launch(torch.ops.aten.copy_.default, (*args[:2], ahead), {})
        if func is torch.nn.functional.pad and type(args[0]) is GpuTensor:
            return torch.ops.aten.constant_pad_nd.default(args[0], list(args[1]))
        if func is torch.nonzero and type(args[0]) is GpuTensor:
            return args[0].nonzero()
        if func is torch.where and len(args) == 3 and type(args[0]) is GpuTensor:
            args = [each if isinstance(each, torch.Tensor) else torch.tensor(each) for each in args]
        if func in (torch.Tensor.to, torch.Tensor.cuda) and type(args[0]) is not GpuTensor:
            if func is torch.Tensor.cuda:
                return self._sent(args[0], None, kwargs.get("non_blocking", False))
            copied = {name: value for name, value in kwargs.items() if name != "copy"}
            device, dtype, ahead, _ = torch._C._nn._parse_to(*args[1:], **copied)
            if on_gpu(device):
                return self._sent(args[0], dtype, ahead)
        found = func(*args, **kwargs)
        return _pin(found) if pinned else found

    def _made(self, func, args: tuple, kwargs: dict) -> GpuTensor:
        """By a function that takes a device."""
        own = {name: value for name, value in kwargs.items() if name != "device"}
        if func in (torch.tensor, torch.as_tensor):
            self.wait("copy from the host")
        generator = own.get("generator")
        if generator is not None and not isinstance(generator, Generator):
            raise WrongDeviceError(f"{func.__name__}: a generator of the CPU for the GPU")
        if func.__name__ in RANDOM:
            self.no_capture("random numbers")
            if generator is None and not self.generator_free:
                raise RuntimeError("Offset increment outside graph capture encountered")
        values = func(*args, **own)
        if self._capturing is None:
            self.ran(func.__name__, (), [values])
        else:
            run = partial(func, *args, **own)
            self._capturing.operations.append(Operation(run, [], [values], [values]))
        return self.put(values)

    def _sent(self, values: torch.Tensor, dtype, ahead: bool) -> GpuTensor:
        if not (ahead and _pinned(values)):
            self.wait("copy from the host")
        self.no_capture("a copy from the host")
        made = values.detach().to(dtype or values.dtype, copy=True)
        self.ran("copy", (), [made])
        return self.put(made)

    def __enter__(self) -> "Gpu":
        self._patches = ExitStack()
        for name, value in self._cuda().items():
            self._patches.enter_context(patch.object(torch.cuda, name, value))
        self._patches.enter_context(patch.object(torch, "Generator", Generator))
        # transformers remembers what there is.
        self._patches.callback(_forget_what_there_is)
        _forget_what_there_is()
        self._patches.callback(
            torch.backends.cuda.enable_cudnn_sdp, torch.backends.cuda.cudnn_sdp_enabled()
        )
        # A module that moves takes new parameters, as its old ones cannot become these.
        replace = torch.__future__.set_overwrite_module_params_on_conversion
        self._patches.callback(
            replace, torch.__future__.get_overwrite_module_params_on_conversion()
        )
        replace(True)
        return super().__enter__()

    def __exit__(self, *raised) -> None:
        super().__exit__(*raised)
        self._patches.close()

    def _cuda(self) -> dict:
        """What stands in torch.cuda."""
        return {
            "is_available": lambda: True,
            "device_count": lambda: 1,
            "current_device": lambda: 0,
            "is_bf16_supported": lambda including_emulation=True: True,
            "device": self._device,
            "stream": self._within,
            "current_stream": lambda device=None: self.stream,
            "set_stream": partial(setattr, self, "stream"),
            "default_generators": [self],
            "Stream": lambda device=None: Stream(self, f"stream {next(self._names)}"),
            "Event": lambda enable_timing=False: Event(self, enable_timing),
            "synchronize": lambda device=None: self.wait("device"),
            "empty_cache": lambda: None,
            "graph_pool_handle": object,
            "CUDAGraph": self._new_graph,
            "graph": self._capture,
            "get_sync_debug_mode": lambda: self.mode,
            "set_sync_debug_mode": self._set_mode,
            "mem_get_info": lambda device=None: (self.free, 2 * self.free),
            "memory_allocated": lambda device=None: 0,
            "memory_reserved": lambda device=None: 0,
            "max_memory_allocated": lambda device=None: 12345,
            "get_device_capability": lambda device=None: (9, 0),
            "get_device_name": lambda device=None: "a GPU that is none",
            "get_device_properties": lambda device=None: SimpleNamespace(
                total_memory=2 * self.free
            ),
        }

    def clone_state(self) -> bool:
        """Of the default generator: one that is free to draw."""
        return True

    def graphsafe_set_state(self, free: bool) -> None:
        self.generator_free = free

    def _set_mode(self, mode) -> None:
        self.mode = {"default": 0, "warn": 1, "error": 2}.get(mode, mode)

    def _new_graph(self) -> Graph:
        self.graphs.append(Graph(self))
        return self.graphs[-1]

    @contextmanager
    def _device(self, device) -> Iterator[None]:
        assert on_gpu(device)
        yield

    @contextmanager
    def _within(self, stream: Stream) -> Iterator[None]:
        before, self.stream = self.stream, stream
        try:
            yield
        finally:
            self.stream = before

    @contextmanager
    def _capture(self, graph: Graph, pool=None, stream=None, capture_error_mode="global"):
        assert pool is not None
        # As torch does, so that memory can be given back.
        self.wait("device")
        self.merge(self.host, stream.clock)
        # torch goes back to the stream before, and frees the generator, where all goes well.
        before, self.stream, self._capturing = self.stream, stream, graph
        self.generator_free = False
        try:
            yield
        finally:
            self._capturing = None
        self.stream, self.generator_free, graph.captured = before, True, True


def _forget_what_there_is() -> None:
    for each in vars(import_utils).values():
        if hasattr(each, "cache_clear"):
            each.cache_clear()


def _pin(values: torch.Tensor) -> torch.Tensor:
    values.pinned_ = True
    return values


def _pinned(values: torch.Tensor) -> bool:
    return getattr(values, "pinned_", False)


def _place(values: torch.Tensor) -> int:
    return values.untyped_storage().data_ptr()


def _same(func):
    return func


def _leaves(found) -> list:
    return [found] if isinstance(found, torch.Tensor) else tree_leaves(found)


@cache
def _writing(func) -> list[tuple[int, str]]:
    """Place and name of the arguments that an operation writes to, by its schema."""
    return [
        (index, argument.name)
        for index, argument in enumerate(func._schema.arguments)
        if argument.alias_info is not None and argument.alias_info.is_write
    ]


def _written(func, args: tuple, kwargs: dict) -> list[torch.Tensor]:
    found = [
        args[index] if index < len(args) else kwargs.get(name) for index, name in _writing(func)
    ]
    return [each for each in found if each is not None]
