"""All sections in order, and the page that keeps them."""

from functools import cache
from pathlib import Path

from tools.paper import appendix, results

PAGE = Path(__file__).resolve().parents[2] / "docs" / "PAPER.md"
LEGEND = """\
Trees are (nodes, levels), both with the root: (128, 10) verifies 128 tokens and is 9 edges deep.
Tokens are mean tokens per step, the bonus token included. "Ours" is the planner's best tree of
that size and depth under a vector that belongs to another pair or text: E is
`paper-appendix-e` (Llama3-8B to 70B-Instruct on CNN, temperature not stated), R is
`reference-repository` (its first ten entries, pair not stated). "Modelled", t(n) and c rest on
constants derived from the tables themselves; ± is what rounding of the printed digits allows."""
BEGIN, END = "<!-- make paper: begin -->", "<!-- make paper: end -->"


@cache
def report() -> str:
    """The Markdown that `make paper` prints, without a newline at the end."""
    parts = [f"## {title}\n\n{body}" for title, body in _sections()]
    return "\n\n".join([LEGEND, *parts])


def _sections() -> list[tuple[str, str]]:
    return [
        ("Tables 1, 3 and 4: on one GPU", results.on_device_section()),
        ("In sum", results.summary_section()),
        ("The derived constants", results.costs_section()),
        ("One pair and text, two trees", results.paired_section()),
        ("Table 2: offloading", results.offload_section()),
        ("Appendix E and the repository's vector", appendix.checks_section()),
        ("Table 5: SpecInfer's grid, temperature 0", appendix.grid_section(0.0)),
        ("Table 6: SpecInfer's grid, temperature 0.6", appendix.grid_section(0.6)),
        ("What the grid's fit says of other trees", appendix.grid_fit_section()),
        ("Margins over SpecInfer", appendix.margin_section()),
        ("Table 7: SpecInfer's shapes when offloading", appendix.sweep_section()),
        ("Table 8: top-p", appendix.top_p_section()),
        ("The reference's trees", appendix.growmaps_section()),
        ("Vectors read back from the reference's trees", appendix.inferred_section()),
    ]


def kept(page: str) -> str:
    """The part of the page between the markers."""
    return page.split(BEGIN + "\n")[1].split("\n" + END)[0]


def updated(page: str) -> str:
    """The page with the part between the markers made anew."""
    before, after = page.split(BEGIN)[0], page.split(END)[1]
    return f"{before}{BEGIN}\n{report()}\n{END}{after}"
