"""Exports: every file read back, every launch line held against its engine's rules."""

import itertools
import json
import random
import shlex
import subprocess
import sys

import networkx
import numpy as np
import pytest
import torch
import yaml

from sequoia_core.cli import main
from sequoia_core.errors import FileFormatError, InputError
from sequoia_core.plan.acceptance import AcceptanceVector, load_acceptance
from sequoia_core.plan.cost import CostModel
from sequoia_core.plan.empirical import model_at
from sequoia_core.plan.expected import path_values, plan_table
from sequoia_core.plan.exports.chain import best_chain, chain_schedule
from sequoia_core.plan.exports.registry import ENGINES, EXPORTS, TREE_FILES, make_export
from sequoia_core.plan.exports.request import Request
from sequoia_core.plan.exports.source import vector_by_rule
from sequoia_core.plan.exports.tree_files import expansion_widths, load_growmap
from sequoia_core.plan.exports.triple import Triple, best_triple, judge_tree, triple_of
from sequoia_core.plan.hardware import HardwareProfile, load_hardware
from sequoia_core.plan.optimizer import make_plan
from sequoia_core.plan.paths import PathStatistics
from sequoia_core.plan.presets import DEFAULT_HARDWARE, bundled_acceptance
from sequoia_core.plan.replay import replay
from sequoia_core.tree.families import chain, expansion
from sequoia_core.tree.formats import from_growmap, from_paths
from sequoia_core.tree.token_tree import TokenTree

TOPK = AcceptanceVector("topk", [0.7, 0.12, 0.05, 0.03], temperature=0.6, name="mine")
SEQUOIA = AcceptanceVector("sequoia", [0.7, 0.12, 0.05], temperature=0.6, name="other")
GPU = HardwareProfile(
    "test",
    ((1, 1.0), (16, 1.02), (64, 1.1), (256, 2.0), (2048, 12.0)),
    ((1, 0.03), (64, 0.05), (2048, 0.5)),
    0.02,
    0.01,
    name="gpu",
)
SLOW = HardwareProfile("test", ((1, 1.0), (64, 64.0)), ((1, 1.0), (64, 1.0)), name="slow")


def random_tree(seed: int, size: int = 40) -> TokenTree:
    rng = random.Random(seed)
    parents = [-1]
    for node in range(1, size):
        parents.append(rng.randint(max(parents[-1], 0), min(node - 1, max(parents[-1], 0) + 2)))
    return TokenTree(parents)


TREES = [TokenTree([-1]), chain(5), expansion([3, 2, 1]), *map(random_tree, range(6))]


def request_for(tree: TokenTree = TREES[2], **options) -> Request:
    return Request(**{"tree": tree, "acceptance": TOPK, "hardware": GPU} | options)


@pytest.fixture
def files(tmp_path):
    """A plan with its inputs beside it, as the commands write them."""
    TOPK.save(tmp_path / "mine.json")
    SEQUOIA.save(tmp_path / "other.json")
    GPU.save(tmp_path / "gpu.json")
    plan = make_plan(TOPK, GPU, budget=24, max_budget=64, max_depth=8)
    plan.save(tmp_path / "plan.json")
    make_plan(TOPK, GPU, family="specinfer", max_budget=64).save(tmp_path / "expansion.json")
    return tmp_path


def answer(capsys, *argv) -> dict:
    """The one JSON object that export prints."""
    assert main(["export", *map(str, argv), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def refusal(capsys, *argv) -> str:
    """The one line that a refused command prints."""
    assert main([*map(str, argv), "--json"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    return captured.err


@pytest.mark.parametrize("tree", TREES, ids=repr)
def test_growmap_paths_and_graphml_give_the_tree_back(tree):
    request = request_for(tree)
    texts = {to: make_export(to, request).text for to in ("growmap", "paths", "graphml")}
    assert from_growmap(json.loads(texts["growmap"])) == tree
    assert from_paths(json.loads(texts["paths"])) == tree
    graph = networkx.parse_graphml(texts["graphml"], node_type=int)
    parents = [graph.nodes[node]["parent"] for node in range(tree.size)]
    assert TokenTree(parents) == tree
    assert sorted(graph.edges) == sorted((parents[node], node) for node in range(1, tree.size))
    assert [graph.nodes[node]["rank"] for node in range(tree.size)] == tree.ranks.tolist()
    assert [graph.nodes[node]["depth"] for node in range(tree.size)] == tree.depths.tolist()
    chances = [graph.nodes[node]["path_probability"] for node in range(tree.size)]
    assert chances == pytest.approx(path_values(tree, TOPK).tolist())


def test_graphml_without_a_vector_says_what_is_missing():
    export = make_export("graphml", Request(tree=chain(2)))
    assert "path_probability" not in export.text
    assert "--acceptance" in export.warnings[0]


@pytest.mark.parametrize("widths", [[], [1, 1, 1], [4], [3, 2, 1], [1, 1, 3]])
def test_specinfer_names_the_widths_of_an_expansion(widths):
    assert expansion_widths(expansion(widths)) == widths
    export = make_export("specinfer", request_for(expansion(widths)))
    assert export.text == f"<{','.join(map(str, widths))}>\n"


def test_specinfer_refuses_other_trees_and_names_the_node():
    tree = TokenTree([-1, 0, 0, 1, 1, 2])
    with pytest.raises(InputError, match="depth 1 node 1 has 2 children, but node 2 has 1"):
        make_export("specinfer", request_for(tree))


def test_specinfer_says_when_flexflow_is_compiled_for_fewer_tokens():
    assert not make_export("specinfer", request_for(expansion([7, 8]))).warnings
    assert "at most 64" in make_export("specinfer", request_for(expansion([8, 8]))).warnings[0]


@pytest.mark.parametrize("batch_size", [1, 3, 8, 64])
@pytest.mark.parametrize("hardware", [GPU, SLOW], ids=["gpu", "slow"])
def test_the_chain_is_the_one_that_the_optimiser_finds(hardware, batch_size):
    found = best_chain(TOPK, hardware, batch_size=batch_size)
    plan = make_plan(TOPK, hardware, family="chain", batch_size=batch_size, max_budget=64)
    assert found.length == plan.depth
    assert found.expected_tokens == pytest.approx(plan.expected_tokens)
    assert found.speedup == pytest.approx(plan.speedup)


def test_chain_rates_follow_a_vector_by_depth():
    vector = AcceptanceVector("topk", [[0.9, 0.1], [0.5, 0.1], [0.8, 0.1]])
    rates = best_chain(vector, GPU).rates
    assert rates[:4] == pytest.approx((0.9, 0.45, 0.36, 0.288))


def test_path_statistics_lengthen_the_chain_where_acceptance_comes_in_bursts():
    text = ([0] * 12 + [-1] * 12) * 8
    paths = PathStatistics(1, tuple(np.array(text[k:], dtype=np.int16) for k in range(6)))
    mean = AcceptanceVector("topk", [0.5], temperature=0.0)
    bursty = AcceptanceVector("topk", [0.5], temperature=0.0, paths=paths)
    positional, by_paths = best_chain(mean, GPU), best_chain(bursty, GPU)
    assert by_paths.length > positional.length
    tree = chain(by_paths.length)
    assert by_paths.rates == tuple(model_at(bursty, tree).path_values(tree)[1:].tolist())
    # Steps start behind misses, of which eleven in twelve come before another: the first token is
    # accepted seldom, and the eighth nearly as often.
    assert by_paths.rates[0] < 0.1 < 2 * by_paths.rates[7]
    replayed = replay(tree, paths).tokens_per_step
    assert by_paths.expected_tokens == pytest.approx(replayed, rel=0.05)
    assert replayed > 1.05 * replay(chain(positional.length), paths).tokens_per_step
    wide = request_for(expansion([3, 1]), acceptance=bursty)
    assert make_export("vllm", wide).fields["acceptance"]["model"] == "paths"
    assert make_export("sglang", wide).fields["predicted"]["speedup"] >= by_paths.speedup - 1e-12
    assert make_export("graphml", wide).text.count("<node") == 7


def test_the_schedule_covers_every_batch_size_once():
    schedule = chain_schedule(TOPK, GPU, max_batch_size=64)
    covered = {size: length for first, last, length in schedule for size in range(first, last + 1)}
    assert list(covered) == list(range(1, 65))
    assert all(best_chain(TOPK, GPU, batch_size=b).length == k for b, k in covered.items())
    assert all(before[2] != after[2] for before, after in itertools.pairwise(schedule))
    assert len(schedule) > 2


def test_vllm_gets_a_draft_model_chain_and_a_valid_schedule():
    fields = make_export("vllm", request_for()).to_dict()
    best = best_chain(TOPK, GPU)
    assert fields["argv"][:3] == ["vllm", "serve", "TARGET_MODEL"]
    assert json.loads(fields["argv"][4]) == fields["config"] == {
        "method": "draft_model", "model": "DRAFT_MODEL", "num_speculative_tokens": best.length,
    }  # fmt: skip
    scheduled = fields["variants"]["by_batch_size"]["config"]
    ranges = scheduled["num_speculative_tokens_per_batch_size"]
    assert ranges[0][0] == 1
    assert ranges[-1][1] == 64
    assert max(length for _, _, length in ranges) == scheduled["num_speculative_tokens"]
    assert "speculative_token_tree" not in json.dumps(fields)


def test_vllm_dry_run_rates_are_unconditional_non_increasing_and_one_a_token():
    config = make_export("vllm", request_for()).fields["variants"]["synthetic"]["config"]
    rates = config["synthetic_acceptance_rates"]
    assert config["rejection_sample_method"] == "synthetic"
    assert len(rates) == config["num_speculative_tokens"]
    assert rates == sorted(rates, reverse=True)
    assert rates[:3] == pytest.approx([0.7, 0.49, 0.343], abs=1e-6)


@pytest.mark.parametrize("to", ["vllm", "tensorrt-llm"])
@pytest.mark.parametrize(
    ("vector", "sampling", "warned"),
    [
        (TOPK, "greedy", False),
        (TOPK, "probabilistic", True),
        (SEQUOIA, "greedy", True),
        (SEQUOIA, "probabilistic", False),
        (AcceptanceVector("sequoia", [0.7], temperature=0.0), "greedy", False),
        (AcceptanceVector("sequoia", [0.7]), "greedy", True),
    ],
)
def test_a_vector_of_another_rule_is_never_used_silently(to, vector, sampling, warned):
    request = request_for(acceptance=vector, draft_sampling=sampling)
    warnings = make_export(to, request).warnings
    assert any(f"for the rule {vector.rule}" in warning for warning in warnings) == warned


@pytest.mark.parametrize("to", ["sglang", "llama.cpp"])
def test_engines_that_draft_greedily_refuse_drafting_at_random(to):
    with pytest.raises(InputError, match="--draft-sampling probabilistic"):
        make_export(to, request_for(draft_sampling="probabilistic"))
    assert any(
        "rule sequoia" in w for w in make_export(to, request_for(acceptance=SEQUOIA)).warnings
    )


def test_sampling_at_random_reaches_the_engines_configuration():
    request = request_for(draft_sampling="probabilistic")
    config = make_export("vllm", request).fields["config"]
    assert config["draft_sample_method"] == "probabilistic"
    config = make_export("tensorrt-llm", request).fields["config"]
    assert config["speculative_config"]["use_rejection_sampling"] is True


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((0, 1, 2), "together"),
        ((3, 0, 4), "together"),
        ((3, 2, 1), "together"),
        ((3, 1, 5), "3 steps need 4 draft tokens"),
        ((2, 3, 14), "yield 13 tokens"),
    ],
)
def test_sglang_rules_of_validity_are_checked(values, message):
    with pytest.raises(InputError, match=message):
        Triple(*values)


@pytest.mark.parametrize("tree", TREES[1:], ids=repr)
def test_a_tree_s_triple_is_valid_and_the_least_that_holds_it(tree):
    triple = triple_of(tree)
    assert (triple.steps, triple.tokens) == (tree.depth, tree.size)
    assert triple.topk >= max(tree.child_counts.max(), *tree.expanded_level_sizes)
    assert triple.topk in [*tree.child_counts, *tree.expanded_level_sizes]


def test_the_planned_triple_beats_every_static_tree_that_its_beams_could_hold():
    cost = CostModel(GPU, 2)
    best = best_triple(TOPK, cost)
    table = plan_table(TOPK, max_budget=64, max_depth=8, max_branch=4)
    judged = [
        judge_tree(table.tree(n, d), TOPK, cost)
        for n in range(2, 65, 3)
        for d in range(1, 9)
        if table.feasible[n, d]
    ]
    within = [plan.speedup for plan in judged if plan.triple.topk <= 4]
    assert within
    assert best.speedup >= max(within) - 1e-12
    assert best.speedup >= best_chain(TOPK, GPU, batch_size=2).speedup - 1e-12


def test_sglang_flags_are_the_planned_triple_with_plan_and_chain_beside_it():
    fields = make_export("sglang", request_for()).to_dict()
    words = dict(zip(fields["argv"][3::2], fields["argv"][4::2], strict=True))
    assert words["--speculative-algorithm"] == "STANDALONE"
    triple = [
        int(words[f"--speculative-{name}"])
        for name in ("num-steps", "eagle-topk", "num-draft-tokens")
    ]
    assert Triple(*triple) == best_triple(TOPK, CostModel(GPU)).triple
    assert fields["variants"]["plan"]["config"] == {
        "speculative_num_steps": 3,
        "speculative_eagle_topk": 6,
        "speculative_num_draft_tokens": 16,
    }
    assert fields["variants"]["chain"]["config"]["speculative_eagle_topk"] == 1


def test_sglang_says_when_the_planned_tree_is_too_wide():
    warnings = make_export("sglang", request_for(expansion([20, 1]))).warnings
    assert any("up to 20 nodes" in warning for warning in warnings)


@pytest.mark.parametrize("name", ["model", "a 'quoted' : name", "# no comment", "ünï/code"])
def test_tensorrt_llm_yaml_reads_as_the_configuration(name):
    export = make_export("tensorrt-llm", request_for(draft_model=name))
    config = yaml.safe_load(export.text)
    assert config == export.fields["config"]
    assert config["speculative_config"] == {
        "decoding_type": "DraftTarget",
        "max_draft_len": best_chain(TOPK, GPU).length,
        "speculative_model": name,
        "use_rejection_sampling": False,
    }


def test_tensorrt_llm_schedule_starts_with_the_longest_and_keys_end_their_ranges():
    variant = make_export("tensorrt-llm", request_for()).fields["variants"]["by_batch_size"]
    config = yaml.safe_load(variant["config_text"])["speculative_config"]
    lengths = config["draft_len_schedule"]
    assert list(lengths) == sorted(lengths)
    assert next(iter(lengths.values())) == config["max_draft_len"] == max(lengths.values())
    assert list(lengths.values())[-1] > 0
    for size in (1, 7, 20, 64):
        length = next((k for last, k in lengths.items() if size <= last), 0)
        best = best_chain(TOPK, GPU, batch_size=size).length
        assert length == min(best, config["max_draft_len"])


def test_llama_cpp_speaks_both_spellings():
    fields = make_export("llama.cpp", request_for(target_model="t.gguf")).to_dict()
    length = str(best_chain(TOPK, GPU).length)
    assert "--spec-type draft-simple --spec-draft-n-max " + length in fields["shell"]
    assert "--draft-max " + length in fields["variants"]["older_builds"]["shell"]
    assert "--spec" not in fields["variants"]["older_builds"]["shell"]
    assert "-m t.gguf" in fields["shell"]
    assert "-md DRAFT_MODEL.gguf" in fields["shell"]


@pytest.mark.parametrize("to", ENGINES)
def test_where_nothing_pays_the_line_has_no_draft_model(to):
    export = make_export(to, request_for(hardware=SLOW))
    assert export.fields["speculate"] is False
    assert "DRAFT_MODEL" not in export.fields["shell"]
    assert any(warning.startswith("Do not speculate") for warning in export.warnings)


@pytest.mark.parametrize("to", ENGINES)
def test_launch_lines_survive_the_shell_and_hostile_names(to, tmp_path):
    flag = tmp_path / "flag"
    name = f'a\'b $(touch {flag}) `touch {flag}`; "c"'
    vector = AcceptanceVector("sequoia", [0.7], name=f"x\ntouch {flag}\n")
    export = make_export(to, request_for(target_model=name, draft_model=name, acceptance=vector))
    lines = [export.fields, *export.fields["variants"].values()]
    assert all(shlex.split(line["shell"]) == line["argv"] for line in lines)
    script = export.text if export.file_name.endswith(".sh") else export.fields["shell"]
    subprocess.run(["sh", "-c", script], capture_output=True, check=False, cwd=tmp_path)
    assert not flag.exists()
    if not export.file_name.endswith(".sh"):
        assert yaml.safe_load(export.text) == export.fields["config"]


@pytest.mark.parametrize("name", ["--trust-remote-code", "a\nb", "a\x00b"])
@pytest.mark.parametrize("option", ["target_model", "draft_model"])
def test_names_that_would_be_options_or_new_lines_are_refused(option, name):
    with pytest.raises(InputError, match=option):
        request_for(**{option: name})


@pytest.mark.parametrize("to", ENGINES)
def test_engines_say_what_they_need_take_and_were_checked_against(to):
    with pytest.raises(InputError, match="give --acceptance"):
        make_export(to, request_for(acceptance=None))
    with pytest.raises(InputError, match="give --hardware"):
        make_export(to, request_for(hardware=None))
    export = make_export(to, request_for())
    assert "static tree" in export.fields["cannot_take"] or "no token tree" in export.text
    assert export.fields["checked_against"] in export.text
    assert sum("stands for the" in warning for warning in export.warnings) == 2
    assert f"{export.fields['predicted']['speedup']:.3f}x" in export.fields["lost"]


def test_names_come_from_the_vector_unless_given():
    vector = AcceptanceVector("topk", [0.7], temperature=0.0, target="big", draft="small")
    request = request_for(acceptance=vector, draft_model="tiny")
    assert (request.target_name, request.draft_name) == ("big", "tiny")
    assert not any("stands for" in warning for warning in make_export("vllm", request).warnings)


def test_predictions_beyond_the_profile_are_marked():
    short = HardwareProfile("test", ((1, 1.0), (8, 1.1)), ((1, 0.01), (8, 0.01)), name="short")
    warnings = make_export("vllm", request_for(hardware=short)).warnings
    assert any("'short' ends at 8 tokens" in warning for warning in warnings)
    assert not any("ends at" in w for w in make_export("vllm", request_for()).warnings)


@pytest.mark.parametrize("to", EXPORTS)
def test_every_export_comes_out_of_the_command_as_json_file_and_text(to, files, capsys):
    plan = files / ("expansion.json" if to == "specinfer" else "plan.json")
    out = files / "out.txt"
    result = answer(capsys, "--plan", plan, "--to", to, "--out", out)
    assert result["to"] == to
    assert out.read_text(encoding="utf-8") == result["text"]
    assert main(["export", "--plan", str(plan), "--to", to]) == 0
    printed = capsys.readouterr().out
    assert printed.rstrip("\n") == result["text"].replace(str(out), "config.yaml").rstrip("\n")
    assert main(["export", "--plan", str(plan), "--to", to, "--out", str(out)]) == 0
    assert result["checked_against"] in capsys.readouterr().out


def test_the_plan_s_inputs_are_found_beside_it_and_options_replace_them(files, capsys):
    common = ["--plan", files / "plan.json", "--to", "vllm"]
    assert answer(capsys, *common)["acceptance"] == {
        "name": "mine", "rule": "topk", "temperature": 0.6, "model": "positional",
    }  # fmt: skip
    other = answer(capsys, *common, "--acceptance", files / "other.json", "--batch-size", 4)
    assert (other["acceptance"]["rule"], other["batch_size"]) == ("sequoia", 4)
    assert any("rule sequoia" in warning for warning in other["warnings"])


@pytest.mark.parametrize("temperature", [0.0, 0.6, 1.0])
@pytest.mark.parametrize("to", ENGINES)
def test_a_plan_of_the_bundled_pair_is_exported_by_the_engine_s_own_rule(
    to, temperature, tmp_path, capsys
):
    name, out = bundled_acceptance(temperature), tmp_path / "plan.json"
    plan = make_plan(load_acceptance(name), load_hardware(DEFAULT_HARDWARE), max_budget=64)
    plan.save(out)
    common = ["--plan", out, "--to", to]
    result = answer(capsys, *common)
    used = bundled_acceptance(temperature, "topk")
    assert (result["acceptance"]["name"], result["planned_with"]) == (used, name)
    assert not any("for the rule" in warning for warning in result["warnings"])
    # One sentence in the fields and in the file says which vector stands in for the plan's.
    assert [f"Planned from '{used}'" in note for note in result["notes"]] == [True] * (used != name)
    assert all(note in result["text"] for note in result["notes"])
    # The tree is this project's, so the plan's own vector says what it is worth.
    assert (f"By '{name}'" in result["lost"]) == (used != name)
    # What is asked for is what is used, with its warning.
    given = answer(capsys, *common, "--acceptance", name)
    assert (given["acceptance"]["name"], given["planned_with"], given["notes"]) == (name, name, [])
    assert any("for the rule" in warning for warning in given["warnings"]) == (temperature > 0)


def test_drafting_at_random_keeps_the_plan_s_vector_and_replaces_one_of_the_rule_topk(
    tmp_path, capsys
):
    for name in ("bundled-t0.6", "bundled-t0.6-topk", "bundled-t0.6-specinfer"):
        vector, out = load_acceptance(name), tmp_path / f"{name}.json"
        make_plan(vector, load_hardware(DEFAULT_HARDWARE), budget=8).save(out)
        result = answer(capsys, "--plan", out, "--to", "vllm", "--draft-sampling", "probabilistic")
        used = "bundled-t0.6" if vector.rule == "topk" else name
        assert (result["acceptance"]["name"], result["planned_with"]) == (used, name)
        assert not any("for the rule" in warning for warning in result["warnings"])
        # Tree files hold the planned tree, whatever the rule.
        assert answer(capsys, "--plan", out, "--to", "paths")["warnings"] == []


def test_a_file_that_bears_a_preset_s_name_is_not_taken_for_it():
    mine = AcceptanceVector("sequoia", [0.5], temperature=0.6, target="mine", name="bundled-t0.6")
    assert vector_by_rule(mine, ("topk",)) is None
    bundled = load_acceptance("bundled-t0.6")
    assert vector_by_rule(bundled, ("topk",)).rule == "topk"
    assert vector_by_rule(bundled, ("sequoia", "specinfer")) is None
    assert vector_by_rule(bundled, ()) is None


def test_a_growmap_is_exported_like_a_plan(files, capsys):
    growmap = files / "growmap.json"
    answer(capsys, "--plan", files / "plan.json", "--to", "growmap", "--out", growmap)
    assert load_growmap(growmap).size == 24
    paths = answer(capsys, "--growmap", growmap, "--to", "paths")["content"]
    assert paths == answer(capsys, "--plan", files / "plan.json", "--to", "paths")["content"]
    inputs = ["--acceptance", files / "mine.json", "--hardware", files / "gpu.json"]
    assert answer(capsys, "--growmap", growmap, "--to", "sglang", *inputs)["speculate"]
    missing = refusal(capsys, "export", "--growmap", growmap, "--to", "vllm")
    assert "give --acceptance" in missing


def test_a_torch_growmap_holds_what_the_reference_reads(files, capsys):
    out = files / "growmap.pt"
    content = answer(capsys, "--plan", files / "plan.json", "--to", "growmap", "--out", out)
    saved = torch.load(out, weights_only=True)
    assert list(saved) == ["roots", "branches", "Successors", "mask", "depth", "size"]
    assert (saved["mask"].dtype, saved["depth"].dtype) == (torch.int64, torch.int64)
    assert saved["mask"].shape == (24, 24)
    assert saved["depth"].shape == (24,)
    assert saved["size"] == 24
    assert [node for level in saved["roots"] for node in level] == list(range(24))
    assert set(saved["branches"][-1]) == {0}
    for level, counts in zip(saved["roots"], saved["branches"], strict=True):
        assert counts == [len(saved["Successors"][node]) for node in level]
    assert saved["mask"].tolist() == content["content"]["mask"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--plan", "PLAN", "--to", "onnx"], "no export to 'onnx'; choose one of growmap, paths"),
        (["--plan", "PLAN"], "required: --to"),
        (["--to", "vllm"], "one of the arguments --plan --growmap is required"),
        (["--plan", "PLAN", "--growmap", "PLAN", "--to", "vllm"], "not allowed with"),
        (["--plan", "nowhere.json", "--to", "paths"], "it does not exist"),
        (["--plan", "VECTOR", "--to", "paths"], "not a sequoia-plan file"),
        (["--growmap", "PLAN", "--to", "paths"], "not a sequoia-growmap file"),
        (["--plan", "PLAN", "--to", "specinfer"], "no SpecInfer expansion"),
        (["--plan", "PLAN", "--to", "paths", "--out", "/nowhere/a"], "Cannot write"),
        (["--plan", "PLAN", "--to", "paths", "--out", "tree.pt"], "Only a growmap"),
        (["--plan", "PLAN", "--to", "vllm", "--acceptance", "nope"], "called 'nope'"),
        (["--plan", "PLAN", "--to", "vllm", "--target=-x"], "does not begin with"),
        (["--plan", "PLAN", "--to", "vllm", "--batch-size", "0"], "between 1 and 1024, got 0"),
        (["--plan", "PLAN", "--to", "vllm", "--max-batch-size", "9999"], "got 9999"),
        (["--plan", "PLAN", "--to", "vllm", "--draft-sampling", "hot"], "got 'hot'"),
    ],
)
def test_bad_input_is_one_line(arguments, message, files, capsys):
    names = {"PLAN": files / "plan.json", "VECTOR": files / "mine.json"}
    assert message in refusal(capsys, "export", *(names.get(word, word) for word in arguments))


@pytest.mark.parametrize(("name", "option"), [("mine", "acceptance"), ("gpu", "hardware")])
def test_inputs_that_cannot_be_found_name_the_option(name, option, files, capsys):
    (files / f"{name}.json").unlink()
    message = refusal(capsys, "export", "--plan", files / "plan.json", "--to", "vllm")
    assert f"'{name}'" in message
    assert f"give --{option}" in message
    for to in TREE_FILES.keys() - {"specinfer"}:
        answer(capsys, "--plan", files / "plan.json", "--to", to)


def test_a_plan_cannot_point_out_of_its_folder(files, capsys):
    content = json.loads((files / "plan.json").read_text())
    inner = files / "inner"
    inner.mkdir()
    (inner / "plan.json").write_text(json.dumps(content | {"acceptance": "../mine"}))
    message = refusal(capsys, "export", "--plan", inner / "plan.json", "--to", "vllm")
    assert "give --acceptance" in message


def test_a_broken_growmap_file_is_named_with_its_field(tmp_path):
    path = tmp_path / "growmap.json"
    content = make_export("growmap", request_for()).fields["content"]
    path.write_text(json.dumps(content | {"size": 3}))
    with pytest.raises(FileFormatError, match=r"growmap\.json: The growmap's 'size' contradicts"):
        load_growmap(path)


def test_exporting_never_loads_torch(files):
    script = (
        "import sys; from sequoia_core.cli import main; "
        f"code = main(['export', '--plan', {str(files / 'plan.json')!r}, '--to', 'sglang']); "
        "sys.exit(code or 'torch' in sys.modules)"
    )
    command = ["-c", script]
    done = subprocess.run([sys.executable, *command], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
