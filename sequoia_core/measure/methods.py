"""The decoding methods a benchmark compares, each as a function of a prompt."""

import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import replace

import torch

from sequoia_core.decode import methods
from sequoia_core.decode.engine import Engine, GenerationSettings
from sequoia_core.decode.memory import exhausted
from sequoia_core.decode.pair import ModelPair, Prompt
from sequoia_core.decode.steering import Steering
from sequoia_core.decode.timing import PARTS, now
from sequoia_core.decode.trace import Seconds
from sequoia_core.measure.comparison import ASSISTANT_TOKENS, TUNING_REPEATS, Outcome

Method = Callable[..., Outcome]
GoOn = Callable[[], None]


def _go_on() -> None:
    pass


def engine_method(
    pair: ModelPair,
    settings: GenerationSettings,
    method: methods.Method | Steering,
    go_on: GoOn = _go_on,
) -> Method:
    """A method of our engine, or one that is steered and keeps what it learns.

    go_on: called in every step, to end the run by raising. All methods here may be given a seed
    that takes the place of the settings'.
    """
    engine = Engine(pair)

    def run(prompt: Prompt, seed: int | None = None) -> Outcome:
        own = _seeded(settings, seed)
        parts, hits = dict.fromkeys(PARTS, 0.0), 0
        started = time.perf_counter()
        generation = engine.run(prompt, own, method, trace=False)
        before = time.perf_counter() - started
        for step in generation:
            go_on()
            hits += bool(step.accepted)
            for part in PARTS:
                parts[part] += getattr(step.seconds, part)
        seconds = time.perf_counter() - started
        written = tuple(generation.token_ids)
        decoding = seconds - before - generation.prefill_seconds
        return Outcome(
            len(written), generation.steps, seconds, decoding, Seconds(**parts), hits, written
        )

    return run


def _seeded(settings: GenerationSettings, seed: int | None) -> GenerationSettings:
    return settings if seed is None else replace(settings, seed=seed)


def hf_generate(pair: ModelPair, settings: GenerationSettings, go_on: GoOn = _go_on) -> Method:
    """Hugging Face `generate` with its dynamic cache."""
    return _generate(pair, settings, {}, go_on)


def hf_assisted(
    pair: ModelPair, settings: GenerationSettings, assistant_tokens: int, go_on: GoOn = _go_on
) -> Method:
    """Hugging Face assisted generation with a constant number of draft tokens, threshold 0."""
    config = pair.draft.model.generation_config
    wanted = {
        "num_assistant_tokens": assistant_tokens,
        "num_assistant_tokens_schedule": "constant",
        "assistant_confidence_threshold": 0.0,
    }
    plain = _generate(pair, settings, {"assistant_model": pair.draft.model}, go_on)

    def run(prompt: Prompt, seed: int | None = None) -> Outcome:
        kept = {name: getattr(config, name, None) for name in wanted}
        config.update(**wanted)
        try:
            return plain(prompt, seed)
        finally:
            config.update(**kept)

    return run


def tuned_assistant_tokens(
    pair: ModelPair,
    settings: GenerationSettings,
    prompts: list[Prompt],
    go_on: GoOn = _go_on,
    tell: Callable[[int], None] = lambda count: None,
) -> int:
    """The constant that is fastest on these prompts, each tried twice after a warm-up.

    tell: told every constant before it is tried.
    """

    def seconds_per_token(count: int) -> float:
        tell(count)
        method = hf_assisted(pair, settings, count, go_on)
        outcomes = [method(prompt) for prompt in prompts for _ in range(TUNING_REPEATS)]
        return sum(o.seconds for o in outcomes) / sum(o.tokens for o in outcomes)

    hf_assisted(pair, settings, ASSISTANT_TOKENS[0], go_on)(prompts[0])
    return min(ASSISTANT_TOKENS, key=seconds_per_token)


def _generate(pair: ModelPair, settings: GenerationSettings, extra: dict, go_on: GoOn) -> Method:
    options = {"max_new_tokens": settings.max_new_tokens, "do_sample": settings.temperature > 0}
    if settings.temperature > 0:
        options |= {
            "temperature": settings.temperature,
            "top_p": settings.top_p,
            "top_k": 0,
        }

    def run(prompt: Prompt, seed: int | None = None) -> Outcome:
        torch.manual_seed(_seeded(settings, seed).seed)
        started = time.perf_counter()
        ids = torch.tensor([pair.encode(prompt)], device=pair.device)
        try:
            with torch.inference_mode(), _counted(pair.target.model, go_on) as passes:
                output = pair.target.model.generate(
                    ids, attention_mask=torch.ones_like(ids), **options, **extra
                )
        except torch.OutOfMemoryError as error:
            raise exhausted(pair.device, pair.target_name) from error
        seconds = now(pair.device) - started
        written = tuple(output[0, ids.shape[1] :].tolist())
        return Outcome(len(written), len(passes), seconds, token_ids=written)

    return run


@contextmanager
def _counted(model: torch.nn.Module, go_on: GoOn):
    """Count forward passes: Hugging Face reports no acceptance of its own."""
    passes: list[None] = []

    def count(*_) -> None:
        go_on()
        passes.append(None)

    handle = model.register_forward_hook(count)
    try:
        yield passes
    finally:
        handle.remove()
