"""Values that come with a link: what no control can take is named, never dropped silently."""

from collections.abc import Mapping
from dataclasses import dataclass

import streamlit as st


@dataclass(frozen=True, slots=True)
class Range:
    """What a numeric control takes, and its value when a link has none."""

    name: str
    low: float
    high: float
    default: float

    def check(self, value: float) -> str:
        """An empty string, or one sentence that says what is wrong with `value`."""
        if self.low <= value <= self.high:
            return ""
        return f"{self.name} must be between {self.low:,g} and {self.high:,g}, got {value:,g}."


RANGES = {
    "budget": Range("The tree budget", 1, 1024, 16),
    "depth": Range("The tree depth", 0, 32, 5),
    "temperature": Range("The temperature", 0.0, 2.0, 0.6),
    "top_p": Range("Top-p", 0.05, 1.0, 1.0),
    "new_tokens": Range("New tokens", 1, 4096, 64),
    "seed": Range("The seed", 0, 2**31 - 1, 0),
    "branch": Range("The most children of a node", 1, 32, 32),
    "batch": Range("The batch size", 1, 64, 1),
    "scale": Range("The factor on acceptance", 0.5, 1.3, 1.0),
    "repeats": Range("Repeats", 1, 50, 3),
}


def note_link_mistakes(
    page: str, choices: Mapping[str, list[str]], several: Mapping[str, list[str]] | None = None
) -> None:
    """Once a session and page, before any control exists: name what no control takes.

    choices: the values that each picking control of the page offers, by parameter. several: the
    same for controls that take any number of values.
    """
    key = f"link_mistakes_{page}"
    if key not in st.session_state:
        mistakes = link_mistakes(st.query_params.to_dict(), choices)
        for name, options in (several or {}).items():
            one = name.removesuffix("s")
            for value in filter(None, st.query_params.get_all(name)):
                mistakes += link_mistakes({one: value}, {one: options})
        st.session_state[key] = mistakes
    for mistake in st.session_state[key]:
        st.warning(mistake)


def link_mistakes(parameters: Mapping[str, str], choices: Mapping[str, list[str]]) -> list[str]:
    """One sentence for every parameter of a link that cannot be used.

    choices: the values that each picking control offers, by parameter.
    """
    mistakes = []
    for key, allowed in RANGES.items():
        if key in parameters:
            mistakes.append(_number_mistake(parameters[key], allowed))
    for key, options in choices.items():
        if key in parameters and parameters[key] not in options:
            known = f"there are: {', '.join(options)}" if options else "there is none yet"
            mistakes.append(f"There is no {key} called “{parameters[key]}”; {known}.")
    return [f"{mistake} The link's value was left out." for mistake in mistakes if mistake]


def _number_mistake(text: str, allowed: Range) -> str:
    try:
        return allowed.check(float(text))
    except ValueError:
        return f"{allowed.name} must be a number, got “{text}”."
