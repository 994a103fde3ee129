"""The map of Plan: speedup over all budgets and depths, with the optimum and its flat range."""

import numpy as np
import streamlit as st

from pages._charts import GRID, colours, ground
from sequoia_core.plan.optimizer import FLAT_SHARE
from sequoia_core.plan.plan import Plan

ROWS = 64
POWERS = tuple(2**power for power in range(11))


def speedup_map(plan: Plan) -> None:
    """Speedup by budget and depth; dots are within 2 % of the best; a click plans that tree."""
    best = plan.optimum
    last = len(plan.grid.speedup) - 1
    here = min(plan.budget, last)
    budgets, depths, speedup = plan.grid.thin(
        ROWS, keep=(best.budget, here, *(n for n in POWERS if n <= last))
    )
    rows, columns = np.nonzero(~np.isnan(speedup))
    cells = [
        [int(i), int(j), round(float(speedup[i, j]), 3), int(budgets[i]), int(depths[j])]
        for i, j in zip(rows, columns, strict=True)
    ]
    st.session_state.map_cells = [cell[3:] for cell in cells]
    flat = [cell[:2] for cell in cells if cell[2] >= FLAT_SHARE * best.speedup]
    place = {int(n): i for i, n in enumerate(budgets)}
    shown = plan.grid.speedup.shape[1] - 1
    marks = {
        "best": [place[best.budget], min(best.depth, shown)],
        "this tree": [place[here], min(plan.depth, shown)],
    }
    st.echarts_chart(
        _map_option(budgets, depths, cells, flat, marks),
        key="map",
        height=330,
        on_select=_take_cell,
        alt=f"Speedup by budget and depth: the best is {best.speedup:.2f} at {best.budget} tokens "
        f"and depth {best.depth}",
    )
    st.caption(
        f"◆ best: {best.budget} tokens, {best.depth} deep, {best.speedup:.2f}×. Dots: within 2 % "
        f"of it, budgets {best.budget_low} to {best.budget_high}, depths {best.depth_low} to "
        f"{best.depth_high}. ○ this tree. Click a cell to plan it."
    )


def _take_cell() -> None:
    """Plan the cell that was clicked."""
    chosen = st.session_state["map"]["selection"]["selected"]
    indices = [i for group in chosen if group["series_index"] == 0 for i in group["data_indices"]]
    cells = st.session_state.get("map_cells", [])
    if indices and indices[0] < len(cells):
        budget, depth = cells[indices[0]]
        st.session_state.update(auto=False, budget=budget, depth=depth)


def _map_option(
    budgets: np.ndarray, depths: np.ndarray, cells: list, flat: list, marks: dict[str, list[int]]
) -> dict:
    tones = colours()
    names = [str(n) if n & (n - 1) == 0 else "" for n in budgets.tolist()]
    values = [cell[2] for cell in cells]
    low, high = min(values), max(max(values), 1.001)
    point = {"type": "scatter", "silent": True, "itemStyle": {"color": tones["text"]}}
    ring = {"color": "transparent", "borderColor": tones["text"], "borderWidth": 2}
    return {
        "animation": False,
        "grid": GRID,
        "tooltip": {"formatter": "{@[3]} tokens, depth {@[4]}: {@[2]}×"},
        "xAxis": {
            "type": "category",
            "data": names,
            "name": "tree budget n",
            "nameLocation": "middle",
            "nameGap": 26,
            "axisLabel": {"interval": 0, "hideOverlap": False},
            "axisTick": {"show": False},
        },
        "yAxis": {"type": "category", "data": depths.tolist(), "name": "depth"},
        "visualMap": {
            "type": "continuous",
            "seriesIndex": 0,
            "dimension": 2,
            "min": low,
            "max": high,
            "precision": 2,
            "text": [f"{high:.2f}×", f"{low:.2f}×"],
            "orient": "horizontal",
            "top": 0,
            "right": 10,
            "itemWidth": 10,
            "itemHeight": 120,
            "inRange": {"color": _scale(low, high)},
        },
        "series": [
            {
                "type": "heatmap",
                "data": cells,
                "selectedMode": "single",
                "progressive": 0,
                "emphasis": {"itemStyle": {"borderColor": tones["text"], "borderWidth": 1}},
                "select": {"itemStyle": {"borderColor": tones["text"], "borderWidth": 1}},
            },
            {**point, "symbolSize": 3, "data": flat},
            {**point, "symbol": "diamond", "symbolSize": 13, "data": [marks["best"]]},
            {**point, "symbolSize": 15, "data": [marks["this tree"]], "itemStyle": ring},
        ],
    }


def _scale(low: float, high: float, stops: int = 25) -> list[str]:
    """Colours from `low` to `high`: orange where drafting loses, the ground at 1, blue above."""
    lose, gain, middle = (_rgb(c) for c in ("#D55E00", colours()["accepted"], ground()))
    scale = []
    for value in np.linspace(low, high, stops):
        end, share = (
            (gain, (value - 1) / (high - 1))
            if value >= 1
            else (lose, (1 - value) / (1 - min(low, 0.5)))
        )
        mixed = middle + (end - middle) * min(1.0, 0.08 + 0.92 * share)
        scale.append("#" + "".join(f"{round(part):02x}" for part in mixed))
    return scale


def _rgb(colour: str) -> np.ndarray:
    return np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)], float)
