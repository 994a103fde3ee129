"""Progress of a tuning in lines: the stage, what it is doing, and about how long is left in all."""

import time
from collections.abc import Callable

Say = Callable[[str], None]
Progress = Callable[[float, str], None]
# A stage's own pace says little before this much of it is done.
TELLING = 0.05
# Seconds between lines of one stage: they are read, and kept in logs.
PAUSE = 2.0


class Journey:
    """The stages ahead with the seconds each is expected to take; says one line for each event."""

    def __init__(
        self, say: Say, expected: dict[str, float], clock: Callable[[], float] = time.monotonic
    ):
        self._say, self._expected, self._clock = say, dict(expected), clock

    def expect(self, stage: str, seconds: float) -> None:
        """A better guess of a stage's seconds; never more than was expected before."""
        self._expected[stage] = min(seconds, self._expected[stage])

    def begin(self, stage: str, done_seconds: float = 0.0) -> Progress:
        """A stage begins, or goes on after done_seconds; returns what its progress is told to.

        Fractions are those of the whole stage, with what was done before.
        """
        started, whole = self._clock(), self._expected.pop(stage, 0.0)
        due = started

        def progress(fraction: float, text: str) -> None:
            nonlocal due
            present = self._clock()
            if present < due:
                return
            due = present + PAUSE
            spent = done_seconds + present - started
            known = spent > 0 and fraction >= TELLING
            left = spent * (1 - fraction) / fraction if known else max(whole - spent, 0.0)
            self._say(f"{stage}: {text}; {about(left + sum(self._expected.values()))} left")

        return progress

    def taken(self, stage: str, words: str) -> None:
        """A stage need not be done again."""
        self._expected.pop(stage, None)
        self._say(f"{stage}: {words}")

    def note(self, words: str) -> None:
        """Something worth a line that is no progress."""
        self._say(words)


def about(seconds: float) -> str:
    """A rough span.

    >>> about(4), about(47), about(200)
    ('a few seconds', 'about 50 s', 'about 3 min')
    """
    if seconds < 10:
        return "a few seconds"
    return f"about {round(seconds, -1):.0f} s" if seconds < 90 else f"about {seconds / 60:.0f} min"
