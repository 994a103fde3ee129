"""vLLM: a chain from a draft model, its length by batch size, and a dry run at our acceptance."""

import json
from typing import Any

from sequoia_core.plan.exports.chain import ChainPlan, best_chain, chain_schedule
from sequoia_core.plan.exports.launch import (
    Engine,
    Line,
    chain_promise,
    launch_export,
    pays_warning,
    profile_warning,
    rule_warnings,
    sampling_advice,
)
from sequoia_core.plan.exports.request import PROBABILISTIC, Export, Request

ENGINE = Engine(
    to="vllm",
    title="vLLM",
    checked_against="vllm-project/vllm 002e77c (vllm/config/speculative.py) and the documentation "
    "of speculative decoding up to v0.32",
    cannot_take="vLLM takes no token tree: tree attention was removed in May 2026 (pull request "
    "42121), so a draft model drafts a chain.",
    file_name="vllm.sh",
)
RATE_DIGITS = 6


def vllm_export(request: Request) -> Export:
    """`vllm serve` with the best chain; variants by_batch_size and synthetic."""
    acceptance, hardware = request.inputs
    chain = best_chain(acceptance, hardware, batch_size=request.batch_size)
    schedule = chain_schedule(acceptance, hardware, max_batch_size=request.max_batch_size)
    widest = max(last * (length + 1) for _, last, length in schedule)
    warnings = [
        *rule_warnings(
            acceptance, "vLLM", sampling=request.draft_sampling, advice=sampling_advice(request)
        ),
        *pays_warning(chain, "vLLM"),
        *profile_warning(hardware, widest),
    ]
    main = Line(
        purpose=f"The best chain at batch size {request.batch_size}: {chain.length} drafted "
        "tokens a step.",
        argv=_argv(request, _config(request, chain.length)),
        config=_config(request, chain.length),
        predicted=chain_promise(chain),
    )
    return launch_export(ENGINE, request, main, _variants(request, chain, schedule), warnings)


def _config(request: Request, length: int) -> dict[str, Any] | None:
    """The content of --speculative-config; None for plain decoding."""
    if not length:
        return None
    config = {
        "method": "draft_model",
        "model": request.draft_name,
        "num_speculative_tokens": length,
    }
    if request.draft_sampling == PROBABILISTIC:
        config["draft_sample_method"] = PROBABILISTIC
    return config


def _argv(request: Request, config: dict[str, Any] | None) -> list[str]:
    argv = ["vllm", "serve", request.target_name]
    return argv if config is None else [*argv, "--speculative-config", json.dumps(config)]


def _variants(
    request: Request, chain: ChainPlan, schedule: list[tuple[int, int, int]]
) -> dict[str, Line]:
    variants = {}
    longest = max(length for _, _, length in schedule)
    if longest:
        variants["by_batch_size"] = _by_batch_size(request, longest, schedule)
    if chain.length:
        variants["synthetic"] = _synthetic(request, chain)
    return variants


def _by_batch_size(request: Request, longest: int, schedule: list[tuple[int, int, int]]) -> Line:
    ranges = [list(entry) for entry in schedule]
    config = _config(request, longest) | {"num_speculative_tokens_per_batch_size": ranges}
    limit = ["--max-num-seqs", str(request.max_batch_size)]
    return Line(
        purpose="The best length for every batch size; vLLM's documentation tested this with "
        "EAGLE and DFlash only and warns that other methods may not work, it is not for data "
        "parallelism, and --max-num-seqs keeps batches within the planned sizes.",
        argv=[*_argv(request, config), *limit],
        config=config,
        predicted={"draft_tokens": longest},
    )


def _synthetic(request: Request, chain: ChainPlan) -> Line:
    """Accept by our predicted rates, whatever the text: speed without a good prompt set.

    vLLM wants the rates unconditional, non-increasing and one for each drafted token.
    """
    rates = [round(rate, RATE_DIGITS) for rate in chain.rates]
    config = _config(request, chain.length) | {
        "rejection_sample_method": "synthetic",
        "synthetic_acceptance_rates": rates,
    }
    return Line(
        purpose="A dry run for timing only: tokens are accepted at the predicted rates, so the "
        "text is worthless; it shows the speed that the engine reaches if the rates come true.",
        argv=_argv(request, config),
        config=config,
        predicted=chain_promise(chain),
    )
