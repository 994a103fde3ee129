"""llama.cpp's server: a chain from a draft model, in the current and the older spelling."""

from sequoia_core.plan.exports.chain import ChainPlan, best_chain
from sequoia_core.plan.exports.launch import (
    Engine,
    Line,
    chain_promise,
    check_greedy,
    launch_export,
    pays_warning,
    profile_warning,
    rule_warnings,
)
from sequoia_core.plan.exports.request import Export, Request

ENGINE = Engine(
    to="llama.cpp",
    title="llama.cpp",
    checked_against="ggml-org/llama.cpp pull request 22964 (May 2026) for the current flags and "
    "067318e (docs/speculative.md) for the older ones",
    cannot_take="llama-server takes no token tree: it drafts a chain, and which flags it knows "
    "depends on the build, an unknown one being fatal.",
    file_name="llama-server.sh",
)


def llama_cpp_export(request: Request) -> Export:
    """`llama-server` with the best chain; variant older_builds in the former spelling."""
    check_greedy(request, "llama.cpp")
    acceptance, hardware = request.inputs
    chain = best_chain(acceptance, hardware, batch_size=request.batch_size)
    warnings = [
        *rule_warnings(acceptance, "llama.cpp"),
        *pays_warning(chain, "llama.cpp"),
        *profile_warning(hardware, request.batch_size * (chain.length + 1)),
        *_file_warnings(request),
    ]
    main = _line(
        request,
        chain,
        f"The best chain at batch size {request.batch_size}: {chain.length} drafted tokens a "
        "step; p-min 0, since a higher one ends drafts early and the length was planned.",
        ["--spec-type", "draft-simple"],
        "--spec-draft",
    )
    variants = {}
    if chain.length:
        variants["older_builds"] = _line(
            request, chain, "For builds from before that pull request.", [], "--draft"
        )
    return launch_export(ENGINE, request, main, variants, warnings)


def _line(request: Request, chain: ChainPlan, purpose: str, kind: list[str], prefix: str) -> Line:
    argv = ["llama-server", "-m", _file(request.target_name), "-ngl", "99"]
    argv += ["-np", str(request.batch_size)]
    if chain.length:
        bound = f"{prefix}-n" if kind else prefix
        argv += ["-md", _file(request.draft_name), "-ngld", "99", *kind]
        argv += [f"{bound}-max", str(chain.length), f"{bound}-min", "0", f"{prefix}-p-min", "0"]
    return Line(purpose=purpose, argv=argv, predicted=chain_promise(chain))


def _file(name: str) -> str:
    return name if name.endswith(".gguf") else f"{name}.gguf"


def _file_warnings(request: Request) -> list[str]:
    named = [request.target_name, request.draft_name]
    if all(name.endswith(".gguf") for name in named):
        return []
    return [
        "llama.cpp reads GGUF files: put the paths of the converted models in, or give --target "
        "and --draft with names that end in .gguf."
    ]
