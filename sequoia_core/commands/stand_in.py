"""`stand-in`: the bundled pair at a larger one's cost, and a check that it speaks as before."""

from argparse import ArgumentParser, Namespace
from dataclasses import asdict
from typing import Any

import torch

from sequoia_core.commands._models import Say, add_model_arguments, load_named_pair
from sequoia_core.commands._prompts import read_prompts
from sequoia_core.decode.model import TreeModel
from sequoia_core.decode.pair import ModelPair, PairSpec, load_pair
from sequoia_core.decode.shapes import SHAPES, Shape
from sequoia_core.errors import InputError

CHECKED_TOKENS = 256


def add_parser(subparsers: Any) -> ArgumentParser:
    """Declare the command's options; returns its parser."""
    parser = subparsers.add_parser(
        "stand-in",
        description="Give the bundled pair the exact cost of a larger one, and check that its "
        "logits are unchanged. The same --like makes generate, profile, calibrate and bench run "
        f"such a pair. Shapes: {', '.join(SHAPES)}; or a model's config.json.",
    )
    add_model_arguments(parser)
    return parser


@torch.inference_mode()
def run(arguments: Namespace, progress: Say) -> dict[str, Any]:
    """Build and compare; returns sizes and largest differences of target and draft."""
    if not arguments.like:
        raise InputError(f"Name a shape with --like: {', '.join(SHAPES)}, or a config.json.")
    pair = load_named_pair(arguments, progress)
    progress("Comparing with the pair as it is")
    bundled = load_pair(PairSpec(device=arguments.device, dtype=arguments.dtype))
    ids = [token for prompt in read_prompts(None) for token in pair.encode(prompt)]
    tokens = torch.tensor([ids[:CHECKED_TOKENS]], device=pair.device)
    shapes = PairSpec(target_cost=arguments.like, draft_cost=arguments.draft_like).shapes
    models = (("target", pair.target, bundled.target), ("draft", pair.draft, bundled.draft))
    result = {
        role: _compared(large, small, shape, pair, tokens)
        for (role, large, small), shape in zip(models, shapes, strict=True)
    }
    return result | {"device": str(pair.device), "dtype": pair.dtype}


def _compared(
    large: TreeModel, small: TreeModel, shape: Shape | None, pair: ModelPair, tokens: torch.Tensor
) -> dict[str, Any]:
    """Sizes of a model, and how its logits differ from those of the one it was made from."""
    ours = large.model(tokens, use_cache=False).logits[0].float()
    theirs = small.model(tokens, use_cache=False).logits[0].float()[:, : pair.vocab]
    real, added = ours[:, : pair.vocab], ours[:, pair.vocab :]
    zeros = sum(map(_zeros, large.weights()))
    same = (real.argmax(-1) == theirs.argmax(-1)).float().mean()
    return {
        "name": large.name,
        "shape": asdict(shape) if shape else None,
        "parameters": large.parameters,
        "bytes": sum(each.numel() * each.element_size() for each in large.weights()),
        "zero_share": zeros / large.parameters,
        "tokens_compared": len(theirs),
        "largest_difference": float((real - theirs).abs().max()),
        "logit_deviation": float(theirs.std()),
        "same_next_token": float(same),
        "added_tokens_margin": _margin(real, added),
    }


def _zeros(weight: torch.Tensor) -> int:
    # A matrix laid out for a CPU's own kernels has to be read back first.
    dense = weight.to_dense() if weight.is_mkldnn else weight
    return dense.numel() - int(dense.count_nonzero())


def _margin(real: torch.Tensor, added: torch.Tensor) -> float | None:
    """How far the added tokens' logits come above the lowest real one; None without such tokens.

    Below zero, no added token is ever likelier than any real one.
    """
    if not added.shape[1]:
        return None
    return float((added.amax(-1) - real.amin(-1)).max())


def describe(result: dict[str, Any]) -> str:
    """A paragraph a model, for people."""
    lines = [f"{result['device']}, {result['dtype']}"]
    for role in ("target", "draft"):
        model = result[role]
        lines.append(
            f"{role}: {model['name']}, {model['parameters']:,} parameters, "
            f"{model['bytes']:,} bytes, {model['zero_share']:.0%} of them zero\n"
            f"  logits differ from the model's own by at most {model['largest_difference']:.2g} "
            f"over {model['tokens_compared']} tokens (standard deviation "
            f"{model['logit_deviation']:.2g}); the likeliest next token is the same for "
            f"{model['same_next_token']:.1%}"
        )
        if model["shape"]:
            lines.append("  " + _sizes(model["shape"]))
    return "\n".join(lines)


def _sizes(shape: dict[str, Any]) -> str:
    return (
        f"{shape['name']}: {shape['layers']} layers, {shape['hidden']:,} columns, "
        f"{shape['intermediate']:,} units, {shape['heads']} heads of {shape['head_dim']} with "
        f"{shape['kv_heads']} key-value heads, {shape['vocab']:,} tokens"
    )
