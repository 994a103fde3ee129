"""Every export by name."""

from collections.abc import Callable

from sequoia_core.errors import InputError
from sequoia_core.plan.exports.llama_cpp import llama_cpp_export
from sequoia_core.plan.exports.request import ACCEPTS_BY, Export, Request
from sequoia_core.plan.exports.sglang import sglang_export
from sequoia_core.plan.exports.tensorrt_llm import tensorrt_llm_export
from sequoia_core.plan.exports.tree_files import (
    graphml_export,
    growmap_export,
    paths_export,
    specinfer_export,
)
from sequoia_core.plan.exports.vllm import vllm_export

TREE_FILES: dict[str, Callable[[Request], Export]] = {
    "growmap": growmap_export,
    "paths": paths_export,
    "specinfer": specinfer_export,
    "graphml": graphml_export,
}
ENGINES: dict[str, Callable[[Request], Export]] = {
    "vllm": vllm_export,
    "sglang": sglang_export,
    "tensorrt-llm": tensorrt_llm_export,
    "llama.cpp": llama_cpp_export,
}
EXPORTS = TREE_FILES | ENGINES


def check_export(to: str) -> str:
    """`to` if there is such an export; InputError lists them all otherwise."""
    if to not in EXPORTS:
        raise InputError(f"There is no export to '{to}'; choose one of {', '.join(EXPORTS)}.")
    return to


def accepted_rules(to: str, draft_sampling: str) -> tuple[str, ...]:
    """The rules whose vectors fit an engine that drafts so; none for tree files, which fit all."""
    return ACCEPTS_BY.get(draft_sampling, ()) if to in ENGINES else ()


def make_export(to: str, request: Request) -> Export:
    """The export by name; InputError for an unknown name, a missing input or an unfit tree."""
    return EXPORTS[check_export(to)](request)
