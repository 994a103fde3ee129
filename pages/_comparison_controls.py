"""The controls of Compare: which methods, at which temperatures, on which prompts, how often."""

import json

import streamlit as st

from pages import _library as library
from pages._comparison_request import MOST_OWN, Asked, asked
from pages._comparison_shelf import names
from pages._inputs import (
    AUTO,
    acceptance_choices,
    acceptance_picker,
    fitting_hardware,
    hardware_note,
)
from pages._sliders import LINK, exact_slider, number, slider
from pages._state import server
from pages._url import note_link_mistakes
from sequoia_core.assets import asset
from sequoia_core.errors import SequoiaError
from sequoia_core.measure.comparison import BASELINE, NAMES

DEFAULT_METHODS = [BASELINE, "chain", "sequoia"]
DEFAULT_TEMPERATURES = "0, 0.6"
# The last of the bundled openings tune assisted generation: it is not judged on what tuned it.
TUNING, DEFAULT_PROMPTS = 3, 6
METHODS_HELP = (
    "All methods of Explore, and Hugging Face's own generate and assisted generation as "
    "transformers ships them, the latter with its number of draft tokens tuned first; “-packed” is "
    "the same on weights that this engine has packed for a CPU. Plain decoding (autoregressive) "
    "runs in any case."
)
OWN_HELP = f"One prompt a line, at most {MOST_OWN}. They come after the bundled ones."


@st.cache_data(show_spinner=False)
def bench_prompts() -> dict[str, str]:
    """The bundled openings by title, those for tuning last."""
    lines = asset("bench_prompts.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines if line.strip()]
    return {row["title"]: row["text"] for row in rows}


def titles() -> list[str]:
    """Openings to choose from."""
    return list(bench_prompts())[:-TUNING]


def note_mistakes() -> None:
    """Name what the link asks for and no control of this page takes."""
    choices = {
        "machine": [AUTO, *library.hardware_names()],
        "acceptance": acceptance_choices(),
        "comparison": names(live=True),
    }
    several = {"methods": list(NAMES), "prompts": titles()}
    note_link_mistakes("compare", choices, several)


def comparison_controls() -> Asked | None:
    """All controls; None where they fit nothing, which they then say."""
    methods = st.multiselect(
        "Methods", NAMES, DEFAULT_METHODS, key="methods", bind=LINK, help=METHODS_HELP
    )
    at = st.text_input(
        "Temperatures",
        DEFAULT_TEMPERATURES,
        key="temperatures",
        bind=LINK,
        help="One or several, with commas between them.",
    )
    chosen, own = _prompts()
    settings, repeats = _settings()
    sizes = _sizes()
    tuning = list(bench_prompts().values())[-TUNING:]
    acceptance, hardware = _inputs()
    try:
        return asked(
            methods,
            at,
            (chosen, own, tuning),
            settings,
            repeats,
            (acceptance, hardware),
            sizes,
        )
    except SequoiaError as error:
        st.error(str(error))
        return None


def _prompts() -> tuple[list[str], list[str]]:
    """The bundled ones chosen, and the visitor's own."""
    chosen = st.multiselect(
        "Bundled prompts",
        titles(),
        titles()[:DEFAULT_PROMPTS],
        key="prompts",
        bind=LINK,
        wrap=False,
        help="Openings of stories that no bundled acceptance vector was calibrated on.",
    )
    own = st.text_area(
        "Your own prompts",
        key="own_prompts",
        bind=LINK,
        height=80,
        placeholder="One prompt a line",
        help=OWN_HELP,
    )
    lines = [line.strip() for line in own.splitlines() if line.strip()]
    return [bench_prompts()[title] for title in chosen], lines


def _settings() -> tuple[dict[str, float], int]:
    left, right = st.columns(2)
    new_tokens = number(left, "New tokens", "new_tokens")
    repeats = number(right, "Repeats", "repeats")
    left, right = st.columns(2)
    with left:
        top_p = slider("Top-p", "top_p", 0.05)
    seed = number(right, "Seed", "seed")
    return {"top_p": top_p, "max_new_tokens": new_tokens, "seed": seed}, repeats


def _sizes() -> tuple[int, int] | tuple[None, None]:
    """Budget and depth of every method's trees; None leaves them to the planner."""
    fixed = st.toggle(
        "Fixed tree size",
        key="fixed",
        bind=LINK,
        help="Off: every method gets the tree that is best for it on this hardware. "
        "On: all get this budget and depth; auto still chooses its own.",
    )
    if not fixed:
        return None, None
    budget = exact_slider("Tree budget", "budget", disabled=False)
    return budget, exact_slider("Tree depth", "depth", disabled=False)


def _inputs() -> tuple[str, str | None]:
    left, right = st.columns(2)
    choice = left.selectbox(
        "Hardware",
        [AUTO, *library.hardware_names()],
        key="machine",
        bind=LINK,
        help="The profile that trees are planned with. auto takes the one measured with the loaded "
        "pair in its dtype.",
    )
    acceptance = acceptance_picker(right, lambda: None)
    engine = server().worker.resident
    hardware = fitting_hardware(engine and engine.pair) if choice == AUTO else choice
    if hardware:
        hardware_note(hardware)
    return acceptance, hardware
