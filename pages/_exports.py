"""Exports of Plan: every file and launch line that a plan can leave as."""

import json

import streamlit as st

from pages._plan_controls import Planned
from pages._sliders import LINK
from sequoia_core.errors import SequoiaError
from sequoia_core.plan.exports.registry import ENGINES, EXPORTS, accepted_rules, make_export
from sequoia_core.plan.exports.request import Export, Request
from sequoia_core.plan.exports.source import with_vector_of

PLAN = "plan"
# Made when they are asked for: their size grows with the square of the tree, or they take a while.
ON_DEMAND = ("growmap", "graphml")
LANGUAGES = {"tensorrt-llm": "yaml"}
PREVIEW = 4000


def exports(planned: Planned) -> None:
    """Pick where the plan goes; the file to download, the line to copy, what is lost."""
    st.markdown("**Take it away**")
    to = st.segmented_control(
        "Export",
        [PLAN, *EXPORTS],
        default=PLAN,
        required=True,
        key="export",
        bind=LINK,
        label_visibility="collapsed",
    )
    try:
        if to == PLAN:
            _plan_file(planned)
        else:
            _export(planned, to)
    except SequoiaError as error:
        st.error(str(error))


def _plan_file(planned: Planned) -> None:
    plan = planned.plan
    text = json.dumps(plan.to_dict(), ensure_ascii=False)
    st.download_button(
        "Download plan.json",
        text,
        "plan.json",
        "application/json",
        key="download",
        on_click="ignore",
    )
    st.caption("The same on the command line, which also measures, benchmarks and exports:")
    st.code(_command(planned), language="bash", wrap_lines=True)


def _command(planned: Planned) -> str:
    plan = planned.plan
    words = [
        "python -m sequoia_core plan",
        f"--acceptance {_quoted(plan.acceptance)}",
        f"--hardware {_quoted(plan.hardware)}",
        f"--budget {plan.budget} --depth {plan.depth}",
        f"--family {_quoted(plan.family)} --batch-size {plan.batch_size}",
        f"--max-branch {planned.branch} --out plan.json",
    ]
    return " ".join(words)


def _quoted(name: str) -> str:
    from shlex import quote

    return quote(name)


def _export(planned: Planned, to: str) -> None:
    names = {}
    if to in ENGINES:
        left, right = st.columns(2)
        names["target_model"] = left.text_input("Target's name there", key="export_target").strip()
        names["draft_model"] = right.text_input("Draft's name there", key="export_draft").strip()
    plan = planned.plan
    request = Request(
        tree=plan.tree,
        acceptance=planned.acceptance,
        hardware=planned.hardware,
        batch_size=plan.batch_size,
        **names,
    )
    request = with_vector_of(accepted_rules(to, request.draft_sampling), request)
    if to in ON_DEMAND:
        _on_demand(to, request)
        return
    export = make_export(to, request)
    st.download_button(
        f"Download {export.file_name}",
        export.text,
        export.file_name,
        key="download",
        on_click="ignore",
    )
    if to in ENGINES:
        st.code(export.fields["shell"], language="bash", wrap_lines=True)
        st.caption(f"The whole {export.file_name}, with its notes and the variants as comments:")
        st.code(export.text, language=LANGUAGES.get(to, "bash"), wrap_lines=True)
    else:
        cut = export.text[:PREVIEW]
        st.code(cut if cut == export.text else f"{cut}…", language=None, wrap_lines=True)
    _notes(export)


def _notes(export: Export) -> None:
    """Scripts carry their notes as comments; files say them here."""
    fields = export.fields
    if export.to not in ENGINES:
        st.caption(f"Checked against {fields['checked_against']}. {fields['cannot_take']}")
    for warning in export.warnings:
        st.warning(warning)


def _on_demand(to: str, request: Request) -> None:
    """Buttons that make the file once they are pressed."""
    name = {"growmap": "growmap.json", "graphml": "tree.graphml"}[to]
    with st.container(horizontal=True, gap="small"):
        st.download_button(
            f"Download {name}",
            lambda: make_export(to, request).text,
            name,
            key="download",
            on_click="ignore",
        )
        if to == "growmap":
            st.download_button(
                "Download tree.pt",
                lambda: _torch_growmap(request),
                "tree.pt",
                key="download_pt",
                on_click="ignore",
                help="The file that the reference implementation reads, written by torch.save.",
            )


def _torch_growmap(request: Request) -> bytes:
    from sequoia_core.commands._growmap import growmap_bytes

    return growmap_bytes(request.tree)
