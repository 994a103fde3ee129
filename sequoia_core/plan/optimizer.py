"""Which tree is fastest on this hardware: the whole grid of budgets and depths, and its rivals."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from sequoia_core.errors import InputError
from sequoia_core.files import check_choice, check_integer
from sequoia_core.plan.acceptance import AcceptanceVector
from sequoia_core.plan.cost import CostModel
from sequoia_core.plan.empirical import empirical_table, model_at, path_model
from sequoia_core.plan.expected import expected_tokens, gradient, plan_table
from sequoia_core.plan.hardware import HardwareProfile
from sequoia_core.plan.plan import Optimum, Plan, SpeedupGrid
from sequoia_core.plan.replay import replay
from sequoia_core.plan.rivals import RIVALS, Members, rival_members, shape_name
from sequoia_core.plan.table import PlanTable
from sequoia_core.plan.verdict import EMPIRICAL, FamilyBest, Verdict
from sequoia_core.tree.families import chain, expansion
from sequoia_core.tree.token_tree import TokenTree

SEQUOIA = "sequoia"
FAMILIES = (SEQUOIA, *RIVALS)
# The empirical family needs path statistics, which not every acceptance vector has.
ALL_FAMILIES = (*FAMILIES, EMPIRICAL)
MAX_BUDGET, MAX_DEPTH, MAX_BRANCH, MAX_BATCH = 1024, 32, 1024, 1024
FLAT_SHARE = 0.98
NORMAL_95 = 1.959964


@dataclass(frozen=True, slots=True)
class Limits:
    """How far the search goes: nodes, levels below the root, children per node."""

    budget: int = 1024
    depth: int = 32
    branch: int = 32

    def __post_init__(self) -> None:
        check_integer(self.budget, "max_budget", low=1, high=MAX_BUDGET)
        check_integer(self.depth, "max_depth", low=0, high=MAX_DEPTH)
        check_integer(self.branch, "max_branch", low=1, high=MAX_BRANCH)

    def reaching(self, budget: int, depth: int) -> "Limits":
        """Limits that let in a tree of this budget and depth, whatever they were."""
        return Limits(max(self.budget, budget), max(self.depth, depth), self.branch)

    def table(self, acceptance: AcceptanceVector) -> PlanTable:
        return plan_table(acceptance, **self._named)

    def tables(
        self, acceptance: AcceptanceVector, pick: Callable[[PlanTable], tuple[int, int]]
    ) -> dict[str, PlanTable]:
        """The best trees of each planner that the vector has the statistics for.

        pick: the (n, d) that is wanted of a table, on whose tree the path model settles.
        """
        tables = {SEQUOIA: self.table(acceptance)}
        if acceptance.paths is not None:
            tables[EMPIRICAL] = empirical_table(acceptance, **self._named, pick=pick)
        return tables

    def rivals(self, acceptance: AcceptanceVector) -> dict[str, Members]:
        return rival_members(acceptance, **self._named)

    @property
    def _named(self) -> dict[str, int]:
        return {"max_budget": self.budget, "max_depth": self.depth, "max_branch": self.branch}


def make_plan(
    acceptance: AcceptanceVector,
    hardware: HardwareProfile,
    *,
    budget: int | None = None,
    depth: int | None = None,
    max_budget: int = 1024,
    max_depth: int = 32,
    max_branch: int = 32,
    batch_size: int = 1,
    family: str = SEQUOIA,
) -> Plan:
    """The fastest tree; what `budget` and `depth` fix is kept, the rest is searched.

    family: sequoia takes acceptance as positional, empirical lets it depend on the ranks accepted
    before (it needs a vector with path statistics, and the plan's expected tokens, grid and
    optimum are then the path model's). For both a fixed budget is met exactly and a fixed depth
    is a limit: where a flatter tree is at least as good, the plan's depth is smaller. The other
    families meet a fixed depth
    exactly and a fixed budget as nearly, from below, as their shapes allow.
    A budget of 1 is plain decoding, and what comes out when no tree is faster.
    Raises InputError, with the limits, for values out of range or that fit no tree.
    """
    _check_wishes(budget, depth, family)
    limits = Limits(max_budget, max_depth, max_branch).reaching(budget or 1, depth or 0)
    cost = _cost(hardware, batch_size)
    if family == EMPIRICAL:
        path_model(acceptance)  # refuses a vector without path statistics
    wishes = (budget, depth) if family == EMPIRICAL else (None, None)
    field = _Field.of(acceptance, cost, limits, wishes)
    if family in field.tables:
        tree = field.tables[family].tree(
            *_cell(field.tables[family], field.grids[family], budget, depth)
        )
    else:
        tree = _rival_tree(field.rivals.get(family), cost, family, budget, depth)
    return _plan(acceptance, cost, family, tree, field)


def judge_tree(
    tree: TokenTree,
    acceptance: AcceptanceVector,
    hardware: HardwareProfile,
    *,
    family: str,
    max_budget: int = 1024,
    max_depth: int = 32,
    max_branch: int = 32,
    batch_size: int = 1,
) -> Plan:
    """A given tree as a plan, with what the planner would do instead; `family` is its name."""
    cost = _cost(hardware, batch_size)
    field = _Field.of(acceptance, cost, Limits(max_budget, max_depth, max_branch))
    return _plan(acceptance, cost, family, tree, field)


def _cost(hardware: HardwareProfile, batch_size: int) -> CostModel:
    check_integer(batch_size, "The batch size", low=1, high=MAX_BATCH)
    return CostModel(hardware, batch_size)


@dataclass(frozen=True, slots=True)
class _Field:
    """All trees within the limits: planned tables with their grids, rival members, the bests."""

    tables: dict[str, PlanTable]
    grids: dict[str, SpeedupGrid]
    rivals: dict[str, Members]
    bests: tuple[FamilyBest, ...]

    @classmethod
    def of(
        cls,
        acceptance: AcceptanceVector,
        cost: CostModel,
        limits: Limits,
        wishes: tuple[int | None, int | None] = (None, None),
    ) -> "_Field":
        """wishes: budget and depth of the tree whose steps the path model settles on."""
        tables = limits.tables(acceptance, lambda t: _cell(t, speedup_grid(t, cost), *wishes))
        rivals = limits.rivals(acceptance)
        grids = {name: speedup_grid(table, cost) for name, table in tables.items()}
        planned = [_table_best(name, table, grids[name]) for name, table in tables.items()]
        return cls(tables, grids, rivals, (*planned, *_rival_bests(rivals, cost)))


def _check_wishes(budget: int | None, depth: int | None, family: str) -> None:
    if budget is not None:
        check_integer(budget, "The budget", low=1, high=MAX_BUDGET)
    if depth is not None:
        check_integer(depth, "The depth", low=0, high=MAX_DEPTH)
    if budget is not None and depth is not None and depth > budget - 1:
        raise InputError(
            f"A tree of {budget} tokens is at most {budget - 1} deep, got depth {depth}: lower "
            "the depth or raise the budget."
        )
    if depth == 0 and budget not in (None, 1):
        raise InputError(f"Depth 0 leaves the root alone, so the budget must be 1, got {budget}.")
    check_choice(family, "The family", ALL_FAMILIES)


def speedup_grid(table: PlanTable, cost: CostModel) -> SpeedupGrid:
    """Expected tokens and speedup at every budget and depth, nan where no tree exists."""
    budgets = np.maximum(np.arange(table.max_budget + 1), 1)
    seconds = cost.seconds(budgets[:, None], table.pass_widths)
    expected = np.where(table.feasible, table.expected_tokens, np.nan)
    return SpeedupGrid(expected, cost.speedup(expected, seconds))


def _cell(
    table: PlanTable, grid: SpeedupGrid, budget: int | None, depth: int | None
) -> tuple[int, int]:
    """The fastest (n, d) of the grid's part that the wishes leave; first of equals, so smallest."""
    if budget is not None and depth is not None:
        return budget, depth
    part = np.where(table.feasible, grid.speedup, -np.inf)
    rows = slice(None) if budget is None else slice(budget, budget + 1)
    columns = slice(None) if depth is None else slice(depth, depth + 1)
    row, column = np.unravel_index(part[rows, columns].argmax(), part[rows, columns].shape)
    return int(row) + (budget or 0), int(column) + (depth or 0)


def _rival_tree(
    members: Members | None, cost: CostModel, family: str, budget: int | None, depth: int | None
) -> TokenTree:
    """The fastest member that keeps to the wishes; plain decoding if none is wished or faster."""
    free = budget is None and depth is None
    if members is None or budget == 1 or depth == 0:
        return TokenTree([-1])
    speedups = _member_speedups(members, cost)
    fits = np.ones(len(members.sizes), dtype=bool)
    if depth is not None:
        fits &= members.depths == depth
    if budget is not None:
        fits &= members.sizes <= budget
        fits &= members.sizes == members.sizes[fits].max(initial=0)
    if not fits.any():
        raise InputError(
            f"No {family} tree of depth {depth} has at most {budget or MAX_BUDGET} tokens: raise "
            "the budget or lower the depth."
        )
    best = int(np.where(fits, speedups, -np.inf).argmax())
    if free and speedups[best] <= 1:
        return TokenTree([-1])
    return expansion(_children(members, best))


def _member_speedups(members: Members, cost: CostModel) -> np.ndarray:
    seconds = cost.seconds(members.sizes, members.pass_widths)
    return cost.speedup(members.expected_tokens, seconds)


def _children(members: Members, index: int) -> tuple[int, ...]:
    return tuple(members.children[index, : members.depths[index]].tolist())


def _rival_bests(rivals: dict[str, Members], cost: CostModel) -> list[FamilyBest]:
    """The fastest member of every family."""
    bests = []
    for family, members in rivals.items():
        speedups = _member_speedups(members, cost)
        index = int(speedups.argmax())
        bests.append(
            FamilyBest(
                family=family,
                budget=int(members.sizes[index]),
                depth=int(members.depths[index]),
                expected_tokens=float(members.expected_tokens[index]),
                speedup=float(speedups[index]),
                shape=shape_name(family, _children(members, index)),
            )
        )
    return bests


def _table_best(family: str, table: PlanTable, grid: SpeedupGrid) -> FamilyBest:
    """The grid's optimum as a family's best."""
    budget, depth = _peak(grid.speedup)
    return FamilyBest(
        family=family,
        budget=budget,
        depth=table.tree(budget, depth).depth,
        expected_tokens=float(grid.expected_tokens[budget, depth]),
        speedup=float(grid.speedup[budget, depth]),
        shape="planned tree" if budget > 1 else "plain decoding",
    )


def _peak(speedup: np.ndarray) -> tuple[int, int]:
    budget, depth = np.unravel_index(np.nanargmax(speedup), speedup.shape)
    return int(budget), int(depth)


def _optimum(best: FamilyBest, grid: SpeedupGrid) -> Optimum:
    """The best setting, and the unbroken ranges around it within 2 % of its speedup."""
    filled = np.where(np.isnan(grid.speedup), 0.0, grid.speedup)
    enough = FLAT_SHARE * best.speedup
    budgets = _run(filled.max(axis=1) >= enough, best.budget)
    depths = _run(filled.max(axis=0) >= enough, best.depth)
    return Optimum(best.budget, best.depth, best.speedup, *budgets, *depths)


def _run(flags: np.ndarray, around: int) -> tuple[int, int]:
    """Ends of the unbroken run of True that holds position `around`."""
    before, after = np.flatnonzero(~flags[:around]), np.flatnonzero(~flags[around:])
    low = int(before[-1]) + 1 if len(before) else 0
    high = around + int(after[0]) - 1 if len(after) else len(flags) - 1
    return low, high


def _plan(
    acceptance: AcceptanceVector, cost: CostModel, family: str, tree: TokenTree, field: _Field
) -> Plan:
    shown = family if family in field.grids else SEQUOIA
    by_paths = family == EMPIRICAL
    expected = (
        model_at(acceptance, tree).expected_tokens(tree)
        if by_paths
        else expected_tokens(tree, acceptance)
    )
    seconds = cost.tree_seconds(tree)
    speedup = float(cost.speedup(expected, seconds))
    error = _path_error(acceptance, tree) if by_paths else _positional_error(acceptance, tree)
    best = next(best for best in field.bests if best.family == shown)
    plan = Plan(
        family=family,
        tree=tree,
        expected_tokens=expected,
        speedup=speedup,
        step_seconds=seconds,
        plain_seconds=cost.plain_seconds,
        batch_size=cost.batch_size,
        acceptance=acceptance.name,
        hardware=cost.hardware.name,
        families=field.bests,
        optimum=_optimum(best, field.grids[shown]),
        speedup_error=None if error is None else NORMAL_95 * error * speedup / expected,
        grid=field.grids[shown],
    )
    gain_error = _gain_error(acceptance, field.tables[SEQUOIA], plan.verdict)
    return replace(plan, gain_error=gain_error)


def _positional_error(acceptance: AcceptanceVector, tree: TokenTree) -> float | None:
    """Standard error of the expected tokens, from the vector's; None if it has none.

    Delta method, the probabilities' errors taken as independent.
    """
    if acceptance.standard_errors is None:
        return None
    errors = np.atleast_2d(acceptance.standard_errors)
    return float(np.sqrt(np.sum((gradient(tree, acceptance) * errors) ** 2)))


def _gain_error(acceptance: AcceptanceVector, table: PlanTable, verdict: Verdict) -> float | None:
    """95 % half-width of the best tree's gain over the best chain, both from one vector.

    The same errors move both, so what counts is how differently they lean on each probability.
    None without errors, without both, and where the best tree is of no planned family.
    """
    tree, rival = verdict.tree, verdict.chain
    if acceptance.standard_errors is None or not (tree and rival) or tree.family != SEQUOIA:
        return None
    planned, straight = table.tree(tree.budget, tree.depth), chain(rival.depth)
    leaning = _relative_gradient(planned, acceptance) - _relative_gradient(straight, acceptance)
    errors = np.atleast_2d(acceptance.standard_errors)
    relative = float(np.sqrt(np.sum((leaning * errors) ** 2)))
    return NORMAL_95 * relative * tree.speedup / rival.speedup


def _relative_gradient(tree: TokenTree, acceptance: AcceptanceVector) -> np.ndarray:
    return gradient(tree, acceptance) / expected_tokens(tree, acceptance)


def _path_error(acceptance: AcceptanceVector, tree: TokenTree) -> float | None:
    """Standard error of the expected tokens, from how the tree fares from text to text."""
    return replay(tree, acceptance.paths).standard_error
