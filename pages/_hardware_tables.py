"""Tables of Hardware: two profiles side by side, models against measurements, every best tree."""

import streamlit as st

from pages import _library as library
from pages._hardware_charts import profile_name
from pages._hardware_controls import Shown
from pages._inputs import known_tokens, noise_note
from pages._text import literal
from sequoia_core.errors import SequoiaError
from sequoia_core.plan.agreement import Difference, agreement
from sequoia_core.plan.hardware import HardwareProfile
from sequoia_core.plan.knee import knee
from sequoia_core.plan.optimizer import make_plan
from sequoia_core.plan.plan import Plan
from sequoia_core.plan.twin import Twin, model_error, twins

SIZES = {"target": (1, 16, 64, 256), "draft": (1, 16)}
SPEEDUP = st.column_config.NumberColumn(format="%.2f×")
NO_TWIN = (
    "No model stands beside this measurement: its device has no data sheet here, and the file has "
    "no bandwidth and FLOP/s of its own. Profiles measured from now on have them."
)


def side_by_side(shown: Shown) -> None:
    """Both profiles' figures, and whether two measurements of one machine agree."""
    if shown.versus is None:
        return
    st.markdown("**Side by side**")
    pair = (shown.profile, shown.versus)
    columns = {profile_name(each): _figures(each, _plan(each, shown)) for each in pair}
    if len(columns) < len(pair):
        st.caption("Both are the same profile.")
        return
    names = list(next(iter(columns.values())))
    values = {name: list(figures.values()) for name, figures in columns.items()}
    st.dataframe({"": names, **values}, hide_index=True, height="content", alt="Both profiles")
    for words in _verdicts(shown):
        st.caption(literal(words))
    noise_note(shown.versus)


def _verdicts(shown: Shown) -> list[str]:
    """What the two have to say of each other, where they are comparable at all."""
    same = agreement(shown.profile, shown.versus)
    if same is not None:
        return [same.words]
    if shown.modelled is not None:
        off = model_error(shown.versus, shown.modelled)
        if off:
            words = "; ".join(each.words for each in off)
            return [f"The model is off {profile_name(shown.versus)}, which was measured: {words}."]
    return []


def _figures(profile: HardwareProfile, plan: Plan) -> dict[str, str]:
    """One column of the comparison, as text: milliseconds, sizes and factors stand in it."""
    passes = {
        f"{model}, {size} token{'s' * (size > 1)}": _milliseconds(profile, model, size)
        for model, sizes in SIZES.items()
        for size in sizes
    }
    turn = knee(profile).tokens
    chain = plan.best_chain
    return {
        "origin": profile.origin,
        "dtype": profile.dtype or "–",
        **passes,
        "beside the passes of a step": f"{profile.overhead_seconds * 1e3:.3g} ms",
        "knee": f"{turn:,} tokens" if turn else "–",
        "best": f"{plan.verdict.choice}: {plan.budget} tokens, {plan.depth} deep",
        "speedup": f"{plan.speedup:.2f}×",
        "best chain": f"{chain.speedup:.2f}×" if chain else "–",
    }


def _milliseconds(profile: HardwareProfile, model: str, size: int) -> str:
    """A dash beyond the last size that the profile knows."""
    if size > getattr(profile, f"{model}_seconds")[-1][0]:
        return "–"
    return f"{getattr(profile, model)(size) * 1e3:.3g} ms"


def modelled_against_measured(shown: Shown, own: list[Twin]) -> None:
    """The error of every roofline that has a measurement to be held against."""
    if shown.profile.origin != "measured":
        return
    st.markdown("**Modelled against measured**")
    for twin in own:
        st.caption(literal(twin.words))
    if not own:
        st.caption(NO_TWIN)
    found = [(name, twin) for name in library.hardware_names() for twin in _twins(name)]
    if not found:
        return
    columns = {
        "profile": [name for name, _ in found],
        "modelled from": [twin.kind for _, twin in found],
    }
    for index, model in enumerate(SIZES):
        differences = [twin.differences[index] for _, twin in found]
        columns[f"{model}, median"] = [100 * each.median for each in differences]
        columns[f"{model}, worst"] = [_worst(each) for each in differences]
    percent = st.column_config.NumberColumn(format="%.0f %%", width=90, help="The median error.")
    worst = st.column_config.TextColumn(width=98, help="The largest error, and at how many tokens.")
    st.dataframe(
        columns,
        hide_index=True,
        height="content",
        alt="Errors of the models of measured profiles",
        column_config={"profile": st.column_config.TextColumn(width=120)}
        | {"modelled from": st.column_config.TextColumn(width=112)}
        | {name: percent for name in columns if name.endswith("median")}
        | {name: worst for name in columns if name.endswith("worst")},
    )


def _worst(difference: Difference) -> str:
    return f"{difference.worst:+.0%} at {difference.worst_tokens:,}"


def _twins(name: str) -> list[Twin]:
    try:
        return twins(library.hardware(name))
    except SequoiaError:
        # Named where the best trees are listed.
        return []


def best_trees(shown: Shown) -> None:
    """The best tree of this acceptance on every profile there is."""
    st.markdown("**Which tree on which machine**")
    rows = []
    if shown.modelled is not None:
        rows.append(_row("modelled here", shown.profile, shown))
    for name in library.hardware_names():
        try:
            rows.append(_row(name, library.hardware(name), shown))
        except SequoiaError as error:
            st.error(str(error))
    rows.sort(key=lambda row: -row[4])
    names = ("profile", "choice", "budget", "depth", "speedup", "best chain", "origin", "target")
    st.dataframe(
        dict(zip(names, zip(*rows, strict=True), strict=True)),
        hide_index=True,
        height="content",
        alt="The best tree on every profile",
        placeholder="–",
        column_config={
            "profile": st.column_config.TextColumn(width=220),
            "target": st.column_config.TextColumn(width=118),
            "choice": st.column_config.TextColumn(width=55),
            "budget": st.column_config.NumberColumn(width=60),
            "depth": st.column_config.NumberColumn(width=55),
            "speedup": SPEEDUP,
            "best chain": SPEEDUP,
        },
    )
    st.caption(
        f"All planned with `{shown.acceptance.name}`: as if this draft were as good for every "
        "target here. No tree is larger than the passes that its profile knows."
    )


def _plan(profile: HardwareProfile, shown: Shown) -> Plan:
    return make_plan(shown.acceptance, profile, max_budget=known_tokens(profile))


def _row(name: str, profile: HardwareProfile, shown: Shown) -> tuple:
    plan = _plan(profile, shown)
    chain = plan.best_chain
    noisy = ", noisy" if profile.warning else ""
    return (
        name,
        plan.verdict.choice,
        plan.budget,
        plan.depth,
        plan.speedup,
        chain.speedup if chain else None,
        profile.origin + noisy,
        profile.target_model or "any",
    )
