"""Prompts of the command line: files of JSON lines, conversations, and what is refused of them."""

import json

import pytest

from sequoia_core.cli import main
from sequoia_core.commands._prompts import read_prompts
from sequoia_core.errors import FileFormatError

TURNS = [{"role": "user", "content": "Tell me."}]


def test_lines_end_where_json_lines_do_and_turns_come_as_json(tmp_path):
    texts = ["one\u2028line", "B\u00e4ume\u0085"]
    rows = [*({"text": text} for text in texts), {"text": TURNS}]
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    (tmp_path / "p.jsonl").write_bytes("\r\n\n".join(lines).encode("utf-8-sig"))
    assert read_prompts(tmp_path / "p.jsonl") == [*texts, json.dumps(TURNS)]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"{", "line 2 is not valid JSON"),
        (b"\xff", "line 2 is not JSON text in UTF-8"),
        (b"[" * 100_000, "line 2 holds lists in lists"),
        (b"[1]", "line 2: the field 'text' is missing"),
        (b'{"prompt": "a"}', "line 2: the field 'text' is missing"),
        (b'{"text": 3}', "line 2: text must be a text"),
        (b'{"text": " "}', "line 2: text is empty"),
        (b'{"text": []}', "line 2: A conversation is a list of turns"),
        (b'{"text": [{"role": "user"}]}', "line 2: Turn 0 of the conversation"),
        (b'{"text": "\\ud83d"}', "line 2: text must be text in UTF-8"),
        (
            b'{"text": [{"role": "user", "content": "\\ud83d"}]}',
            "line 2: text must be text in UTF-8",
        ),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, words):
    (tmp_path / "p.jsonl").write_bytes(b'{"text": "fine"}\n' + line + b"\n")
    with pytest.raises(FileFormatError, match=rf"p\.jsonl, {words}"):
        read_prompts(tmp_path / "p.jsonl")


def test_no_prompts_and_no_file_are_refused(tmp_path):
    (tmp_path / "p.jsonl").write_bytes(b"\n \n")
    with pytest.raises(FileFormatError, match="holds no prompt"):
        read_prompts(tmp_path / "p.jsonl")
    for path in (tmp_path, tmp_path / "none.jsonl"):
        with pytest.raises(FileFormatError, match="Cannot read"):
            read_prompts(path)


def test_a_typed_prompt_that_is_no_text_is_refused_before_anything_is_loaded(capsys):
    assert main(["generate", "--prompt", "half \udcff"]) == 2
    assert "--prompt must be text in UTF-8" in capsys.readouterr().err
