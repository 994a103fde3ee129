"""Every method emits exactly the target's distribution: whole runs, every draw, every verdict.

Nothing is re-implemented here. The engine runs on tabular models through its real caches, masks
and passes, with a source of chance that takes every course in turn; the chances of all courses that
emit a text add up to what the method emits.
"""

from collections import defaultdict
from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
import torch
from tabular import Branch, Table, branches, logits_after, random_table, tabular_pair

from sequoia_core.decode import growing
from sequoia_core.decode.engine import Engine, GenerationSettings, Run
from sequoia_core.decode.methods import (
    NAMES,
    Method,
    grown_method,
    plain_method,
    static_method,
)
from sequoia_core.decode.pair import ModelPair
from sequoia_core.decode.sampling import distribution
from sequoia_core.decode.steering import Fixed
from sequoia_core.decode.trace import StepTrace
from sequoia_core.tree.families import chain, chains, expansion
from sequoia_core.tree.token_tree import TokenTree

EXACT = 1e-9
PROMPT = (1,)
FORKED = TokenTree([-1, 0, 0, 1])

METHODS = {
    "autoregressive": plain_method(),
    "chain": static_method("chain", chain(3)),
    "kchains": static_method("kchains", chains(2, 1)),
    "sequoia": static_method("sequoia", FORKED),
    "specinfer": static_method("specinfer", FORKED),
    "topk": static_method("topk", FORKED),
    "specexec": grown_method("specexec", 4, 2),
    "dynamic": grown_method("dynamic", 4, 2),
}
SHAPES = {
    "kchains of 3": static_method("kchains", chains(3, 1)),
    "sequoia, wide": static_method("sequoia", TokenTree([-1, 0, 0, 0])),
    "sequoia, deep fork": static_method("sequoia", TokenTree([-1, 0, 1, 1])),
    "specinfer <3>": static_method("specinfer", expansion([3])),
    "specinfer <1, 2>": static_method("specinfer", expansion([1, 2])),
    "topk of 3": static_method("topk", expansion([3])),
    "specexec, 3 deep": grown_method("specexec", 4, 3),
    "dynamic, 3 deep": grown_method("dynamic", 4, 3),
    "dynamic, of 3": grown_method("dynamic", 3, 2),
}
SAMPLED = {"temperature": 1.0, "top_p": 1.0}

Follow = Callable[[Branch], Run]


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Tables are tiny: threads would only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def pair_of(vocab: int, **options) -> ModelPair:
    return tabular_pair(vocab, random_table(vocab, 1, **options), random_table(vocab, 2, **options))


def follower(pair: ModelPair, method: Method, steps: int, length: int, **sampling) -> Follow:
    """A course of chance through the first `steps` steps of a run of at most `length` tokens."""
    settings = GenerationSettings(max_new_tokens=length, **sampling)

    def follow(branch: Branch) -> Run:
        run = Engine(pair).run(PROMPT, settings, method, trace=False, random=branch)
        for _, _ in zip(range(steps), run, strict=False):
            pass
        return run

    return follow


def state(run: Run) -> tuple:
    """All that a next step can depend on: the text and both models' committed caches."""
    caches = [
        tuple(buffer[..., : model.length, :].flatten().tolist())
        for model in (run.pair.target, run.pair.draft)
        for buffer in model.cache.storage
    ]
    return tuple(run.token_ids), run.pair.draft.length, tuple(caches)


def one_step(follow: Follow) -> dict[tuple[int, ...], float]:
    """Chance of every text that the follower's steps emit."""
    law: dict[tuple[int, ...], float] = defaultdict(float)
    for branch, run in branches(follow):
        law[tuple(run.token_ids)] += branch.chance
    return law


def two_steps(first: Follow, both: Follow, length: int) -> dict[tuple[int, ...], float]:
    """Chance of every text of two steps. All courses of the second from every state of the first.

    Courses of the first step that lead to one state share one enumeration of the second.
    """
    reached: dict[tuple, list] = {}
    for branch, run in branches(first):
        entry = reached.setdefault(state(run), [0.0, branch, tuple(run.token_ids)])
        entry[0] += branch.chance
    law: dict[tuple[int, ...], float] = defaultdict(float)
    for chance, origin, text in reached.values():
        if len(text) == length:
            law[text] += chance
            continue
        script = [choice for choice, _ in origin.taken]
        for branch, run in branches(both, script):
            law[tuple(run.token_ids)] += chance * branch.chance / origin.chance
    return law


def target_law(pair: ModelPair, text: tuple[int, ...], **sampling) -> np.ndarray:
    """The target's own distribution of the next token, float64 [vocab]."""
    logits = logits_after(pair.target, PROMPT + text)
    return distribution(logits, sampling["temperature"], sampling["top_p"]).numpy()


def difference(pair: ModelPair, law: dict, length: int, **sampling) -> float:
    """Greatest error of any text of `length` tokens, shorter ones being continued by the target."""
    assert sum(law.values()) == pytest.approx(1, abs=EXACT)
    worst = 0.0
    for text in product(range(pair.vocab), repeat=length):
        steps = [target_law(pair, text[:i], **sampling)[text[i]] for i in range(length)]
        emitted = sum(law.get(text[:i], 0.0) * np.prod(steps[i:]) for i in range(1, length + 1))
        worst = max(worst, abs(emitted - np.prod(steps)))
    return worst


def test_every_method_is_proven():
    assert set(METHODS) == set(NAMES)


@pytest.mark.parametrize("name", METHODS)
def test_two_steps_in_a_row_emit_exactly_the_targets_distribution(name):
    pair, length = pair_of(3), 3
    # One node a pass keeps the courses few; wider passes are proven a step at a time, below.
    method = grown_method("dynamic", 4, 2, beam=1) if name == "dynamic" else METHODS[name]
    first = follower(pair, method, 1, length, **SAMPLED)
    both = follower(pair, method, 2, length, **SAMPLED)
    assert difference(pair, two_steps(first, both, length), length, **SAMPLED) < EXACT


class Switching(Fixed):
    """Steers by the verdict of the step before: one method after a miss, another after a hit."""

    def __init__(self, first: Method, after_miss: Method, after_hit: Method):
        super().__init__(first)
        self._after = after_miss, after_hit
        self.slots, self.drafts = 4, True

    def next(self, last: StepTrace | None, _tree: TokenTree | None) -> tuple[Method, None]:
        if last is None:
            return self.method, None
        return self._after[bool(last.accepted)], None


@pytest.mark.parametrize(
    ("first", "after_miss", "after_hit"),
    [
        ("autoregressive", "chain", "sequoia"),
        ("chain", "autoregressive", "sequoia"),
        ("sequoia", "chain", "autoregressive"),
        ("topk", "specinfer", "sequoia"),
    ],
)
def test_a_switch_between_two_steps_keeps_them_exact(first, after_miss, after_hit):
    """Whatever the second step's method depends on, as long as that is over before it draws."""
    pair, length = pair_of(3), 3
    steering = Switching(*(METHODS[name] for name in (first, after_miss, after_hit)))
    steps = [follower(pair, steering, count, length, **SAMPLED) for count in (1, 2)]
    assert difference(pair, two_steps(*steps, length), length, **SAMPLED) < EXACT


def test_a_method_is_chosen_before_the_step_draws_anything():
    pair, branch, asked = pair_of(3), Branch([]), []

    class Recording(Switching):
        def next(self, last, tree):
            asked.append(len(branch.taken))
            return super().next(last, tree)

    chains_only = Recording(*[METHODS["chain"]] * 3)
    settings = GenerationSettings(max_new_tokens=8, **SAMPLED)
    run = Engine(pair).run(PROMPT, settings, chains_only, trace=False, random=branch)
    drawn = [len(branch.taken) for _ in run]
    assert asked == [0, *drawn[:-1]]
    assert len(asked) > 1


@pytest.mark.parametrize("name", METHODS | SHAPES)
@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (0.5, 0.8)])
def test_a_step_emits_exactly_the_targets_distribution(name, temperature, top_p):
    sampling = {"temperature": temperature, "top_p": top_p}
    pair, method = pair_of(3), (METHODS | SHAPES)[name]
    law = one_step(follower(pair, method, 1, 4, **sampling))
    assert difference(pair, law, 4, **sampling) < EXACT


@pytest.mark.parametrize("name", [name for name in METHODS if name != "dynamic"])
def test_a_step_is_exact_on_a_vocabulary_of_four(name):
    pair = pair_of(4)
    law = one_step(follower(pair, METHODS[name], 1, 3, **SAMPLED))
    assert difference(pair, law, 3, **SAMPLED) < EXACT


def test_dynamic_is_exact_on_a_vocabulary_of_four():
    pair = pair_of(4)
    law = one_step(follower(pair, grown_method("dynamic", 3, 2), 1, 3, **SAMPLED))
    assert difference(pair, law, 3, **SAMPLED) < EXACT


@pytest.mark.parametrize("options", [{"spread": 0.0}, {"step": 1.5}, {"spread": 6.0}])
@pytest.mark.parametrize("name", ["specinfer", "specexec", "dynamic", "dynamic, 3 deep"])
def test_ties_and_certainties_keep_a_step_exact(name, options):
    """Equal values in a grown tree, twins, and tokens of no mass."""
    pair = pair_of(3, **options)
    law = one_step(follower(pair, (METHODS | SHAPES)[name], 1, 4, **SAMPLED))
    assert difference(pair, law, 4, **SAMPLED) < EXACT


@pytest.mark.parametrize("name", METHODS)
def test_a_draft_equal_to_the_target_is_exact_and_rejects_nothing_of_a_first_child(name):
    table: Table = random_table(3, 1)
    pair = tabular_pair(3, table, table)
    law = one_step(follower(pair, METHODS[name], 1, 4, **SAMPLED))
    assert difference(pair, law, 4, **SAMPLED) < EXACT
    if METHODS[name].rule.name != "topk" and METHODS[name].drafts:
        assert not any(chance > EXACT for text, chance in law.items() if len(text) == 1)


@pytest.mark.parametrize("name", METHODS)
def test_at_temperature_zero_every_method_emits_the_targets_choice(name):
    pair = pair_of(3)
    ((branch, run),) = branches(follower(pair, METHODS[name], 8, 8, temperature=0.0))
    text: list[int] = []
    while len(text) < 8:
        logits = logits_after(pair.target, PROMPT + tuple(text))
        text.append(int(logits.argmax()))
    assert branch.taken == []
    assert run.token_ids == text


class ReusedNoise(Branch):
    """The reference's scheme: draws come from noise made once per prompt, for every step the same.

    The noise is one of eight equally likely numbers; a token is where it falls in the draft's
    distribution, whose probabilities must be multiples of an eighth.
    """

    fresh = False

    def __init__(self, script: list[int]):
        super().__init__(script)
        self.noise: int | None = None

    def without_replacement(self, probs, count: int):
        assert probs.shape[0] == count == 1
        if self.noise is None or self.fresh:
            self.noise = self._choose([1 / 8] * 8)
        ends = (probs[0].cumsum(0) * 8).round()
        return (ends > self.noise).int().argmax().reshape(1, 1)


class FreshNoise(ReusedNoise):
    """The same with new noise for every draw."""

    fresh = True


@pytest.mark.parametrize(
    ("kind", "exact"), [(Branch, True), (FreshNoise, True), (ReusedNoise, False)]
)
def test_noise_reused_in_the_next_step_would_be_found(kind, exact):
    def eighths(context):
        shares = [[5, 2, 1], [1, 3, 4], [3, 4, 1]][context[-1]]
        return np.log(np.array(shares) / 8)

    pair, length = tabular_pair(3, random_table(3, 1), eighths), 4
    follow = follower(pair, static_method("chain", chain(1)), 2, length, **SAMPLED)
    law: dict[tuple[int, ...], float] = defaultdict(float)
    for branch, run in branches(follow, kind=kind):
        law[tuple(run.token_ids)] += branch.chance
    error = difference(pair, law, length, **SAMPLED)
    assert (error < EXACT) if exact else (error > 1e-3)


def test_a_draw_kept_for_the_sake_of_its_own_token_would_be_found(monkeypatch):
    """What specexec may do and dynamic must not."""
    add = growing._Growth.add
    monkeypatch.setattr(
        growing._Growth, "add", lambda self, tokens, chances, _: add(self, tokens, chances, True)
    )
    pair = pair_of(3)
    law = one_step(follower(pair, METHODS["dynamic"], 1, 4, **SAMPLED))
    assert difference(pair, law, 4, **SAMPLED) > 1e-3
