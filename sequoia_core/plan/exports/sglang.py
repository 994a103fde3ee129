"""SGLang: steps, beams and tokens of its dynamic tree for a separate draft model."""

from sequoia_core.plan.cost import CostModel
from sequoia_core.plan.exports.chain import ChainPlan, best_chain
from sequoia_core.plan.exports.launch import (
    Engine,
    Line,
    check_greedy,
    launch_export,
    pays_warning,
    profile_warning,
    rule_warnings,
)
from sequoia_core.plan.exports.request import Export, Request
from sequoia_core.plan.exports.triple import (
    MAX_TOPK,
    Triple,
    TriplePlan,
    best_triple,
    judge_tree,
)

ENGINE = Engine(
    to="sglang",
    title="SGLang",
    checked_against="sgl-project/sglang 004c82e (arg_groups/speculative_hook.py), 003ddbc "
    "(speculative/eagle_utils.py) and 067ad4d (documentation)",
    cannot_take="SGLang takes no static tree: it is given steps, top-k and draft tokens, and the "
    "draft's scores choose the nodes anew in every step, so the tokens per step here, those of "
    "the best static tree within these limits, are an estimate.",
    file_name="sglang.sh",
)


def sglang_export(request: Request) -> Export:
    """`sglang.launch_server` with the fastest triple; variants plan and chain.

    The variant plan is the least triple that can hold the planned tree.
    """
    check_greedy(request, "SGLang")
    acceptance, hardware = request.inputs
    cost = CostModel(hardware, request.batch_size)
    chain = best_chain(acceptance, hardware, batch_size=request.batch_size)
    chain_plan = _chain_triple(chain)
    best = max(
        filter(None, (chain_plan, best_triple(acceptance, cost))), key=lambda plan: plan.speedup
    )
    planned = judge_tree(request.tree, acceptance, cost)
    speculates = best.speedup > 1
    purpose = f"The fastest setting at batch size {request.batch_size}."
    main = _line(request, best if speculates else None, purpose)
    variants = {}
    if planned is not None:
        variants["plan"] = _line(
            request, planned, "The least that can hold the planned tree, whatever it costs."
        )
    if chain_plan is not None and chain_plan.triple != best.triple:
        variants["chain"] = _line(request, chain_plan, "The best chain.")
    warnings = [
        *rule_warnings(acceptance, "SGLang, which verifies by the target's probabilities alone,"),
        *([] if speculates else pays_warning(chain, "SGLang")),
        *_plan_warnings(planned),
        *profile_warning(hardware, request.batch_size * best.triple.tokens),
    ]
    return launch_export(ENGINE, request, main, variants, warnings)


def _chain_triple(chain: ChainPlan) -> TriplePlan | None:
    if not chain.length:
        return None
    triple = Triple(chain.length, 1, chain.length + 1)
    return TriplePlan(triple, chain.expected_tokens, chain.speedup)


def _plan_warnings(planned: TriplePlan | None) -> list[str]:
    if planned is None or planned.triple.topk <= MAX_TOPK:
        return []
    return [
        f"The planned tree has up to {planned.triple.topk} nodes to expand on a level, and so many "
        f"beams make every draft pass wide: the variant 'plan' is for comparison only."
    ]


def _line(request: Request, plan: TriplePlan | None, purpose: str) -> Line:
    argv = ["python3", "-m", "sglang.launch_server", "--model", request.target_name]
    if plan is None:
        promise = {"draft_tokens": 0, "expected_tokens": 1.0, "speedup": 1.0}
        return Line(purpose=purpose, argv=argv, predicted=promise)
    config = {
        "speculative_num_steps": plan.triple.steps,
        "speculative_eagle_topk": plan.triple.topk,
        "speculative_num_draft_tokens": plan.triple.tokens,
    }
    argv += ["--speculative-algorithm", "STANDALONE"]
    argv += ["--speculative-draft-model-path", request.draft_name]
    for name, value in config.items():
        argv += [f"--{name.replace('_', '-')}", str(value)]
    promise = {
        "draft_tokens": plan.triple.tokens - 1,
        "expected_tokens": plan.expected_tokens,
        "speedup": plan.speedup,
    }
    return Line(purpose=purpose, argv=argv, config=config, predicted=promise)
