"""The reference implementation's growmap file: a dict saved by torch, with two tensors in it."""

import io
import warnings
from pathlib import Path
from typing import Any

import torch

from sequoia_core.errors import FileFormatError
from sequoia_core.files import naming, read_bytes
from sequoia_core.tree.formats import GROWMAP_FIELDS, from_growmap, to_growmap
from sequoia_core.tree.token_tree import MAX_NODES, TokenTree

TENSORS = ("mask", "depth")
# The mask of the largest tree takes MAX_NODES squared int64s, and the lists much less.
MAX_BYTES = 10 * MAX_NODES**2


def growmap_bytes(tree: TokenTree) -> bytes:
    """The file's content: mask int64 [n, n] and depth int64 [n] are tensors, the rest is plain."""
    growmap = to_growmap(tree)
    growmap |= {name: torch.tensor(growmap[name], dtype=torch.int64) for name in TENSORS}
    buffer = io.BytesIO()
    torch.save(growmap, buffer)
    return buffer.getvalue()


def read_growmap(path: str | Path) -> TokenTree:
    """Read the file without running code in it; every field must agree with its Successors.

    Raises FileFormatError, naming the file and the field.
    """
    content = _load(Path(path))
    if not isinstance(content, dict):
        raise FileFormatError(f"{path} must hold a dict, got {type(content).__name__}.")
    with naming(path):
        return from_growmap({name: _plain(content, name) for name in GROWMAP_FIELDS})


def _load(path: Path) -> Any:
    data = read_bytes(path, MAX_BYTES)
    try:
        # torch warns about its own reader of old files; the outcome is all that counts here.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:
        # Bytes that are no torch file fail in the unpickler in any of a dozen ways.
        raise FileFormatError(
            f"{path} is no growmap: it is not a file of torch.save, or holds more than plain "
            "values and tensors, and such files are never opened."
        ) from error


def _plain(content: dict[Any, Any], name: str) -> Any:
    """A field as nested lists; tensors are judged by shape before they are spread out."""
    if name not in content:
        raise FileFormatError(f"The growmap lacks the field {name!r}.")
    value = content[name]
    if not isinstance(value, torch.Tensor):
        return value
    if value.ndim > 2 or value.is_complex() or max(value.shape, default=1) > MAX_NODES:
        raise FileFormatError(
            f"The growmap's {name!r} must be whole numbers, at most {MAX_NODES} a side, got "
            f"{value.dtype} {list(value.shape)}."
        )
    try:
        return value.tolist()
    except RuntimeError as error:
        # A tensor without data of its own, on the device "meta" or quantised.
        raise FileFormatError(
            f"The growmap's {name!r} must be plain whole numbers, and the tensor holds none: "
            f"{value.dtype} on {value.device}, {value.layout}."
        ) from error
