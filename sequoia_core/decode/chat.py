"""Prompts that are turns of a conversation, in the form that a chat model was trained on."""

import json
from collections.abc import Sequence
from typing import Any

from sequoia_core.errors import InputError, ModelError

Turn = dict[str, str]


def turns_of(text: str) -> list[Turn]:
    """The turns that a text holds as a JSON list of {role, content}; else one user's turn.

    >>> turns_of("Hello")
    [{'role': 'user', 'content': 'Hello'}]
    """
    if not text.strip():
        raise InputError("The prompt is empty; write a few words to answer.")
    try:
        content = json.loads(text)
    except ValueError:
        content = None
    if isinstance(content, list) and content and isinstance(content[0], dict):
        return checked_turns(content)
    return [{"role": "user", "content": text}]


def checked_turns(content: Any) -> list[Turn]:
    """Turns from JSON values. Raises InputError for what is no list of {role, content}."""
    if not isinstance(content, list) or not content:
        raise InputError("A conversation is a list of turns, each with a role and a content.")
    for index, turn in enumerate(content):
        fields = [turn.get("role"), turn.get("content")] if isinstance(turn, dict) else []
        if not fields or not all(isinstance(field, str) for field in fields):
            raise InputError(
                f"Turn {index} of the conversation must have a 'role' (such as system, user or "
                "assistant) and a 'content', both text."
            )
    return [{"role": turn["role"], "content": turn["content"]} for turn in content]


def chat_ids(tokenizer, turns: Sequence[Turn], name: str) -> list[int]:
    """Token ids of a conversation by the tokenizer's chat template, the answer about to begin.

    name: the model's, for errors. Raises ModelError for a tokenizer without a template, and
    InputError for turns that the template does not take.
    """
    if not getattr(tokenizer, "chat_template", None):
        raise ModelError(
            f"{name} has no chat template, so it continues text only; leave out --chat or choose a "
            "chat model."
        )
    try:
        encoded = tokenizer.apply_chat_template(
            list(turns), add_generation_prompt=True, tokenize=True, return_dict=True
        )
    except Exception as error:
        # A template is the model's own program: what it raises is about these turns, of any class.
        raise InputError(f"The chat template of {name} refuses these turns: {error}.") from error
    return list(encoded["input_ids"])
