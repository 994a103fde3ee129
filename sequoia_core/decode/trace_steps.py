"""Reading the steps of a trace file: each is a tree, a path down it, and the tokens it kept."""

from typing import Any

from sequoia_core.decode.trace import (
    LEAF,
    RESIDUAL,
    Bonus,
    Decision,
    Nodes,
    Seconds,
    StepTrace,
    verdicts,
)
from sequoia_core.errors import InputError
from sequoia_core.files import (
    check_flag,
    check_integer,
    check_list,
    check_number,
    check_object,
    check_text,
    field_of,
)
from sequoia_core.tree.token_tree import MAX_NODES, TokenTree

MAX_STEPS = 100_000
MAX_TOKENS = 1_000_000
MAX_TOKEN_ID = 2**31 - 1
MAX_TEXT = 10_000_000
MAX_PIECE = 10_000
MAX_REASON = 2_000
MAX_STEP_SECONDS = 1e6
# A probability of float32 may exceed 1 by its rounding.
MOST = 1 + 1e-6
KINDS = {dict: "an object", list: "a list", str: "a text", int: "a whole number"}


def steps_from(content: list[Any]) -> tuple[StepTrace, ...]:
    """The steps of a file, each checked by itself; InputError names the field."""
    listed = check_list(content, "steps", low=1, high=MAX_STEPS)
    return tuple(_step(step, index) for index, step in enumerate(listed))


def check_steps(
    steps: tuple[StepTrace, ...], prompt_ids: list[int], budget: int, depth: int
) -> None:
    """Every step goes on where the one before ended, within the limits; InputError otherwise."""
    written = list(prompt_ids)
    for index, step in enumerate(steps):
        _same(step.prefix_length, len(written) - 1, f"steps[{index}].prefix_length")
        _same(step.nodes.token_id[0], written[-1], f"steps[{index}].nodes.token_id[0]")
        tree = TokenTree(step.nodes.parent)
        for name, value, limit in (("budget", tree.size, budget), ("depth", tree.depth, depth)):
            if value > limit:
                raise InputError(
                    f"steps[{index}].nodes must stay within the {name} of {limit}, got {value}."
                )
        whole = len(step.accepted) + 1
        if index < len(steps) - 1 and len(step.committed) != whole:
            raise InputError(
                f"steps[{index}].committed must have {whole} tokens, since only the last step can "
                f"be cut short, got {len(step.committed)}."
            )
        written += step.committed


def _step(content: Any, index: int) -> StepTrace:
    name = f"steps[{index}]"
    check_object(content, name)
    _same(member(content, "index", int, f"{name}."), index, f"{name}.index")
    nodes, tree = _nodes(member(content, "nodes", dict, f"{name}."), f"{name}.nodes")
    accepted = _accepted(member(content, "accepted", list, f"{name}."), tree, f"{name}.accepted")
    if nodes.status != verdicts(tree, accepted):
        raise InputError(f"{name}.nodes.status must be what follows from the accepted path.")
    bonus = _bonus(member(content, "bonus", dict, f"{name}."), f"{name}.bonus")
    last = accepted[-1] if accepted else 0
    _same(bonus.source, RESIDUAL if tree.child_counts[last] else LEAF, f"{name}.bonus.source")
    committed = token_ids(member(content, "committed", list, f"{name}."), f"{name}.committed", 1)
    walked = [*(nodes.token_id[node] for node in accepted), bonus.token_id]
    if committed != walked[: len(committed)] or len(committed) > len(walked):
        raise InputError(f"{name}.committed must be the accepted tokens and the bonus token.")
    return StepTrace(
        index,
        check_integer(
            content.get("prefix_length"), f"{name}.prefix_length", low=0, high=MAX_TOKENS
        ),
        accepted,
        bonus,
        committed,
        _seconds(member(content, "seconds", dict, f"{name}."), f"{name}.seconds"),
        nodes,
        _decision(content.get("decision"), index, f"{name}.decision"),
        check_flag(content.get("captured", False), f"{name}.captured"),
    )


def _decision(content: Any, index: int, name: str) -> Decision | None:
    """The choice of method that a step of a steered run follows first."""
    if content is None:
        return None
    if not isinstance(content, dict):
        raise InputError(f"{name} must be an object or null, got {type(content).__name__}.")
    _same(member(content, "step", int, f"{name}."), index, f"{name}.step")
    words = [
        check_text(member(content, field, str, f"{name}."), f"{name}.{field}", MAX_REASON)
        for field in ("before", "after", "reason")
    ]
    budget, depth = (
        check_integer(content.get(field), f"{name}.{field}", low=low, high=MAX_NODES)
        for field, low in (("budget", 1), ("depth", 0))
    )
    return Decision(index, words[0], words[1], budget, depth, words[2])


def _nodes(content: dict[str, Any], name: str) -> tuple[Nodes, TokenTree]:
    parents = check_list(content.get("parent"), f"{name}.parent", low=1, high=MAX_NODES)
    parents = [check_integer(p, f"{name}.parent", low=-1, high=MAX_NODES) for p in parents]
    try:
        tree = TokenTree(parents)
    except InputError as error:
        raise InputError(f"{name}.parent is not a tree: {error}") from error
    size = tree.size
    ranks = check_list(content.get("rank"), f"{name}.rank", low=size, high=size)
    if ranks != tree.ranks.tolist():
        raise InputError(f"{name}.rank must be each node's place among its siblings.")
    status = check_list(content.get("status"), f"{name}.status", low=size, high=size)
    return (
        Nodes(
            parents,
            tree.ranks.tolist(),
            token_ids(content.get("token_id"), f"{name}.token_id", size, size),
            texts(content.get("text"), f"{name}.text", size),
            numbers(content.get("draft_prob"), f"{name}.draft_prob", size, high=MOST),
            numbers(content.get("target_prob"), f"{name}.target_prob", size, high=MOST),
            status,
        ),
        tree,
    )


def _accepted(content: list[Any], tree: TokenTree, name: str) -> list[int]:
    """A path from the root down, the root left out."""
    listed = check_list(content, name, low=0, high=tree.depth)
    accepted = [check_integer(node, name, low=1, high=tree.size - 1) for node in listed]
    if [int(tree.parents[node]) for node in accepted] != [0, *accepted][:-1][: len(accepted)]:
        raise InputError(f"{name} must be a path of nodes from the root down, got {accepted}.")
    return accepted


def _bonus(content: dict[str, Any], name: str) -> Bonus:
    source = content.get("source")
    if source not in (LEAF, RESIDUAL):
        raise InputError(f"{name}.source must be {LEAF} or {RESIDUAL}, got {str(source)[:40]!r}.")
    return Bonus(
        check_integer(content.get("token_id"), f"{name}.token_id", low=0, high=MAX_TOKEN_ID),
        check_text(content.get("text"), f"{name}.text", MAX_PIECE),
        source,
        check_number(content.get("prob"), f"{name}.prob", low=0, high=MOST),
    )


def _seconds(content: dict[str, Any], name: str) -> Seconds:
    return Seconds(
        *(
            check_number(content.get(part), f"{name}.{part}", low=0, high=MAX_STEP_SECONDS)
            for part in ("draft", "verify", "sample", "commit")
        )
    )


def member(content: dict[str, Any], name: str, kind: type, within: str = "") -> Any:
    """A field that must be there, of this kind; InputError names it."""
    value = field_of(content, name, within)
    if kind in KINDS and not isinstance(value, kind):
        raise InputError(f"{within}{name} must be {KINDS[kind]}, got {type(value).__name__}.")
    return value


def token_ids(content: Any, name: str, low: int = 0, high: int = MAX_TOKENS) -> list[int]:
    """Token ids, low to high of them."""
    listed = check_list(content, name, low=low, high=high)
    return [check_integer(token, name, low=0, high=MAX_TOKEN_ID) for token in listed]


def texts(content: Any, name: str, count: int) -> list[str]:
    """Exactly `count` short texts."""
    listed = check_list(content, name, low=count, high=count)
    return [check_text(text, name, MAX_PIECE) for text in listed]


def numbers(content: Any, name: str, count: int, *, high: float) -> list[float]:
    """Exactly `count` finite numbers from 0 to `high`."""
    listed = check_list(content, name, low=count, high=count)
    return [check_number(value, f"{name}[{i}]", low=0, high=high) for i, value in enumerate(listed)]


def _same(value: Any, expected: Any, name: str) -> None:
    if isinstance(value, bool) or value != expected:
        raise InputError(f"{name} must be {expected!r}, got {str(value)[:40]!r}.")
