"""The engine: draft a tree, check it in one target pass, keep the accepted path, again."""

from collections.abc import Iterator, Sequence

import torch

from sequoia_core.decode.device_walk import DeviceWalk
from sequoia_core.decode.drafting import DraftedTree, Drafter, Drafting
from sequoia_core.decode.memory import exhausted
from sequoia_core.decode.methods import Method, as_method
from sequoia_core.decode.pair import ModelPair
from sequoia_core.decode.randomness import Randomness
from sequoia_core.decode.settings import GenerationSettings
from sequoia_core.decode.steering import Fixed, Steering
from sequoia_core.decode.step_trace import node_trace
from sequoia_core.decode.timing import now, stopwatch
from sequoia_core.decode.trace import Bonus, Decision, RunSummary, StepTrace
from sequoia_core.decode.vocabulary import within
from sequoia_core.decode.walk import LazyWalk, Walk
from sequoia_core.errors import InputError
from sequoia_core.tree.token_tree import TokenTree

__all__ = ["Engine", "GenerationSettings", "Run"]

RUNNING, END_OF_TEXT, TOKEN_LIMIT, CANCELLED = "running", "end of text", "token limit", "cancelled"


class Engine:
    """Runs a pair of models. One run at a time: a new run takes over the caches.

    on_device: verify whole trees on the device, with one wait for it a step, instead of node by
    node on the host; None does so on CUDA.
    """

    def __init__(self, pair: ModelPair, *, on_device: bool | None = None):
        self.pair = pair
        self._on_device = pair.device.type == "cuda" if on_device is None else on_device

    def run(
        self,
        prompt: str | Sequence[int],
        settings: GenerationSettings,
        method: Method | TokenTree | Steering,
        *,
        trace: bool = True,
        random: Randomness | None = None,
    ) -> "Run":
        """Generate from a prompt by a method; iterate over the result, a step at a time.

        A bare tree means Sequoia's method with it; one node is plain decoding on the same caches.
        A Steering chooses each step's method anew.
        `trace` adds the drafted nodes to every step, outside the time measured. random: the source
        of all draws, by default a generator with the settings' seed. Raises InputError for an empty
        prompt, for one that does not fit the context together with the new tokens, and for a tree
        the pair cannot take.
        """
        prompt_ids = self.pair.encode(prompt) if isinstance(prompt, str) else list(prompt)
        _check_prompt(prompt_ids, self.pair, settings)
        bare = isinstance(method, Method | TokenTree)
        steering = Fixed(as_method(method)) if bare else method
        steering.check(self.pair)
        random = random or Randomness.seeded(settings.seed, self.pair.device)
        walk = DeviceWalk(settings, random) if self._on_device else LazyWalk(settings, random)
        return Run(self.pair, prompt_ids, settings, steering, trace, random, walk)


def _check_prompt(prompt_ids: list[int], pair: ModelPair, settings: GenerationSettings) -> None:
    if not prompt_ids:
        raise InputError("The prompt is empty; write a few words to continue from.")
    outside = [token for token in prompt_ids if not 0 <= token < pair.vocab]
    if outside:
        raise InputError(f"Prompt token {outside[0]} is outside the vocabulary of {pair.vocab}.")
    context = pair.context_length
    if len(prompt_ids) >= context:
        raise InputError(
            f"The prompt has {len(prompt_ids):,} tokens and the model's context {context:,}; "
            "shorten the prompt."
        )
    total = len(prompt_ids) + settings.max_new_tokens
    if total > context:
        raise InputError(
            f"The prompt ({len(prompt_ids):,} tokens) and {settings.max_new_tokens:,} new tokens "
            f"exceed the model's context of {context:,}; ask for at most "
            f"{context - len(prompt_ids):,} new tokens."
        )


class Run:
    """One generation: an iterator of StepTrace that does one step per `next`.

    Stop between steps by not asking for more, or with `close`. `summary` is valid at any time, and
    `method` is that of the newest step.
    """

    def __init__(
        self,
        pair: ModelPair,
        prompt_ids: list[int],
        settings: GenerationSettings,
        steering: Steering,
        trace: bool,
        random: Randomness,
        walk: LazyWalk | DeviceWalk,
    ):
        self.pair, self.settings, self.steering = pair, settings, steering
        self.method, self._decision = steering.next(None, None)
        self.decisions: list[Decision] = []
        self.prompt_ids = prompt_ids
        self.token_ids: list[int] = []
        self.prefill_seconds = 0.0
        self.decode_seconds = 0.0
        self.steps = 0
        self.stopped = RUNNING
        self._trace = trace
        self._random, self._walk = random, walk
        self._watch = stopwatch(pair.device)
        self._drafters: dict[Method, Drafter] = {}
        self._iterator = self._generate()

    def __iter__(self) -> Iterator[StepTrace]:
        return self

    def __next__(self) -> StepTrace:
        try:
            with torch.inference_mode():
                return next(self._iterator)
        except torch.OutOfMemoryError as error:
            raise exhausted(self.pair.device, self.pair.target_name) from error

    def close(self) -> None:
        """Stop here; the tokens so far stay."""
        self._iterator.close()
        if self.stopped == RUNNING:
            self.stopped = CANCELLED

    def piece(self, token_id: int) -> str:
        """A token as text for display."""
        return self.pair.piece(token_id)

    def summary(self) -> RunSummary:
        """What was written so far and how long it took."""
        return RunSummary(
            self.pair.decode(self.token_ids),
            list(self.token_ids),
            self.steps,
            self.prefill_seconds,
            self.decode_seconds,
            self.stopped,
            tuple(self.decisions),
        )

    def _generate(self) -> Iterator[StepTrace]:
        self._prefill()
        while True:
            step, tree = self._step()
            yield step
            if self.stopped != RUNNING:
                return
            with self._watch.part("sample"):
                self.method, self._decision = self.steering.next(step, tree)

    def _prefill(self) -> None:
        """Read the prompt but for its last token, which becomes the first root."""
        started = now(self.pair.device)
        text = len(self.prompt_ids) + self.settings.max_new_tokens
        capacity = text + self.steering.slots + 1
        for model in [self.pair.target] + [self.pair.draft] * self.steering.drafts:
            model.reset(capacity)
            # A draft that is not used yet reads the prompt when it is.
            used = model is self.pair.target or self.method.drafts
            if used and len(self.prompt_ids) > 1:
                model.append(self.prompt_ids[:-1])
        self.prefill_seconds = now(self.pair.device) - started

    @property
    def _tokens(self) -> list[int]:
        return self.prompt_ids + self.token_ids

    def _step(self) -> tuple[StepTrace, TokenTree]:
        """One step, and the tree that it drafted."""
        pair, watch = self.pair, self._watch
        prefix_length, captures = pair.target.length, pair.captures
        drafted = self._draft()
        plan = drafted.plan
        with watch.part("verify"):
            logits = pair.target.forward(
                drafted.token_ids, plan.depths + prefix_length, plan.visible
            )
            logits = within(logits, pair.vocab)
        with watch.part("sample"):
            walk = self._walk(drafted, logits, self.method.rule)
        with watch.part("commit"):
            committed = self._commit(plan.row, walk)
        seconds = watch.take()
        self.decode_seconds += seconds.total
        nodes = None
        if self._trace:
            nodes = node_trace(drafted, logits, walk, self.settings, pair.piece)
        bonus = Bonus(
            walk.bonus_token, pair.piece(walk.bonus_token), walk.bonus_source, walk.bonus_prob
        )
        decision, self._decision = self._decision, None
        self.decisions += [decision] * (decision is not None)
        self.steps += 1
        step = StepTrace(
            self.steps - 1,
            prefix_length,
            walk.accepted,
            bonus,
            committed,
            seconds,
            nodes,
            decision,
            pair.captures > captures,
        )
        return step, plan.tree

    def _draft(self) -> DraftedTree:
        """The step's tree; positions beyond the context are not drafted."""
        seen = self.pair.draft.length if self.method.drafts else -1
        room = self.pair.context_length - 1 - self.pair.target.length
        return self._drafter()(self._tokens[seen:], room)

    def _drafter(self) -> Drafter:
        """The present method's; each is made once a run."""
        method = self.method
        if method not in self._drafters:
            drafting = Drafting(
                self.pair.draft,
                self.pair.vocab,
                method.rule,
                self.settings,
                self._random,
                self._watch,
            )
            self._drafters[method] = method.shape.drafter(drafting)
        return self._drafters[method]

    def _commit(self, row: list[int], walk: Walk) -> list[int]:
        """Keep the accepted path in both caches; return the tokens that count."""
        self.pair.target.commit([0, *walk.accepted])
        if self.method.drafts:
            rows = [row[node] for node in walk.accepted]
            self.pair.draft.commit([row - 1 for row in rows if row > 0])
        committed = [walk.token_ids[node] for node in walk.accepted] + [walk.bonus_token]
        committed = self._cut(committed)
        self.token_ids.extend(committed)
        return committed

    def _cut(self, committed: list[int]) -> list[int]:
        """End after the first end-of-text token, or at the token limit."""
        ends = [i for i, token in enumerate(committed) if token in self.pair.end_tokens]
        left = self.settings.max_new_tokens - len(self.token_ids)
        if ends and ends[0] < left:
            self.stopped = END_OF_TEXT
            return committed[: ends[0] + 1]
        if len(committed) >= left:
            self.stopped = TOKEN_LIMIT
        return committed[:left]
