"""The walk on the device is that of the host, at every node and in law, and waits only once."""

from functools import partial

import numpy as np
import pytest
import test_lossless
import torch
from fakes import tiny_pair
from test_lossless import EXACT, METHODS, SHAPES, difference, follower, one_step, pair_of
from torch.utils._python_dispatch import TorchDispatchMode

from sequoia_core.decode.capture import eager
from sequoia_core.decode.device_walk import DeviceWalk, Places
from sequoia_core.decode.drafting import DraftedTree, TreePlan
from sequoia_core.decode.engine import Engine, GenerationSettings
from sequoia_core.decode.methods import NAMES
from sequoia_core.decode.rules import SEQUOIA, SPECINFER, TOPK, Rule
from sequoia_core.decode.sampling import (
    draw_by_inversion,
    draw_without_replacement,
    race_times,
)
from sequoia_core.decode.walk import LazyWalk
from sequoia_core.measure.proof import GREEDY_TREE, method_with
from sequoia_core.tree.token_tree import TokenTree

CPU = torch.device("cpu")
VOCAB = 5
TREES = 500


class Script:
    """Coins given by node, and one number that says where in a distribution each token lies.

    Lazily, the coins asked for are those of `node`, which moves on to the child that they accept.
    """

    def __init__(self, tree: TokenTree, coins: torch.Tensor, order: torch.Tensor, place: float):
        self.tree, self.by_node, self.order, self.place = tree, coins, order, place
        self.node = 0

    def coins(self, chances: torch.Tensor) -> torch.Tensor:
        return self.by_node[self.order[: len(chances)], : chances.shape[1]] < chances

    def first_accepted(self, chances) -> int | None:
        for rank, chance in enumerate(chances):
            if self.by_node[self.node, rank] < chance:
                self.node = self.tree.children(self.node)[rank]
                return rank
        return None

    def tokens(self, probs: torch.Tensor) -> torch.Tensor:
        mass = probs.cumsum(-1)
        goal = torch.full((len(probs), 1), self.place).double() * mass[:, -1:]
        return torch.searchsorted(mass, goal, right=True)[:, 0]

    def token(self, probs: torch.Tensor) -> int:
        return int(self.tokens(probs[None]))


def random_tree(random: np.random.Generator) -> TokenTree:
    size = int(random.integers(1, 9))
    parents = [-1]
    while len(parents) < size:
        parent = int(random.integers(max(0, parents[-1]), len(parents)))
        # No more children than tokens, since those of two rules are all different.
        parents.append(parent + (parents.count(parent) == VOCAB))
    return TokenTree(parents)


def random_law(random: np.random.Generator, rows: int) -> torch.Tensor:
    """Distributions, float64 [rows, VOCAB]: many have zeros, some are certain, some are equal."""
    weights = random.exponential(size=(rows, VOCAB))
    weights *= random.random((rows, VOCAB)) > random.choice([0.0, 0.4, 0.7])
    weights[np.arange(rows), random.integers(VOCAB, size=rows)] += 0.1
    if random.random() < 0.2:
        weights[:] = weights[:1]
    return torch.from_numpy(weights / weights.sum(1, keepdims=True))


def random_draft(rule: Rule, seed: int) -> tuple[DraftedTree, torch.Tensor]:
    """A small drafted tree, its children drawn as the rule draws them, and the target's law."""
    random = np.random.default_rng(seed)
    generator = torch.Generator().manual_seed(seed)
    tree = random_tree(random)
    plan = TreePlan.of(tree, CPU)
    target = random_law(random, tree.size)
    draft = random_law(random, max(plan.row) + 1)
    if random.random() < 0.2:
        draft = target[: len(draft)].clone()
    token_ids = torch.zeros(tree.size, dtype=torch.long)
    for node in range(tree.size):
        children = tree.children(node)
        if not children:
            continue
        probs, count = draft[plan.row[node]][None], len(children)
        if rule is SEQUOIA:
            times = race_times(len(probs), VOCAB, generator)
            drawn = draw_without_replacement(probs, count, times)
        elif rule is SPECINFER:
            drawn = draw_by_inversion(
                probs, torch.rand((len(probs), count), generator=generator, dtype=torch.float64)
            )
        else:
            drawn = probs.topk(count).indices
        token_ids[children.start : children.stop] = drawn[0]
    return DraftedTree(plan, token_ids, [(draft, draft)]), target


def script_of(drafted: DraftedTree, seed: int) -> Script:
    generator = torch.Generator().manual_seed(seed)
    coins = torch.rand(drafted.plan.tree.size, VOCAB, dtype=torch.float64, generator=generator)
    # No chance passes a coin of 1, as rounding may have it where a rejection is impossible.
    coins[coins > 0.85] = 1.0
    place = float(torch.rand(1, generator=generator))
    return Script(drafted.plan.tree, coins, Places.of(drafted.plan, CPU).order, place)


@pytest.mark.parametrize("rule", [SEQUOIA, SPECINFER, TOPK], ids=lambda rule: rule.name)
def test_every_node_has_the_verdict_that_it_has_on_the_host(rule):
    accepted = 0
    for seed in range(TREES):
        drafted, target = random_draft(rule, seed)
        script, places = script_of(drafted, seed), Places.of(drafted.plan, CPU)
        verdicts = rule.verify_all(
            target[places.order],
            drafted.probs()[places.rows],
            places.siblings(drafted.token_ids),
            script,
        )
        rest = verdicts.rest
        tokens = script.tokens(rest) if verdicts.tokens is None else verdicts.tokens
        for place, rank in enumerate(verdicts.ranks.tolist()):
            script.node = node = int(places.order[place])
            children = drafted.plan.tree.children(node)
            siblings = drafted.token_ids[children.start : children.stop].tolist()
            draft = drafted.probs()[drafted.plan.row[node]]
            wanted = rule.verify(target[node], draft, siblings, script)
            assert (rank if rank < places.exist.shape[1] else None) == wanted.rank
            if wanted.rank is None:
                assert tokens[place] == wanted.token
                assert float(rest[place, wanted.token]) == pytest.approx(wanted.prob, abs=1e-12)
            else:
                accepted += 1
    assert accepted > TREES / 2


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("rule", [SEQUOIA, SPECINFER, TOPK], ids=lambda rule: rule.name)
def test_the_whole_walk_is_that_of_the_host(rule, temperature):
    settings = GenerationSettings(temperature=temperature)
    lengths = set()
    for seed in range(TREES):
        drafted, target = random_draft(rule if temperature else TOPK, seed)
        logits = target.log()
        lazy = LazyWalk(settings, script_of(drafted, seed))(drafted, logits, rule)
        ours = DeviceWalk(settings, script_of(drafted, seed))(drafted, logits, rule)
        assert ours.token_ids == lazy.token_ids
        assert ours.accepted == lazy.accepted
        assert (ours.bonus_token, ours.bonus_source) == (lazy.bonus_token, lazy.bonus_source)
        assert ours.bonus_prob == pytest.approx(lazy.bonus_prob, abs=1e-9)
        lengths.add(len(ours.accepted))
    assert lengths >= {0, 1, 2}


@pytest.fixture
def on_device(monkeypatch):
    """The enumerations of test_lossless with whole trees verified at once."""
    monkeypatch.setattr(test_lossless, "Engine", partial(Engine, on_device=True))


@pytest.mark.parametrize("name", METHODS | SHAPES)
def test_a_step_emits_exactly_the_targets_distribution(name, on_device):
    pair, sampling = pair_of(3), {"temperature": 0.7, "top_p": 0.9}
    law = one_step(follower(pair, (METHODS | SHAPES)[name], 1, 4, **sampling))
    assert difference(pair, law, 4, **sampling) < EXACT


@pytest.mark.parametrize("name", ["sequoia", "specinfer"])
def test_a_step_is_exact_on_a_vocabulary_of_four(name, on_device):
    pair, sampling = pair_of(4), {"temperature": 1.0, "top_p": 1.0}
    law = one_step(follower(pair, METHODS[name], 1, 3, **sampling))
    assert difference(pair, law, 3, **sampling) < EXACT


@pytest.mark.parametrize("name", NAMES)
def test_greedy_steps_are_those_of_the_host(name):
    pair, method = tiny_pair(vocab=40, seed=5), method_with(name, GREEDY_TREE)
    settings = GenerationSettings(max_new_tokens=30)
    host, device = (
        list(Engine(pair, on_device=where).run([1, 2], settings, method)) for where in (False, True)
    )
    for ours, wanted in zip(device, host, strict=True):
        assert (ours.accepted, ours.committed, ours.nodes) == (
            wanted.accepted,
            wanted.committed,
            wanted.nodes,
        )
        assert ours.bonus.prob == pytest.approx(wanted.bonus.prob, abs=1e-6)


def test_a_seed_gives_the_same_text_again():
    engine = Engine(tiny_pair(vocab=40), on_device=True)
    settings = GenerationSettings(temperature=1.0, max_new_tokens=30, seed=3)
    texts = [[*engine.run([1], settings, GREEDY_TREE, trace=False)] for _ in range(2)]
    assert [step.committed for step in texts[0]] == [step.committed for step in texts[1]]


class Waiting(TorchDispatchMode):
    """Lists the operations for which a GPU would be waited for."""

    NAMES = ("_local_scalar_dense", "nonzero", "masked_select", "equal", "unique", "is_nonzero")

    def __init__(self):
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.__name__.split(".")[0]
        flags = name == "index" and any(
            index is not None and index.dtype == torch.bool for index in args[1]
        )
        if name.strip("_") in [known.strip("_") for known in self.NAMES] or flags:
            self.found.append(name)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", ["autoregressive", "chain", "sequoia", "specinfer", "topk"])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("captured", [False, True])
def test_a_step_waits_for_the_device_once(name, temperature, captured, monkeypatch):
    """Static trees: grown ones are shaped on the host, and wait in every pass."""
    copies = []
    tolist = torch.Tensor.tolist
    monkeypatch.setattr(
        torch.Tensor, "tolist", lambda tensor: (copies.append(tensor), tolist(tensor))[1]
    )
    pair, method = tiny_pair(vocab=40), method_with(name, GREEDY_TREE)
    engine = Engine(pair, on_device=True)
    settings = GenerationSettings(temperature=temperature, max_new_tokens=30)
    if captured:
        for model in (pair.target, pair.draft):
            model.use_static_passes(eager)
        # The same text twice: all its shapes have recurred.
        for _ in range(2):
            list(engine.run([1, 2], settings, method, trace=False))
    run = engine.run([1, 2], settings, method, trace=False)
    next(run)
    copies.clear()
    with Waiting() as waiting:
        steps = [step for _, step in zip(range(4), run, strict=False)]
    assert waiting.found == []
    assert len(copies) == len(steps) > 1
    assert not captured or len(pair.target.static) > 0


def test_the_host_is_asked_at_every_node_otherwise():
    """Else the test above would see nothing."""
    engine = Engine(tiny_pair(vocab=40), on_device=False)
    settings = GenerationSettings(temperature=1.0, max_new_tokens=30)
    with Waiting() as waiting:
        list(engine.run([1, 2], settings, GREEDY_TREE, trace=False))
    assert len(waiting.found) > 10
