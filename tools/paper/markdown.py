"""Markdown tables."""

from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A pipe table; columns whose head begins with > are set right.

    >>> print(table(["name", ">n"], [["a", "1"]]))
    | name | n |
    |---|--:|
    | a | 1 |
    """
    rule = ["--:" if name.startswith(">") else "---" for name in head]
    names = [name.removeprefix(">") for name in head]
    body = [f"| {' | '.join(cells)} |" for cells in rows]
    return "\n".join([f"| {' | '.join(names)} |", f"|{'|'.join(rule)}|", *body])


def signed(value: float, digits: int) -> str:
    """With its sign; what rounds to nothing is a plain 0.

    >>> signed(0.0312, 2), signed(-0.0001, 2)
    ('+0.03', '0.00')
    """
    text = f"{value:+.{digits}f}"
    return text[1:] if float(text) == 0 else text


def percent(ratio: float) -> str:
    """A relative difference in percent with one decimal.

    >>> percent(0.0312)
    '+3.1 %'
    """
    return f"{signed(100 * ratio, 1)} %"
