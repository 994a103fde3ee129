"""Generated text with the origin of every token marked by colour and by underline."""

import re
from html import escape

from pages._generate import RunView
from sequoia_core.decode.trace import LEAF, StepTrace

LEGEND = (
    '<p class="legend"><span class="prompt">prompt</span>'
    '<span class="accepted">drafted, accepted</span>'
    '<span class="leaf">bonus after a full path</span>'
    '<span class="residual">bonus after a rejection</span></p>'
)


def run_html(view: RunView, current: int | None) -> str:
    """The prompt and the tokens so far as HTML; `current` is the step to outline, from 0."""
    prompt = f'<span class="prompt">{escape(view.request.prompt)}</span>'
    spans = [_step_html(view, index, outlined=index == current) for index in range(len(view.steps))]
    return f'<div class="run-text">{prompt}{"".join(spans)}</div>'


def origins(step: StepTrace) -> list[str]:
    """Where each token of the step's whole path came from, the bonus token last."""
    return ["accepted"] * len(step.accepted) + ["leaf" if step.bonus.source == LEAF else "residual"]


def _step_html(view: RunView, index: int, *, outlined: bool) -> str:
    # A step cut short by the token limit committed fewer tokens than it has origins.
    spans = [
        f'<span class="{origin}">{escape(piece)}</span>'
        for origin, piece in zip(origins(view.steps[index]), view.pieces[index], strict=False)
    ]
    mark = ' class="now"' if outlined else ""
    return f'<span{mark} title="Step {index + 1}">{"".join(spans)}</span>'


def literal(text: str) -> str:
    """Text of a file for a place that takes Markdown: shown as it stands, so no link, no image."""
    return re.sub(r"([\\`*_\[\]<>$~])", r"\\\1", text)


def first_strong(words: str) -> str:
    """Sentences as Markdown, of which the first stands out."""
    first, stop, rest = words.partition(". ")
    return f"**{first}{stop.strip()}** {rest}"


def time_split_html(view: RunView) -> str:
    """Where the decoding time went: one bar in four parts, each named with its share."""
    parts = ("draft", "verify", "sample", "commit")
    seconds = {part: sum(getattr(step.seconds, part) for step in view.steps) for part in parts}
    total = sum(seconds.values()) or 1.0
    bar = "".join(
        f'<span class="{part}" style="flex-grow:{value / total:.4f}"></span>'
        for part, value in seconds.items()
    )
    names = "".join(
        f'<span class="{part}">{part} {value / total:.0%}</span>' for part, value in seconds.items()
    )
    return f'<div class="time-split"><div class="bar">{bar}</div><p>{names}</p></div>'
