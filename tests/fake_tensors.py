"""Tensors that say they are on cuda:0 and have their numbers in main memory; see `fake_cuda`."""

import numpy as np
import torch
from torch.utils._pytree import tree_leaves

GPU = torch.device("cuda", 0)
REAL_GENERATOR = torch.Generator


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
    def __new__(cls, values: torch.Tensor, gpu):
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

    def __deepcopy__(self, memo) -> "GpuTensor":
        copied = self.clone()
        if isinstance(self, torch.nn.Parameter):
            copied = torch.nn.Parameter(copied, self.requires_grad)
        return memo.setdefault(id(self), copied)

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


def values_of(each):
    return each.values_ if type(each) is GpuTensor else each
