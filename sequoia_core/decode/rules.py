"""Rules: how siblings are drawn, and how they are verified.

The two belong together. A rule's verification is lossless for children drawn its own way and for
no others, so a method names one rule and never mixes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from torch import Tensor

from sequoia_core.decode.randomness import Randomness
from sequoia_core.decode.sampling import distribution, draft_distribution, most_probable
from sequoia_core.decode.settings import GenerationSettings
from sequoia_core.decode.tree_verification import (
    Siblings,
    Verdicts,
    verify_all_drawn,
    verify_all_samples,
)
from sequoia_core.decode.verification import Verdict, verify_drawn, verify_sample


@dataclass(frozen=True, slots=True)
class Rule:
    """A way to draw siblings with the verification that makes it lossless above temperature 0.

    sample: (draft probs [rows, vocab], count, random) -> tokens [rows, count], in draw order; None
    where children are the draft's most probable tokens, which is so for every rule at
    temperature 0. verify: (target_probs [vocab], draft_probs [vocab], tokens, random) -> Verdict.
    verify_all: the same at all nodes, (target_probs [n, vocab], draft_probs [parents, vocab],
    siblings, random) -> Verdicts, both tensors its own to overwrite.
    """

    name: str
    sample: Callable[[Tensor, int, Randomness], Tensor] | None
    verify: Callable[[Tensor, Tensor, Sequence[int], Randomness], Verdict]
    verify_all: Callable[[Tensor, Tensor, Siblings, Randomness], Verdicts]

    def foresees(self, settings: GenerationSettings) -> bool:
        """Whether the children are known before they are drawn: no chance is in them."""
        return self.sample is None or settings.temperature == 0

    def draw(
        self, logits: Tensor, count: int, settings: GenerationSettings, random: Randomness
    ) -> tuple[Tensor, Tensor]:
        """Children in draw order, int64 [rows, count], and what `verify` must know of the draw.

        logits: the draft's, [rows, vocab]. The second tensor is the distribution drawn from,
        [rows, vocab]; where the draws are foreseen nothing needs it, and it is the logits.
        """
        if self.foresees(settings):
            return most_probable(logits, count), logits
        # A single draw is no race, in which probabilities can be too small.
        law = distribution if count == 1 else draft_distribution
        probs = law(logits, settings.temperature, settings.top_p)
        return self.sample(probs, count, random), probs


SEQUOIA = Rule(
    "sequoia",
    lambda probs, count, random: random.without_replacement(probs, count),
    verify_drawn,
    verify_all_drawn,
)
SPECINFER = Rule(
    "specinfer",
    lambda probs, count, random: random.with_replacement(probs, count),
    partial(verify_drawn, replacement=True),
    partial(verify_all_drawn, replacement=True),
)
TOPK = Rule(
    "topk",
    None,
    lambda target, _draft, tokens, random: verify_sample(target, tokens, random),
    lambda target, _draft, siblings, random: verify_all_samples(target, siblings, random),
)
