"""Prompts of the command line: text, files of them, and conversations."""

import json
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

from sequoia_core.assets import asset
from sequoia_core.decode.chat import checked_turns, turns_of
from sequoia_core.decode.pair import ModelPair, Prompt
from sequoia_core.errors import FileFormatError, InputError
from sequoia_core.files import check_text, field_of, naming, parse_json, read_bytes
from sequoia_core.measure.comparison_file import MAX_PROMPT


def add_chat_argument(parser: ArgumentParser) -> None:
    """--chat."""
    parser.add_argument(
        "--chat",
        action="store_true",
        help="a prompt is a user's turn, or a JSON list of {role, content} turns, and is put into "
        "the target's chat template",
    )


def read_prompts(path: Path | None) -> list[str]:
    """Prompts of a JSON lines file with a 'text' each, or the bundled calibration prompts.

    A 'text' may be a list of turns; it is then given as JSON.
    """
    path = path or asset("calibration_prompts.jsonl")
    # Line by line in bytes: a text may hold the characters that end a line for Python alone.
    lines = enumerate(read_bytes(path).split(b"\n"), 1)
    prompts = [_prompt(line, f"{path}, line {number}") for number, line in lines if line.strip()]
    if not prompts:
        raise FileFormatError(f"{path} holds no prompt: give JSON lines with a 'text' each.")
    return prompts


def _prompt(line: bytes, place: str) -> str:
    """The prompt of a line; `place` heads the FileFormatError."""
    content = parse_json(line, place)
    with naming(place):
        prompt = field_of(content, "text")
        if isinstance(prompt, list):
            prompt = json.dumps(checked_turns(prompt), ensure_ascii=False)
        if not check_text(prompt, "text", MAX_PROMPT).strip():
            raise InputError("text is empty: write the beginning of a text to continue.")
        return prompt


def typed_prompt(text: str) -> str:
    """The prompt of --prompt, if it can be read, printed and kept. Raises InputError."""
    return check_text(text, "--prompt", MAX_PROMPT)


def encoded(pair: ModelPair, prompts: Sequence[str], chat: bool) -> list[Prompt]:
    """The prompts as the engine takes them: text as it is, conversations by their template."""
    return [pair.encode_chat(turns_of(prompt)) for prompt in prompts] if chat else list(prompts)
