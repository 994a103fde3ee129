"""A GPU that is not here: picked from the data sheets or typed in, modelled at once."""

import streamlit as st

from pages import _library as library
from pages._sliders import LINK, number
from sequoia_core.errors import InputError
from sequoia_core.plan.gpu import Gpu, list_gpus, load_gpu, typed_in_gpu
from sequoia_core.plan.model_shape import DTYPE_BYTES
from sequoia_core.plan.modelled import Modelled, model_profile
from sequoia_core.plan.roofline import LAUNCHES

TYPED = "typed in"
SAME = "the target's"
TARGET, DRAFT = "llama-3-8b", "llama-3.2-1b"


def modelled_choices() -> dict[str, list[str]]:
    """What the pickers here offer, by parameter."""
    shapes = library.shape_names()
    return {
        "gpu": [*list_gpus(), TYPED],
        "target_shape": shapes,
        "draft_shape": shapes,
        "weights": [SAME, *DTYPE_BYTES],
        "launch": list(LAUNCHES),
    }


def modelled_controls() -> Modelled:
    """The pair on the GPU that the controls name. Raises InputError where it cannot be."""
    choices = modelled_choices()
    names = choices["gpu"]
    name = st.selectbox("GPU", names, names.index("h100-sxm"), key="gpu", bind=LINK)
    figures = _figures() if name == TYPED else None
    target = _shape("Target's shape", "target_shape", choices["target_shape"], TARGET)
    draft = _shape("Draft's shape", "draft_shape", choices["draft_shape"], DRAFT)
    left, right = st.columns(2)
    weights = left.selectbox("Dtype", choices["weights"], key="weights", bind=LINK)
    context = number(right, "Context", "context")
    launch = st.selectbox(
        "Launched by",
        choices["launch"],
        key="launch",
        bind=LINK,
        help="graphs: every operation a kernel of its own, replayed from CUDA graphs. compiled: "
        "fused kernels, as serving engines have. eager: launched one by one by the host.",
    )
    offload = st.toggle(
        "Target's layers on the host",
        key="offload",
        bind=LINK,
        help="For targets larger than the GPU's memory: the layers come over the host link in "
        "every pass.",
    )
    dtype = None if weights == SAME else weights
    target, draft = library.shape(target), library.shape(draft)
    gpu = load_gpu(name) if figures is None else _typed_in(figures, dtype or target.dtype)
    return model_profile(
        gpu,
        target,
        draft,
        dtype=dtype,
        context_length=context,
        launch=launch,
        offload=offload,
    )


def _shape(label: str, key: str, names: list[str], default: str) -> str:
    return st.selectbox(label, names, names.index(default), key=key, bind=LINK)


def _figures() -> dict[str, float]:
    """Boxes for the four figures of a data sheet."""
    boxes = {
        "bandwidth": "Bandwidth, GB/s",
        "tflops": "Dense TFLOP/s",
        "memory": "Memory, GiB",
        "link": "Host link, GB/s",
    }
    places = (*st.columns(2), *st.columns(2))
    return {
        key: number(place, label, key)
        for place, (key, label) in zip(places, boxes.items(), strict=True)
    }


def _typed_in(figures: dict[str, float], dtype: str) -> Gpu:
    missing = [key for key in ("bandwidth", "tflops", "memory") if not figures[key]]
    if missing:
        raise InputError(f"Type the GPU's {missing[0]} in: it must be above 0.")
    return typed_in_gpu(**figures, dtype=dtype)
