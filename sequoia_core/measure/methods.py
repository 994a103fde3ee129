"""The decoding methods a benchmark compares, each as a function of a prompt."""

import time
from contextlib import contextmanager

import torch

from sequoia_core.decode import methods
from sequoia_core.decode.engine import Engine, GenerationSettings
from sequoia_core.decode.pair import ModelPair, Prompt
from sequoia_core.decode.steering import Steering
from sequoia_core.decode.timing import now
from sequoia_core.measure.benchmark import Method, Outcome, timed

# Hugging Face's own defaults (20 tokens, confidence threshold 0.4) are no serious rival, so its
# constant is tuned over these.
ASSISTANT_TOKENS = range(2, 13)


def engine_method(
    pair: ModelPair, settings: GenerationSettings, method: methods.Method | Steering
) -> Method:
    """A method of our engine, or one that is steered and keeps what it learns."""
    engine = Engine(pair)

    def run(prompt: Prompt) -> Outcome:
        def decode() -> tuple[int, int, float]:
            started = time.perf_counter()
            generation = engine.run(prompt, settings, method, trace=False)
            before = time.perf_counter() - started
            for _ in generation:
                pass
            before += generation.prefill_seconds
            return len(generation.token_ids), generation.steps, before

        return timed(decode)

    return run


def hf_generate(pair: ModelPair, settings: GenerationSettings) -> Method:
    """Hugging Face `generate` with its dynamic cache."""
    return _generate(pair, settings, {})


def hf_assisted(pair: ModelPair, settings: GenerationSettings, assistant_tokens: int) -> Method:
    """Hugging Face assisted generation with a constant number of draft tokens, threshold 0."""
    config = pair.draft.model.generation_config
    wanted = {
        "num_assistant_tokens": assistant_tokens,
        "num_assistant_tokens_schedule": "constant",
        "assistant_confidence_threshold": 0.0,
    }
    plain = _generate(pair, settings, {"assistant_model": pair.draft.model})

    def run(prompt: Prompt) -> Outcome:
        kept = {name: getattr(config, name, None) for name in wanted}
        config.update(**wanted)
        try:
            return plain(prompt)
        finally:
            config.update(**kept)

    return run


def tuned_assistant_tokens(
    pair: ModelPair, settings: GenerationSettings, prompts: list[Prompt]
) -> int:
    """The constant that is fastest on these prompts, each tried twice after a warm-up."""

    def seconds_per_token(count: int) -> float:
        method = hf_assisted(pair, settings, count)
        outcomes = [method(prompt) for prompt in prompts for _ in range(2)]
        return sum(o.seconds for o in outcomes) / sum(o.tokens for o in outcomes)

    hf_assisted(pair, settings, ASSISTANT_TOKENS[0])(prompts[0])
    return min(ASSISTANT_TOKENS, key=seconds_per_token)


def _generate(pair: ModelPair, settings: GenerationSettings, extra: dict) -> Method:
    options = {"max_new_tokens": settings.max_new_tokens, "do_sample": settings.temperature > 0}
    if settings.temperature > 0:
        options |= {
            "temperature": settings.temperature,
            "top_p": settings.top_p,
            "top_k": 0,
        }

    def run(prompt: Prompt) -> Outcome:
        def decode() -> tuple[int, int, None]:
            ids = torch.tensor([pair.encode(prompt)], device=pair.device)
            with torch.inference_mode(), _counted(pair.target.model) as passes:
                output = pair.target.model.generate(
                    ids, attention_mask=torch.ones_like(ids), **options, **extra
                )
            now(pair.device)
            return output.shape[1] - ids.shape[1], len(passes), None

        torch.manual_seed(settings.seed)
        return timed(decode)

    return run


@contextmanager
def _counted(model: torch.nn.Module):
    """Count forward passes: Hugging Face reports no acceptance of its own."""
    passes: list[None] = []
    handle = model.register_forward_hook(lambda *_: passes.append(None))
    try:
        yield passes
    finally:
        handle.remove()
