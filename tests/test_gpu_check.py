"""The GPU machine's check finds what it looks for, shown on the CPU."""

from fakes import tiny_pair
from gpu_check import differing_prompts

PROMPTS = [f"t{a} t{b}" for a in range(1, 6) for b in range(1, 6)]


def test_equal_texts_are_no_difference():
    assert differing_prompts(tiny_pair(vocab=12, ends=True), PROMPTS, 12) == []


def test_a_cache_that_forgets_is_found():
    """A commit that loses its last token must show up as another text."""
    pair = tiny_pair(vocab=12, ends=True)
    pair.target.reset(64)
    cache = pair.target.cache
    commit = cache.commit

    def forgetful(slots):
        commit(slots)
        for buffer in cache.storage:
            buffer[..., cache.length - 1, :] = 0

    cache.commit = forgetful
    assert differing_prompts(pair, PROMPTS, 12)
