"""The profiler measures every size it names and says on what; never how fast, in a test."""

import pytest
from fakes import tiny_pair

from sequoia_core.errors import InputError
from sequoia_core.measure.profiler import profile_pair, undisturbed


def test_a_profile_has_every_size_up_to_the_limit():
    profile = profile_pair(tiny_pair(context=256), context_length=16, max_tokens=24, repeats=2)
    assert [n for n, _ in profile.target_seconds] == [*range(1, 17), 20, 24]
    assert [n for n, _ in profile.draft_seconds] == [1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 24]
    assert all(seconds > 0 for _, seconds in profile.target_seconds + profile.draft_seconds)
    assert min(profile.overhead_seconds, profile.plain_overhead_seconds) > 0
    assert (profile.origin, profile.dtype, profile.context_length) == ("measured", "float32", 16)
    assert "quartile of 2 or more" in profile.basis


@pytest.mark.parametrize("context_length", [0, 193, 10_000])
def test_a_context_that_does_not_fit_is_refused(context_length):
    with pytest.raises(InputError, match=f"between 1 and 192 for this pair, got {context_length}"):
        profile_pair(tiny_pair(context=256), context_length=context_length)


def test_profiling_leaves_the_pair_ready_to_decode():
    pair = tiny_pair(context=256)
    profile_pair(pair, context_length=16, max_tokens=4, repeats=1)
    assert (pair.target.cache.pending, pair.draft.cache.pending) == (0, 0)


def test_a_disturbance_of_half_the_passes_leaves_a_profile_as_it_is():
    assert undisturbed([5.0, 1.1, 9.0, 1.0, 7.0, 1.2, 1.0, 8.0]) == 1.1
    assert undisturbed([3.0]) == 3.0
