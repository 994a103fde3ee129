"""TensorRT-LLM's PyTorch backend: a chain from a draft model, and its length by batch size."""

import json
from typing import Any

from sequoia_core.plan.exports.chain import best_chain, chain_schedule
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
    to="tensorrt-llm",
    title="TensorRT-LLM",
    checked_against="NVIDIA/TensorRT-LLM 04c8822 (documentation of speculative decoding) and the "
    "API reference of 1.3.0rc27 and 1.4.0rc1",
    cannot_take="TensorRT-LLM takes no token tree from a separate draft model: DraftTarget drafts "
    "a chain, and the static eagle_choices are gone from 1.4.0rc1.",
    file_name="config.yaml",
)


def tensorrt_llm_export(request: Request) -> Export:
    """The YAML for `trtllm-serve --config` with the best chain; variant by_batch_size."""
    acceptance, hardware = request.inputs
    chain = best_chain(acceptance, hardware, batch_size=request.batch_size)
    schedule = chain_schedule(acceptance, hardware, max_batch_size=request.max_batch_size)
    warnings = [
        *rule_warnings(
            acceptance,
            "TensorRT-LLM",
            sampling=request.draft_sampling,
            advice=sampling_advice(request),
        ),
        *pays_warning(chain, "TensorRT-LLM"),
        *profile_warning(hardware, max(last * (length + 1) for _, last, length in schedule)),
    ]
    main = _line(
        request,
        _config(request, chain.length),
        f"The best chain at batch size {request.batch_size}: {chain.length} drafted tokens a step.",
        chain_promise(chain),
    )
    variants = {"by_batch_size": _by_batch_size(request, schedule)} if schedule[0][2] else {}
    return launch_export(ENGINE, request, main, variants, warnings)


def _by_batch_size(request: Request, schedule: list[tuple[int, int, int]]) -> Line:
    """draft_len_schedule: keys are the last batch size of each range.

    The engine wants the first length to be max_draft_len and none longer, and drafts nothing
    beyond the last key.
    """
    longest = schedule[0][2]
    lengths: dict[int, int] = {}
    for _, last, length in schedule:
        if lengths and lengths[next(reversed(lengths))] == min(length, longest):
            lengths.popitem()
        lengths[last] = min(length, longest)
    if not next(reversed(lengths.values())):
        lengths.popitem()
    config = _config(request, longest)
    config["speculative_config"]["draft_len_schedule"] = lengths
    purpose = (
        "The best length for every batch size, for releases since pull request 10860 (March "
        "2026), whose keys end a range: earlier ones read a key as the beginning of a range."
    )
    return _line(request, config, purpose, {"draft_tokens": longest})


def _config(request: Request, length: int) -> dict[str, Any] | None:
    if not length:
        return None
    drafting = {
        "decoding_type": "DraftTarget",
        "max_draft_len": length,
        "speculative_model": request.draft_name,
        # Said out loud, because releases differ in what they do by default.
        "use_rejection_sampling": request.draft_sampling == PROBABILISTIC,
    }
    # The documentation's example of a separate draft model disables this scheduler.
    return {"disable_overlap_scheduler": True, "speculative_config": drafting}


def _line(
    request: Request, config: dict[str, Any] | None, purpose: str, predicted: dict[str, Any]
) -> Line:
    argv = ["trtllm-serve", request.target_name]
    if config is None:
        return Line(purpose=purpose, argv=argv, predicted=predicted)
    return Line(
        purpose=purpose,
        argv=[*argv, "--config", request.config_file or ENGINE.file_name],
        # JSON knows no whole numbers as keys; the YAML text below has them.
        config=json.loads(json.dumps(config)),
        config_text="\n".join(_yaml(config)) + "\n",
        predicted=predicted,
    )


def _yaml(config: dict[Any, Any], indent: str = "") -> list[str]:
    """Nested mappings as YAML; a JSON scalar is a YAML scalar."""
    lines = []
    for key, value in config.items():
        if isinstance(value, dict):
            lines += [f"{indent}{key}:", *_yaml(value, indent + "  ")]
        else:
            lines.append(f"{indent}{key}: {json.dumps(value, ensure_ascii=False)}")
    return lines
