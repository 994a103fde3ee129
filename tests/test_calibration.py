"""Acceptance vectors against what they stand for: the run's own acceptance."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from fakes import tiny_pair
from written_out import rounds

from sequoia_core.decode.engine import Engine, GenerationSettings
from sequoia_core.decode.self_test import SelfTest
from sequoia_core.decode.verification import residual
from sequoia_core.errors import InputError
from sequoia_core.measure import ranks, texts
from sequoia_core.measure.averages import by_depth
from sequoia_core.measure.calibration import calibrate, measure_acceptance
from sequoia_core.plan.acceptance import RULES, load_acceptance
from sequoia_core.tree.token_tree import TokenTree

PROMPTS = ["t1 t2", "t3", "t4 t5", "t6 t7 t1"]
TARGET = torch.tensor([0.5, 0.3, 0.15, 0.05])
DRAFT = torch.tensor([0.1, 0.2, 0.1, 0.6])


def first_step_acceptance(pair, settings: dict, children: int, runs: int) -> float:
    """Share of first steps that accept a child, over seeds."""
    tree = TokenTree([-1, *[0] * children])
    accepted = 0
    for seed in range(runs):
        run = Engine(pair).run("t1 t2", GenerationSettings(seed=seed, **settings), tree)
        accepted += bool(next(run).accepted)
        run.close()
    return accepted / runs


def test_the_vector_sums_to_one_when_every_token_is_a_child():
    settings = GenerationSettings(temperature=1.0, max_new_tokens=10)
    vector = calibrate(tiny_pair(), PROMPTS, settings)
    assert vector.probabilities.shape == (8,)
    assert vector.probabilities.sum() == pytest.approx(1, abs=1e-5)


def test_equal_models_accept_the_first_child():
    pair = tiny_pair()
    pair.draft = type(pair.draft)(pair.target.model, "twin")
    vector = calibrate(pair, PROMPTS, GenerationSettings(temperature=0.8, max_new_tokens=8))
    assert vector.probabilities[0] == pytest.approx(1, abs=1e-4)


def test_at_temperature_zero_the_vector_counts_ranks():
    pair = tiny_pair()
    settings = GenerationSettings(max_new_tokens=12)
    vector = calibrate(pair, PROMPTS, settings)
    counts = np.zeros(8)
    for prompt in PROMPTS:
        run = Engine(pair).run(prompt, settings, TokenTree([-1, *[0] * 8]))
        for step in run:
            # With every token a child, the root's accepted child is the next token's rank; the
            # bonus after it comes without a rank, so only one token a step is counted.
            counts[step.accepted[0] - 1] += 1
    observed = vector.probabilities * 48
    assert observed.round(9).tolist() == observed.round().tolist()
    assert observed.sum() == pytest.approx(48)
    assert (observed >= counts - 1e-9).all() or counts.sum() < 48


def test_the_vector_predicts_the_first_step_of_a_run():
    pair = tiny_pair(seed=4)
    settings = {"temperature": 1.0, "max_new_tokens": 1}
    vector = calibrate(pair, ["t1 t2"] * 200, GenerationSettings(**settings), width=2)
    measured = first_step_acceptance(pair, settings, 2, 800)
    # Four standard errors of 800 coins.
    assert measured == pytest.approx(float(vector.probabilities.sum()), abs=4 * 0.5 / 800**0.5)


def test_errors_are_over_prompts_and_shrink_with_more_of_them():
    pair = tiny_pair()
    settings = GenerationSettings(temperature=1.0, max_new_tokens=10)
    few = calibrate(pair, PROMPTS[:2], settings)
    many = calibrate(pair, PROMPTS * 8, settings)
    assert many.standard_errors[:3].sum() < few.standard_errors[:3].sum()
    assert (many.target, many.draft, many.prompts) == ("tiny target", "tiny draft", 32)


def test_one_prompt_is_too_few():
    with pytest.raises(InputError, match="at least 2 prompts"):
        calibrate(tiny_pair(), ["t1"], GenerationSettings())


def test_progress_rises_to_one():
    fractions = []
    calibrate(
        tiny_pair(),
        PROMPTS,
        GenerationSettings(max_new_tokens=2),
        progress=lambda fraction, text: fractions.append(fraction),
    )
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1


def dirichlet(rows: int, vocab: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (3 * torch.randn(rows, vocab, generator=generator)).softmax(-1)


def test_rounds_of_many_positions_are_those_of_each():
    target, draft = dirichlet(40, 7, 0), dirichlet(40, 7, 1)
    target[0] = draft[0]
    draft[1] = torch.eye(7)[2]  # no mass left after one child: uniform over the untried
    draft[2, 3:] = 0
    draft /= draft.sum(-1, keepdim=True)
    orders = torch.stack([torch.randperm(7, generator=torch.Generator().manual_seed(i)) for i in
                          range(40)])  # fmt: skip
    orders[1], orders[2] = torch.tensor([2, 0, 1, 3, 4, 5, 6]), torch.arange(7)
    single = [[rest for _, rest in rounds(*row)] for row in zip(target, draft, orders.tolist(),
              strict=True)]  # fmt: skip
    rest, left = target, draft
    for count in range(1, 8):
        rest = ranks.residuals(rest, left)
        left = ranks.without_tried(left, orders[:, :count]) if count < 7 else left
        expected = torch.stack([row[count - 1] for row in single])
        torch.testing.assert_close(rest, expected, atol=2e-6, rtol=0)


def forward_law(rule: str, width: int) -> dict[tuple[int, int], float]:
    """P(rank, committed token), by enumerating every draw of children and every verdict."""
    law = dict.fromkeys(product(range(-1, width), range(4)), 0.0)
    for children in product(range(4), repeat=width):
        drafts = [DRAFT]
        for token in children[:-1]:
            left = drafts[-1].clone()
            if rule == "sequoia":
                left[token] = 0
            drafts.append(left / left.sum())
        drawn = np.prod([float(q[token]) for q, token in zip(drafts, children, strict=True)])
        reached, rest = 1.0, TARGET
        for rank, (draft, token) in enumerate(zip(drafts, children, strict=True)):
            if not drawn:
                break
            chance = min(1.0, float(rest[token] / draft[token]))
            law[rank, token] += drawn * reached * chance
            reached, rest = reached * (1 - chance), residual(rest, draft)
        for token in range(4):
            law[-1, token] += drawn * reached * float(rest[token])
    return law


@pytest.mark.parametrize("rule", ["sequoia", "specinfer"])
def test_ranks_given_the_text_have_the_law_of_drawing_and_verifying(rule):
    law, width, count = forward_law(rule, 2), 2, 40_000
    assert sum(law.values()) == pytest.approx(1, abs=1e-5)
    generator = torch.Generator().manual_seed(5)
    acceptance = torch.zeros(width, dtype=torch.float64)
    for token in range(4):
        committed = sum(law[rank, token] for rank in (-1, 0, 1))
        assert committed == pytest.approx(float(TARGET[token]), abs=1e-5)  # lossless
        tokens = torch.full((count,), token)
        ranked = getattr(ranks, rule)(
            TARGET.expand(count, 4), DRAFT.expand(count, 4), tokens, width, generator
        )
        for rank in (-1, 0, 1):
            wanted = law[rank, token] / committed
            found = float((ranked.ranks == rank).double().mean())
            # Five standard errors; twelve comparisons fail by chance once in 100,000 runs.
            assert found == pytest.approx(
                wanted, abs=5 * (wanted * (1 - wanted) / count) ** 0.5 + 1e-6
            )
        acceptance += ranked.acceptance.mean(0) / 4
    expected = [sum(law[rank, token] for token in range(4)) for rank in range(width)]
    # What is drawn among rejected children is all the noise there is; with replacement, none.
    tolerance = 1e-6 if rule == "specinfer" else 2e-3
    assert acceptance.tolist() == pytest.approx(expected, abs=tolerance)


def test_topk_takes_the_target_at_its_word():
    logits = DRAFT.log().expand(4, 4)
    ranked = ranks.topk(TARGET.expand(4, 4), logits, torch.arange(4), 2)
    assert ranked.ranks.tolist() == [-1, 1, -1, 0]
    assert ranked.acceptance[0].tolist() == pytest.approx([0.05, 0.3])


def test_rejected_draws_never_hit_a_token_without_weight():
    weights = torch.tensor([[0.0, 1e-30, 0.0], [0.0, 0.0, 2.0], [3.0, 0.0, 0.0]])
    generator = torch.Generator().manual_seed(0)
    for _ in range(200):
        assert ranks._draw(weights, generator).tolist() == [1, 2, 0]


@pytest.mark.parametrize("temperature", [0.0, 0.9])
@pytest.mark.parametrize("ends", [False, True])
def test_texts_written_together_are_those_of_plain_runs(temperature, ends):
    pair = tiny_pair(ends=ends)
    settings = GenerationSettings(temperature=temperature, max_new_tokens=14, seed=3)
    written = texts.write_texts(pair, PROMPTS, settings)
    for index, (prompt, text) in enumerate(zip(PROMPTS, written, strict=True)):
        run = Engine(pair).run(prompt, replace(settings, seed=3 + index), TokenTree([-1]))
        list(run)
        assert (text.prompt_ids, text.token_ids) == (run.prompt_ids, run.token_ids)


def test_texts_are_written_one_by_one_where_masks_or_room_fail(monkeypatch):
    pair, settings = tiny_pair(), GenerationSettings(max_new_tokens=10)
    together = texts.write_texts(pair, PROMPTS, settings)
    monkeypatch.setattr(texts, "SLOTS", 25)
    assert texts.write_texts(pair, PROMPTS, settings) == together
    pair.shape_support = SelfTest(False, "no trees")
    assert texts.write_texts(pair, PROMPTS, settings) == together


def test_at_temperature_zero_all_rules_record_the_drafts_order():
    pair, settings = tiny_pair(), GenerationSettings(max_new_tokens=12)
    calibration = measure_acceptance(pair, PROMPTS, settings)
    vectors = [calibration.vector(rule) for rule in RULES]
    assert [vector.rule for vector in vectors] == list(RULES)
    assert len({vector.paths.key for vector in vectors}) == 1
    counts = np.bincount(np.concatenate(vectors[0].paths.sequences), minlength=8)
    assert (counts / 48).tolist() == pytest.approx(vectors[0].probabilities.tolist())


@pytest.mark.parametrize("rule", RULES)
def test_counted_ranks_agree_with_closed_form_acceptance(rule):
    settings = GenerationSettings(temperature=1.0, max_new_tokens=50)
    vector = calibrate(tiny_pair(seed=2), PROMPTS * 6, settings, width=3, rule=rule)
    found = np.bincount(np.concatenate(vector.paths.sequences) + 1, minlength=4)[1:] / 1200
    errors = np.sqrt(vector.probabilities * (1 - vector.probabilities) / 1200)
    assert np.all(np.abs(found - vector.probabilities) < 4.5 * errors + 1e-9)
    assert vector.by_depth[0] == pytest.approx(vector.probabilities)


def test_rates_by_depth_look_at_positions_after_accepted_ones():
    acceptance = torch.arange(300.0).double()[:, None] / 1000
    ranked = torch.tensor([0, 0, -1] * 100)
    rows = by_depth([acceptance], [ranked])
    assert rows[0] == [pytest.approx(0.1495)]
    # One accepted token stands before positions 1, 2, 4, 5, ..; two before 2, 5, ..
    assert rows[1] == [pytest.approx(np.mean([k for k in range(300) if k % 3]) / 1000)]
    assert rows[2] == [pytest.approx(np.mean(range(2, 300, 3)) / 1000)]
    assert len(rows) == 3


def test_half_of_the_prompts_make_a_vector_of_their_own(tmp_path):
    settings = GenerationSettings(temperature=0.7, max_new_tokens=6)
    calibration = measure_acceptance(tiny_pair(), PROMPTS, settings, width=4)
    half = calibration.vector("topk", prompts=range(0, 4, 2))
    assert (half.prompts, half.paths.positions, half.paths.width) == (2, 12, 4)
    half.save(tmp_path / "half.json")
    assert load_acceptance(tmp_path / "half.json").to_dict() == half.to_dict()
    with pytest.raises(InputError, match="at least 2 prompts"):
        calibration.vector(prompts=[1])
    with pytest.raises(InputError, match=r"rule must be one of sequoia.* got 'magic'"):
        calibration.vector("magic")


def test_a_bad_rule_or_width_is_refused_before_the_work():
    with pytest.raises(InputError, match=r"rule must be one of .* got 'magic'"):
        calibrate(tiny_pair(), PROMPTS, GenerationSettings(), rule="magic")
    for width in (0, 1025):
        with pytest.raises(InputError, match=f"between 1 and 1024 children, got {width}"):
            calibrate(tiny_pair(), PROMPTS, GenerationSettings(), width=width)
