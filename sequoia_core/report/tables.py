"""The tables of a report as HTML, every cell escaped."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from sequoia_core.report.measured import MeasuredRow
from sequoia_core.report.report import Report
from sequoia_core.report.words import chosen_row

NOTHING = "–"


def table(
    head: Sequence[str], rows: Iterable[Sequence[str]], *, chosen: int | None = None, words=False
) -> str:
    """Rows of texts under a head; `chosen` is the row that stands out, words aligns to the left."""
    headings = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    top = f"<thead><tr>{headings}</tr></thead>" if head else ""
    body = "".join(_row(row, "chosen" if index == chosen else "") for index, row in enumerate(rows))
    kind = ' class="words"' if words else ""
    return f'<div class="wide"><table{kind}>{top}<tbody>{body}</tbody></table></div>'


def _row(cells: Sequence[str], kind: str) -> str:
    inside = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
    return f'<tr class="{kind}">{inside}</tr>' if kind else f"<tr>{inside}</tr>"


def methods_table(report: Report) -> str:
    """Every method that was measured; what the plan chose stands out."""
    head = (
        "method", "n", "d", "tokens/s", "speedup of decoding", "95% interval", "predicted",
        "tokens per step", "predicted", "whole calls", "lowest to highest",
    )  # fmt: skip
    chosen = chosen_row(report)
    at = report.rows.index(chosen) if chosen else None
    return table(head, [_method(row) for row in report.rows], chosen=at)


def _method(row: MeasuredRow) -> tuple[str, ...]:
    interval = f"{row.decode_low:.2f} to {row.decode_high:.2f}" if row.decode_low else NOTHING
    return (
        row.method,
        f"{row.budget:,}",
        str(row.depth),
        f"{row.tokens_per_second:,.1f}",
        f"{row.decode_speedup:.2f}×",
        interval if row.budget > 1 else NOTHING,
        _times(row.predicted_speedup),
        f"{row.tokens_per_step:.2f}",
        NOTHING
        if row.predicted_tokens_per_step is None
        else f"{row.predicted_tokens_per_step:.2f}",
        f"{row.speedup:.2f}×",
        f"{row.speedup_low:.2f} to {row.speedup_high:.2f}",
    )


def families_table(report: Report) -> str:
    """The best member of every family of trees, the fastest first."""
    head = ("family", "shape", "n", "d", "tokens per step", "speedup")
    families = sorted(report.plan.families, key=lambda best: -best.speedup)
    rows = [
        (
            best.family,
            best.shape,
            f"{best.budget:,}",
            str(best.depth),
            f"{best.expected_tokens:.2f}",
            f"{best.speedup:.2f}×",
        )
        for best in families
    ]
    return table(head, rows)


def machine_table(report: Report) -> str:
    """What is known of the machine, and what the profile rests on."""
    rows = [*report.machine.items(), ("profile", report.hardware.basis)]
    return table((), rows, words=True)


def reached_table(report: Report) -> str:
    """Each stage with its seconds, the most it was given, and what came of it."""
    rows = [
        (
            each.stage,
            f"{each.seconds:,.0f} s",
            f"of at most {each.limit_seconds:,.0f} s",
            each.words,
        )
        for each in report.reached
    ]
    return table((), rows, words=True)


def settings_table(report: Report) -> str:
    """The options that the tuning was made with."""
    return table((), [(name, _said(value)) for name, value in report.settings.items()], words=True)


def _times(speedup: float | None) -> str:
    return NOTHING if speedup is None else f"{speedup:.2f}×"


def _said(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return NOTHING if value is None else str(value)
