"""What a pass over n tokens reads, writes and computes: plain counting, no hardware in it."""

from dataclasses import dataclass

import numpy as np

from sequoia_core.plan.model_shape import ModelShape


@dataclass(frozen=True, slots=True)
class Work:
    """Bytes moved and FLOPs done by one kind of operation in a pass, arrays [len(tokens)].

    weight_bytes: weights read; other_bytes: activations and caches, read and written.
    """

    weight_bytes: np.ndarray
    other_bytes: np.ndarray
    flops: np.ndarray

    @property
    def bytes(self) -> np.ndarray:
        """All bytes moved."""
        return self.weight_bytes + self.other_bytes


def experts_touched(experts: int, chosen: int, tokens: np.ndarray) -> np.ndarray:
    """Expected distinct experts of a layer that `tokens` tokens need: E (1 - (1 - k/E)^n).

    Each token takes k of E experts, all sets of k equally likely and tokens independent. Real
    routers prefer some experts and neighbouring tokens agree, so fewer are touched: a ceiling.

    >>> experts_touched(8, 2, np.array([1, 2])).tolist()
    [2.0, 3.5]
    """
    return experts * (1 - (1 - chosen / experts) ** np.asarray(tokens, dtype=np.float64))


def pass_work(shape: ModelShape, tokens: np.ndarray, context_length: int) -> dict[str, Work]:
    """Work of one pass over `tokens` tokens behind `context_length` committed ones, by component.

    A product of [n, a] with [a, b] reads its weights once, its input and output once, and takes
    2 n a b FLOPs. Attention reads all keys and values, whatever the mask hides. Every layer of a
    model with sliding windows is counted as if it saw the whole context.
    """
    n = np.asarray(tokens, dtype=np.float64)
    work = {
        "embedding": _work(n, 0.0, 2 * n * shape.hidden * shape.dtype_bytes, 0.0),
        "attention weights": _attention_weights(shape, n),
        "attention": _attention(shape, n, context_length),
        "norms and sums": _elementwise(shape, n),
        "output head": _output_head(shape, n),
    }
    if shape.layers > shape.expert_layers:
        work["mlp"] = _mlp(shape, n)
    if shape.expert_layers:
        work["experts"] = _experts(shape, n)
    return work


def _work(
    n: np.ndarray, weights: np.ndarray | float, other: np.ndarray, flops: np.ndarray | float
) -> Work:
    return Work(np.broadcast_to(weights, n.shape), other, np.broadcast_to(flops, n.shape))


def _attention_weights(shape: ModelShape, n: np.ndarray) -> Work:
    """Query, key, value and output projections."""
    heads = shape.head_dim * (shape.heads + 2 * shape.kv_heads) + shape.head_dim * shape.heads
    parameters = shape.layers * shape.attention_parameters
    moved = shape.layers * n * (2 * shape.hidden + heads) * shape.dtype_bytes
    return _work(n, parameters * shape.weight_bits / 8, moved, 2 * n * parameters)


def _attention(shape: ModelShape, n: np.ndarray, context_length: int) -> Work:
    """Scores and weighted sums over the context and the pass's own tokens."""
    seen, heads = context_length + n, shape.heads * shape.head_dim
    per_token = shape.cache_bytes(1)
    queries = 2 * shape.layers * n * heads * shape.dtype_bytes
    flops = 4 * shape.layers * n * seen * heads
    return _work(n, 0.0, per_token * (seen + n) + queries, flops)


def _gated(shape: ModelShape, intermediate: int) -> int:
    """Bytes that a gated MLP's products read and write for one token."""
    return (2 * shape.hidden + 3 * intermediate) * shape.dtype_bytes


def _mlp(shape: ModelShape, n: np.ndarray) -> Work:
    layers = shape.layers - shape.expert_layers
    parameters = layers * shape.mlp_parameters
    moved = layers * n * _gated(shape, shape.intermediate)
    return _work(n, parameters * shape.weight_bits / 8, moved, 2 * n * parameters)


def _experts(shape: ModelShape, n: np.ndarray) -> Work:
    """The router, and as many experts as the tokens are expected to need."""
    layers, chosen = shape.expert_layers, shape.experts_per_token
    touched = experts_touched(shape.experts, chosen, n)
    read = touched * shape.expert_parameters + shape.router_parameters
    used = chosen * shape.expert_parameters + shape.router_parameters
    moved = layers * n * chosen * _gated(shape, shape.expert_intermediate)
    return _work(n, layers * read * shape.weight_bits / 8, moved, 2 * n * layers * used)


def _elementwise(shape: ModelShape, n: np.ndarray) -> Work:
    """Two norms and two sums a layer, rotation of queries and keys, the gate; the last norm."""
    gates = (shape.layers - shape.expert_layers) * shape.intermediate
    gates += shape.expert_layers * shape.experts_per_token * shape.expert_intermediate
    rotated = 2 * shape.layers * (shape.heads + shape.kv_heads) * shape.head_dim
    numbers = 10 * shape.layers * shape.hidden + rotated + 3 * gates + 2 * shape.hidden
    return _work(n, 0.0, n * numbers * shape.dtype_bytes, 0.0)


def _output_head(shape: ModelShape, n: np.ndarray) -> Work:
    moved = n * (shape.hidden + shape.vocab) * shape.dtype_bytes
    weights = shape.head_parameters * shape.dtype_bytes
    return _work(n, weights, moved, 2 * n * shape.head_parameters)
