"""The paper's machines as presets: the files, where they come from, and that they plan."""

import sys
from pathlib import Path

import pytest

from sequoia_core.plan.acceptance import load_acceptance
from sequoia_core.plan.hardware import HardwareProfile, list_hardware_presets, load_hardware
from sequoia_core.plan.optimizer import make_plan
from tools.paper import __main__ as command
from tools.paper.derived import baseline_milliseconds, fit_costs
from tools.paper.profiles import FOLDER, paper_profiles, write_profiles
from tools.paper.published import blocks, results

PROFILES = paper_profiles()
A100 = {key: rows for key, rows in blocks(results(offload=False)).items() if key[0] == "A100"}
NAMES = {"Llama2-7B": "llama-2-7b", "Llama2-13B": "llama-2-13b", "Vicuna-33B": "vicuna-33b"}


def preset(target: str, temperature: float) -> HardwareProfile:
    return load_hardware(f"a100-{NAMES[target]}-paper-t{temperature:g}")


def test_the_files_are_what_the_maker_gives(tmp_path: Path) -> None:
    for path in write_profiles(tmp_path):
        assert (FOLDER / path.name).read_bytes() == path.read_bytes(), "make paper ARGS=--profiles"


def test_every_preset_of_the_paper_has_a_maker() -> None:
    assert {name for name in list_hardware_presets() if "-paper-" in name} == set(PROFILES)
    assert len(PROFILES) == 8


def test_the_command_says_what_it_wrote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(sys, "argv", ["make paper", "--profiles"])
    monkeypatch.setattr(command, "write_profiles", lambda: write_profiles(tmp_path))
    command.main()
    assert capsys.readouterr().out.split() == [
        word for name in PROFILES for word in ("wrote", f"{name}.json")
    ]


def test_only_published_seconds_are_turned_into_profiles() -> None:
    """The L40's plain milliseconds are printed nowhere; Llama3's offload row is impossible."""
    for name, profile in PROFILES.items():
        assert name.startswith(("a100-", "l40-offload-llama-2-70b"))
        assert "Llama3" not in profile.target_model
        assert profile.origin == "derived"


@pytest.mark.parametrize("block", A100)
def test_a_profile_holds_its_blocks_constants(block: tuple) -> None:
    rows, profile = A100[block], preset(*block[1:])
    costs, plain = fit_costs(rows), baseline_milliseconds(rows)
    assert [point[0] for point in profile.target_seconds] == [1, rows[0].size]
    assert profile.target(1) * 1000 == pytest.approx(plain, abs=1e-3)
    assert profile.target(costs.size) / profile.target(1) == pytest.approx(costs.t, rel=1e-3)
    assert profile.draft(1) / profile.target(1) == pytest.approx(costs.c, rel=5e-3)
    for word in (f"{costs.t:.3f}", f"{costs.t_bound:.3f}", "Not known", "ceiling", "least squares"):
        assert word in profile.basis


@pytest.mark.parametrize("block", A100)
def test_published_trees_get_their_published_speedup_back(block: tuple) -> None:
    """levels draft passes, one more than the cost model counts; the overhead holds that one."""
    profile = preset(*block[1:])
    for row in A100[block]:
        step = (row.levels - 1) * profile.draft(1) + profile.target(row.size)
        speedup = row.tokens * profile.target(1) / (step + profile.overhead_seconds)
        assert speedup == pytest.approx(row.speedup, rel=0.01)


@pytest.mark.parametrize("block", A100)
def test_the_best_depth_lies_near_the_published_ones(block: tuple) -> None:
    """With a stand-in vector, at the published size: within one level of the block's range."""
    rows = A100[block]
    plan = make_plan(
        load_acceptance("reference-repository"), preset(*block[1:]), budget=rows[0].size
    )
    levels = [row.levels for row in rows]
    assert min(levels) - 1 <= plan.tree.depth + 1 <= max(levels) + 1


def test_the_dear_draft_of_the_33b_target_makes_for_the_flattest_tree() -> None:
    vector = load_acceptance("paper-appendix-e")
    depths = [
        make_plan(vector, preset(target, 0.0), budget=64).tree.depth
        for target in ("Llama2-7B", "Vicuna-33B")
    ]
    assert depths[1] < depths[0]


def test_offloading_keeps_the_stated_plain_seconds_and_favours_large_trees() -> None:
    profile = load_hardware("l40-offload-llama-2-70b-paper-t0")
    assert profile.target(1) == 5.7
    assert profile.target(768) / 5.7 == pytest.approx(1.116, abs=0.001)
    plan = make_plan(load_acceptance("paper-appendix-e"), profile, max_budget=768)
    assert plan.tree.size > 512
    assert plan.speedup > 5
