"""A hand-made run of two steps, for tests of what is saved, loaded and counted."""

from sequoia_core.decode.recorded import Origin, Predicted, Ranks, RecordedRun
from sequoia_core.decode.settings import GenerationSettings
from sequoia_core.decode.trace import (
    Bonus,
    Nodes,
    PlainRun,
    RunSummary,
    Seconds,
    StepTrace,
    verdicts,
)
from sequoia_core.tree.token_tree import TokenTree

PARENTS = [-1, 0, 0, 2, 2]
WORDS = ["<i>Once", " upon", " a", " time", "\n"]


def traced_step(
    index: int, prefix: int, parents: list[int], accepted: list[int], *, root: int = 0
) -> StepTrace:
    """A step whose drafted tokens are the node ids, and whose bonus token is 9."""
    tree = TokenTree(parents)
    size = tree.size
    nodes = Nodes(
        parent=parents,
        rank=tree.ranks.tolist(),
        token_id=[root, *range(1, size)],
        text=[WORDS[node % len(WORDS)] for node in range(size)],
        draft_prob=[1.0] + [0.25] * (size - 1),
        target_prob=[1.0] + [0.5] * (size - 1),
        status=verdicts(tree, accepted),
    )
    source = "residual" if tree.child_counts[accepted[-1] if accepted else 0] else "leaf"
    bonus = Bonus(9, " fox", source, 0.75)
    return StepTrace(
        index, prefix, accepted, bonus, [*accepted, 9], Seconds(0.01, 0.02, 0.03, 0.04), nodes
    )


def recorded_run(**changes) -> RecordedRun:
    """Two steps of the same tree: the first accepts a whole path, the second nothing."""
    steps = (traced_step(0, 1, PARENTS, [2, 3], root=7), traced_step(1, 4, PARENTS, [], root=9))
    run = {
        "method": "sequoia",
        "rule": "sequoia",
        "tree": TokenTree(PARENTS),
        "budget": 5,
        "depth": 2,
        "settings": GenerationSettings(temperature=0.6, max_new_tokens=4, seed=3),
        "prompt": "Tell <b>me",
        "prompt_ids": [5, 7],
        "steps": steps,
        "summary": RunSummary(" a time fox fox", [2, 3, 9, 9], 2, 0.5, 0.2, "token limit"),
        "origin": Origin(
            "big",
            "small",
            "cpu",
            "float32",
            "abacus",
            "2026-11-24T12:00:00+00:00",
            {"torch": "2"},
            ("loud", "quiet"),
        ),
        "plain": PlainRun([2, 3, 9, 9], [" a", " time", " fox", " fox"], [0.1] * 4, 0.4),
        "ranks": Ranks(4, [1, 0, -1, -1]),
        "predicted": Predicted(1.5, 2.25),
    }
    return RecordedRun(**(run | changes))
