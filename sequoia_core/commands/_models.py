"""Options, sampling and loading shared by the commands that run models."""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable

import torch

from sequoia_core.decode.engine import GenerationSettings
from sequoia_core.decode.pair import ModelPair, PairSpec, load_pair
from sequoia_core.errors import InputError
from sequoia_core.plan.hardware import HardwareProfile, load_hardware
from sequoia_core.plan.presets import bundled_hardware

Say = Callable[[str], None]


def add_model_arguments(parser: ArgumentParser) -> None:
    """--target, --draft, --like, --draft-like, --device, --dtype, --threads and --no-graphs."""
    parser.add_argument("--target", help="folder or Hugging Face name; default: the bundled pair")
    parser.add_argument("--draft", help="folder or Hugging Face name of the draft model")
    parser.add_argument(
        "--like",
        metavar="SHAPE",
        help="give the bundled pair the cost of a larger one (see the command stand-in)",
    )
    parser.add_argument("--draft-like", metavar="SHAPE", help="the draft's cost; or bundled")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--dtype", default="auto", help="auto, float32, bfloat16 or float16")
    parser.add_argument("--threads", type=int, help="on a CPU; default: torch's, one a core")
    parser.add_argument(
        "--no-graphs", action="store_true", help="on CUDA: capture no passes in CUDA graphs"
    )


def add_sampling_arguments(parser: ArgumentParser) -> None:
    """--temperature, --top-p, --max-new-tokens and --seed."""
    parser.add_argument("--temperature", type=float, default=0.0)
    parser.add_argument("--top-p", type=float, default=1.0)
    parser.add_argument("--max-new-tokens", type=int, default=128, help="written after a prompt")
    parser.add_argument("--seed", type=int, default=0)


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
    """The pair the options name, with progress. Raises InputError for no threads at all."""
    if arguments.threads is not None:
        if arguments.threads < 1:
            raise InputError(f"--threads must be at least 1, got {arguments.threads}.")
        torch.set_num_threads(arguments.threads)
    spec = PairSpec(
        arguments.target,
        arguments.draft,
        arguments.device,
        arguments.dtype,
        arguments.like,
        arguments.draft_like,
        graphs=not arguments.no_graphs,
    )
    return load_pair(spec, by_fraction(say))


def named_hardware(arguments: Namespace) -> HardwareProfile:
    """The profile to plan with: the one named, or the bundled one of this pair's cost."""
    if arguments.hardware:
        return load_hardware(arguments.hardware)
    return load_hardware(bundled_hardware(arguments.dtype, arguments.like, arguments.draft_like))


def by_fraction(say: Say) -> Callable[[float, str], None]:
    """Turn progress by fraction into lines."""
    return lambda fraction, text: say(f"{fraction:4.0%}  {text}")
