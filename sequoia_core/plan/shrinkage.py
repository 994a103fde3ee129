"""How far to trust rare runs of ranks: the strength of shrinkage, judged on texts held out."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from sequoia_core.plan.paths import ORDER, PathStatistics, paths_from_key

STRENGTHS = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, np.inf)


def choose_strength(paths: PathStatistics) -> float:
    """The strength of `STRENGTHS` that predicts texts best which it has not counted.

    Infinite, the positional assumption, where there is one text only or nothing beats it.
    """
    return _cached_strength(paths.key)


@lru_cache(maxsize=32)
def _cached_strength(key: tuple) -> float:
    paths = paths_from_key(key)
    if len(paths.sequences) < 2:
        return float(np.inf)
    scores = [float(scores.sum()) for scores in held_out_scores(paths, STRENGTHS)]
    return max(zip(scores, STRENGTHS, strict=True))[1]


def held_out_scores(
    paths: PathStatistics, strengths: Sequence[float], *, order: int = ORDER
) -> list[np.ndarray]:
    """Log-likelihood of each text's walks under counts of all other texts; [texts] a strength.

    From every position a walk follows the text's ranks; the score is the log of what the model
    says of each next outcome, a rank or none. All texts are left out at once: what a text counted
    itself is taken off the totals. Frequencies of single ranks start from one outcome spread
    evenly, so that what was never seen has some chance.
    """
    text = np.repeat(np.arange(len(paths.sequences)), [len(s) for s in paths.sequences])
    ranks = np.concatenate(paths.sequences).astype(np.int64)
    outcomes = paths.width + 1
    levels = _levels(ranks, text, outcomes, order)
    scores = []
    for strength in strengths:
        held_out = np.zeros(len(paths.sequences))
        places, hits, seen = levels[0]
        chances = (hits + 1 / outcomes) / (seen + 1)
        for places, hits, seen in levels[1:]:
            weight = seen / (seen + strength) if np.isfinite(strength) else np.zeros(len(seen))
            own = hits / np.maximum(seen, 1)
            chances = chances.copy()
            chances[places] = weight * own + (1 - weight) * chances[places]
            np.add.at(held_out, text[places], np.log(chances[places]))
        scores.append(held_out)
    return scores


def _levels(
    ranks: np.ndarray, text: np.ndarray, outcomes: int, order: int
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """For contexts of 0, 1, .. ranks: where there is one, and what other texts say there.

    Each entry: places [m], positions that so many ranks stand before; hits [m], how often other
    texts have the position's own outcome after the same ranks; seen [m], how often the ranks.
    """
    places, contexts = np.arange(len(ranks)), np.zeros(len(ranks), dtype=np.int64)
    levels = []
    for length in range(order + 1):
        if length:
            before = places - length
            same = (before >= 0) & (text[before] == text[places])
            same &= ranks[before] >= 0
            places, contexts = places[same], contexts[same]
            if not len(places):
                break
            keys = contexts * outcomes + ranks[places - length]
            contexts = np.unique(keys, return_inverse=True)[1]
        whole = contexts * outcomes + ranks[places] + 1
        levels.append((places, _of_others(whole, text[places]), _of_others(contexts, text[places])))
    return levels


def _of_others(keys: np.ndarray, text: np.ndarray) -> np.ndarray:
    """How often each entry's key occurs in other texts than its own."""
    _, index, counts = np.unique(keys, return_inverse=True, return_counts=True)
    own = index * (int(text.max()) + 1) + text
    _, own_index, own_counts = np.unique(own, return_inverse=True, return_counts=True)
    return counts[index] - own_counts[own_index]
