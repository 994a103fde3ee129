"""A comparison in tables: its figures, its trees, and its speedups prompt by prompt."""

from collections.abc import Sequence

import streamlit as st

from sequoia_core.measure.comparison import BASELINE, Comparison, Entry
from sequoia_core.measure.paired import speedups_by_prompt
from sequoia_core.measure.summary import Summary

TIMES, TWO = "%.2f×", "%.2f"
# Rows up to which a table shows all of itself.
SHORT = 24
# Column: its format, and what it says.
NUMBERS = {
    "tokens/s": ("%.1f", "All tokens over all seconds of whole calls."),
    "speedup": (
        TIMES,
        "Tokens a second of whole calls over plain decoding's in the same round; median.",
    ),
    "per step": (TWO, "Tokens that a step commits, the bonus token included."),
    "hits": ("%.0f%%", "Steps that accept at least one drafted token."),
    "alone": (TIMES, "The speedup of decoding alone, without the reading of the prompt."),
    "predicted": (TIMES, "What the plan says of decoding alone."),
    "planned": (TWO, "What the plan says of tokens per step."),
}
# What there is to choose by, then what there is to check; each as wide as a page of 1,280 pixels.
RESULTS = ("T", "method", "tokens/s", "speedup", "interval", "per step", "hits")
CHECKS = ("T", "method", "alone", "predicted", "per step", "planned", "split, %")


def figures(summaries: Sequence[Summary]) -> None:
    """A row for every method and temperature: results, and on request what stands behind them."""
    rows = [_row(summary) for summary in summaries]
    _table(rows, RESULTS, "Figures of every method at every temperature")
    st.caption(
        "Speedups are those of whole calls over plain decoding in the same round: the median over "
        "prompts, with the interval of the sign test."
    )
    with st.expander("Beside the plan, and where the time goes"):
        _table(rows, CHECKS, "Predictions, and where every method's time goes")
        st.caption(
            "“Alone” leaves out the reading of the prompt; this is what a plan predicts. Split: "
            "draft / verify / sample / commit."
        )


def _table(rows: list[dict[str, object]], columns: Sequence[str], alt: str) -> None:
    numbers = {name: NUMBERS[name] for name in columns if name in NUMBERS}
    st.dataframe(
        {name: [row[name] for row in rows] for name in columns},
        hide_index=True,
        placeholder="–",
        height="content" if len(rows) <= SHORT else "auto",
        alt=alt,
        column_config={
            name: st.column_config.NumberColumn(format=form, help=words, width=70)
            for name, (form, words) in numbers.items()
        }
        | {
            "T": st.column_config.NumberColumn(help="Temperature", width=40),
            "method": st.column_config.TextColumn(width=104),
        },
    )


def _row(summary: Summary) -> dict[str, object]:
    entry, speedup, alone = summary.entry, summary.speedup, summary.decode_speedup
    return {
        "T": entry.temperature,
        "method": entry.method,
        "tokens/s": summary.tokens_per_second,
        "speedup": speedup.median,
        "interval": f"{speedup.low:.2f} to {speedup.high:.2f}" if speedup.count > 1 else "–",
        "alone": alone.median if alone else None,
        "predicted": entry.predicted_speedup,
        "per step": summary.tokens_per_step,
        "planned": entry.predicted_tokens_per_step,
        "hits": None if summary.hit_rate is None else 100 * summary.hit_rate,
        "split, %": _split(summary),
    }


def _split(summary: Summary) -> str:
    parts = summary.parts
    if parts is None or not parts.total:
        return "–"
    shares = (parts.draft, parts.verify, parts.sample, parts.commit)
    return " / ".join(f"{100 * share / parts.total:.0f}" for share in shares)


def details(comparison: Comparison) -> None:
    """Drawn on request."""
    if st.toggle("Trees and single prompts", key="comparison_details"):
        _trees(comparison)
        _prompts(comparison)


def _trees(comparison: Comparison) -> None:
    rows = [_tree(entry) for entry in comparison.entries]
    st.dataframe(
        {name: [row[name] for row in rows] for name in rows[0]},
        hide_index=True,
        placeholder="–",
        alt="The trees that were drafted",
        column_config={"T": st.column_config.NumberColumn(help="Temperature", width=40)},
    )


def _tree(entry: Entry) -> dict[str, object]:
    return {
        "T": entry.temperature,
        "method": entry.method,
        "budget": entry.budget,
        "depth": entry.depth,
        "levels": ", ".join(map(str, entry.level_sizes)) or "–",
        "rule": entry.rule or "–",
        "acceptance": entry.acceptance or "–",
        "hardware": entry.hardware or "–",
    }


def _prompts(comparison: Comparison) -> None:
    """Every prompt's median speedup, a column for each method and temperature."""
    columns = {
        f"{entry.method}, {entry.temperature:g}": speedups_by_prompt(comparison, entry)
        for entry in comparison.entries
        if entry.method != BASELINE
    }
    prompts = range(len(comparison.prompts))
    st.dataframe(
        {
            "number": [index + 1 for index in prompts],
            "prompt": [text[:80] for text in comparison.prompts],
            **{name: [own.get(index) for index in prompts] for name, own in columns.items()},
        },
        hide_index=True,
        placeholder="–",
        alt="Speedup on every prompt",
        column_config={name: st.column_config.NumberColumn(format=TIMES) for name in columns},
    )
