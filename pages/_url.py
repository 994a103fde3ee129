"""Values that come with a link: what no control can take is named, never dropped silently."""

from collections.abc import Mapping
from dataclasses import dataclass

import streamlit as st

from sequoia_core.plan.modelled import CONTEXT


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
        low, high, got = (f"{number:,.10g}" for number in (self.low, self.high, value))
        return f"{self.name} must be between {low} and {high}, got {got}."


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
    "step": Range("The step", 1, 100_000, 1),
    "context": Range("The context", 1, 131_072, CONTEXT),
    "bandwidth": Range("The bandwidth", 0.0, 1e6, 1000.0),
    "tflops": Range("The TFLOP/s", 0.0, 1e6, 100.0),
    "memory": Range("The memory", 0.0, 1e6, 24.0),
    "link": Range("The host link", 0.0, 1e6, 25.0),
}
SWITCHES = ("auto", "race", "fixed", "offload", "every_gpu")
LEFT_OUT = "The link's value was left out."


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
    """One sentence for every parameter of a link that cannot be used as it stands.

    choices: the values that each picking control offers, by parameter.
    """
    mistakes = [
        _number_mistake(parameters[key], allowed)
        for key, allowed in RANGES.items()
        if key in parameters
    ]
    mistakes += [
        f"{key} must be true or false, got “{parameters[key]}”. {LEFT_OUT}"
        for key in SWITCHES
        if key in parameters and parameters[key].lower() not in ("true", "false")
    ]
    for key, options in choices.items():
        if key in parameters and parameters[key] not in options:
            known = f"there are: {', '.join(options)}" if options else "there is none yet"
            mistakes.append(f"There is no {key} called “{parameters[key]}”; {known}. {LEFT_OUT}")
    return list(filter(None, mistakes))


def _number_mistake(text: str, allowed: Range) -> str:
    try:
        value = float(text)
    except ValueError:
        return f"{allowed.name} must be a number, got “{text}”. {LEFT_OUT}"
    if mistake := allowed.check(value):
        return f"{mistake} {LEFT_OUT}"
    if isinstance(allowed.default, int) and value != int(value):
        return (
            f"{allowed.name} must be a whole number, got {value:,.10g}: {int(value):,} was taken."
        )
    return ""
