"""`model-hardware`: a hardware profile for a GPU that one does not have."""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from typing import Any

from sequoia_core.errors import InputError
from sequoia_core.files import check_writable, write_json
from sequoia_core.plan.acceptance import load_acceptance
from sequoia_core.plan.gpu import GIGA, Gpu, load_gpu, typed_in_gpu
from sequoia_core.plan.hardware import hardware_from_dict, interpolate
from sequoia_core.plan.knee import knee
from sequoia_core.plan.model_shape import DTYPE_BYTES, ModelShape, load_shape
from sequoia_core.plan.modelled import CONTEXT, model_profile
from sequoia_core.plan.modelled_plan import plan_range
from sequoia_core.plan.roofline import LAUNCHES

SHOWN = (1, 4, 16, 64, 128, 256, 512, 1024)
TYPED = ("bandwidth", "tflops", "memory")


def add_parser(subparsers: Any) -> ArgumentParser:
    """Declare the command's options; returns its parser."""
    parser = subparsers.add_parser(
        "model-hardware",
        description="Work out how long passes of a pair take on a GPU that is not here, from its "
        "data sheet: a bundled GPU (--gpu), or one typed in (--bandwidth, --tflops, --memory).",
    )
    parser.add_argument("--gpu", help="name of a bundled GPU, such as h100-sxm")
    parser.add_argument("--bandwidth", type=float, help="typed in: memory bandwidth, GB/s")
    parser.add_argument("--tflops", type=float, help="typed in: dense TFLOP/s in the dtype")
    parser.add_argument("--memory", type=float, help="typed in: memory, GiB")
    parser.add_argument("--link", type=float, help="typed in: host link one way, GB/s")
    parser.add_argument("--target", required=True, help="bundled shape, or a config.json's path")
    parser.add_argument("--draft", required=True, help="bundled shape, or a config.json's path")
    parser.add_argument(
        "--dtype", choices=tuple(DTYPE_BYTES), help="of both models; default: the target's"
    )
    parser.add_argument("--target-bits", type=float, help="bits a weight, scales included: 4.5")
    parser.add_argument("--draft-bits", type=float, help="the same for the draft")
    parser.add_argument("--context", type=int, default=CONTEXT, help="tokens of the text so far")
    parser.add_argument(
        "--launch",
        default=LAUNCHES[0],
        help=f"how passes are launched, one of: {', '.join(LAUNCHES)}",
    )
    parser.add_argument(
        "--offload",
        action="store_true",
        help="the target's layers stay in main memory and come over the link in every pass",
    )
    parser.add_argument(
        "--assume",
        action="append",
        default=[],
        metavar="PART=VALUE",
        help="a part known better than its range: memory=0.9 (docs/HARDWARE.md has the names)",
    )
    parser.add_argument("--acceptance", help="also plan: an acceptance preset or file")
    parser.add_argument("--out", help="also write the profile to this file")
    return parser


def run(arguments: Namespace, progress: Callable[[str], None]) -> dict[str, Any]:
    """Model; returns the content of a `sequoia-hardware` file, and writes it if asked."""
    if arguments.out:
        check_writable(arguments.out)
    target = _shape(arguments.target, arguments.target_bits, arguments.dtype)
    draft = _shape(arguments.draft, arguments.draft_bits, arguments.dtype)
    modelled = model_profile(
        _gpu(arguments, target),
        target,
        draft,
        dtype=arguments.dtype,
        context_length=arguments.context,
        launch=arguments.launch,
        offload=arguments.offload,
        assumed=_assumed(arguments.assume),
    )
    result = modelled.to_dict()
    if arguments.acceptance:
        result["plan"] = plan_range(modelled, load_acceptance(arguments.acceptance)).to_dict()
    if arguments.out:
        write_json(arguments.out, result)
        progress(f"wrote {arguments.out}")
    return result


def _shape(name: str, bits: float | None, dtype: str | None) -> ModelShape:
    shape = load_shape(name)
    return shape if bits is None else shape.stored_as(dtype or shape.dtype, bits)


def _gpu(arguments: Namespace, target: ModelShape) -> Gpu:
    """The bundled GPU, or the one typed in; never a mixture of both."""
    given = [name for name in (*TYPED, "link") if getattr(arguments, name) is not None]
    if arguments.gpu:
        if given:
            raise InputError(f"Give either --gpu or --{given[0]} and the like, not both.")
        return load_gpu(arguments.gpu)
    missing = [f"--{name}" for name in TYPED if getattr(arguments, name) is None]
    if missing:
        raise InputError(f"Give --gpu, or type a GPU in: {', '.join(missing)} is missing.")
    return typed_in_gpu(
        bandwidth=arguments.bandwidth,
        tflops=arguments.tflops,
        memory=arguments.memory,
        link=arguments.link or 0.0,
        dtype=arguments.dtype or target.dtype,
    )


def _assumed(given: list[str]) -> dict[str, float]:
    """The parts that --assume names, as numbers."""
    parts = {}
    for text in given:
        name, _, value = text.partition("=")
        try:
            parts[name.strip()] = float(value)
        except ValueError:
            raise InputError(
                f"--assume takes PART=VALUE, such as memory=0.9, got {text!r}."
            ) from None
    return parts


def describe(result: dict[str, Any]) -> str:
    """Key points of both curves with their interval, the knee, and what it all rests on."""
    extra, profile = result["modelled"], hardware_from_dict(result)
    need, have = extra["needed_bytes"] / GIGA, extra["gpu"]["memory_bytes"] / GIGA
    where = ", target's layers on the host" if extra["offload"] else ""
    return "\n".join(
        [
            f"{result['device']}, {result['dtype']}, context {result['context_length']}, "
            f"launched by {extra['launch']}{where}; {need:,.1f} of {have:,.1f} GB needed",
            *_curve_lines(result, "target"),
            *_curve_lines(result, "draft"),
            f"target: {extra['target_limits']}; {knee(profile).words}",
            f"draft: {extra['draft_limits']}",
            f"beside the passes: {result['overhead_seconds'] * 1e3:.2f} ms a step",
            *_plan_lines(result),
            result["basis"],
        ]
    )


def _plan_lines(result: dict[str, Any]) -> list[str]:
    """The verdict, and how far the assumptions can move the planned tree's speedup."""
    if "plan" not in result:
        return []
    plan = result["plan"]
    return [
        plan["verdict"]["words"],
        f"with every assumption anywhere in its range this tree of {plan['budget']} gives "
        f"{plan['speedup_low']:.2f} to {plan['speedup_high']:.2f} times plain decoding",
    ]


def _curve_lines(result: dict[str, Any], model: str) -> list[str]:
    """A table of milliseconds: modelled, and between which ends."""
    extra, field = result["modelled"], f"{model}_seconds"
    curves = (result[field], extra["best"][field], extra["worst"][field])
    lines = [f"{result[f'{model}_model']} ({model})", f"{'tokens':>7} {'ms':>9}  between"]
    for size in SHOWN:
        given, best, worst = (interpolate(curve, size) * 1e3 for curve in curves)
        lines.append(f"{size:>7} {given:>9.2f}  {best:.2f} and {worst:.2f}")
    return lines
