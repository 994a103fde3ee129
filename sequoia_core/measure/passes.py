"""Timing single forward passes, in the order and with the masks of decoding."""

from collections.abc import Callable, Sequence
from functools import partial

import torch

from sequoia_core.decode.model import TreeModel
from sequoia_core.decode.pair import ModelPair
from sequoia_core.decode.timing import laps
from sequoia_core.decode.transfer import to_device
from sequoia_core.tree.token_tree import TokenTree


def step_seconds(pair: ModelPair, passes: Sequence[tuple[TreeModel, int]]) -> list[float]:
    """Seconds of passes over so many uncommitted tokens, one after the other as in a step.

    The tokens are forgotten. Passes that were captured meanwhile are not what is asked for, so all
    are made once more.
    """
    works = [(model, _pass_over(model, tokens)) for model, tokens in passes]
    while True:
        captures, watch = pair.captures, laps(pair.device)
        for model, work in works:
            watch.time(work)
            model.commit([])
        seconds = watch.take()
        if pair.captures == captures:
            return seconds


def _pass_over(model: TreeModel, tokens: int) -> Callable[[], object]:
    """A forward pass over a tree of random tokens, whose inputs are on the device."""
    tree = TokenTree([-1, *(node // 2 for node in range(tokens - 1))])
    ids = torch.randint(model.vocab, (tokens,)).to(model.device)
    positions = to_device(tree.depths + model.length, model.device)
    visible = to_device(tree.visible, model.device)
    return partial(model.forward, ids, positions, visible)
