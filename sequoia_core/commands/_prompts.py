"""Prompts of the command line: text, files of them, and conversations."""

import json
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

from sequoia_core.assets import asset
from sequoia_core.decode.chat import Turn, checked_turns, turns_of
from sequoia_core.decode.pair import ModelPair, Prompt
from sequoia_core.errors import FileFormatError, InputError


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
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        rows = [json.loads(line) for line in lines if line.strip()]
        prompts = [row["text"] for row in rows]
    except OSError as error:
        raise FileFormatError(f"Cannot read {path}: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise FileFormatError(
            f"{path} must hold one JSON object a line, each with a 'text'."
        ) from error
    try:
        prompts = [_as_text(prompt) for prompt in prompts]
    except InputError as error:
        raise FileFormatError(f"{path}: {error}") from error
    if not all(prompt.strip() for prompt in prompts):
        raise FileFormatError(f"{path} holds a prompt that is empty or not text.")
    return prompts


def _as_text(prompt: str | list[Turn] | object) -> str:
    if isinstance(prompt, list):
        return json.dumps(checked_turns(prompt), ensure_ascii=False)
    return prompt if isinstance(prompt, str) else ""


def encoded(pair: ModelPair, prompts: Sequence[str], chat: bool) -> list[Prompt]:
    """The prompts as the engine takes them: text as it is, conversations by their template."""
    return [pair.encode_chat(turns_of(prompt)) for prompt in prompts] if chat else list(prompts)
