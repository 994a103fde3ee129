"""The verification rule by exact enumeration: every draw, every accept or reject branch."""

from itertools import permutations

import numpy as np
import pytest
import torch
from written_out import rounds

from sequoia_core.decode.sampling import nucleus
from sequoia_core.decode.verification import (
    Verdict,
    acceptance_probability,
    residual,
    verify_drawn,
    verify_sample,
    without,
)

EXACT = 1e-9


def distributions(vocab: int) -> dict[str, list[float]]:
    """Random ones, ones with zeros, certain ones, the uniform one."""
    random = np.random.default_rng(vocab).dirichlet(np.ones(vocab), size=2)
    with_zero = random[0].copy()
    with_zero[1] = 0
    certain = np.eye(vocab)
    return {
        "random": random[0],
        "other": random[1],
        "zero": with_zero / with_zero.sum(),
        "first": certain[0],
        "last": certain[-1],
        "uniform": np.full(vocab, 1 / vocab),
        "two": (certain[0] + certain[1]) / 2,
    }


CASES = [
    pytest.param(vocab, p, q, children, id=f"{vocab}-{p}-{q}-{children}")
    for vocab in (3, 4)
    for p in distributions(vocab)
    for q in distributions(vocab)
    for children in range(1, vocab + 1)
]


def draw_chance(draft_probs: torch.Tensor, tokens: tuple[int, ...]) -> float:
    """Chance of drawing these tokens in this order without replacement."""
    chance, draft = 1.0, draft_probs
    for count, token in enumerate(tokens, start=1):
        chance *= float(draft[token])
        if count < len(draft):
            draft = without(draft_probs, tokens[:count])
    return chance


def emitted(target: torch.Tensor, draft: torch.Tensor, children: int) -> np.ndarray:
    """Distribution of the first token a node commits, over all draws and all coins."""
    total = np.zeros(len(target))
    for tokens in permutations(range(len(target)), children):
        chance = draw_chance(draft, tokens)
        if chance == 0:
            continue
        outcomes = list(rounds(target, draft, tokens))
        for token, (accept, _) in zip(tokens, outcomes, strict=True):
            total[token] += chance * float(accept)
            chance *= 1 - float(accept)
        total += chance * outcomes[-1][1].numpy()
    return total


@pytest.mark.parametrize(("vocab", "p", "q", "children"), CASES)
def test_one_node_emits_exactly_the_target_distribution(vocab, p, q, children):
    target = torch.tensor(distributions(vocab)[p], dtype=torch.float64)
    draft = torch.tensor(distributions(vocab)[q], dtype=torch.float64)
    np.testing.assert_allclose(emitted(target, draft, children), target, atol=EXACT)


@pytest.mark.parametrize("top_p", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("children", [1, 2, 3, 4])
def test_one_node_emits_exactly_the_target_distribution_after_top_p(top_p, children):
    target = nucleus(torch.tensor([0.4, 0.3, 0.2, 0.1], dtype=torch.float64), top_p)
    draft = nucleus(torch.tensor([0.1, 0.2, 0.4, 0.3], dtype=torch.float64), top_p)
    np.testing.assert_allclose(emitted(target, draft, children), target, atol=EXACT)


@pytest.mark.parametrize("children", [1, 2, 3])
def test_equal_models_always_accept_the_first_child(children):
    probs = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    for tokens in permutations(range(3), children):
        assert float(next(rounds(probs, probs, tokens))[0]) == 1


def test_all_tokens_as_children_never_reject():
    """The paper's cover property: with every token tried, one of them is accepted."""
    target = torch.tensor([0.1, 0.0, 0.6, 0.3], dtype=torch.float64)
    draft = torch.tensor([0.0, 0.9, 0.05, 0.05], dtype=torch.float64)
    for tokens in permutations(range(4)):
        if draw_chance(draft, tokens) == 0:
            continue
        rejected = 1.0
        for accept, _ in rounds(target, draft, tokens):
            rejected *= 1 - float(accept)
        assert rejected < EXACT


def test_an_empty_residual_is_the_target_and_never_nan():
    probs = torch.tensor([0.25, 0.75])
    assert torch.equal(residual(probs, probs), probs)


def test_spent_draft_mass_becomes_uniform_over_untried_tokens():
    draft = torch.tensor([1.0, 0.0, 0.0, 0.0])
    assert without(draft, [0]).tolist() == pytest.approx([0, 1 / 3, 1 / 3, 1 / 3])


def test_a_token_the_target_never_says_is_never_accepted():
    target, draft = torch.tensor([0.0, 1.0]), torch.tensor([0.9, 0.1])
    assert float(acceptance_probability(target, draft, 0)) == 0
    assert verify_drawn(target, draft, [0], Coins(0.0)).rank is None


class Coins:
    """A source whose coins are given and whose tokens are the most probable ones."""

    def __init__(self, *uniforms: float):
        self.uniforms = uniforms

    def first_accepted(self, chances) -> int | None:
        pairs = enumerate(chances)
        return next((i for i, chance in pairs if self.uniforms[i] < chance), None)

    def token(self, probs: torch.Tensor) -> int:
        return int(probs.argmax())


def test_drawn_children_follow_the_coins():
    target, draft = torch.tensor([0.3, 0.7]), torch.tensor([0.6, 0.4])
    assert verify_drawn(target, draft, [0, 1], Coins(0.49, 0.0)) == Verdict(0, 0)
    assert verify_drawn(target, draft, [0, 1], Coins(0.51, 0.0)) == Verdict(1, 1)
    assert verify_drawn(target, draft, [0], Coins(0.51)) == Verdict(None, 1, 1.0)


def test_with_replacement_a_twin_is_tried_against_the_residual():
    target, draft = torch.tensor([0.3, 0.7]), torch.tensor([0.6, 0.4])
    chances = [float(c) for c, _ in rounds(target, draft, [0, 0], replacement=True)]
    assert chances == pytest.approx([0.5, 0.0])
    twins = verify_drawn(target, draft, [0, 0], Coins(0.51, 0.01), replacement=True)
    assert twins == Verdict(None, 1, 1.0)


@pytest.mark.parametrize("replacement", [False, True])
def test_the_engines_verdicts_are_those_of_the_rule_written_out(replacement):
    generator = torch.Generator().manual_seed(0)
    for _ in range(50):
        target, draft = torch.randn(2, 6, generator=generator).mul(2).softmax(-1)
        tokens = torch.multinomial(draft, 4, replacement, generator=generator).tolist()
        coins = torch.rand(4, generator=generator).tolist()
        verdict = verify_drawn(target, draft, tokens, Coins(*coins), replacement=replacement)
        written = list(rounds(target, draft, tokens, replacement=replacement))
        accepted = [coin < float(chance) for coin, (chance, _) in zip(coins, written, strict=True)]
        if True in accepted:
            assert verdict == Verdict(accepted.index(True), tokens[accepted.index(True)])
        else:
            best = int(written[-1][1].argmax())
            assert (verdict.rank, verdict.token) == (None, best)
            assert verdict.prob == pytest.approx(float(written[-1][1][best]))


def test_a_sample_of_the_target_is_a_child_or_the_bonus():
    target = torch.tensor([0.1, 0.6, 0.3])
    assert verify_sample(target, [2, 1], Coins()) == Verdict(1, 1)
    assert verify_sample(target, [2, 0], Coins()) == Verdict(None, 1, pytest.approx(0.6))


def test_inputs_are_left_as_they_were():
    target, draft = torch.tensor([0.3, 0.7]), torch.tensor([0.6, 0.4])
    verify_drawn(target, draft, [0, 1], Coins(1.0, 1.0))
    assert target.tolist() == pytest.approx([0.3, 0.7])
    assert draft.tolist() == pytest.approx([0.6, 0.4])
