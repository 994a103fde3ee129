"""The sidebar of all pages: which pair of models is loaded, and loading another one."""

import streamlit as st

from pages._pair import PairChoice
from pages._state import server, session_id
from pages._worker import FAILED, QUEUED
from sequoia_core.decode.shapes import SHAPES, TARGETS
from sequoia_core.errors import SequoiaError

BUNDLED, OWN = "Bundled", "Your own"
AS_IT_IS = "as it is"
DTYPES = ["auto", "float32", "bfloat16", "float16"]


def sidebar() -> None:
    """Picker, progress and facts; polls only while a pair loads."""
    active = server().load.active
    with st.sidebar:
        st.fragment(_model_pair, run_every=0.5 if active else None)(active)


def _model_pair(was_active: bool) -> None:
    st.subheader("Model pair")
    # A page loaded again, or opened later, begins with what was chosen for the pair that it finds.
    first: PairChoice = st.session_state.setdefault("pair_at_first", server().choice)
    source = st.segmented_control(
        "Source",
        [BUNDLED, OWN],
        default=OWN if first.target else BUNDLED,
        required=True,
        key="pair_source",
        label_visibility="collapsed",
        width="stretch",
        persist_state="session",
    )
    target = draft = cost = None
    if source == OWN:
        target = _model_name("Target", "target", "Qwen/Qwen3-1.7B", first.target)
        draft = _model_name("Draft", "draft", "Qwen/Qwen3-0.6B", first.draft)
    else:
        cost = _cost(first.cost)
    device_column, dtype_column = st.columns(2)
    device = _pick(device_column, "Device", devices(), first.device)
    dtype = _pick(dtype_column, "Dtype", DTYPES, first.dtype)
    offload = _offload(first.offload) if source == OWN or cost else False
    if st.button("Load", key="load", width="stretch", disabled=server().load.active):
        _load(source, PairChoice(target or None, draft or None, device, dtype, cost, offload))
    _status()
    if was_active and not server().load.active:
        st.rerun()


def _pick(place, label: str, options: list[str], first: str) -> str:
    at_first = options.index(first) if first in options else 0
    return place.selectbox(label, options, at_first, key=label.lower(), persist_state="session")


def _model_name(label: str, key: str, example: str, first: str | None) -> str:
    return st.text_input(
        label,
        first or "",
        key=key,
        placeholder=f"Folder, or {example}",
        persist_state="session",
        help="A folder written by save_pretrained, or a name on the Hugging Face hub.",
    ).strip()


def _cost(first: str | None) -> str | None:
    """The shape whose cost the bundled pair is to have, or None."""
    choices = [AS_IT_IS, *TARGETS]
    choice = st.selectbox(
        "Target cost",
        choices,
        choices.index(first) if first in choices else 0,
        key="target_cost",
        persist_state="session",
        format_func=_cost_label,
        help="A stand-in has the matrices of the named shape, all of them in memory, and so its "
        "cost and speedup, but still writes what the bundled pair writes. What does not fit into "
        "memory is refused.",
    )
    return None if choice == AS_IT_IS else choice


def _cost_label(name: str) -> str:
    return name if name == AS_IT_IS else f"{name} ({_millions(SHAPES[name].parameters)})"


def _offload(first: bool) -> bool:
    return st.toggle(
        "Offload the target",
        first,
        key="offload_target",
        persist_state="session",
        help="For targets larger than the GPU's memory: the layers stay in main memory and are "
        "copied over in every pass. The text is the same; on a CPU there is nothing to gain.",
    )


@st.cache_data(show_spinner=False)
def devices() -> list[str]:
    """What the device picker offers: CUDA where the driver shows a device."""
    from pathlib import Path

    return ["auto", "cuda", "cpu"] if Path("/dev/nvidia0").exists() else ["auto", "cpu"]


def _load(source: str, choice: PairChoice) -> None:
    if source == OWN and not (choice.target and choice.draft):
        st.error("Name both models: the target and the draft.")
        return
    try:
        server().load_pair(choice, session_id())
    except SequoiaError as error:
        st.error(str(error))
        return
    st.rerun()


def _status() -> None:
    """Progress while loading, the reason of a failure, and what is loaded now."""
    state = server()
    now = state.worker.snapshot(state.load)
    if state.load.active:
        waiting = f"Waiting, {now.position} ahead" if now.state == QUEUED else now.text
        st.progress(now.fraction, text=waiting or "Starting")
    if now.state == FAILED:
        st.error(now.error)
    if state.worker.resident is not None:
        _facts(state.worker.resident.pair)


def _facts(pair) -> None:
    target, draft = pair.parameters
    st.markdown(f"**{pair.target_name}** verifies  \n**{pair.draft_name}** drafts")
    if pair.voices != (pair.target.name, pair.draft.name):
        st.caption(f"Stand-in: a larger model's cost, the text of {pair.voices[0]}.")
    elsewhere = pair.target.host_bytes
    host = f" and {elsewhere / 1e6:,.0f} MB of main memory" if elsewhere else ""
    st.caption(
        f"{_millions(target)} and {_millions(draft)} parameters · {pair.device} · {pair.dtype} · "
        f"{pair.memory_bytes / 1e6:,.0f} MB{host} · context {pair.context_length:,} tokens"
    )


def _millions(count: int) -> str:
    return f"{count / 1e9:.2f} B" if count >= 1e9 else f"{count / 1e6:.1f} M"
