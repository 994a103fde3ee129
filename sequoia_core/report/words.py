"""What a report says in words: the answer first, then how sure it is."""

from sequoia_core.plan.rivals import CHAIN
from sequoia_core.plan.verdict import PLAIN
from sequoia_core.report.measured import CHAIN_ROW, TREE_ROW, MeasuredRow
from sequoia_core.report.report import Report

TITLES = {TREE_ROW: "tree", CHAIN_ROW: "chain"}


def headline(report: Report) -> str:
    """The answer in one sentence: a tree, a chain or neither, with its size."""
    plan = report.plan
    if plan.verdict.choice == PLAIN or not plan.speculates:
        return "Do not speculate."
    if plan.verdict.choice == CHAIN:
        return f"Use a chain of {plan.depth} drafted {_tokens(plan.depth)}."
    return f"Use a tree of {plan.budget:,} tokens, {plan.depth} deep."


def chosen_row(report: Report) -> MeasuredRow | None:
    """The measurement of what the plan chose; None where that is plain decoding."""
    if not report.plan.speculates:
        return None
    return report.row(CHAIN_ROW if report.plan.verdict.choice == CHAIN else TREE_ROW)


def predicted_words(report: Report) -> str:
    """The promise and its interval."""
    plan = report.plan
    if not plan.speculates:
        return "Nothing is predicted to beat plain decoding of this pair on this machine."
    error = plan.speedup_error
    sure = "" if error is None else f" (95% interval {plan.speedup - error:.2f} to "
    sure += "" if error is None else f"{plan.speedup + error:.2f})"
    return f"Predicted {plan.speedup:.2f}× plain decoding{sure}."


def measured_words(report: Report) -> str:
    """What the chosen tree or chain came to, and whether the measurement bears the plan out."""
    row = chosen_row(report)
    said = [f"Measured {interval_words(row)}."] if row else []
    return " ".join([*said, *_rivals(report, row)])


def interval_words(row: MeasuredRow) -> str:
    """A measured speedup of decoding with its interval."""
    if row.decode_low is None:
        return f"{row.decode_speedup:.2f}×"
    return f"{row.decode_speedup:.2f}× (95% interval {row.decode_low:.2f} to {row.decode_high:.2f})"


def _rivals(report: Report, chosen: MeasuredRow | None) -> list[str]:
    """A sentence on each of the other methods that was measured."""
    return [
        _rival(row, chosen)
        for row in report.rows
        if row.method in TITLES and (chosen is None or row.method != chosen.method)
    ]


def _rival(row: MeasuredRow, chosen: MeasuredRow | None) -> str:
    size = f"{row.depth} drafted" if row.method == CHAIN_ROW else f"{row.budget:,} tokens"
    name = f"the best {TITLES[row.method]} ({size})"
    against = chosen.decode_speedup if chosen else 1.0
    if row.decode_speedup <= against:
        return f"Measured beside it, {name} came to {interval_words(row)}."
    faster = f"{name} was faster when measured, {interval_words(row)}"
    return f"Against the plan, {faster}{_doubt(row, chosen)}"


def _doubt(row: MeasuredRow, chosen: MeasuredRow | None) -> str:
    """How far a measurement that contradicts the plan is to be believed."""
    if row.decode_low is None:
        return "; one prompt cannot tell how sure that is."
    high = 1.0 if chosen is None else chosen.decode_high
    if high is not None and row.decode_low > high:
        return ": the intervals do not touch, so follow the measurement."
    return "; the intervals overlap, so measure with more prompts before you rely on either."


def _tokens(count: int) -> str:
    return "token" if count == 1 else "tokens"
