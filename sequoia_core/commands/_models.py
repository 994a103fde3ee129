"""Options, sampling and loading shared by the commands that run models."""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from typing import Any

import torch

from sequoia_core.decode.engine import GenerationSettings
from sequoia_core.decode.memory import describe_peak, peak_memory
from sequoia_core.decode.pair import CACHED_TOKENS, ModelPair, PairSpec, load_pair
from sequoia_core.decode.processes import ALONE
from sequoia_core.errors import InputError
from sequoia_core.files import check_integer
from sequoia_core.plan.hardware import HardwareProfile, load_hardware
from sequoia_core.plan.presets import bundled_hardware

Say = Callable[[str], None]
MOST_THREADS = 1024


def add_model_arguments(parser: ArgumentParser) -> None:
    """Which models, where and how: --target to --no-graphs."""
    parser.add_argument("--target", help="folder or Hugging Face name; default: the bundled pair")
    parser.add_argument("--draft", help="the same for the draft model; a pair is named whole")
    parser.add_argument(
        "--like",
        metavar="SHAPE",
        help="give the bundled pair the cost of a larger one (see the command stand-in)",
    )
    parser.add_argument(
        "--draft-like",
        metavar="SHAPE",
        help="the draft's cost; bundled leaves it as it is; default: the one that goes with --like",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--dtype", default="auto", help="auto, float32, bfloat16 or float16")
    parser.add_argument(
        "--offload",
        action="store_true",
        help="keep the target's layers in main memory and stream them to the device in every pass",
    )
    parser.add_argument("--threads", type=int, help="of the CPU; default: torch's, one a core")
    parser.add_argument(
        "--no-graphs", action="store_true", help="on CUDA: capture no passes in CUDA graphs"
    )
    # What `_processes` puts here where torchrun has started several.
    parser.set_defaults(team=ALONE, leader=None)


def add_parallel_argument(parser: ArgumentParser) -> None:
    """--tensor-parallel."""
    parser.add_argument(
        "--tensor-parallel",
        action="store_true",
        help="spread the target over the processes that torchrun starts, for one that is larger "
        "than a device",
    )


def add_sampling_arguments(parser: ArgumentParser) -> None:
    """--temperature, --top-p, --seed and --max-new-tokens."""
    add_drawing_arguments(parser)
    parser.add_argument("--max-new-tokens", type=int, default=128, help="written after a prompt")


def add_drawing_arguments(parser: ArgumentParser) -> None:
    """--temperature, --top-p and --seed."""
    parser.add_argument(
        "--temperature",
        type=float,
        default=0.0,
        help="0 takes the likeliest token each time; above it tokens are drawn",
    )
    parser.add_argument(
        "--top-p",
        type=float,
        default=1.0,
        help="draw only from the likeliest tokens that together have this probability",
    )
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn")


def add_hardware_argument(parser: ArgumentParser) -> None:
    """--hardware; without it, see `named_hardware`."""
    parser.add_argument(
        "--hardware", help="preset or file to plan with; default: the bundled one of this cost"
    )


def sampling_settings(arguments: Namespace) -> GenerationSettings:
    """The checked settings that the sampling options name."""
    return GenerationSettings(
        temperature=arguments.temperature,
        top_p=arguments.top_p,
        max_new_tokens=arguments.max_new_tokens,
        seed=arguments.seed,
    )


def load_named_pair(arguments: Namespace, say: Say) -> ModelPair:
    """The pair the options name, with progress; the target spread over processes if they say so.

    Raises InputError for no threads at all.
    """
    if getattr(arguments, "tensor_parallel", False) and not arguments.leader:
        raise InputError(
            "--tensor-parallel spreads the target over several processes, and this is one: start "
            "them with torchrun --nproc-per-node N -m sequoia_core."
        )
    set_threads(arguments.threads)
    spec = PairSpec(
        arguments.target,
        arguments.draft,
        arguments.device if arguments.team.count == 1 else str(arguments.team.device),
        arguments.dtype,
        arguments.like,
        arguments.draft_like,
        arguments.offload,
        _tokens(arguments),
        graphs=not arguments.no_graphs,
    )
    return load_pair(spec, by_fraction(say), arguments.leader)


def set_threads(threads: int | None) -> None:
    """Use so many threads of the CPU, torch's own number for None; InputError for none at all."""
    if threads is None:
        return
    torch.set_num_threads(check_integer(threads, "--threads", low=1, high=MOST_THREADS))


def _tokens(arguments: Namespace) -> int:
    """What the caches must hold: what the options say, and room for a prompt and a tree."""
    options = ("context", "max_tokens", "max_new_tokens")
    return CACHED_TOKENS + sum(max(getattr(arguments, name, 0), 0) for name in options)


def with_peak(result: dict[str, Any], pair: ModelPair) -> dict[str, Any]:
    """The result and the most memory that was in use so far, in bytes by where."""
    return result | {"offload": pair.offloaded, "peak_memory_bytes": peak_memory(pair.device)}


def memory_line(result: dict[str, Any]) -> str:
    """What `with_peak` added, for people."""
    line = describe_peak(result["peak_memory_bytes"])
    return f"{line}; offload: the target's layers in main memory" if result["offload"] else line


def named_hardware(arguments: Namespace) -> HardwareProfile:
    """The profile to plan with: the one named, or the bundled one of this pair's cost."""
    if arguments.hardware:
        return load_hardware(arguments.hardware)
    return load_hardware(preset_hardware(arguments, arguments.dtype))


def preset_hardware(arguments: Namespace, dtype: str) -> str:
    """The bundled profile of this pair's cost; InputError where none was measured at it."""
    if arguments.offload:
        raise InputError(
            "No bundled hardware profile was measured with offload, where other trees are best; "
            "measure one with `profile --offload --out my.json` and name it with --hardware."
        )
    return bundled_hardware(dtype, arguments.like, arguments.draft_like)


def by_fraction(say: Say) -> Callable[[float, str], None]:
    """Turn progress by fraction into lines."""
    return lambda fraction, text: say(f"{fraction:4.0%}  {text}")
