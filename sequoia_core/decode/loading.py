"""From a name to a model or tokenizer on a device. Safetensors only, no code from the hub."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from transformers.distributed import DistributedConfig
from transformers.utils import logging

from sequoia_core.decode.memory import available_bytes, shortage
from sequoia_core.errors import InputError, ModelError

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")


def resolve_device(name: str) -> torch.device:
    """auto is the first CUDA device if there is one, else the CPU."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except (RuntimeError, ValueError):
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise InputError(f"There is no device '{name}'; choose auto, cpu or cuda.")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise InputError(
            f"Device '{name}' is not there ({torch.cuda.device_count()} CUDA devices found); "
            "choose auto or cpu."
        )
    return device


def resolve_dtype(name: str, device: torch.device) -> torch.dtype:
    """auto is bfloat16 on a GPU that has it, float16 on one that has not, float32 on a CPU."""
    if name in DTYPES:
        return DTYPES[name]
    if name != "auto":
        raise InputError(f"There is no dtype '{name}'; choose auto, {', '.join(DTYPES)}.")
    if device.type == "cpu":
        return torch.float32
    with torch.cuda.device(device):
        # GPUs before Ampere emulate it, far slower than they multiply float16.
        has = torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.bfloat16 if has else torch.float16


def _checked_source(source: str, name: str) -> str:
    """A folder with a model in it, or something that can be a Hugging Face name."""
    folder = Path(source)
    try:
        folder = folder.expanduser()
        is_folder = folder.is_dir()
    except (OSError, ValueError, RuntimeError):
        # Text that no file system would take, or the home of a user who is not here.
        is_folder = False
    if is_folder:
        if not (folder / "config.json").exists():
            raise ModelError(
                f"The folder {name} holds no config.json; choose the folder that "
                "save_pretrained wrote."
            )
        return str(folder)
    if folder.is_absolute() or not HUB_NAME.fullmatch(source):
        raise ModelError(
            f"There is no folder {name}; give a folder or a Hugging Face name such as "
            "Qwen/Qwen3-0.6B."
        )
    return source


@contextmanager
def _no_progress_bars() -> Iterator[None]:
    """Loading reports through its callers; transformers' own bars would mix with their output."""
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def load_tokenizer(source: str, name: str):
    """The tokenizer of a model folder or Hugging Face name."""
    return _load(AutoTokenizer.from_pretrained, source, name, "tokenizer")


def load_config(source: str, name: str):
    """The configuration of a model folder or Hugging Face name."""
    return _load(AutoConfig.from_pretrained, source, name, "configuration of")


def load_model(source: str, name: str, device: torch.device, dtype: torch.dtype):
    """The model on its device, in evaluation mode."""
    model = _weights(source, name, dtype)
    try:
        return model.to(device).eval()
    except torch.OutOfMemoryError as error:
        size = sum(p.numel() * p.element_size() for p in model.parameters())
        raise shortage(size, available_bytes(device), name, device) from error


def load_part(source: str, name: str, dtype: torch.dtype, processes: int):
    """This process's part of a model that as many processes share, on its own device.

    By the plan for tensor parallelism that transformers has for the model's family. Every process
    must call it at the same time.
    """
    split = DistributedConfig(tp_size=processes)
    return _weights(source, name, dtype, distributed_config=split).eval()


def _weights(source: str, name: str, dtype: torch.dtype, **options):
    """A model with its weights, which are safetensors, if tokens can be taken back from it."""
    model = _load(
        AutoModelForCausalLM.from_pretrained,
        source,
        name,
        "model",
        dtype=dtype,
        use_safetensors=True,
        **options,
    )
    check_rollback(model, name)
    return model


def check_rollback(model, name: str) -> None:
    """Raise ModelError for a model with a recurrent state, which no token can be taken back from.

    Configurations name such layers in some versions of transformers only (`AttentionKinds` reads
    them there); the model's class says so in all.
    """
    if getattr(model, "_is_stateful", False):
        raise ModelError(
            f"{name} ({model.config.model_type}) keeps a recurrent state, which cannot return to "
            "an accepted path; choose a model with attention only."
        )


def _load(loader, source: str, name: str, what: str, **options):
    checked = _checked_source(source, name)
    try:
        with _no_progress_bars():
            return loader(checked, trust_remote_code=False, **options)
    except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
        reason = (
            str(error).strip().splitlines()[0].rstrip(".") if str(error).strip() else "no reason"
        )
        raise ModelError(
            f"The {what} {name} could not be loaded ({reason}); check the name, or give a folder."
        ) from error
