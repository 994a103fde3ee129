"""What all launch lines share: the engine's card, the lines, the warnings, the script."""

import shlex
from dataclasses import dataclass, field
from typing import Any

from sequoia_core.errors import InputError
from sequoia_core.plan.acceptance import AcceptanceVector
from sequoia_core.plan.cost import CostModel
from sequoia_core.plan.exports.chain import ChainPlan
from sequoia_core.plan.exports.request import (
    ACCEPTS_BY,
    GREEDY,
    PROBABILISTIC,
    Export,
    Request,
)
from sequoia_core.plan.exports.values import model_name, reach_chances
from sequoia_core.plan.hardware import HardwareProfile


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """A serving engine: the version its settings were checked against, and what it cannot take."""

    to: str
    title: str
    checked_against: str
    cannot_take: str
    file_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One way to launch: the words of the command, its configuration, what it promises."""

    purpose: str
    argv: list[str]
    config: dict[str, Any] | None = None
    config_text: str = ""
    predicted: dict[str, Any] = field(default_factory=dict)

    @property
    def shell(self) -> str:
        """The command, quoted for a POSIX shell."""
        return shlex.join(self.argv)

    def to_dict(self) -> dict[str, Any]:
        """The line as JSON values; without a configuration the field is left out."""
        fields: dict[str, Any] = {
            "purpose": self.purpose,
            "argv": self.argv,
            "shell": self.shell,
            "predicted": self.predicted,
        }
        if self.config is not None:
            fields["config"] = self.config
        if self.config_text:
            fields["config_text"] = self.config_text
        return fields


def launch_export(
    engine: Engine,
    request: Request,
    main: Line,
    variants: dict[str, Line],
    warnings: list[str],
) -> Export:
    """The export of a main line and its variants; placeholders for models add a warning."""
    acceptance, hardware = request.inputs
    noise = [hardware.warning] if hardware.warning else []
    warnings = [*placeholder_warnings(request), *noise, *warnings]
    fields = {
        "engine": engine.title,
        "checked_against": engine.checked_against,
        "cannot_take": engine.cannot_take,
        "lost": _lost(request, main),
        "acceptance": {
            "name": acceptance.name,
            "rule": acceptance.rule,
            "temperature": acceptance.temperature,
            "model": model_name(acceptance),
        },
        "planned_with": (request.planned_with or acceptance).name,
        "notes": rule_notes(request),
        "hardware": hardware.name,
        "batch_size": request.batch_size,
        "speculate": main.predicted["draft_tokens"] > 0,
        **main.to_dict(),
        "variants": {name: line.to_dict() for name, line in variants.items()},
    }
    text = _yaml_file if engine.file_name.endswith(".yaml") else _script
    return Export(
        to=engine.to,
        file_name=engine.file_name,
        text=text(engine, fields, main, variants, warnings),
        fields=fields,
        warnings=tuple(warnings),
    )


def chain_promise(chain: ChainPlan) -> dict[str, Any]:
    """A chain's predictions as JSON values."""
    return {
        "draft_tokens": chain.length,
        "expected_tokens": chain.expected_tokens,
        "speedup": chain.speedup,
    }


def rule_warnings(
    acceptance: AcceptanceVector, engine: str, *, sampling: str = GREEDY, advice: str = ""
) -> list[str]:
    """Why predictions from this vector are not the engine's, if its rule is another one.

    Greedy drafting needs the rule topk, drafting at random the first entry of sequoia or
    specinfer. At temperature 0 the first entries of all rules are the same number.
    """
    if acceptance.temperature == 0 or acceptance.rule in ACCEPTS_BY[sampling]:
        return []
    greedy = "takes the draft's most probable token, and accepts it as often as the target draws it"
    random = "draws the draft's token at random, and accepts it with the chance min(1, P / Q)"
    name = f"'{acceptance.name}'" if acceptance.name else "given"
    does = greedy if sampling == GREEDY else random
    needed = " or ".join(ACCEPTS_BY[sampling])
    return [
        f"The acceptance vector {name} was measured for the rule {acceptance.rule}, but {engine} "
        f"{does}: above temperature 0 its acceptance may be higher or lower, so lengths and "
        f"predictions here are guesses until a vector of the rule {needed} is given (calibrate "
        f"--rule {needed.split()[0]}).{advice}"
    ]


def rule_notes(request: Request) -> list[str]:
    """Which vector stands in for the plan's own, and why; nothing if none does."""
    acceptance, planned_with = request.acceptance, request.planned_with
    if planned_with is None:
        return []
    return [
        f"Planned from '{acceptance.name}' of the rule {acceptance.rule}, by which this engine "
        f"accepts, in place of the plan's '{planned_with.name}' of the rule {planned_with.rule}: "
        "both are of the same pair, temperature and texts."
    ]


def sampling_advice(request: Request) -> str:
    """The other way out for engines that can draft at random: let the engine follow the vector."""
    if request.draft_sampling == PROBABILISTIC:
        return ""
    return (
        " Or give --draft-sampling probabilistic: for it the first entry of this vector is right."
    )


def check_greedy(request: Request, engine: str) -> None:
    """Refuse drafting at random where the engine cannot; InputError says so."""
    if request.draft_sampling != GREEDY:
        raise InputError(
            f"{engine} drafts a separate model's most probable tokens only: leave out "
            f"--draft-sampling {request.draft_sampling}."
        )


def pays_warning(chain: ChainPlan, engine: str) -> list[str]:
    """Say so when plain decoding is the plan."""
    if chain.length:
        return []
    return [
        f"Do not speculate: no chain is predicted to be faster than plain decoding (the best "
        f"drafts {chain.best_length} and runs at {chain.best_speedup:.3f}x), so the line starts "
        f"{engine} without a draft model."
    ]


def profile_warning(hardware: HardwareProfile, tokens: int) -> list[str]:
    """Say where the hardware profile ends, if passes of `tokens` tokens lie beyond."""
    last = hardware.target_seconds[-1][0]
    if tokens <= last:
        return []
    return [
        f"The profile '{hardware.name}' ends at {last} tokens a pass, but passes of {tokens} were "
        "needed: predictions there continue its last slope."
    ]


def placeholder_warnings(request: Request) -> list[str]:
    """Name the placeholders that the user has to replace."""
    return [
        f"{name} stands for the {role} model: put its name in, or give --{role}."
        for role, name in (("target", request.target_name), ("draft", request.draft_name))
        if name == f"{role.upper()}_MODEL"
    ]


def _lost(request: Request, main: Line) -> str:
    """What the engine makes of the plan, in one sentence with both predictions."""
    acceptance, hardware = request.inputs
    # The planned tree is for this project's engine, so its own vector judges it.
    judge = request.planned_with or acceptance
    vector = "this vector" if judge is acceptance else f"'{judge.name}'"
    cost = CostModel(hardware, request.batch_size)
    seconds = cost.tree_seconds(request.tree)
    speedup = float(cost.speedup(reach_chances(request.tree, judge).sum(), seconds))
    return (
        f"By {vector} and profile the planned tree of {request.tree.size} tokens runs at "
        f"{speedup:.3f}x plain decoding, and the engine's line at {main.predicted['speedup']:.3f}x."
    )


def _comment(text: str) -> str:
    """One comment line, whatever the text holds: names in it come from files."""
    return f"# {' '.join(text.split())}"


def _notes(engine: Engine, fields: dict[str, Any], warnings: list[str]) -> list[str]:
    head = f"{engine.title}, planned by Sequoia Explorer; checked against {engine.checked_against}"
    said = (head, engine.cannot_take, *fields["notes"], fields["lost"], *warnings)
    return [_comment(text) for text in said]


def _script(
    engine: Engine,
    fields: dict[str, Any],
    main: Line,
    variants: dict[str, Line],
    warnings: list[str],
) -> str:
    lines = ["#!/bin/sh", *_notes(engine, fields, warnings), _comment(main.purpose), main.shell]
    for line in variants.values():
        lines += ["", _comment(line.purpose), _comment_out(line.shell)]
    return "\n".join(lines) + "\n"


def _comment_out(shell: str) -> str:
    """The line ready to be uncommented; names in it hold no line break, so it is one line."""
    return f"# {shell}"


def _yaml_file(
    engine: Engine,
    fields: dict[str, Any],
    main: Line,
    variants: dict[str, Line],
    warnings: list[str],
) -> str:
    lines = [*_notes(engine, fields, warnings), _comment_out(main.shell)]
    lines.append(main.config_text.rstrip())
    for line in variants.values():
        block = line.config_text.rstrip().splitlines()
        lines += ["", _comment(line.purpose), *(f"# {row}" for row in block)]
    return "\n".join(lines) + "\n"
