"""How far to trust rare runs of ranks: the strength of shrinkage, judged on texts held out."""

from collections.abc import Iterator, Sequence
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
    texts = _Texts(paths)
    levels = texts.levels(order)
    scores = []
    for strength in strengths:
        held_out = np.zeros(len(paths.sequences))
        chances = texts.chances(levels, strength)
        next(chances)
        for (places, *_), after in zip(levels[1:], chances, strict=True):
            np.add.at(held_out, texts.text[places], np.log(after[places]))
        scores.append(held_out)
    return scores


def choose_start_strength(paths: PathStatistics, starts: np.ndarray, strength: float) -> float:
    """How far to trust counts from where steps start alone, against those from everywhere.

    starts: positions in the joined texts. strength: what the counts from everywhere are shrunk
    with. The one of `STRENGTHS` under which the walks from each text's starts are likeliest given
    the other texts; infinite where there is one text only or nothing beats that.
    """
    if len(paths.sequences) < 2:
        return float(np.inf)
    texts = _Texts(paths)
    chances = texts.chances(texts.levels(ORDER), strength)
    scores = np.zeros(len(STRENGTHS))
    for prior, (places, hits, seen) in zip(chances, texts.levels(ORDER, starts), strict=False):
        for index, own in enumerate(STRENGTHS):
            scores[index] += np.log(_blended(prior[places], hits, seen, own)).sum()
    return max(zip(scores.tolist(), STRENGTHS, strict=True))[1]


# Places that some ranks stand before, and what other texts say there: how often they have the
# place's own outcome after the same ranks, and how often the ranks.
Counts = tuple[np.ndarray, np.ndarray, np.ndarray]


class _Texts:
    """Rank sequences end to end, with the text that each position belongs to."""

    def __init__(self, paths: PathStatistics):
        lengths = [len(ranks) for ranks in paths.sequences]
        self.text = np.repeat(np.arange(len(lengths)), lengths)
        self._outcomes = paths.width + 1
        self._ranks = np.concatenate(paths.sequences).astype(np.int64)

    def levels(self, order: int, starts: np.ndarray | None = None) -> list[Counts]:
        """For 0, 1, .. `order` ranks from anywhere, or from the positions `starts` alone."""
        ranks, text = self._ranks, self.text
        places = np.arange(len(ranks)) if starts is None else starts
        contexts, levels = np.zeros(len(places), dtype=np.int64), []
        for length in range(order + 1):
            if length:
                more = ranks[places] >= 0
                more &= np.append(text[1:], -1)[places] == text[places]
                places, contexts = places[more] + 1, contexts[more]
                if not len(places):
                    break
                keys = contexts * self._outcomes + ranks[places - 1]
                contexts = np.unique(keys, return_inverse=True)[1]
            whole = contexts * self._outcomes + ranks[places] + 1
            own = text[places]
            levels.append((places, _of_others(whole, own), _of_others(contexts, own)))
        return levels

    def chances(self, levels: list[Counts], strength: float) -> Iterator[np.ndarray]:
        """For contexts of at most 0, 1, .. ranks: the chance of every position's own outcome."""
        _, hits, seen = levels[0]
        chances = (hits + 1 / self._outcomes) / (seen + 1)
        yield chances
        for places, hits, seen in levels[1:]:
            chances = chances.copy()
            chances[places] = _blended(chances[places], hits, seen, strength)
            yield chances


def _blended(prior: np.ndarray, hits: np.ndarray, seen: np.ndarray, strength: float) -> np.ndarray:
    """Frequencies, with `prior` as if it had been observed `strength` times."""
    return (hits + strength * prior) / (seen + strength) if np.isfinite(strength) else prior


def _of_others(keys: np.ndarray, text: np.ndarray) -> np.ndarray:
    """How often each entry's key occurs in other texts than its own."""
    _, index, counts = np.unique(keys, return_inverse=True, return_counts=True)
    own = index * (int(text.max()) + 1) + text
    _, own_index, own_counts = np.unique(own, return_inverse=True, return_counts=True)
    return counts[index] - own_counts[own_index]
