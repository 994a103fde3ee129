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

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from itertools import count
from types import SimpleNamespace
from unittest.mock import patch

import numpy as np
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten, tree_leaves, tree_map, tree_unflatten

GPU = torch.device("cuda", 0)
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
REAL_GENERATOR = torch.Generator


class WrongDeviceError(RuntimeError):
    """What torch raises as a RuntimeError too."""


def on_gpu(device) -> bool:
    return device is not None and torch.device(device).type == "cuda"


class Generator(torch.Generator):
    """A GPU's; it draws what a CPU's would draw."""

    def __new__(cls, device="cpu"):
        if not on_gpu(device):
            return REAL_GENERATOR(device)
        return super().__new__(cls)

    def __init__(self, device="cpu"):
        super().__init__()

    @property
    def device(self) -> torch.device:
        return GPU


class GpuTensor(torch.Tensor):
    """A tensor on the GPU. values: its numbers, in main memory."""

    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, values: torch.Tensor, gpu: "Gpu"):
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            values.shape,
            strides=values.stride(),
            storage_offset=values.storage_offset(),
            dtype=values.dtype,
            device=GPU,
        )
        made.values_, made.gpu_ = values, gpu
        return made

    def __repr__(self) -> str:
        return f"on {GPU}: {self.values_}"

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        gpu = next((each.gpu_ for each in args if type(each) is cls), None)
        if gpu is None:
            gpu = next(each.gpu_ for each in tree_leaves((args, kwargs)) if type(each) is cls)
        return gpu.launch(func, args, kwargs or {})

    def _to_host(self, how: str) -> torch.Tensor:
        self.gpu_.wait(how)
        return self.values_

    def tolist(self):
        return self._to_host("tolist").tolist()

    def item(self):
        return self._to_host("item").item()

    def numpy(self, *, force=False):
        if not force:
            raise TypeError("can't convert cuda:0 device type tensor to numpy")
        return self._to_host("numpy").numpy(force=True)

    def __float__(self):
        return float(self._to_host("float"))

    def __int__(self):
        return int(self._to_host("int"))

    def __index__(self):
        return self._to_host("index").__index__()

    def __bool__(self):
        return bool(self._to_host("bool"))

    def cpu(self):
        return self._to_host("cpu").clone()

    def to(self, *args, **kwargs):
        kwargs.pop("copy", None)
        device, dtype, _, _ = torch._C._nn._parse_to(*args, **kwargs)
        if device is not None and device.type != "cuda":
            values = self._to_host("to the host").clone()
            return values if dtype is None else values.to(dtype)
        if dtype is None or dtype == self.dtype:
            return self
        return torch.ops.aten._to_copy.default(self, dtype=dtype)

    def nonzero(self):
        return torch.ops.aten.nonzero.default(self)

    def contiguous(self, **_format):
        return self if self.is_contiguous() else self.clone(memory_format=torch.contiguous_format)

    def __invert__(self):
        return torch.ops.aten.bitwise_not.default(self)

    def record_stream(self, stream) -> None:
        self.gpu_.kept.append(stream.name)

    def __getitem__(self, index):
        return torch.ops.aten.alias.default(self) if index is ... else _indexed(self, index)

    def __setitem__(self, index, value) -> None:
        place = _indexed(self, index, write=True)
        if isinstance(place, tuple):
            values = value if isinstance(value, torch.Tensor) else self.new_tensor_(value)
            torch.ops.aten.index_put_.default(place[0], place[1], values)
        elif isinstance(value, torch.Tensor):
            place.copy_(value)
        else:
            place.fill_(value)

    def new_tensor_(self, value):
        return self.new_full((), value)


def _indexed(tensor: torch.Tensor, index, *, write: bool = False):
    """What torch does in C++, where it asks for a CUDA library first: views, then `index`."""
    index = index if isinstance(index, tuple) else (index,)
    used = sum(each is not None and each is not ... for each in index)
    result, dim, tensors = tensor, 0, []
    for each in index:
        if each is ...:
            dim = tensor.dim() - used + dim
        elif each is None:
            result, dim = result.unsqueeze(dim), dim + 1
        elif isinstance(each, slice):
            start, stop, step = each.indices(result.shape[dim])
            if (start, stop, step) != (0, result.shape[dim], 1):
                result = torch.ops.aten.slice.Tensor(result, dim, start, stop, step)
            dim += 1
        elif isinstance(each, int | np.integer):
            result = result.select(dim, int(each))
        else:
            chosen = each if isinstance(each, torch.Tensor) else torch.tensor(each)
            tensors += [None] * (dim - len(tensors)) + [chosen]
            dim += 1
    if not tensors:
        return result
    return (result, tensors) if write else torch.ops.aten.index.Tensor(result, tensors)


@dataclass
class Stream:
    """A queue of work. clock: of each stream, how much of it is known to be over."""

    gpu: "Gpu"
    name: str
    done: int = 0
    clock: dict[str, int] = field(default_factory=dict)

    def advance(self) -> None:
        """One more operation, after all that its stream and the host know of."""
        self.gpu.merge(self.clock, self.gpu.host)
        self.done += 1
        self.clock[self.name] = self.done

    def wait_stream(self, other: "Stream") -> None:
        self.gpu.merge(self.clock, other.clock)

    def wait_event(self, event: "Event") -> None:
        self.gpu.merge(self.clock, event.clock)

    def record_event(self, event: "Event") -> None:
        event.record(self)

    def synchronize(self) -> None:
        self.gpu.wait("stream", self)


class Event:
    """A mark in a stream. It has a time only where it was made to have one."""

    def __init__(self, gpu: "Gpu", enable_timing: bool = False):
        self.gpu, self.timed = gpu, enable_timing
        self.clock: dict[str, int] = {}
        self.time: int | None = None

    def record(self, stream: Stream | None = None) -> None:
        stream = stream or self.gpu.stream
        self.gpu.no_capture("an event with a time")
        self.clock, self.time = dict(stream.clock), self.gpu.operations

    def synchronize(self) -> None:
        self.gpu.wait("event")

    def elapsed_time(self, later: "Event") -> float:
        assert self.timed and later.timed, "both events must be made with enable_timing=True"
        assert None not in (self.time, later.time), "both events must be recorded"
        return float(later.time - self.time)


@dataclass
class Operation:
    """One in a graph, on memory that stays. made: tensors that are its own."""

    run: Callable[[], object]
    read: list[torch.Tensor]
    written: list[torch.Tensor]
    made: list[torch.Tensor]

    def again(self) -> None:
        found = self.run()
        for old, new in zip(self.made, tree_leaves(found) if self.made else [], strict=True):
            old.copy_(new)


class Graph:
    """A CUDA graph: operations on memory, without the Python that asked for them."""

    def __init__(self, gpu: "Gpu"):
        self.gpu = gpu
        self.operations: list[Operation] = []
        self.captured = False
        self.replays = 0

    def replay(self) -> None:
        assert self.captured, "replayed without a successful capture"
        self.gpu.no_capture("a replay")
        self.replays += 1
        read, written = [], []
        for operation in self.operations:
            operation.again()
            read += operation.read
            written += operation.written
        for operation in self.operations:
            self._spoil(operation.made)
        self.gpu.ran("graph", read, written)

    @staticmethod
    def _spoil(made) -> None:
        """The next graph's pass uses the same memory."""
        for values in made:
            if values.is_floating_point():
                values.fill_(float("nan"))
            elif values.dtype != torch.bool:
                values.fill_(-1)


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
        plain_args, plain_kwargs = tree_unflatten([_values(each) for each in leaves], form)
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
            # A view of a weight is none of inference mode, which torch insists on.
            with torch.inference_mode(any(other.is_inference() for other in given)):
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
        given = [_values(each) for each in leaves if isinstance(each, torch.Tensor)]
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
        if func is torch.Tensor.pin_memory:
            return _pin(args[0].clone())
        if func is torch.Tensor.copy_ and any(type(each) is GpuTensor for each in args[:2]):
            # Its C++ would ask for a CUDA library.
            ahead = args[2] if len(args) > 2 else kwargs.get("non_blocking", False)
            return self.launch(torch.ops.aten.copy_.default, (*args[:2], ahead), {})
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


def _values(each):
    return each.values_ if type(each) is GpuTensor else each


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
