"""Measuring the acceptance of a pair, for every rule, on text that the target writes itself."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from sequoia_core.decode.engine import GenerationSettings
from sequoia_core.decode.pair import ModelPair, Prompt
from sequoia_core.decode.processes import ALONE, Team
from sequoia_core.errors import InputError
from sequoia_core.files import check_choice
from sequoia_core.measure.averages import by_depth, ratio_estimate
from sequoia_core.measure.ranks import RankedText
from sequoia_core.measure.ranks_of_run import WIDTH, rank_text
from sequoia_core.measure.texts import Text, side_by_side, write_texts
from sequoia_core.plan.acceptance import MAX_RANKS, RULES, AcceptanceVector
from sequoia_core.plan.paths import PathStatistics

Progress = Callable[[float, str], None]

# Share of the time that writing takes, and how often it is reported.
WRITING, REPORTS = 0.7, 20


@dataclass(frozen=True, slots=True)
class Calibration:
    """What one pass measured. samples: for every rule one RankedText a prompt, in order."""

    samples: dict[str, list[RankedText]]
    width: int
    settings: GenerationSettings
    target: str
    draft: str

    def vector(
        self, rule: str = "sequoia", *, prompts: Sequence[int] | None = None
    ) -> AcceptanceVector:
        """One rule's acceptance, with standard errors, rates by depth and path statistics.

        prompts: which of them to use, by their index; all by default. Raises InputError for an
        unknown rule and for fewer than two prompts, which have no standard error.
        """
        samples = self.samples[check_choice(rule, "The rule", self.samples)]
        if prompts is not None:
            samples = [samples[index] for index in prompts]
        check_amount(len(samples))
        acceptance = [sample.acceptance for sample in samples]
        sequences = [sample.ranks for sample in samples]
        probabilities, errors = ratio_estimate(acceptance)
        return AcceptanceVector(
            rule=rule,
            probabilities=probabilities,
            standard_errors=errors,
            temperature=self.settings.temperature,
            top_p=self.settings.top_p,
            target=self.target,
            draft=self.draft,
            prompts=len(samples),
            origin=f"measured on {sum(map(len, sequences)):,} positions of the target's own text",
            by_depth=by_depth(acceptance, sequences),
            paths=PathStatistics(self.width, [sequence.numpy() for sequence in sequences]),
        )


def calibrate(
    pair: ModelPair,
    prompts: Sequence[Prompt],
    settings: GenerationSettings,
    *,
    width: int = WIDTH,
    rule: str = "sequoia",
    progress: Progress = lambda fraction, text: None,
) -> AcceptanceVector:
    """Acceptance of each child in draw order under one rule; see `measure_acceptance`."""
    check_choice(rule, "The rule", RULES)
    return measure_acceptance(pair, prompts, settings, width=width, progress=progress).vector(rule)


def measure_acceptance(
    pair: ModelPair,
    prompts: Sequence[Prompt],
    settings: GenerationSettings,
    *,
    width: int = WIDTH,
    progress: Progress = lambda fraction, text: None,
    team: Team = ALONE,
) -> Calibration:
    """Acceptance and rank sequences of all rules, from one text for each prompt.

    The target continues every prompt by itself (plain decoding; the draft waits). One pass of
    each model over the text then gives both distributions at every position, and `measure.ranks`
    the acceptance of each of `width` children and the rank of the token that stands there, drawn
    from its exact law given the text. Standard errors are over prompts, since a text's positions
    are not independent (Sequoia, arXiv 2402.12374v3, section 3.1 and appendix E, counts outcomes
    of single runs instead). team: its processes each take some of the prompts, and all of them
    return the whole calibration, to the last digit that of one process. Raises InputError for fewer
    than two prompts or a bad width.
    """
    check_amount(len(prompts), width)
    width = min(width, pair.vocab)
    groups = team.split(side_by_side(pair, prompts, settings))
    texts = _written(pair, prompts, settings, groups, progress, team)
    ranked, counted = [], team.counter()
    for index, text in zip(itertools.chain(*groups), texts, strict=True):
        done = counted(1)
        share = WRITING + (1 - WRITING) * (done - 1) / len(prompts)
        progress(share, f"Acceptance on text {done} of {len(prompts)}")
        own = replace(settings, seed=settings.seed + index)
        ranked.append(rank_text(pair, text, own, width))
    if team.count > 1:
        progress(1.0, "Waiting for the other processes")
    ranked = team.gather(ranked)
    samples = {rule: [sample[rule] for sample in ranked] for rule in RULES}
    progress(1.0, "Done")
    # What a pair accepts does not depend on where its weights are.
    return Calibration(samples, width, settings, pair.target.name, pair.draft.name)


def check_amount(prompts: int, width: int = WIDTH) -> None:
    """Raise InputError for fewer than two prompts or a bad width."""
    if not 1 <= width <= MAX_RANKS:
        raise InputError(f"The width must be between 1 and {MAX_RANKS} children, got {width}.")
    if prompts < 2:
        raise InputError(
            f"Calibration needs at least 2 prompts for its standard errors, got {prompts}."
        )


def _written(
    pair: ModelPair,
    prompts: Sequence[Prompt],
    settings: GenerationSettings,
    groups: Sequence[range],
    progress: Progress,
    team: Team,
) -> list[Text]:
    """The target's own continuations of these groups, with progress by the tokens of all."""
    most, shown, counted = len(prompts) * settings.max_new_tokens, 0, team.counter()

    def count(tokens: int) -> None:
        nonlocal shown
        written = counted(tokens)
        # A line for every few tokens would hide everything else.
        if written * REPORTS // most > shown:
            shown = written * REPORTS // most
            progress(WRITING * written / most, f"The target has written {written:,} tokens")

    progress(0.0, f"The target continues {len(prompts)} prompts")
    return write_texts(pair, prompts, settings, count, groups=groups)
