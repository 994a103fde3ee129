"""What is kept of a finished run: the steps with where and when they were made, and its rival."""

import platform
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import torch
import transformers

from sequoia_core.decode.drafting import StaticTree
from sequoia_core.decode.engine import Engine, Run
from sequoia_core.decode.methods import plain_method
from sequoia_core.decode.pair import ModelPair
from sequoia_core.decode.recorded import Origin, Predicted, Ranks, RecordedRun, largest
from sequoia_core.decode.steering import Fixed
from sequoia_core.decode.trace import PlainRun, StepTrace
from sequoia_core.errors import InputError
from sequoia_core.measure.profiler import device_name
from sequoia_core.measure.ranks_of_run import rank_run


def record_run(
    run: Run,
    steps: Sequence[StepTrace],
    *,
    prompt: str = "",
    plain: PlainRun | None = None,
    predicted: Predicted | None = None,
) -> RecordedRun:
    """A finished run, ready for `decode.trace_file`; its rank sequence takes one pass more.

    steps: all that the run has made, traced. Raises InputError for a run without a step.
    """
    if not steps:
        raise InputError("The run has made no step, so there is nothing to keep.")
    method, steady = run.method, isinstance(run.steering, Fixed)
    budget, depth = (method.budget, method.depth) if steady else largest(steps)
    static = steady and isinstance(method.shape, StaticTree)
    paths = rank_run(run.pair, run.prompt_ids, run.token_ids, run.settings)
    return RecordedRun(
        method=run.steering.name,
        rule=method.rule.name,
        tree=method.shape.tree if static else None,
        budget=budget,
        depth=depth,
        settings=run.settings,
        prompt=prompt,
        prompt_ids=list(run.prompt_ids),
        steps=tuple(steps),
        summary=run.summary(),
        origin=origin_of(run.pair),
        plain=plain,
        ranks=Ranks(paths.width, paths.sequences[0].tolist()),
        predicted=predicted or Predicted(),
    )


def origin_of(pair: ModelPair) -> Origin:
    """Where a run made now comes from."""
    return Origin(
        pair.target_name,
        pair.draft_name,
        str(pair.device),
        pair.dtype,
        device_name(pair.device, pair.target.devices),
        datetime.now(UTC).isoformat(timespec="seconds"),
        {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        },
        tuple(pair.voices),
    )


def plain_run(
    run: Run, engine: Engine, *, report: Callable[[int], bool] = lambda tokens: True
) -> PlainRun | None:
    """Plain decoding of the same prompt, as many tokens as `run` has written, timed step by step.

    report: told the tokens so far after every step; False ends it, and nothing comes back.
    """
    settings = replace(run.settings, max_new_tokens=len(run.token_ids))
    plain = engine.run(run.prompt_ids, settings, plain_method(), trace=False)
    steps = []
    for step in plain:
        steps.append(step)
        if not report(len(steps)):
            plain.close()
            return None
    return PlainRun(
        list(plain.token_ids),
        [step.bonus.text for step in steps],
        [step.seconds.total for step in steps],
        plain.prefill_seconds,
    )
