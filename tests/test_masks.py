"""The additive masks against their definition, window by window and chunk by chunk."""

import pytest
import torch

from sequoia_core.decode.masks import CHUNKED, FULL, SLIDING, AttentionKinds, additive_mask
from sequoia_core.tree.token_tree import TokenTree

TREE = TokenTree([-1, 0, 0, 1, 1, 2, 3])
PREFIX = 5
LOWEST = torch.finfo(torch.float32).min


def seen_by_definition(kind: str, reach: int) -> list[list[bool]]:
    positions = [*range(PREFIX), *(PREFIX + TREE.depths).tolist()]

    def near(query: int, key: int) -> bool:
        if kind == SLIDING:
            return query - key < reach
        return kind == FULL or query // reach == key // reach

    rows = []
    for node in range(TREE.size):
        query = positions[PREFIX + node]
        prefix = [near(query, key) for key in range(PREFIX)]
        tree = [
            bool(TREE.visible[node, other]) and near(query, positions[PREFIX + other])
            for other in range(TREE.size)
        ]
        rows.append(prefix + tree)
    return rows


@pytest.mark.parametrize("kind", [FULL, SLIDING, CHUNKED])
@pytest.mark.parametrize("reach", range(1, 15))
def test_a_mask_hides_what_is_no_ancestor_or_out_of_reach(kind, reach):
    kinds = AttentionKinds((kind,), False, reach, reach)
    positions = torch.tensor([*range(PREFIX), *(PREFIX + TREE.depths).tolist()])
    visible = torch.from_numpy(TREE.visible)
    mask = additive_mask(visible, PREFIX, positions, kinds, torch.float32)
    assert mask.shape == (1, 1, TREE.size, PREFIX + TREE.size)
    assert set(mask.unique().tolist()) <= {0.0, LOWEST}
    assert (mask[0, 0] == 0).tolist() == seen_by_definition(kind, reach)


def test_models_with_several_kinds_of_layers_get_a_mask_for_each():
    kinds = AttentionKinds((FULL, SLIDING), True, 3, None)
    positions = torch.arange(PREFIX + 2)
    masks = additive_mask(torch.ones(2, 2).tril().bool(), PREFIX, positions, kinds, torch.float32)
    assert set(masks) == {FULL, SLIDING}
    assert (masks[FULL] == 0).sum() == 2 * PREFIX + 3
    assert (masks[SLIDING] == 0).sum() == 3 + 3
