"""A token tree as a graph file that graph tools open."""

import numpy as np

from sequoia_core.tree.token_tree import TokenTree


def to_graphml(tree: TokenTree, path_probabilities: np.ndarray | None = None) -> str:
    """The tree as GraphML: edges from parent to child; nodes with depth, rank and parent.

    path_probabilities: float [n], the chance that a step's walk reaches each node; given, it
    becomes the node attribute path_probability. The root's parent is -1.
    """
    import networkx

    graph = networkx.DiGraph()
    for node in range(tree.size):
        graph.add_node(
            node,
            depth=int(tree.depths[node]),
            rank=int(tree.ranks[node]),
            parent=int(tree.parents[node]),
        )
        if path_probabilities is not None:
            graph.nodes[node]["path_probability"] = float(path_probabilities[node])
    graph.add_edges_from((int(tree.parents[node]), node) for node in range(1, tree.size))
    return "\n".join(networkx.generate_graphml(graph)) + "\n"
