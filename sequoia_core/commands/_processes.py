"""A command in one of several processes: each has some of the prompts, or a part of the target."""

from argparse import Namespace
from types import ModuleType
from typing import Any

from sequoia_core.commands._models import Say, set_threads
from sequoia_core.decode.processes import processes
from sequoia_core.decode.sharding import Leader, follow
from sequoia_core.errors import InputError


def run_in_processes(module: ModuleType, arguments: Namespace, say: Say) -> dict[str, Any] | None:
    """The result in the main process, which alone reports; None in the others.

    With --tensor-parallel the main process runs the command, and the others keep their parts of
    the target for it. Without, a module that has SPLITS_PROMPTS runs in all of them, with the team
    in `arguments.team`. Raises InputError for other commands.
    """
    splits = getattr(module, "SPLITS_PROMPTS", False)
    if not (splits or getattr(arguments, "tensor_parallel", False)):
        raise InputError(_refusal(arguments))
    with processes(arguments.device) as team:
        if not arguments.tensor_parallel:
            arguments.team = team
            result = module.run(arguments, say if team.is_main else lambda text: None)
            return result if team.is_main else None
        if not team.is_main:
            set_threads(arguments.threads)
            follow(team)
            return None
        with Leader(team) as arguments.leader:
            return module.run(arguments, say)


def _refusal(arguments: Namespace) -> str:
    if hasattr(arguments, "tensor_parallel"):
        return (
            f"Several processes run {arguments.command} only with --tensor-parallel; say so, or "
            "start one process."
        )
    return f"{arguments.command} runs in one process; start it without torchrun."
