"""The policy of `auto`: start with the planned tree, try the alternative, change when it is better.

Between two steps it knows committed tokens, verdicts and seconds, never a draw of the step to
come, so the text stays the target's own (`decode.steering`).
"""

from collections import deque

import numpy as np

from sequoia_core.decode.methods import AUTOREGRESSIVE, Method, static_method
from sequoia_core.decode.pair import ModelPair
from sequoia_core.decode.rules import SEQUOIA
from sequoia_core.decode.trace import Decision, StepTrace
from sequoia_core.measure.auto.beliefs import PLAIN, Beliefs, Gain, View
from sequoia_core.plan.acceptance import AcceptanceVector
from sequoia_core.plan.hardware import HardwareProfile
from sequoia_core.plan.methods import AUTO
from sequoia_core.plan.optimizer import MAX_BUDGET, MAX_DEPTH, NORMAL_95, Limits, make_plan
from sequoia_core.plan.plan import Plan
from sequoia_core.tree.families import chain
from sequoia_core.tree.token_tree import TokenTree

# Share of the time that trying alternatives may cost. What a trial did cost is paid before the next
# one, up to a quarter of its seconds, since a stall is nobody's fault.
TRYING, MOST_PAID = 0.01, 0.25
# Steps before the first trial; the most of one.
SETTLED, LONGEST_TRIAL = 4, 12
# Steps with another tree that are not timed. A trial has one more at the least. No step counts in
# which passes were captured: that is paid once.
UNTIMED = 1
# What a plan that drafts is compared with in turn: plain decoding, and trees so many times as large
# (a profile that is too steep there would else never be found out); 0 stands for plain decoding.
# With plain decoding alone while the plan is hardly faster: then that is the question.
ALTERNATIVES, HARDLY_FASTER = (0, 2, 0, 4), 1.3
# Steps from one reconsideration to the next: doubled while the plan holds.
SOONEST, LATEST = 8, 32
# A change must gain so much, more for each change of late, and so many standard errors.
LEAST_GAIN, OF_LATE, CLEAR = 0.03, 128, 2.5
# Plain decoding is the safe side: drafting must be worth so much, less half a standard error. Where
# some tree seems worth it, plain decoding must be faster than the present one by more.
WORTH, CLEAR_FOR_PLAIN, CLEAR_IN_DOUBT = 0.05, 0.5, 1.0
# Trees looked at while running: up to so many times the planned size, and at least so large.
GROWTH, LEAST_BUDGET, LEAST_DEPTH = 4, 64, 8


class Auto:
    """Plain decoding, a chain or a tree: whatever seems fastest, estimated anew while it runs.

    What is learned outlives a run, since the machine and the pair do; a run's decisions are its
    own. Not for two runs at a time. acceptance: for the rule `sequoia`, by which all its methods
    draw and verify.
    """

    name, rule = AUTO, SEQUOIA
    drafts = True

    def __init__(self, acceptance: AcceptanceVector, hardware: HardwareProfile):
        self.plan: Plan = make_plan(acceptance, hardware)
        self.beliefs = Beliefs(acceptance, hardware)
        self.limits = Limits(
            min(MAX_BUDGET, max(LEAST_BUDGET, GROWTH * self.plan.budget)),
            min(MAX_DEPTH, max(LEAST_DEPTH, 2 * self.plan.depth)),
        )
        self.tree = self.plan.tree
        self._reason = f"planned with {acceptance.name} and {hardware.name}: {self._verdict}"
        self._trial: _Trial | None = None
        self._used: TokenTree | None = None
        self._again = 0
        self._steps = 0
        self._purse, self._rested, self._tried = 0.0, SETTLED, -1
        self._wait, self._due = SOONEST, SOONEST
        self._changes: deque[int] = deque()

    @property
    def budget(self) -> int:
        """Tokens of a target pass under the present plan."""
        return self.tree.size

    @property
    def depth(self) -> int:
        """Draft passes of a step under the present plan."""
        return self.tree.depth

    @property
    def slots(self) -> int:
        """Room for every tree that it may come to."""
        return max(self.limits.budget, self.plan.budget)

    @property
    def _verdict(self) -> str:
        return self.plan.verdict.words.rstrip(".").replace(". ", "; ")

    def check(self, pair: ModelPair) -> None:
        """Keep to trees that the pair can be drafted with: chains, where it takes no others."""
        branch = min(self.limits.branch, pair.vocab) if pair.shape_support.trees else 1
        if self.tree.size > 1 and self.tree.child_counts.max() > branch:
            self.tree = chain(self.tree.depth)
            self._reason += f"; cut to a chain, since the pair takes {branch} children at most"
        self.limits = Limits(self.limits.budget, self.limits.depth, branch)

    def next(
        self, last: StepTrace | None, tree: TokenTree | None
    ) -> tuple[Method, Decision | None]:
        """See Steering."""
        if last is None:
            return self._begin()
        self._learn(last, tree)
        decision = None
        if self._trial is not None:
            self._go_on_trying(last)
        if self._trial is None:
            if self._steps >= self._due:
                decision = self._reconsider(last.index + 1)
            self._try_if_affordable()
        return self._method(), decision

    def _begin(self) -> tuple[Method, Decision]:
        self._trial = self._used = None
        if self._steps:
            self._reason = f"the plan of the run before; {self.beliefs.words(self.tree)}"
        return self._method(), self._decision(0, "", self._reason)

    def _method(self) -> Method:
        tree = self._trial.tree if self._trial else self.tree
        return static_method(method_name(tree), tree)

    def _learn(self, last: StepTrace, tree: TokenTree) -> None:
        """The first steps with another tree, or a run's, are not typical of what it takes."""
        surprises = self.beliefs.acceptance.surprises
        self._again = self._again + 1 if self._used == tree else 0
        timed = self._again >= UNTIMED and not last.captured
        self.beliefs.observe(last, tree, timed=timed)
        if self.beliefs.acceptance.surprises > surprises:
            # What the plan rested on is gone: look at once, and try what it takes.
            self._wait, self._due, self._rested, self._purse = SOONEST, 0, 0, 0.0
            self._tried = -1
        self._used = tree
        self._steps += 1
        if not last.captured:
            self._purse += TRYING * last.seconds.total

    def _reconsider(self, step: int) -> Decision | None:
        """Change to the best plan if it stands clear of the present one."""
        view = self.beliefs.view()
        best = view.best_drafted(self.limits)
        if view.log_gain(best, PLAIN) < WORTH:
            best = PLAIN
        gain = self._clear_gain(view, best)
        if gain is None and best.size > 1:
            # The best may be in doubt where the safe side is not.
            best, gain = PLAIN, self._clear_gain(view, PLAIN, in_doubt=True)
        if gain is None:
            self._wait = min(2 * self._wait, LATEST)
            self._due = self._steps + self._wait
            return None
        before, self.tree = tree_words(self.tree), best
        self._changes.append(self._steps)
        # A new plan runs before anything else is tried, or its first step would be another's.
        self._wait, self._due = SOONEST, self._steps + SOONEST
        self._rested = self._steps + SOONEST
        return self._decision(step, before, self._gain_words(view, gain, before))

    def _clear_gain(self, view: View, best: TokenTree, in_doubt: bool = False) -> Gain | None:
        """Of the best plan over the present one, if it is worth a change.

        More is asked the more often the plan has changed of late. For plain decoding less is: it
        may even be slower, by what drafting must be worth.
        """
        while self._changes and self._changes[0] < self._steps - OF_LATE:
            self._changes.popleft()
        strict = best.size > 1 or in_doubt
        least = LEAST_GAIN * (1 + len(self._changes)) if strict else -WORTH
        if best == self.tree or view.log_gain(best, self.tree) < least:
            return None
        gain = view.gain(best, self.tree)
        if not strict:
            bar = CLEAR_FOR_PLAIN * gain.error - WORTH
        else:
            bar = gain.error * (CLEAR if best.size > 1 else CLEAR_IN_DOUBT)
        return gain if gain.log > bar else None

    def _try_if_affordable(self) -> None:
        """Try another plan now and then, since only what is tried can be compared.

        Plain decoding gives the baseline, larger trees show what larger passes cost, and while
        decoding plainly a tree shows whether acceptance has come back.
        """
        if self._steps < self._rested or self._purse < 0:
            return
        view = self.beliefs.view()
        other = self._alternative(view)
        per_token = view.seconds_per_token(self.tree)
        self._trial = _Trial(other, per_token)

    def _alternative(self, view: View) -> TokenTree:
        if self.tree.size == 1:
            return view.best_drafted(self.limits)
        self._tried += 1
        times = ALTERNATIVES[self._tried % len(ALTERNATIVES)]
        if view.speedup(self.tree) < HARDLY_FASTER:
            times = 0
        return view.best_drafted(self.limits, times * self.tree.size) if times else PLAIN

    def _go_on_trying(self, last: StepTrace) -> None:
        """A trial ends after its steps, unless it has paid for itself so far."""
        trial = self._trial
        trial.add(last)
        if trial.length < LONGEST_TRIAL and (trial.steps <= UNTIMED or trial.pays):
            return
        self._trial = None
        self._purse -= trial.cost
        self._due, self._rested = min(self._due, self._steps), self._steps + SOONEST

    def _decision(self, step: int, before: str, reason: str) -> Decision:
        after = tree_words(self.tree)
        return Decision(step, before, after, self.tree.size, self.tree.depth, f"{reason}.")

    def _gain_words(self, view: View, gain: Gain, before: str) -> str:
        low, high = (np.exp(gain.log + sign * NORMAL_95 * gain.error) for sign in (-1, 1))
        over = f", {view.speedup(self.tree):.2f} times plain decoding" if self.tree.size > 1 else ""
        return (
            f"{tree_words(self.tree)} is estimated {gain.ratio:.2f} times as fast as {before} "
            f"(95% interval {low:.2f} to {high:.2f}){over}: {self.beliefs.words(self.tree)}"
        )


class _Trial:
    """Some steps by another plan. per_token: seconds of a token by the present plan.

    length: all steps; steps: those that count.
    """

    def __init__(self, tree: TokenTree, per_token: float):
        self.tree, self._per_token = tree, per_token
        self.length, self.steps, self._seconds, self._worth = 0, 0, 0.0, 0.0

    def add(self, step: StepTrace) -> None:
        self.length += 1
        if step.captured:
            return
        self.steps += 1
        self._seconds += step.seconds.total
        self._worth += len(step.committed) * self._per_token

    @property
    def pays(self) -> bool:
        """Whether it was no slower than the present plan would have been."""
        return self._worth >= self._seconds

    @property
    def cost(self) -> float:
        """Seconds lost by it."""
        return min(max(0.0, self._seconds - self._worth), MOST_PAID * self._seconds)


def method_name(tree: TokenTree) -> str:
    """Of the three methods that this one uses, the one whose trees are such."""
    if tree.size == 1:
        return AUTOREGRESSIVE
    return "chain" if tree.depth == tree.size - 1 else "sequoia"


def tree_words(tree: TokenTree) -> str:
    """A plan in words.

    >>> tree_words(chain(3)), tree_words(PLAIN)
    ('a chain of 3 drafted tokens', 'plain decoding')
    """
    if tree.size == 1:
        return "plain decoding"
    if tree.depth == tree.size - 1:
        return f"a chain of {tree.depth} drafted token{'s' * (tree.depth > 1)}"
    return f"a tree of {tree.size} tokens, {tree.depth} deep"
