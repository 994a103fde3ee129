"""Calibration split over two processes, and how several processes end together."""

import json
import os
import signal
import sys

import pytest
from fakes import tiny_llama, word_tokenizer
from team import command, in_two_processes

from sequoia_core import cli
from sequoia_core.decode.processes import ALONE, processes
from sequoia_core.errors import EndedElsewhereError, InputError, ModelError, ProcessError
from sequoia_core.measure import calibration
from sequoia_core.measure.ranks_of_run import _ranking_seed

VOCAB = 10


@pytest.fixture(scope="module")
def pair(tmp_path_factory) -> list[str]:
    """The options that name a pair of tiny models on the disk."""
    folder = tmp_path_factory.mktemp("pair")
    for name, layers in (("target", 2), ("draft", 1)):
        tiny_llama(VOCAB, layers, layers=layers).save_pretrained(folder / name)
        word_tokenizer(VOCAB).save_pretrained(folder / name)
    return ["--target", str(folder / "target"), "--draft", str(folder / "draft"), "--device", "cpu"]


@pytest.fixture
def prompts(tmp_path) -> list[str]:
    """Eleven prompts, two of them equal: more than are decoded side by side."""
    file = tmp_path / "prompts.jsonl"
    texts = ["t1 t2", "t3", "t4 t5", "t1", "t1", *(f"t{i} t2 t{i}" for i in range(2, 8))]
    file.write_text("\n".join(json.dumps({"text": text}) for text in texts))
    return ["--prompts", str(file)]


@pytest.mark.parametrize("temperature", ["0", "0.9"])
def test_two_processes_write_the_very_file_of_one(pair, prompts, tmp_path, temperature):
    options = ["--temperature", temperature, "--max-new-tokens", "12", "--width", "4"]
    words = ["calibrate", *pair, *prompts, *options, "--rule", "all", "--json", "--out"]
    (main, other) = in_two_processes(command, [*words, str(tmp_path / "two.json")])
    assert cli.main([*words, str(tmp_path / "one.json")]) == 0
    for rule in ("sequoia", "specinfer", "topk"):
        one, two = (tmp_path / f"{name}.{rule}.json" for name in ("one", "two"))
        assert two.read_bytes() == one.read_bytes()
    assert other == (0, "", "")
    status, out, err = main
    assert (status, out.count("\n")) == (0, 1)
    assert json.loads(out)["vectors"]["sequoia"]["prompts"] == 11
    assert "The target continues 11 prompts" in err
    assert "of 11" in err


def test_both_processes_take_prompts(pair, prompts, tmp_path):
    shares = in_two_processes(_ranked_here, ["calibrate", *pair, *prompts, "--max-new-tokens", "3"])
    assert [len(share) for share in shares] == [8, 3]
    assert shares[0] + shares[1] == sorted(shares[0] + shares[1])


def _ranked_here(rank: int, words: list[str]) -> list[int]:
    """Seeds of the texts that a process ranks."""
    seeds, rank_text = [], calibration.rank_text

    def noted(pair, text, settings, width):
        seeds.append(settings.seed)
        return rank_text(pair, text, settings, width)

    calibration.rank_text = noted
    command(rank, [*words, "--out", os.devnull])
    return seeds


def _in_a_team(rank: int, end) -> list:
    """What each process's team is, and what it ends with when `end` is called in the second."""
    try:
        with processes("cpu") as team:
            shared = team.counter()
            shared(rank + 1)
            items = team.gather([f"{item} of {rank}" for item in team.split("abc")])
            facts = [team.is_main, team.index, team.count, str(team.device), items, shared(0)]
            if rank == 1:
                end()
            team.gather([])
    except BaseException as error:
        return [*facts, type(error), str(error)]
    return facts


def _nothing() -> None:
    """A good end."""


def _mistake() -> None:
    raise ModelError("The models differ.")


def _interrupt() -> None:
    raise KeyboardInterrupt


def _killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_team_splits_gathers_and_counts():
    for index, facts in enumerate(in_two_processes(_in_a_team, _nothing)):
        assert facts[:4] == [index == 0, index, 2, "cpu"]
        assert facts[4:] == [["a of 0", "b of 0", "c of 1"], 3]


def test_one_process_is_a_team_too():
    assert ALONE.is_main
    assert ALONE.gather(ALONE.split("abc")) == ["a", "b", "c"]
    first, second = ALONE.counter(), ALONE.counter()
    assert (first(2), first(3), second(1)) == (2, 5, 1)


def test_an_error_of_one_process_ends_the_run_and_is_said_once():
    main, other = in_two_processes(_in_a_team, _mistake)
    assert main[-2] is EndedElsewhereError
    assert other[-2:] == [ProcessError, "Process 2 of 2: The models differ."]


def test_an_interrupt_of_one_process_ends_all():
    assert [facts[-2] for facts in in_two_processes(_in_a_team, _interrupt)] == [
        KeyboardInterrupt
    ] * 2


def test_a_process_that_is_killed_is_missed_in_words():
    main, other = in_two_processes(_in_a_team, _killed)
    assert main[-2] is ProcessError
    assert "ended without a word" in main[-1]
    assert other is None


@pytest.mark.parametrize(
    ("error", "place", "status", "said"),
    [
        (ModelError("No."), 0, 2, "error: No.\n"),
        (ModelError("No."), 1, 0, ""),
        (ProcessError("Process 2 of 2: No."), 1, 2, "error: Process 2 of 2: No.\n"),
        (EndedElsewhereError("Process 2 has ended."), 0, 2, ""),
        (EndedElsewhereError("Process 1 has ended."), 1, 0, ""),
        (KeyboardInterrupt(), 0, 130, "error: interrupted.\n"),
        (KeyboardInterrupt(), 1, 130, ""),
    ],
)
def test_one_sentence_comes_from_all_processes(monkeypatch, capsys, error, place, status, said):
    def fail(*_):
        raise error

    monkeypatch.setenv("RANK", str(place))
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(cli, "_run", fail)
    assert cli.main(["plan", "--acceptance", "a", "--hardware", "b"]) == status
    assert capsys.readouterr() == ("", said)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["plan", "--acceptance", "a", "--hardware", "b"], "plan runs in one process"),
        (["verify"], "verify runs in one process"),
        (["generate", "--prompt", "t1"], "generate only with --tensor-parallel"),
        (["profile", "--out", "a.json"], "profile only with --tensor-parallel"),
    ],
)
def test_commands_that_gain_nothing_refuse_several_processes(monkeypatch, capsys, words, message):
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert cli.main(words) == 2
    assert message in capsys.readouterr().err


def test_without_accelerate_several_processes_are_refused_and_one_is_not(monkeypatch):
    monkeypatch.setitem(sys.modules, "accelerate.utils", None)
    monkeypatch.setitem(sys.modules, "accelerate", None)
    assert ALONE.split("ab") == ["a", "b"]
    with pytest.raises(InputError, match="install it"), processes("cpu"):
        pass


def test_a_gpu_cannot_be_named_for_all_processes(monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    with pytest.raises(InputError, match="cuda:1 cannot be the one"), processes("cuda:1"):
        pass


def test_processes_without_each_others_address_are_sent_to_torchrun(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    missing = r"RANK expected, but not set\); start them with torchrun"
    with pytest.raises(InputError, match=missing), processes("cpu"):
        pass


def test_ranking_has_a_seed_of_its_own_for_every_text():
    seeds = [_ranking_seed(seed) for seed in range(1000)]
    assert len({seed % 2**32 for seed in [*seeds, *range(1000)]}) == 2000
    assert all(0 <= _ranking_seed(seed) < 2**64 for seed in (0, 2**63 - 1))
