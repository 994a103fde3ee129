"""The sections on appendix E, tables 5 to 8 and the reference's growmaps."""

import numpy as np

from sequoia_core.plan.acceptance import load_acceptance
from sequoia_core.plan.expected import expected_tokens, plan_table
from sequoia_core.tree.families import chain
from tools.paper.derived import Costs, offload_costs
from tools.paper.grid import GridModel, fit_grid
from tools.paper.inferred import Inferred, infer
from tools.paper.markdown import percent, signed, table
from tools.paper.published import Cell, Result, grid, published, results
from tools.paper.results import (
    MAX_DEPTH,
    OFFLOAD_RIVAL_LEVELS,
    VECTORS,
    on_device_costs,
    tables,
)

LONG_CHAIN = 400


def checks_section() -> str:
    """Expected tokens recorded from other programs beside the planner's."""
    appendix, repository = published()["checks"]
    limit = expected_tokens(chain(LONG_CHAIN), load_acceptance(VECTORS[0]))
    rows = [_unlimited_row("E", 0, *entry) for entry in appendix["unlimited"]]
    rows += [
        _check_row("E", f"n = 128, {levels} levels", recorded, 0, 128, levels - 1)
        for levels, recorded in appendix["by_levels"]
    ]
    recorded = appendix["chain_limit"]
    rows.append(_check_cells("E", "endless chain", recorded, limit))
    rows += [_unlimited_row("R", 1, *entry) for entry in repository["unlimited"]]
    return table(["vector", "tree", ">recorded", ">ours", ">difference"], rows)


def _unlimited_row(name: str, vector: int, size: int, recorded: float) -> list[str]:
    depth = tables()[vector].tree(size, MAX_DEPTH).depth
    what = f"n = {size}, any depth (ours has {depth})"
    return _check_row(name, what, recorded, vector, size, MAX_DEPTH)


def _check_row(
    name: str, what: str, recorded: float, vector: int, size: int, depth: int
) -> list[str]:
    value = float(tables()[vector].expected_tokens[size, depth])
    return _check_cells(name, what, recorded, value)


def _check_cells(name: str, what: str, recorded: float, value: float) -> list[str]:
    cells = [name, what, f"{recorded:.3f}", f"{value:.3f}"]
    return [*cells, signed(round(value, 3) - recorded, 3)]


def sequoia_row(temperature: float) -> Result:
    """Table 1's row of the pair, text and temperature that tables 5 and 6 sweep."""
    key = ("A100", "Llama2-7B", temperature)
    rows = results(offload=False)
    return next(row for row in rows if row.block == key and row.text == "C4")


def grid_model(temperature: float) -> GridModel:
    """a and b fitted to table 5 or 6, with the constants derived from table 1."""
    return fit_grid(grid(temperature), on_device_costs()["A100", "Llama2-7B", temperature])


def grid_section(temperature: float) -> str:
    """The whole grid, published / modelled."""
    model = grid_model(temperature)
    cells = {(cell.width, cell.depth): cell for cell in grid(temperature)}
    depths = sorted({depth for _, depth in cells})
    rows = [
        [str(width), *(_grid_cell(cells.get((width, depth)), model) for depth in depths)]
        for width in sorted({width for width, _ in cells})
    ]
    return table([">width", *(f">depth {depth}" for depth in depths)], rows)


def _grid_cell(cell: Cell | None, model: GridModel) -> str:
    if cell is None:
        return ""
    return f"{cell.speedup:.2f} / {model.speedup(cell.width, cell.depth):.2f}"


def grid_fit_section() -> str:
    """The two fitted numbers, and what they say of trees that were not fitted."""
    head = ["T", ">a", ">b", ">error", "tree not fitted", ">tokens", ">modelled", ">speedup"]
    head += [">modelled"]
    rows = [row for temperature in (0.0, 0.6) for row in _grid_fit_rows(temperature)]
    return table(head, rows)


def _grid_fit_rows(temperature: float) -> list[list[str]]:
    model, row = grid_model(temperature), sequoia_row(temperature)
    planned = plan_table(model.acceptance(), max_budget=row.size, max_depth=16, max_branch=128)
    tokens = float(planned.expected_tokens[row.size, row.levels - 1])
    fit = [f"{temperature:g}", f"{model.first:.3f}", f"{model.fall:.3f}"]
    fit.append(f"{100 * model.error:.1f} %")
    chains = [
        "SpecInfer 5x8",
        f"{row.rival_tokens:.2f}",
        f"{model.tokens(5, 8):.2f}",
        f"{row.rival_speedup:.2f}",
        f"{model.speedup(5, 8):.2f}",
    ]
    tree = [
        f"Sequoia ({row.size}, {row.levels})",
        f"{row.tokens:.2f}",
        f"{tokens:.2f}",
        f"{row.speedup:.2f}",
        f"{model.costs.speedup(tokens, row.size, row.levels):.2f}",
    ]
    return [fit + chains, fit + tree]


def margin_section() -> str:
    """Sequoia over the default SpecInfer tree and over the best of all that were tried."""
    head = ["T", ">Sequoia", ">SpecInfer 5x8", ">best of the sweep", ">over 5x8", ">over best"]
    head += [">best chain", ">over chain"]
    return table(head, [_margin_row(temperature) for temperature in (0.0, 0.6)])


def _margin_row(temperature: float) -> list[str]:
    row, cells = sequoia_row(temperature), grid(temperature)
    top = max(cells, key=lambda cell: cell.speedup)
    best_chain = max(cell.speedup for cell in cells if cell.width == 1)
    return [
        f"{temperature:g}",
        f"{row.speedup:.2f}",
        f"{row.rival_speedup:.2f}",
        f"{top.speedup:.2f} ({top.width}x{top.depth})",
        f"{row.speedup / row.rival_speedup:.2f}",
        f"{row.speedup / max(top.speedup, row.rival_speedup):.2f}",
        f"{best_chain:.2f}",
        f"{row.speedup / best_chain:.2f}",
    ]


def sweep_section() -> str:
    """Table 7, with the tokens its speedups imply if table 2's derived constants hold."""
    row = next(r for r in results(offload=True) if r.target[:6] == "Llama2" and r.temperature)
    costs = offload_costs(row, OFFLOAD_RIVAL_LEVELS)
    cells = [Cell(*cell) for cell in published()["offload_sweep"]["cells"]]
    lines = [_sweep_row(cell, costs) for cell in cells]
    lines.append([f"Sequoia ({row.size}, {row.levels})", f"{row.speedup:.1f}", f"{row.tokens:.2f}"])
    return table(["tree", ">speedup", ">tokens implied"], lines)


def _sweep_row(cell: Cell, costs: Costs) -> list[str]:
    implied = cell.speedup * (costs.t + (cell.depth + 1) * costs.c)
    return [f"SpecInfer {cell.width}x{cell.depth}", f"{cell.speedup:.1f}", f"{implied:.2f}"]


def top_p_section() -> str:
    """Table 8, with the cost of a step that each entry implies."""
    methods = ("sequoia", "specinfer", "top_k")
    head = ["top-p", *(f">{name}" for name in ("Sequoia", "SpecInfer", "top-k"))]
    head += [f">cost, {name}" for name in ("Sequoia", "SpecInfer", "top-k")]
    rows = []
    for entry in published()["top_p"]:
        pairs = [entry[method] for method in methods]
        cells = [f"{speedup:.2f} ({tokens:.2f})" for speedup, tokens in pairs]
        costs = [f"{tokens / speedup:.2f}" for speedup, tokens in pairs]
        rows.append([f"{entry['top_p']:.1f}", *cells, *costs])
    return table(head, rows)


def growmaps_section() -> str:
    """Nodes per level of the reference's trees beside the planner's of the same n and depth."""
    head = ["growmap", "tree", "its levels", "ours, E", ">moved, E", ">moved, R"]
    head += [">mean depth", ">E", ">R"]
    return table(head, [_growmap_row(**growmap) for growmap in published()["growmaps"]])


def _growmap_row(name: str, setting: list, level_sizes: list[int]) -> list[str]:
    size, levels = sum(level_sizes), len(level_sizes)
    ours = [table.tree(size, levels - 1).level_sizes for table in tables()]
    return [
        name,
        f"({size}, {levels})",
        " ".join(map(str, level_sizes)),
        " ".join(map(str, ours[0])),
        *(f"{100 * moved_share(level_sizes, sizes):.0f} %" for sizes in ours),
        *(f"{mean_depth(sizes):.1f}" for sizes in (level_sizes, *ours)),
    ]


def inferred_section() -> str:
    """Vectors that make the planner draw the reference's trees, and the tokens they promise."""
    head = ["target", "T", "text", "trees of", ">a", ">b", ">moved", "measured tree"]
    head += [">tokens", ">ours", ">span of near fits", ">ours over published"]
    return table(head, map(_inferred_row, infer()))


def _inferred_row(fit: Inferred) -> list[str]:
    row = fit.row
    return [
        row.target,
        f"{row.temperature:g}",
        row.text,
        ", ".join(map(str, fit.sizes)),
        f"{fit.first:.2f}",
        f"{fit.fall:.1f}",
        f"{100 * fit.moved:.1f} %",
        f"({row.size}, {row.levels})",
        f"{row.tokens:.2f}",
        f"{fit.tokens:.2f}",
        f"{fit.low:.2f} to {fit.high:.2f}",
        percent(fit.tokens / row.tokens - 1),
    ]


def moved_share(one: list[int], other: list[int]) -> float:
    """Share of nodes that must change level to turn one tree's level sizes into the other's."""
    padded = np.zeros((2, max(len(one), len(other))))
    padded[0, : len(one)], padded[1, : len(other)] = one, other
    return float(np.abs(padded[0] - padded[1]).sum() / (2 * sum(one)))


def mean_depth(level_sizes: list[int]) -> float:
    """Mean edges between the root and a node."""
    return float(np.average(np.arange(len(level_sizes)), weights=level_sizes))
