"""What a report says in words: the answer first, then how sure it is."""

from sequoia_core.plan.rivals import CHAIN
from sequoia_core.plan.verdict import PLAIN
from sequoia_core.report.measured import CHAIN_ROW, TREE_ROW, MeasuredRow, Ratio
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
    said = [f"Measured {interval_words(row)}.", *_off(report, row), *_slower(row)] if row else []
    return " ".join([*said, *_rivals(report, row)])


def _off(report: Report, chosen: MeasuredRow) -> list[str]:
    """A sentence where the intervals of prediction and measurement have nothing in common."""
    predicted, error = chosen.predicted_speedup, report.plan.speedup_error or 0.0
    if predicted is None or chosen.decode_low is None:
        return []
    if chosen.decode_low <= predicted + error and predicted - error <= chosen.decode_high:
        return []
    off = predicted / chosen.decode_speedup - 1
    where = "above" if off > 0 else "below"
    return [
        f"The prediction is {abs(off):.0%} {where} it, more than chance among prompts explains."
    ]


def _slower(chosen: MeasuredRow) -> list[str]:
    """A sentence where the plan's choice came out slower than plain decoding, or may have."""
    if chosen.decode_low is not None and chosen.decode_low <= 1 <= chosen.decode_high:
        return ["That is not told from plain decoding: measure with more prompts."]
    if chosen.decode_speedup >= 1:
        return []
    if chosen.decode_low is None:
        return [
            "Against the plan, that is slower than plain decoding; fewer than six prompts "
            "cannot tell how sure that is."
        ]
    return [
        "Against the plan, that is slower than plain decoding, beyond chance: do not speculate."
    ]


def interval_words(row: MeasuredRow) -> str:
    """A measured speedup of decoding with its interval."""
    if row.decode_low is None:
        return f"{row.decode_speedup:.2f}×"
    return f"{row.decode_speedup:.2f}× (95% interval {row.decode_low:.2f} to {row.decode_high:.2f})"


def gain_words(gain: Ratio) -> str:
    """The measured tree over the measured chain, both on the same prompts."""
    sure = (
        "" if gain.low is None else f" (95% interval {gain.low - 1:+.1%} to {gain.high - 1:+.1%})"
    )
    return f"tree over chain {gain.value - 1:+.1%}{sure}"


def _rivals(report: Report, chosen: MeasuredRow | None) -> list[str]:
    """A sentence on each of the other methods that was measured."""
    return [
        _rival(report, row, chosen)
        for row in report.rows
        if row.method in TITLES and (chosen is None or row.method != chosen.method)
    ]


def _rival(report: Report, row: MeasuredRow, chosen: MeasuredRow | None) -> str:
    size = f"{row.depth} drafted" if row.method == CHAIN_ROW else f"{row.budget:,} tokens"
    name = f"the best {TITLES[row.method]} ({size})"
    beside = f"; {gain_words(report.gain)}" if chosen and report.gain else ""
    if row.decode_speedup <= (chosen.decode_speedup if chosen else 1.0):
        return f"Measured beside it, {name} came to {interval_words(row)}{beside}."
    faster = f"{name} was faster when measured, {interval_words(row)}{beside}"
    return f"Against the plan, {faster}: {_doubt(report, row, chosen)}"


def _doubt(report: Report, row: MeasuredRow, chosen: MeasuredRow | None) -> str:
    """How far a measurement that contradicts the plan is to be believed."""
    if row.decode_low is None:
        return "fewer than six prompts cannot tell how sure that is."
    settled = row.decode_low > 1 if chosen is None else report.gain and report.gain.is_settled
    if settled:
        return "that is beyond chance, so follow the measurement."
    return "that may be chance, so measure with more prompts before you rely on either."


def _tokens(count: int) -> str:
    return "token" if count == 1 else "tokens"
