"""The burstiness tool on pairs whose bursts are known."""

from argparse import Namespace

import numpy as np
import pytest
import torch

from sequoia_core.decode.settings import GenerationSettings
from sequoia_core.measure.calibration import Calibration
from sequoia_core.measure.ranks import RankedText
from tools import burstiness
from tools.two_states import PAIRS, TwoStates

WEAK, _, SLOW = PAIRS
OPTIONS = Namespace(rule="sequoia", budgets=[16], max_depth=12)


def texts_of(pair: TwoStates, count: int = 40, length: int = 200) -> list[np.ndarray]:
    return list(pair.texts(count, length, seed=0).paths.sequences)


def calibration_of(pair: TwoStates) -> Calibration:
    """A calibration whose chances are the ranks themselves, as at temperature 0."""
    samples = []
    for ranks in texts_of(pair):
        ranks = torch.tensor(ranks.astype(np.int64))
        chances = (ranks[:, None] == torch.arange(pair.width)).double()
        samples.append(RankedText(chances, ranks))
    return Calibration({"sequoia": samples}, pair.width, GenerationSettings(), "t", "d")


def test_positions_after_a_run_of_hits_or_misses_are_found():
    hit = np.array([True, True, False, True, True])
    assert burstiness.after(hit, True, 1).tolist() == [False, True, True, False, True]
    assert burstiness.after(hit, True, 2).tolist() == [False, False, True, False, False]
    assert burstiness.after(hit, False, 1).tolist() == [False, False, False, True, False]
    assert not burstiness.after(hit, True, 5).any()


@pytest.mark.parametrize("pair", PAIRS, ids=["weak", "bursty", "slow"])
def test_the_correlation_of_neighbours_is_the_known_one(pair, capsys):
    burstiness.print_bursts(texts_of(pair))
    printed = dict(line.split(" | ") for line in capsys.readouterr().out.splitlines()[2:])
    value, error = printed["| correlation at a distance of 1"].rstrip(" |").split(" ± ")
    # The errors are over forty texts; four of them, and a rounded digit.
    assert abs(float(value) - pair.correlation) < 4 * float(error) + 0.001


def test_the_causes_lead_from_the_prediction_to_the_replay():
    for chain, error in burstiness.causes(calibration_of(SLOW), 16, OPTIONS):
        predicted, rates, ranks, anywhere, starts, replayed = chain
        assert rates == pytest.approx(ranks)
        # Bursts lengthen runs from anywhere, and starting behind misses takes it back.
        assert anywhere > 1.1 * ranks
        assert abs(starts / ranks - 1) < 0.05 < anywhere / starts - 1
        assert replayed < starts
        assert abs(predicted / ranks - 1) < 0.2  # twenty texts, long stretches
        assert error > 0


def test_hindsight_is_luck_without_bursts_and_more_with_them():
    rng = np.random.default_rng(0)
    gains = {}
    for name, texts in (
        ("slow", texts_of(SLOW)),
        ("shuffled", [rng.permutation(ranks) for ranks in texts_of(SLOW)]),
    ):
        own, best = burstiness.hindsight(texts, SLOW.width, 64, 24)
        gains[name] = best / own - 1
    assert gains["slow"] > 0.06 > 0.03 > gains["shuffled"] >= 0


def test_a_report_holds_all_three_tables(capsys):
    burstiness.report(calibration_of(WEAK), OPTIONS)
    printed = capsys.readouterr().out
    assert printed.startswith("\n## T = 0: 40 texts, 8,000 positions\n")
    assert printed.count("|---") == 2 + 7 + 7
    assert printed.count("\n| 16 |") == 2
