"""docs/PAPER.md and `make paper`: the transcription, the derived constants, and that none rots."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sequoia_core.plan.acceptance import load_acceptance
from tools.paper.appendix import grid_model, mean_depth, moved_share, sequoia_row
from tools.paper.derived import Costs, baseline_milliseconds, fit_costs, offload_costs
from tools.paper.inferred import infer
from tools.paper.markdown import percent, signed, table
from tools.paper.published import OFFLOAD, Result, blocks, grid, published, results
from tools.paper.report import BEGIN, END, kept, report, updated
from tools.paper.results import (
    best_levels,
    on_device_costs,
    paired_rows,
    planned_tokens,
    speedup_residual,
    tables,
)
from tools.paper.vectors import power_law

ON_DEVICE = results(offload=False)
OFFLOADED = results(offload=True)


@pytest.fixture(scope="module")
def page(repository: Path) -> str:
    return (repository / "docs" / "PAPER.md").read_text(encoding="utf-8")


def exact_row(levels: int, t: float, c: float, speedup: float = 2.0) -> Result:
    """A row whose tokens follow from t and c without rounding."""
    tokens = speedup * (t + levels * c)
    return Result("1", "A100", "x", "y", 0.0, "z", 64, levels, speedup, tokens, None, 1, 1, None)


def test_the_page_keeps_what_the_tool_prints(page: str) -> None:
    assert kept(page) == report(), "run `make paper ARGS=--update`"
    assert page.count(BEGIN) == page.count(END) == page.count(report()) == 1


def test_the_command_prints_the_report(repository: Path, page: str) -> None:
    command = [sys.executable, "-m", "tools.paper"]
    result = subprocess.run(command, cwd=repository, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout == kept(page) + "\n"
    makefile = (repository / "Makefile").read_text()
    assert "paper: env" in makefile
    assert "-m tools.paper" in makefile


def test_updating_replaces_the_kept_part_and_nothing_else() -> None:
    page = f"the old page\n\n{BEGIN}\nold\n{END}\nhold\n"
    assert updated(page) == f"the old page\n\n{BEGIN}\n{report()}\n{END}\nhold\n"
    assert updated(updated(page)) == updated(page)


def test_the_page_cites_its_source(page: str) -> None:
    assert "arXiv 2402.12374v3" in page
    assert "What cannot be reproduced" in page


def test_every_row_of_tables_1_to_4_is_there() -> None:
    assert (len(ON_DEVICE), len(OFFLOADED)) == (32, 4)
    count = {name: sum(name in row.tables.split(", ") for row in ON_DEVICE) for name in "134"}
    assert count == {"1": 8, "3": 18, "4": 12}
    assert len({(*row.block, row.text) for row in ON_DEVICE}) == 32


def test_no_tree_yields_more_tokens_than_it_has_levels() -> None:
    for row in (*ON_DEVICE, *OFFLOADED):
        assert row.size in {64, 128, 768}
        assert 2 <= row.levels <= 18
        assert 1 < row.tokens < row.levels
        assert row.rival_tokens < row.tokens
        assert 1 < row.rival_speedup < row.speedup < row.tokens


def test_printed_advantages_are_the_ratios_of_the_printed_speedups() -> None:
    printed = [row for row in (*ON_DEVICE, *OFFLOADED) if row.advantage]
    assert len(printed) == 12
    for row in printed:
        slack = 0.005 + 2 * row.half_step / row.rival_speedup
        assert row.speedup / row.rival_speedup == pytest.approx(row.advantage, abs=slack)


def test_time_between_tokens_times_speedup_is_one_baseline_per_target() -> None:
    baselines = {"Llama2-7B": 24.2, "Llama2-13B": 31.2, "Vicuna-33B": 53.2}
    for row in ON_DEVICE:
        if row.hardware == "A100":
            assert row.speedup * row.milliseconds == pytest.approx(baselines[row.target], rel=0.01)
        else:
            assert row.milliseconds is None
    for row in OFFLOADED:
        assert row.speedup * row.milliseconds == pytest.approx(5700, rel=0.015)


@pytest.mark.parametrize(("temperature", "sequoia"), [(0.0, 4.04), (0.6, 3.18)])
def test_sequoia_beats_every_cell_of_the_grid(temperature: float, sequoia: float) -> None:
    cells = grid(temperature)
    assert len(cells) == len({(cell.width, cell.depth) for cell in cells}) == 30
    assert all(cell.size <= 129 and cell.speedup < sequoia for cell in cells)
    assert sequoia_row(temperature).speedup == sequoia


def test_growmaps_have_the_sizes_and_levels_of_their_tables() -> None:
    trees = {g["name"]: g["level_sizes"] for g in published()["growmaps"]}
    assert len(trees) == 12
    shapes = {name: (sum(sizes), len(sizes)) for name, sizes in trees.items()}
    assert shapes["A100-C4-68m-7b-greedy"] == (128, 10)
    assert shapes["A100-C4-68m-7b-stochastic"] == (128, 7)
    assert shapes["A100-C4-68m-13b-greedy"] == (64, 9)
    assert shapes["A100-C4-1.3b-33b-greedy"] == (64, 6)
    for name, shape in shapes.items():
        assert "-S" not in name or name.endswith(f"-S{shape[0]}")
        assert all(2 <= width <= 32 for width in trees[name][1:2]) or shape[0] == 4


def test_least_squares_returns_the_constants_it_was_given() -> None:
    costs = fit_costs([exact_row(levels, 1.1, 0.03) for levels in (5, 6, 6, 9)])
    assert (costs.t, costs.c) == (pytest.approx(1.1), pytest.approx(0.03))
    assert costs.speedup(3.0, 64, 7) == pytest.approx(3.0 / (1.1 + 7 * 0.03))


@pytest.mark.parametrize(
    ("block", "t", "c"),
    [
        (("A100", "Llama2-7B", 0.0), 1.07, 0.018),
        (("A100", "Llama2-7B", 0.6), 1.13, 0.015),
        (("A100", "Llama2-13B", 0.0), 1.01, 0.0125),
        (("A100", "Llama2-13B", 0.6), 1.01, 0.016),
        (("A100", "Vicuna-33B", 0.0), 1.24, 0.107),
        (("A100", "Vicuna-33B", 0.6), 1.24, 0.110),
        (("L40", "Llama2-7B", 0.0), 1.06, 0.0125),
        (("L40", "Llama2-7B", 0.6), 1.12, 0.007),
        (("L40", "Llama2-13B", 0.0), 1.27, 0.0085),
        (("L40", "Llama2-13B", 0.6), 1.30, 0.0085),
    ],
)
def test_each_block_gives_its_constants(block: tuple, t: float, c: float) -> None:
    costs = on_device_costs()[block]
    assert costs.t == pytest.approx(t, abs=0.008)
    assert costs.c == pytest.approx(c, abs=0.0008)


def test_the_stated_draft_time_lies_within_rounding_of_the_derived_one() -> None:
    rows = blocks(ON_DEVICE)["A100", "Llama2-7B", 0.6]
    costs, plain = fit_costs(rows), baseline_milliseconds(rows)
    assert plain == pytest.approx(24.2, abs=0.15)
    assert abs(costs.c * plain - 0.5) < costs.c_bound * plain


def test_modelled_speedups_are_within_one_percent() -> None:
    assert max(abs(speedup_residual(row)) for row in ON_DEVICE) < 0.009


def test_rounding_bounds_hold_for_every_way_the_digits_may_have_been_rounded() -> None:
    rng = np.random.default_rng(3)
    exact = [exact_row(levels, 1.1, 0.03, 2.0 + levels / 7) for levels in (5, 6, 9)]
    for _ in range(50):
        moved = [
            Result(**{f: getattr(row, f) for f in Result.__slots__} | shifted(row, rng))
            for row in exact
        ]
        costs = fit_costs(moved)
        assert abs(costs.t - 1.1) <= costs.t_bound * 1.01
        assert abs(costs.c - 0.03) <= costs.c_bound * 1.01


def shifted(row: Result, rng: np.random.Generator) -> dict[str, float]:
    by = rng.choice([-0.005, 0.005], size=2)
    return {"tokens": row.tokens + by[0], "speedup": row.speedup + by[1]}


def test_offload_constants_return_both_costs_they_came_from() -> None:
    for row in OFFLOADED:
        costs = offload_costs(row, 49)
        assert row.hardware == OFFLOAD
        assert 1.175 <= row.cost <= 1.235
        assert costs.t + 18 * costs.c == pytest.approx(row.cost)
        assert costs.t + 49 * costs.c == pytest.approx(row.rival_cost)


def test_the_planner_gives_the_recorded_values_of_appendix_e() -> None:
    appendix, repository = published()["checks"]
    assert len(load_acceptance(appendix["vector"]).probabilities) == 31
    for size, recorded in appendix["unlimited"]:
        assert tables()[0].expected_tokens[size, 32] == pytest.approx(recorded, abs=6e-4)
    depths = [tables()[0].tree(size, 32).depth for size, _ in appendix["unlimited"]]
    assert depths == appendix["unlimited_depth"]
    for levels, recorded in appendix["by_levels"]:
        value = tables()[0].expected_tokens[128, levels - 1]
        assert value == pytest.approx(recorded, abs=6e-4)
    small = [entry for entry in repository["unlimited"] if entry[0] <= 64]
    for size, recorded in small:
        assert tables()[1].expected_tokens[size, 32] == pytest.approx(recorded, abs=6e-4)
    assert tables()[1].expected_tokens[128, 32] == pytest.approx(4.1946, abs=1e-4)


def test_planned_tokens_use_one_edge_less_than_levels() -> None:
    row = ON_DEVICE[0]
    assert (row.size, row.levels) == (128, 10)
    assert planned_tokens(row) == [tables()[k].expected_tokens[128, 9] for k in (0, 1)]


def test_a_dearer_draft_makes_for_flatter_trees() -> None:
    cheap, dear = (Costs(64, 1.1, c, 0, 0) for c in (0.001, 0.2))
    assert best_levels(dear, tables()[0]) < best_levels(cheap, tables()[0])


def test_paired_rows_differ_in_hardware_and_tree_alone() -> None:
    pairs = paired_rows()
    assert len(pairs) == 12
    for small, large in pairs:
        assert (small.target, small.temperature, small.text) == (
            large.target,
            large.temperature,
            large.text,
        )
        assert (small.hardware, large.hardware) == ("L40", "A100")


def test_the_grids_fit_is_better_than_its_neighbours_and_uses_the_real_cost_model() -> None:
    for temperature in (0.0, 0.6):
        model = grid_model(temperature)
        cells = grid(temperature)
        errors = [model.speedup(c.width, c.depth) / c.speedup - 1 for c in cells]
        assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(model.error, rel=1e-6)
        assert model.error < 0.06


def test_a_power_law_leaves_what_it_says() -> None:
    vector = power_law(0.6, 0.5, 8, "sequoia")
    assert vector.is_monotone
    assert vector.probabilities[0] == pytest.approx(0.6)
    assert 1 - vector.probabilities.sum() == pytest.approx(0.4 / 8**0.5)


def test_the_planner_draws_the_references_trees_from_two_numbers() -> None:
    fits = infer()
    assert len(fits) == 5
    for fit in fits:
        assert fit.moved < 0.03
        assert fit.low <= fit.tokens <= fit.high
        assert fit.tokens == pytest.approx(fit.row.tokens, rel=0.16)


@pytest.mark.parametrize(
    ("one", "other", "share"),
    [([1, 2, 3], [1, 2, 3], 0.0), ([1, 2, 3], [1, 3, 2], 1 / 6), ([1, 1, 1, 1], [1, 3], 0.5)],
)
def test_moved_share_counts_each_node_once(one: list, other: list, share: float) -> None:
    assert moved_share(one, other) == pytest.approx(share)
    assert mean_depth([1, 2]) == pytest.approx(2 / 3)


def test_markdown_aligns_numbers_and_signs_differences() -> None:
    assert table(["a", ">b"], [["x", "1"]]) == "| a | b |\n|---|--:|\n| x | 1 |"
    assert [signed(v, 2) for v in (0.031, -0.031, 0.001)] == ["+0.03", "-0.03", "0.00"]
    assert percent(-0.0123) == "-1.2 %"
