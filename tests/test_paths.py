"""Path statistics: every rank checked; the trie counts runs; shrinkage judged on texts held out."""

import json
import math
from collections import Counter

import numpy as np
import pytest

from sequoia_core.errors import FileFormatError, InputError
from sequoia_core.plan import paths as paths_module
from sequoia_core.plan.acceptance import AcceptanceVector, load_acceptance
from sequoia_core.plan.paths import PathStatistics, PathTrie, paths_from_key
from sequoia_core.plan.shrinkage import STRENGTHS, choose_strength, held_out_scores

VALID = {
    "format": "sequoia-acceptance",
    "version": 1,
    "rule": "sequoia",
    "probabilities": [0.5, 0.2],
}


def random_texts(
    count: int = 6, length: int = 30, width: int = 3, seed: int = 0
) -> list[list[int]]:
    rng = np.random.default_rng(seed)
    weights = [0.2, 0.5, 0.2, 0.1][: width + 1]
    return [
        (rng.choice(width + 1, length + i, p=np.array(weights) / sum(weights)) - 1).tolist()
        for i in range(count)
    ]


def runs_of(trie: PathTrie) -> list[tuple[int, ...]]:
    """The ranks of every node, read off the parents."""
    runs = [()]
    for node in range(1, len(trie.parents)):
        runs.append((*runs[trie.parents[node]], int(trie.ranks[node])))
    return runs


def occurrences(texts: list[list[int]], longest: int) -> tuple[Counter, Counter]:
    counts, followed = Counter(), Counter()
    for text in texts:
        for start in range(len(text)):
            for stop in range(start, min(len(text), start + longest) + 1):
                run = tuple(text[start:stop])
                if min(run, default=0) < 0:
                    break
                counts[run] += 1
                followed[run] += stop < len(text)
    return counts, followed


def test_the_trie_counts_every_run_and_knows_where_it_ends():
    texts = random_texts()
    trie = PathTrie(list(map(np.array, texts)), 3, order=3)
    counts, followed = occurrences(texts, 4)
    runs = runs_of(trie)
    assert set(runs) == set(counts)
    for node, run in enumerate(runs):
        assert trie.counts[node] == counts[run]
        assert trie.followed[node] == (followed[run] if len(run) <= 3 else 0)
        assert runs[trie.suffixes[node]] == run[1:]
        if len(run) <= 3:
            assert trie.next_counts(node).tolist() == [counts[(*run, rank)] for rank in range(3)]


def test_a_step_leads_to_the_longest_ending_that_is_known():
    trie = PathTrie([np.array([0, 1, 2, -1, 2, 0])], 3, order=2)
    runs = runs_of(trie)
    node = 0
    for rank, ending in ((0, (0,)), (1, (0, 1)), (2, (0, 1, 2)), (0, (2, 0)), (0, (0,)), (2, (2,))):
        node = trie.step(node, rank)
        assert runs[node] == ending


def test_runs_do_not_cross_from_one_text_into_the_next():
    trie = PathTrie([np.array([0, 0]), np.array([1, 1])], 2)
    assert (0, 1) not in runs_of(trie)
    assert trie.followed[trie.step(0, 1)] == 1


def brute_score(texts: list[list[int]], own: int, width: int, strength: float, order: int) -> float:
    """Log-likelihood of one text's walks, counting nothing but the other texts."""
    hits, seen = Counter(), Counter()
    for index, text in enumerate(texts):
        for place in range(len(text)):
            for length in range(min(order, place) + 1):
                run = tuple(text[place - length : place])
                if index != own and min(run, default=0) >= 0:
                    hits[run, text[place]] += 1
                    seen[run] += 1

    def chance(run, outcome):
        if not run:
            return (hits[run, outcome] + 1 / (width + 1)) / (seen[run] + 1)
        shorter = chance(run[1:], outcome)
        if strength == math.inf or not seen[run]:
            return shorter
        return (hits[run, outcome] + strength * shorter) / (seen[run] + strength)

    score, text = 0.0, texts[own]
    for place in range(len(text)):
        for length in range(1, min(order, place) + 1):
            run = tuple(text[place - length : place])
            if min(run) >= 0:
                score += math.log(chance(run, text[place]))
    return score


@pytest.mark.parametrize("strength", [1.0, 10.0, math.inf])
def test_no_text_is_judged_by_its_own_counts(strength):
    texts = random_texts()
    paths = PathStatistics(3, texts)
    (scores,) = held_out_scores(paths, [strength], order=3)
    expected = [brute_score(texts, own, 3, strength, 3) for own in range(len(texts))]
    assert scores.tolist() == pytest.approx(expected, rel=1e-9)


def test_independent_ranks_are_shrunk_hard_and_bursty_ones_are_not():
    independent = PathStatistics(3, random_texts(20, 120))
    assert choose_strength(independent) >= 100
    rng = np.random.default_rng(1)
    # Good stretches, where rank 0 nearly always comes, and bad ones where it hardly does.
    bursty = []
    for _ in range(20):
        good = np.repeat(rng.random(12) < 0.5, 10)
        bursty.append(np.where(rng.random(120) < np.where(good, 0.95, 0.2), 0, -1).tolist())
    assert choose_strength(PathStatistics(3, bursty)) <= 30
    assert choose_strength(PathStatistics(3, bursty[:1])) == math.inf
    assert STRENGTHS[-1] == math.inf


def test_statistics_survive_their_file_and_their_key(tmp_path):
    paths = PathStatistics(2, [[0, -1, 1], [1]])
    vector = AcceptanceVector("topk", [0.5, 0.2], paths=paths, by_depth=[[0.5, 0.2], [0.6, 0.1]])
    vector.save(tmp_path / "a.json")
    loaded = load_acceptance(tmp_path / "a.json")
    assert loaded.paths.to_dict() == {"width": 2, "sequences": [[0, -1, 1], [1]]}
    assert loaded.by_depth.tolist() == [[0.5, 0.2], [0.6, 0.1]]
    assert paths_from_key(loaded.paths.key).to_dict() == paths.to_dict()
    assert (loaded.paths.positions, load_acceptance("paper-appendix-e").paths) == (4, None)
    with pytest.raises(ValueError, match="read-only"):
        loaded.paths.sequences[0][0] = 1


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"paths": 3}, "paths must be an object, got int"),
        ({"paths": {"width": 2}}, r"'paths\.sequences' is missing"),
        ({"paths": {"sequences": [[0]]}}, r"'paths\.width' is missing"),
        ({"paths": {"width": 0, "sequences": [[0]]}}, r"paths\.width must be between 1 and 1024"),
        ({"paths": {"width": 2.0, "sequences": [[0]]}}, r"paths\.width must be a whole number"),
        (
            {"paths": {"width": 3, "sequences": [[0]]}},
            r"paths\.width must know 2 children .* got 3",
        ),
        ({"paths": {"width": 2, "sequences": []}}, r"paths\.sequences must have 1 to"),
        ({"paths": {"width": 2, "sequences": [[]]}}, r"paths\.sequences\[0\] must have 1 to"),
        ({"paths": {"width": 2, "sequences": [[0], 1]}}, r"paths\.sequences\[1\] must be a list"),
        ({"paths": {"width": 2, "sequences": [[0, 2]]}}, r"sequences\[0\]\[1\] must be between -1"),
        ({"paths": {"width": 2, "sequences": [[-2]]}}, r"sequences\[0\]\[0\] must be between -1"),
        ({"paths": {"width": 2, "sequences": [[0.5]]}}, r"sequences\[0\]\[0\] must be a whole"),
        ({"paths": {"width": 2, "sequences": [[True]]}}, r"sequences\[0\]\[0\] must be a whole"),
        ({"by_depth": [[0.5]]}, "by_depth must know 2 children like probabilities, got 1"),
        ({"by_depth": [[0.5, 0.6]]}, r"by_depth\[0\] must sum to at most 1"),
        ({"by_depth": "no"}, "by_depth must be a list"),
    ],
)
def test_bad_statistics_are_named_with_their_file(tmp_path, fields, message):
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(VALID | fields), encoding="utf-8")
    with pytest.raises(FileFormatError, match=rf"bad\.json: .*{message}"):
        load_acceptance(path)


def test_too_many_ranks_are_refused(monkeypatch):
    monkeypatch.setattr(paths_module, "MAX_POSITIONS", 10)
    with pytest.raises(InputError, match="at most 10 ranks, got 12"):
        PathStatistics(2, [[0] * 6, [1] * 6])
