"""Launch lines of serving engines, planned from a report's own vectors and profile."""

from html import escape

from sequoia_core.errors import InputError
from sequoia_core.plan.acceptance import AcceptanceVector
from sequoia_core.plan.exports.registry import ENGINES, accepted_rules, make_export
from sequoia_core.plan.exports.request import GREEDY, Export, Request
from sequoia_core.report.report import Report

TREE_FILES_LINE = "python -m sequoia_core export --plan plan.json --to growmap --out tree.pt"


def launch_sections(report: Report) -> str:
    """One heading, line and note an engine, then how to write tree files."""
    sections = "".join(_section(report, name) for name in ENGINES)
    return (
        f"{sections}<h3>Tree files</h3>{_line(TREE_FILES_LINE)}"
        '<p class="note">Run it in the folder of this page. Other formats: paths, specinfer, '
        "graphml.</p>"
    )


def engine_export(report: Report, engine: str) -> Export:
    """The engine's export, planned with the vector of the rule that it accepts by."""
    vector = _vector_for(report, engine)
    return make_export(
        engine,
        Request(
            tree=report.plan.tree,
            acceptance=vector,
            hardware=report.hardware,
            planned_with=None if vector is report.vector else report.vector,
        ),
    )


def _vector_for(report: Report, engine: str) -> AcceptanceVector:
    fitting = [rule for rule in accepted_rules(engine, GREEDY) if rule in report.vectors]
    return report.vectors[fitting[0]] if fitting else report.vector


def _section(report: Report, engine: str) -> str:
    try:
        export = engine_export(report, engine)
    except InputError as error:
        return f'<h3>{escape(engine)}</h3><p class="note">{escape(str(error))}</p>'
    fields = export.fields
    notes = [f"Checked against {fields['checked_against']}.", fields["cannot_take"]]
    notes += [fields["lost"], *export.warnings]
    config = fields.get("config_text", "")
    return (
        f"<h3>{escape(fields['engine'])}</h3>{_line(fields['shell'])}"
        f"{_line(config.rstrip()) if config else ''}"
        f'<p class="note">{escape(" ".join(notes))}</p>'
    )


def _line(text: str) -> str:
    return f"<pre>{escape(text)}</pre>"
