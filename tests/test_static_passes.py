"""Static passes, run eagerly: the code that CUDA graphs capture gives what dynamic passes give."""

from collections.abc import Callable
from copy import deepcopy

import pytest
import torch
from fakes import tiny_pair
from tabular import random_table, tabular_pair
from test_architectures import TREE, pair_of, tiny

from sequoia_core.decode import static_passes
from sequoia_core.decode.capture import default_capture, eager
from sequoia_core.decode.engine import Engine, GenerationSettings
from sequoia_core.decode.methods import NAMES, static_method
from sequoia_core.decode.model import TreeModel
from sequoia_core.decode.offload import Offload
from sequoia_core.decode.pair import ModelPair
from sequoia_core.decode.sharding import ShardedModel
from sequoia_core.measure.proof import GREEDY_TREE, method_with
from sequoia_core.tree.token_tree import TokenTree

FAMILIES = ["llama", "gpt2", "mistral", "gemma2", "gemma3_text", "gpt_oss", "mixtral"]
PROMPT = [3, 1, 4, 1, 5]
CLOSE = 1e-4


@pytest.fixture
def small_buckets(monkeypatch):
    """Texts of a few dozen tokens go through several buckets, and past the windows of 6."""
    monkeypatch.setattr(static_passes, "BUCKET", 16)


def use(pair: ModelPair, capture: Callable | None) -> ModelPair:
    for model in (pair.target, pair.draft):
        model.use_static_passes(capture)
    return pair


def text(pair: ModelPair, method, prompt=PROMPT, **settings) -> list[int]:
    run = Engine(pair).run(prompt, GenerationSettings(**settings), method, trace=False)
    for _ in run:
        pass
    return run.token_ids


def forwarded(model: TreeModel, tree: TokenTree, seed: int, rows: int = 0) -> torch.Tensor:
    """Logits of a tree of random tokens."""
    ids = torch.randint(40, (tree.size,), generator=torch.Generator().manual_seed(seed))
    positions = torch.from_numpy(tree.depths).long() + model.length
    return model.forward(ids, positions, torch.from_numpy(tree.visible), rows)


def sequence(model: TreeModel) -> list[torch.Tensor]:
    """Logits of passes as steps make them: missing tokens, a level on top of another, a tree."""
    model.reset(64)
    model.append(PROMPT)
    found = []
    for step in range(12):
        found.append(model.append([step, step + 1][: 1 + step % 2], recurring=True)[None])
        found.append(forwarded(model, TokenTree([-1, 0, 0]), step))
        level = torch.tensor([7, 8]), torch.full((2,), model.length + 2)
        below = torch.tensor([[1, 1, 0, 1, 0], [1, 0, 1, 0, 1]]).bool()
        found.append(model.forward(*level, below))
        model.commit([0, 2])
        found.append(forwarded(model, TREE, 100 + step, rows=step % 2))
        model.commit([])
    return found


@pytest.mark.parametrize("name", FAMILIES)
def test_static_passes_have_the_logits_of_dynamic_ones_on(name, small_buckets):
    dynamic, static = TreeModel(tiny(name), name), TreeModel(tiny(name), name)
    repetitions = []

    def counted(run):
        return lambda: (repetitions.append(run), run())

    static.use_static_passes(counted)
    for wanted, found in zip(sequence(dynamic), sequence(static), strict=True):
        assert torch.allclose(found, wanted, atol=CLOSE)
    assert static.static.refused == ""
    assert len(static.static) > 8
    assert len(repetitions) - len(static.static) > 8


@pytest.mark.parametrize("name", FAMILIES)
def test_greedy_texts_are_the_same_with_static_passes_on(name, small_buckets):
    pair = pair_of(name)
    wanted = text(pair, TREE, max_new_tokens=40)
    assert text(use(pair, eager), TREE, max_new_tokens=40) == wanted
    assert [model.static.refused for model in (pair.target, pair.draft)] == ["", ""]
    # Three buckets, of which the last is met twice; passes of the draft by level and by count.
    assert len(pair.target.static) >= 2
    assert len(pair.draft.static) > 6


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_every_method_writes_the_same_with_static_passes(name, temperature, small_buckets):
    method, options = method_with(name, GREEDY_TREE), {"temperature": temperature}
    pair = tiny_pair(vocab=40, seed=5)
    wanted = text(pair, method, max_new_tokens=50, **options)
    assert text(use(pair, eager), method, max_new_tokens=50, **options) == wanted
    assert len(pair.target.static) > 1


def test_captured_passes_serve_the_next_run_on_the_same_cache():
    made = []

    def counted(run):
        made.append(run)
        return run

    pair = use(tiny_pair(vocab=40), counted)
    first = text(pair, TREE, max_new_tokens=40)
    count = len(made)
    assert count == len(pair.target.static) + len(pair.draft.static) > 3
    assert text(pair, TREE, max_new_tokens=40) == first
    assert len(made) == count


def test_a_step_says_that_passes_were_captured_in_it():
    """`auto` leaves such steps out of what it learns of seconds; see test_auto.py."""
    pair, counts = use(tiny_pair(vocab=40), eager), []
    run = Engine(pair).run(PROMPT, GenerationSettings(max_new_tokens=40), TREE, trace=False)
    for step in run:
        before = counts[-1] if counts else 0
        counts.append(len(pair.target.static) + len(pair.draft.static))
        assert step.captured == (counts[-1] > before)
    assert 3 < counts[-1] == pair.captures
    assert not run.pair.draft.static.refused
    plain = Engine(use(pair, None)).run(PROMPT, GenerationSettings(max_new_tokens=10), TREE)
    assert not any(step.captured for step in plain)


def test_a_larger_cache_drops_what_was_captured_on_the_smaller():
    pair = use(tiny_pair(vocab=40, context=1024), eager)
    text(pair, TREE, max_new_tokens=30)
    assert len(pair.target.static) > 0
    wanted = text(tiny_pair(vocab=40, context=1024), TREE, [1] * 300, max_new_tokens=30)
    pair.target.reset(331 + TREE.size)
    assert len(pair.target.static) == 0
    assert text(pair, TREE, [1] * 300, max_new_tokens=30) == wanted


def test_prompts_are_read_dynamically():
    model = TreeModel(tiny("llama"), "llama")
    model.use_static_passes(eager)
    for _ in range(4):
        model.reset(64)
        model.append([1, 2, 3])
    assert len(model.static) == 0


def test_a_pass_that_cannot_be_captured_stays_dynamic_and_says_why():
    def failing(_run):
        raise RuntimeError("operation not permitted when stream is capturing\nsecond line")

    pair = tiny_pair(vocab=40)
    wanted = text(pair, TREE, max_new_tokens=40)
    assert text(use(pair, failing), TREE, max_new_tokens=40) == wanted
    assert len(pair.target.static) == 0
    assert pair.captures == 2
    assert pair.target.static.refused == (
        f"a pass over {TREE.size} tokens cannot be captured: operation not permitted when stream "
        "is capturing"
    )


def test_a_model_whose_static_pass_has_other_logits_is_left_dynamic():
    """Here because of a state outside the cache, which a graph would repeat."""
    model, passes = deepcopy(tiny("llama")), []

    def drift(_module, _inputs, output):
        passes.append(output)
        output.logits = output.logits + len(passes)

    model.register_forward_hook(drift)
    drifting = TreeModel(model, "drifting")
    drifting.use_static_passes(eager)
    drifting.reset(64)
    for seed in range(5):
        forwarded(drifting, TREE, seed)
        drifting.commit([])
    assert "other logits than a plain one" in drifting.static.refused
    assert len(drifting.static) == 0


def test_no_more_passes_are_kept_than_the_limit_and_the_unused_go_first(monkeypatch):
    monkeypatch.setattr(static_passes, "MOST_PASSES", 3)
    model = TreeModel(tiny("llama"), "llama")
    model.use_static_passes(eager)
    model.reset(64)

    def twice(size: int) -> None:
        for _ in range(2):
            forwarded(model, TokenTree([-1, *[0] * (size - 1)]), 0)
            model.commit([])

    for size in (1, 2, 3):
        twice(size)
    twice(1)
    twice(4)
    assert [shape[0] for shape in model.static._passes] == [3, 1, 4]


def test_passes_of_all_sizes_leave_their_logits_in_one_place():
    model = TreeModel(tiny("llama"), "llama")
    model.use_static_passes(eager)
    model.reset(64)
    for size in (5, 2, 3, 1):
        for _ in range(2):
            forwarded(model, TokenTree([-1, *[0] * (size - 1)]), 0)
            model.commit([])
    rooms = [passes._buffers.logits for passes in model.static._passes.values()]
    assert [len(room) for room in rooms] == [5, 2, 3, 1]
    assert len({room.untyped_storage().data_ptr() for room in rooms}) == 1


def test_the_caller_owns_the_logits():
    """Levels of one width are one captured pass, and all their logits are kept until the end."""
    pair = use(tiny_pair(vocab=40, seed=5), eager)
    chain = static_method("chain", TokenTree([-1, 0, 1, 2, 3]))
    for _ in range(2):
        run = Engine(pair).run(PROMPT, GenerationSettings(max_new_tokens=30), chain)
        steps = list(run)
    plain = list(Engine(use(pair, None)).run(PROMPT, GenerationSettings(max_new_tokens=30), chain))
    for step, wanted in zip(steps, plain, strict=True):
        assert step.nodes.draft_prob == pytest.approx(wanted.nodes.draft_prob, abs=CLOSE)


def test_tables_in_float64_go_through_static_passes_too(small_buckets):
    tables = random_table(3, 1), random_table(3, 2)
    wanted = text(tabular_pair(3, *tables), TREE, [1], max_new_tokens=20)
    pair = use(tabular_pair(3, *tables), eager)
    assert text(pair, TREE, [1], max_new_tokens=20) == wanted
    assert len(pair.target.static) > 0


def test_a_cpu_captures_nothing_by_itself():
    assert default_capture(torch.device("cpu")) is None
    assert tiny_pair().target.static is None


def test_a_model_whose_weights_are_streamed_stays_dynamic():
    """Its copies run in a stream beside the pass's."""
    model = deepcopy(tiny("llama"))
    streamed = TreeModel(model, "streamed", Offload(model, torch.device("cpu")))
    streamed.use_static_passes(eager)
    assert streamed.static is None


def test_a_model_spread_over_processes_is_never_captured():
    assert ShardedModel.capturable is False
