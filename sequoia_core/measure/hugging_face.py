"""Hugging Face's own decoding of a pair, to compare with: what a Python user could pick instead."""

import time
from collections.abc import Callable
from contextlib import ExitStack, contextmanager

import torch

from sequoia_core.decode.memory import HOST, check_fits, exhausted
from sequoia_core.decode.packing import PlainLayers
from sequoia_core.decode.pair import ModelPair, Prompt
from sequoia_core.decode.settings import GenerationSettings
from sequoia_core.decode.timing import now
from sequoia_core.measure.comparison import ASSISTANT_TOKENS, TUNING_REPEATS, Outcome
from sequoia_core.measure.methods import GoOn, Method, always, seeded


class HuggingFace:
    """`generate` on a pair's models.

    packed: on the weights as this engine packs them for a CPU, which is faster than what
    transformers does by itself. Otherwise on weights as transformers lays them out: a second copy
    of them, made here, where the pair's are packed. Raises ModelError where there is no memory for
    that.
    """

    def __init__(self, pair: ModelPair, *, packed: bool = False):
        self.pair = pair
        models = [] if packed else [pair.target.model, pair.draft.model]
        needed = sum(PlainLayers.bytes_for(model) for model in models)
        if needed:
            what = f"{pair.target_name} with weights as transformers lays them out, beside its own,"
            check_fits(needed, what, HOST)
        self._layers = [PlainLayers(model) for model in models]

    def generate(
        self, settings: GenerationSettings, go_on: GoOn = always, assistant_tokens: int = 0
    ) -> Method:
        """`generate` with its dynamic cache; with assistant tokens assisted generation, of a
        constant number of draft tokens and threshold 0.
        """
        options = {"max_new_tokens": settings.max_new_tokens, "do_sample": settings.temperature > 0}
        if settings.temperature > 0:
            options |= {"temperature": settings.temperature, "top_p": settings.top_p, "top_k": 0}
        if assistant_tokens:
            options["assistant_model"] = self.pair.draft.model

        def run(prompt: Prompt, seed: int | None = None) -> Outcome:
            torch.manual_seed(seeded(settings, seed).seed)
            with self._ready(assistant_tokens):
                return self._outcome(prompt, options, go_on)

        return run

    def _outcome(self, prompt: Prompt, options: dict, go_on: GoOn) -> Outcome:
        pair = self.pair
        started = time.perf_counter()
        ids = torch.tensor([pair.encode(prompt)], device=pair.device)
        try:
            with torch.inference_mode(), _counted(pair.target.model, go_on) as passes:
                output = pair.target.model.generate(
                    ids, attention_mask=torch.ones_like(ids), **options
                )
        except torch.OutOfMemoryError as error:
            raise exhausted(pair.device, pair.target_name) from error
        seconds = now(pair.device) - started
        written = tuple(output[0, ids.shape[1] :].tolist())
        return Outcome(len(written), len(passes), seconds, token_ids=written)

    @contextmanager
    def _ready(self, assistant_tokens: int):
        """The layers in place, and the draft told how to assist, for one call."""
        config = self.pair.draft.model.generation_config
        wanted = {
            "num_assistant_tokens": assistant_tokens,
            "num_assistant_tokens_schedule": "constant",
            "assistant_confidence_threshold": 0.0,
        }
        kept = {name: getattr(config, name, None) for name in wanted}
        with ExitStack() as stack:
            for layers in self._layers:
                stack.enter_context(layers.in_place())
            config.update(**wanted)
            stack.callback(config.update, **kept)
            yield

    def tuned_assistant_tokens(
        self,
        settings: GenerationSettings,
        prompts: list[Prompt],
        go_on: GoOn = always,
        tell: Callable[[int], None] = lambda count: None,
    ) -> int:
        """The constant that is fastest on these prompts, each tried twice after a warm-up.

        tell: told every constant before it is tried.
        """

        def seconds_per_token(count: int) -> float:
            tell(count)
            method = self.generate(settings, go_on, count)
            outcomes = [method(prompt) for prompt in prompts for _ in range(TUNING_REPEATS)]
            return sum(o.seconds for o in outcomes) / sum(o.tokens for o in outcomes)

        self.generate(settings, go_on, ASSISTANT_TOKENS[0])(prompts[0])
        return min(ASSISTANT_TOKENS, key=seconds_per_token)


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
