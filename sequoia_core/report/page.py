"""The report as one HTML page that needs nothing else: no request, no script, two themes."""

from dataclasses import replace
from datetime import datetime
from html import escape

from sequoia_core.assets import asset
from sequoia_core.report.charts import acceptance_chart, seconds_chart, speedup_chart, tree_drawing
from sequoia_core.report.launch import launch_sections
from sequoia_core.report.report import Report
from sequoia_core.report.tables import (
    families_table,
    machine_table,
    methods_table,
    reached_table,
    settings_table,
)
from sequoia_core.report.words import (
    chosen_row,
    gain_words,
    headline,
    measured_words,
    predicted_words,
)

STYLE = "report/report.css"
HOW_TO_OPEN = (
    "In a copy of Sequoia Explorer run <code>make run</code>, open the page Plan, press “Add a "
    "file” and choose <code>report.json</code> from the folder of this page. Profile, acceptance "
    "vectors and plan join the pickers, and Plan shows them: move budget, depth, batch size and "
    "acceptance from there."
)


def report_page(report: Report) -> str:
    """The whole page. Everything that comes from the report is escaped."""
    title = f"{report.name}: {headline(report)}"
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{asset(STYLE).read_text(encoding='utf-8')}"
        f"</style>\n</head>\n<body>\n<main>\n{_answer(report)}\n{_tree(report)}\n{_charts(report)}\n"
        f"{_tables(report)}\n{_exports(report)}\n{_about(report)}\n</main>\n</body>\n</html>\n"
    )


def _answer(report: Report) -> str:
    created = f"{datetime.fromisoformat(report.created):%d %B %Y, %H:%M %Z}".strip()
    of = f"{report.target} with {report.draft} on {report.hardware.device}, {report.hardware.dtype}"
    return (
        f'<header class="answer"><h1>{escape(headline(report))}</h1>'
        f'<p class="of">{escape(of)}; {escape(_sampling(report))}; {escape(created)}</p>'
        f"<p>{escape(predicted_words(report))} {escape(measured_words(report))}</p>"
        f'<p class="note">{escape(report.plan.verdict.words)}</p>{_noise(report)}{_figures(report)}'
        "</header>"
    )


def _noise(report: Report) -> str:
    """A profile that was disturbed says so where the answer stands."""
    profile = replace(report.hardware, name="this answer")
    return f'<p class="note">{escape(profile.warning)}</p>' if profile.warning else ""


def _sampling(report: Report) -> str:
    vector = report.vector
    words = f"temperature {vector.temperature:g}" if vector.temperature is not None else ""
    return words + (f", top-p {vector.top_p:g}" if vector.top_p not in (None, 1) else "")


def _figures(report: Report) -> str:
    plan, row = report.plan, chosen_row(report)
    figures = [("Budget n", f"{plan.budget:,}", ""), ("Depth d", str(plan.depth), "")]
    error = "" if plan.speedup_error is None else f"± {plan.speedup_error:.2f}"
    figures.append(("Predicted speedup", f"{plan.speedup:.2f}×", error))
    if row:
        sure = "" if row.decode_low is None else f"{row.decode_low:.2f} to {row.decode_high:.2f}"
        figures.append(("Measured speedup", f"{row.decode_speedup:.2f}×", sure))
        steps = f"{row.tokens_per_step:.2f}"
        figures.append(("Tokens per step", steps, f"predicted {plan.expected_tokens:.2f}"))
        figures.append(("Tokens per second", f"{row.tokens_per_second:,.1f}", ""))
    entries = "".join(
        f"<div><dt>{name}</dt><dd>{value} <small>{note}</small></dd></div>"
        for name, value, note in figures
    )
    return f'<dl class="figures">{entries}</dl>'


def _tree(report: Report) -> str:
    plan = report.plan
    if not plan.speculates:
        return ""
    sizes = ", ".join(map(str, plan.level_sizes))
    return (
        f'<section><h2>The planned tree</h2><figure class="wide">{tree_drawing(report)}'
        f"<figcaption>{plan.budget:,} nodes, {plan.depth} deep; level sizes {sizes}. The root is "
        "the last committed token. The fuller a node, the oftener a step gets to it."
        "</figcaption></figure></section>"
    )


def _charts(report: Report) -> str:
    charts = (
        (
            "Speedup by budget",
            speedup_chart(report),
            "Lines: predicted, each budget at its best depth. Circles: measured, with 95 % "
            "intervals over prompts. The dotted line is plain decoding.",
        ),
        (
            "Seconds of a pass",
            seconds_chart(report),
            "As measured, point by point. A step costs one target pass over n tokens and a draft "
            "pass for each level.",
        ),
        (
            "Acceptance by child",
            acceptance_chart(report),
            "Chance that the k-th child is the accepted one, for each rule of verification. The "
            "plan rests on the rule sequoia; engines that draft greedily accept by topk. At "
            "temperature 0 the rules are one, and so are their lines.",
        ),
    )
    figures = "".join(
        f"<figure><h3>{title}</h3>{chart}<figcaption>{caption}</figcaption></figure>"
        for title, chart, caption in charts
    )
    return f'<section><h2>What it rests on</h2><div class="charts">{figures}</div></section>'


def _tables(report: Report) -> str:
    return (
        f"<section><h2>Measured, side by side</h2>{methods_table(report)}{_gain(report)}"
        '<p class="note">Rounds are interleaved, on prompts that calibration did not see; every '
        "speedup is the median over prompts of ratios within a round. Speedup of decoding leaves "
        "the reading of the prompt out, as the prediction does; its interval is that of the sign "
        "test over prompts. Whole calls: the median, the slowest and the fastest prompt. "
        "The interval of the prediction is that of the acceptance vector alone, without the noise "
        "of the profile.</p><h2>The best of every family, predicted</h2>"
        f"{families_table(report)}</section>"
    )


def _gain(report: Report) -> str:
    return "" if report.gain is None else f"<p>Measured {escape(gain_words(report.gain))}.</p>"


def _exports(report: Report) -> str:
    return (
        "<section><h2>Take it to a serving engine</h2>"
        "<p>No engine takes this tree as it is. Each line below is planned for the engine’s own "
        "rule of acceptance; click it to mark all of it.</p>"
        f"{launch_sections(report)}</section>"
    )


def _about(report: Report) -> str:
    return (
        f"<section><h2>Open it in the dashboard</h2><p>{HOW_TO_OPEN}</p>"
        f"<h2>The machine</h2>{machine_table(report)}"
        f"<h2>How far it went</h2>{reached_table(report)}"
        f"<h2>Settings</h2>{settings_table(report)}</section>"
    )
