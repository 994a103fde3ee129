"""Where a small model's attention heads sit inside the heads of a larger shape."""

from dataclasses import dataclass

import torch
from torch import Tensor

from sequoia_core.decode.shapes import Shape
from sequoia_core.errors import ModelError


@dataclass(frozen=True, slots=True)
class Seating:
    """The places of the small model's heads. A head may hold several small ones side by side.

    A place is (head, seat): seat s has the s-th part of the rotary pairs of its head. queries: of
    every small query head, in order. keys: (small key-value head, head, seat); a small one whose
    queries are in several groups is there once for each. per_head: seats of a head in use.
    head_dim, small_dim: dimensions of a head of the shape and of the small model.
    """

    queries: tuple[tuple[int, int], ...]
    keys: tuple[tuple[int, int, int], ...]
    per_head: int
    head_dim: int
    small_dim: int

    def rows(self, places: tuple[tuple[int, int], ...]) -> Tensor:
        """Rows of a projection that hold these places, each place's dimensions in order.

        Llama rotates dimension j together with j + head_dim / 2, so a small head's two halves sit
        in the two halves of the head.
        """
        half = self.small_dim // 2
        within = torch.arange(half)
        small = torch.cat([within, within + self.head_dim // 2])
        return torch.cat([head * self.head_dim + seat * half + small for head, seat in places])

    @property
    def query_rows(self) -> Tensor:
        """Rows of q, and columns of o, by the small model's own order."""
        return self.rows(self.queries)

    @property
    def key_rows(self) -> Tensor:
        """Rows of k and v, by the order of `keys`."""
        return self.rows(tuple((head, seat) for _, head, seat in self.keys))

    def copies(self, projection: Tensor) -> Tensor:
        """The small k or v projection [kv heads * small_dim, ...], as `key_rows` takes it."""
        heads = projection.unflatten(0, (-1, self.small_dim))
        return heads[[small for small, _, _ in self.keys]].flatten(0, 1)

    def frequencies(self, small: Tensor, theta: float) -> Tensor:
        """Rotary frequencies of a head: the small model's on every seat, then ever lower ones.

        With base theta ** (head_dim / small_dim) the first seat's are the small model's by
        formula; they are copied all the same, since powers round.
        """
        base = theta ** (self.head_dim / self.small_dim)
        exponents = torch.arange(0, self.head_dim, 2, dtype=torch.float64) / self.head_dim
        all_pairs = (base**-exponents).to(small.dtype)
        all_pairs[: self.per_head * len(small)] = small.repeat(self.per_head)
        return all_pairs


def seat(heads: int, kv_heads: int, small_dim: int, shape: Shape) -> Seating:
    """Seat a small model's heads in a shape's, as few to a head as possible.

    Raises ModelError where they do not fit.
    """
    for per_head in range(1, shape.head_dim // small_dim + 1):
        places = _places(heads, kv_heads, shape, per_head)
        if places is not None:
            return Seating(*places, per_head, shape.head_dim, small_dim)
    raise ModelError(
        f"The bundled model's {heads} heads of {small_dim} dimensions with {kv_heads} key-value "
        f"heads do not fit into {shape.name}'s {shape.heads} of {shape.head_dim} with "
        f"{shape.kv_heads}; choose a larger shape."
    )


def _places(heads: int, kv_heads: int, shape: Shape, per_head: int):
    """Queries' and keys' places with at most `per_head` seats in a head, or None."""
    group, small_group = shape.heads // shape.kv_heads, heads // kv_heads
    queries, keys = [], []
    head, seats, taken = 0, 0, 0
    for small in range(kv_heads):
        left = small_group
        while left:
            if seats == per_head or taken == group:
                head, seats, taken = head + 1, 0, 0
            if head == shape.kv_heads:
                return None
            count = min(left, group - taken)
            keys.append((small, head, seats))
            queries += [(head * group + taken + i, seats) for i in range(count)]
            seats, taken, left = seats + 1, taken + count, left - count
    return tuple(queries), tuple(keys)
