"""When a chance has changed, and since when, from single outcomes.

The generalised likelihood ratio test (Lai, Journal of the Royal Statistical Society B 57, 1995): of
all the ways to say that the last m outcomes have a chance of their own, the likeliest is set
against the chances believed at the time.
"""

from collections import deque

import numpy as np

# A change is looked for in so many outcomes, and is taken for real where it explains them e^ALARM
# times as well. With chances as believed that takes thousands of outcomes.
WINDOW, ALARM = 40, 9.5


class ChangeDetector:
    """Watches outcomes, 0 or 1, against the chances that were believed before each."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, float]] = deque(maxlen=WINDOW)

    def observe(self, outcome: float, chance: float) -> tuple[int, int] | None:
        """One more outcome.

        Returns (outcomes, successes) since the change where one is found, and starts anew.
        """
        self._seen.appendleft((outcome, min(max(chance, 0.01), 0.99)))
        outcomes, chances = np.array(self._seen).T
        counts = np.arange(1, len(outcomes) + 1)
        successes = outcomes.cumsum()
        # As if half a success and half a failure had been seen as well: no chance is certain.
        own = (successes + 0.5) / (counts + 1)
        apart = successes * np.log(own) + (counts - successes) * np.log1p(-own)
        apart -= np.where(outcomes > 0, np.log(chances), np.log1p(-chances)).cumsum()
        since = int(apart.argmax())
        if apart[since] <= ALARM:
            return None
        self._seen.clear()
        return since + 1, int(successes[since])
