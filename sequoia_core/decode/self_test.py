"""Does this model take a tree? A small random tree against plain forwards, path by path."""

from dataclasses import dataclass

import torch
from torch import Tensor

from sequoia_core.decode.model import TreeModel
from sequoia_core.decode.rounding import difference, tolerance
from sequoia_core.errors import ModelError
from sequoia_core.tree.token_tree import TokenTree

PREFIX = 5
TREE = TokenTree([-1, 0, 0, 1, 1, 2, 3])
CHAIN = TokenTree([-1, 0, 1, 2])


@dataclass(frozen=True, slots=True)
class SelfTest:
    """What shapes a model can be drafted for with, and why not trees."""

    trees: bool
    reason: str = ""

    def both(self, other: "SelfTest") -> "SelfTest":
        """What holds for a pair."""
        return self if not self.trees else other


@torch.inference_mode()
def self_test(model: TreeModel, vocab: int | None = None) -> SelfTest:
    """Compare tree-masked logits with plain ones. Raises ModelError if even a chain differs.

    vocab: how many of the model's tokens are real; None is all of them.
    """
    vocab = vocab or model.vocab
    mismatch = _mismatch(model, CHAIN, vocab)
    if mismatch:
        raise ModelError(
            f"{model.name} gives other logits with its cache than without ({mismatch}), so nothing "
            "could be verified; choose another model."
        )
    mismatch = _mismatch(model, TREE, vocab)
    if not mismatch:
        return SelfTest(True)
    return SelfTest(False, f"{model.name} does not follow a tree attention mask ({mismatch}).")


def _mismatch(model: TreeModel, tree: TokenTree, vocab: int) -> str:
    """How tree-masked logits differ from plain ones; empty where rounding explains it."""
    generator = torch.Generator().manual_seed(0)
    count = PREFIX + tree.size
    token_ids = torch.randint(vocab, (count,), generator=generator).to(model.device)
    try:
        ours = _tree_logits(model, token_ids, tree)[:, :vocab]
    except (RuntimeError, ValueError, TypeError, IndexError, AttributeError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        return f"it refuses the mask: {reason.rstrip('.')}"
    plain = torch.stack([_path_logits(model, token_ids, tree, node) for node in range(tree.size)])
    plain = plain[:, :vocab]
    apart = difference(ours, plain)
    if apart <= tolerance(model.dtype):
        return ""
    return f"logits differ by {apart:.3g} standard deviations"


def _tree_logits(model: TreeModel, token_ids: Tensor, tree: TokenTree) -> Tensor:
    model.reset(len(token_ids))
    model.append(token_ids[:PREFIX].tolist())
    depths = torch.from_numpy(tree.depths).long().to(model.device)
    visible = torch.from_numpy(tree.visible).to(model.device)
    return model.forward(token_ids[PREFIX:], depths + PREFIX, visible).float()


def _path_logits(model: TreeModel, token_ids: Tensor, tree: TokenTree, node: int) -> Tensor:
    path = torch.tensor(tree.path(node), device=model.device) + PREFIX
    plain = torch.cat([token_ids[:PREFIX], token_ids[path]])
    return model.plain_logits(plain[None])[0, -1].float()
