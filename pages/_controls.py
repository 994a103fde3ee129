"""The controls of Explore. Widget keys are the parameters of a link, so a link reproduces them."""

import json
from dataclasses import dataclass

import streamlit as st

from pages import _library as library
from pages._inputs import (
    NO_HARDWARE,
    acceptance_choices,
    acceptance_picker,
    hardware_note,
    hardware_picker,
    vector_name,
    vector_note,
)
from pages._planned_tree import PlannedTree, planned_tree
from pages._sliders import EXPLORE, LINK, auto_switch, exact_slider, look_at_plan, number, slider
from pages._url import note_link_mistakes
from sequoia_core.assets import asset
from sequoia_core.errors import SequoiaError
from sequoia_core.plan.methods import AUTO, METHODS, NAMES, PLAIN
from sequoia_core.plan.optimizer import SEQUOIA
from sequoia_core.plan.rivals import CHAIN

METHOD_HELP = (
    "sequoia drafts a planned tree, drawing without replacement; chain and kchains are simpler "
    "shapes; specinfer draws with replacement; topk takes the draft's most probable tokens; "
    "specexec and dynamic grow the tree with the context; autoregressive is plain decoding; "
    "auto starts with the best of tree, chain and plain decoding, and changes it while it runs."
)


@dataclass(frozen=True, slots=True)
class Controls:
    """What the controls say. `plan` is None where none can be made; the controls say why."""

    prompt: str
    method: str
    temperature: float
    top_p: float
    new_tokens: int
    seed: int
    plan: PlannedTree | None


@st.cache_data(show_spinner=False)
def example_prompts() -> dict[str, str]:
    """Example prompts by title."""
    lines = asset("prompts.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines if line.strip()]
    return {row["title"]: row["text"] for row in rows}


def note_mistakes() -> None:
    """Name what the link asks for and no control of this page takes."""
    note_link_mistakes(
        "explore",
        {
            "method": list(NAMES),
            "hardware": library.hardware_names(),
            "acceptance": acceptance_choices(),
        },
    )


def prompt_box() -> str:
    """The prompt, with examples to start from."""
    examples = example_prompts()
    heading, menu = st.columns([1, 1], vertical_alignment="center")
    heading.markdown("**Prompt**")
    with menu.container(horizontal_alignment="right"):
        st.menu_button(
            "Examples", list(examples), key="example", type="tertiary", on_click=_take_example
        )
    return st.text_area(
        "Prompt",
        next(iter(examples.values())),
        key="prompt",
        height=124,
        bind=LINK,
        label_visibility="collapsed",
        placeholder="The beginning of a story…",
    )


def _take_example() -> None:
    st.session_state.prompt = example_prompts()[st.session_state.example]


def run_controls(prompt: str) -> Controls:
    """Method, tree and sampling. Sampling is read first: the plan depends on temperature."""
    tree_place, sampling_place = st.container(), st.container()
    with sampling_place:
        sampling = _sampling()
    with tree_place:
        method, plan = _tree(sampling["temperature"])
    return Controls(prompt, method, **sampling, plan=plan)


def _sampling() -> dict[str, float]:
    st.markdown("**Sampling**")
    left, right = st.columns(2)
    with left:
        temperature = slider("Temperature", "temperature", 0.05, on_change=look_at_plan)
    with right:
        top_p = slider("Top-p", "top_p", 0.05)
    left, right = st.columns(2)
    return {
        "temperature": temperature,
        "top_p": top_p,
        "new_tokens": number(left, "New tokens", "new_tokens"),
        "seed": number(right, "Seed", "seed"),
    }


def _tree(temperature: float) -> tuple[str, PlannedTree | None]:
    heading, switch = st.columns([1, 1], vertical_alignment="center")
    heading.markdown("**Tree**")
    with switch.container(horizontal_alignment="right"):
        automatic = auto_switch(EXPLORE, on_change=look_at_plan)
    method = st.selectbox(
        "Method", NAMES, key="method", bind=LINK, on_change=look_at_plan, help=METHOD_HELP
    )
    planned = SEQUOIA if method == PLAIN else method
    automatic = automatic or method == AUTO
    sliders, pickers = st.container(), st.container()
    with pickers:
        hardware, acceptance = _pickers(temperature, METHODS[planned].rule)
    if automatic:
        plan, mistake = _try_plan(planned, acceptance, hardware, None, None)
        if plan:
            st.session_state.budget, st.session_state.depth = plan.tree.size, plan.tree.depth
    with sliders:
        budget = exact_slider("Tree budget", "budget", disabled=automatic or method == CHAIN)
        depth = exact_slider("Tree depth", "depth", disabled=automatic)
    if not automatic:
        plan, mistake = _try_plan(planned, acceptance, hardware, budget, depth)
    if mistake:
        sliders.error(mistake)
    return method, plan


def _pickers(temperature: float, rule: str) -> tuple[str | None, str]:
    left, right = st.columns(2)
    hardware = hardware_picker(left, look_at_plan)
    name = vector_name(acceptance_picker(right, look_at_plan), temperature, rule)
    vector_note(name, temperature, rule)
    hardware_note(hardware)
    return hardware, name


def _try_plan(
    method: str, acceptance: str, hardware: str | None, budget: int | None, depth: int | None
) -> tuple[PlannedTree | None, str]:
    if hardware is None:
        return None, NO_HARDWARE
    try:
        return planned_tree(method, acceptance, hardware, budget, depth), ""
    except SequoiaError as error:
        return None, str(error)
