"""Small drawings as SVG text: line charts and trees, coloured by the page's own style sheet."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

import numpy as np

from sequoia_core.tree.layout import tidy_layout
from sequoia_core.tree.token_tree import TokenTree

WIDTH, HEIGHT = 560, 300
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 14, 44
# Distances of ticks as parts of a power of ten.
PARTS = (0.1, 0.2, 0.5, 1, 2)
# Trees: distance of levels, the least radius, and the widest drawing before nodes shrink.
LEVEL, SMALLEST, TREE_WIDTH = 46, 1.2, 1100


@dataclass(frozen=True, slots=True)
class Line:
    """A curve: (x, y) points in order; nan breaks it. style: the number of its colour and dash."""

    name: str
    points: Sequence[tuple[float, float]]
    style: int
    dots: bool = False


@dataclass(frozen=True, slots=True)
class Mark:
    """A measured point with its interval, and what it is."""

    name: str
    x: float
    y: float
    low: float
    high: float
    style: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Lines and marks over two axes. alt: the drawing in one sentence.

    log_x, log_y: logarithmic axes, whose values must be above 0. level: a y that is drawn through.
    """

    x_title: str
    y_title: str
    alt: str
    lines: Sequence[Line] = ()
    marks: Sequence[Mark] = field(default=())
    log_x: bool = False
    log_y: bool = False
    level: float | None = None

    def svg(self) -> str:
        """The chart as one `svg` element."""
        scales = _Scale.of(self, 0), _Scale.of(self, 1)
        parts = [*_axes(self, *scales), *(_line(line, *scales) for line in self.lines)]
        parts += [_mark(mark, *scales) for mark in self.marks]
        return (
            f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(self.alt)}">'
            f"{''.join(parts)}</svg>{_legend(self)}"
        )


@dataclass(frozen=True, slots=True)
class _Scale:
    """From values to pixels on one axis, and where its ticks are."""

    low: float
    high: float
    log: bool
    begin: float
    end: float

    @classmethod
    def of(cls, chart: Chart, axis: int) -> "_Scale":
        values = [point[axis] for line in chart.lines for point in line.points]
        values += [v for m in chart.marks for v in ((m.x,) if axis == 0 else (m.low, m.y, m.high))]
        values += [chart.level] if axis and chart.level is not None else []
        finite = [value for value in values if math.isfinite(value)]
        low, high = min(finite, default=0.0), max(finite, default=1.0)
        log = (chart.log_x, chart.log_y)[axis]
        if axis and not log:
            low, high = _with_room(low, high)
        if low == high:
            low, high = (low / 2, high * 2) if log else (low - 0.5, high + 0.5)
        ends = (HEIGHT - BOTTOM, TOP) if axis else (LEFT, WIDTH - RIGHT)
        return cls(low, high, log, *ends)

    def __call__(self, value: float) -> float:
        low, high = self.low, self.high
        if self.log:
            low, high, value = math.log(low), math.log(high), math.log(value)
        return round(self.begin + (self.end - self.begin) * (value - low) / (high - low), 1)

    @property
    def ticks(self) -> list[float]:
        return _log_ticks(self.low, self.high) if self.log else _ticks(self.low, self.high)


def _with_room(low: float, high: float) -> tuple[float, float]:
    """Limits of a plain axis: from 0 where the values come near it, else with room below."""
    room = 0.05 * (high - low)
    return (0.0 if 0 <= low < 0.4 * high else low - room), high + room


def _ticks(low: float, high: float) -> list[float]:
    """Round values in low..high, four to eight of them.

    >>> _ticks(0, 10)
    [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
    """
    power = 10 ** math.floor(math.log10(high - low))
    step = next(power * part for part in PARTS if high - low <= 7 * power * part)
    first = math.ceil(low / step - 1e-9)
    return [round(n * step, 10) for n in range(first, math.floor(high / step + 1e-9) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten in low..high, with 2 and 5 between them where they are few.

    Where fewer than two of these lie in it, it is short, and has ticks as a plain axis.

    >>> _log_ticks(1, 100), _log_ticks(2.1, 4.9)
    ([1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0], [2.5, 3.0, 3.5, 4.0, 4.5])
    """
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    parts = (1, 2, 5) if len(exponents) <= 4 else (1,)
    ticks = [part * 10.0**exponent for exponent in exponents for part in parts]
    inside = [tick for tick in ticks if low * (1 - 1e-9) <= tick <= high * (1 + 1e-9)]
    return inside if len(inside) > 1 else _ticks(low, high)


def _axes(chart: Chart, x: _Scale, y: _Scale) -> list[str]:
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    parts = []
    for tick in y.ticks:
        parts.append(f'<path class="grid" d="M{LEFT} {y(tick)}H{right}"/>')
        parts.append(f'<text class="tick" x="{LEFT - 6}" y="{y(tick) + 4}" text-anchor="end">')
        parts.append(f"{tick:,.6g}</text>")
    for tick in x.ticks:
        parts.append(f'<path class="grid" d="M{x(tick)} {bottom}v4"/>')
        parts.append(f'<text class="tick" x="{x(tick)}" y="{bottom + 17}" text-anchor="middle">')
        parts.append(f"{tick:,.6g}</text>")
    if chart.level is not None:
        parts.append(f'<path class="level" d="M{LEFT} {y(chart.level)}H{right}"/>')
    middle = (TOP + bottom) / 2
    return [
        *parts,
        f'<path class="axis" d="M{LEFT} {TOP}V{bottom}H{right}"/>',
        f'<text class="title" x="{(LEFT + right) / 2}" y="{HEIGHT - 6}" text-anchor="middle">'
        f"{escape(chart.x_title)}</text>",
        f'<text class="title" x="12" y="{middle}" text-anchor="middle" '
        f'transform="rotate(-90 12 {middle})">{escape(chart.y_title)}</text>',
    ]


def _line(line: Line, x: _Scale, y: _Scale) -> str:
    path, pen_down, dots = [], False, []
    for a, b in line.points:
        if not math.isfinite(b):
            pen_down = False
            continue
        path.append(f"{'L' if pen_down else 'M'}{x(a)} {y(b)}")
        dots.append(f'<circle class="dot s{line.style}" cx="{x(a)}" cy="{y(b)}" r="2"/>')
        pen_down = True
    drawn = f'<path class="line s{line.style}" d="{"".join(path)}"/>' if path else ""
    return drawn + ("".join(dots) if line.dots else "")


def _mark(mark: Mark, x: _Scale, y: _Scale) -> str:
    at, low, high = x(mark.x), y(mark.low), y(mark.high)
    return (
        f'<g class="mark s{mark.style}"><title>{escape(mark.name)}</title>'
        f'<path d="M{at} {low}V{high}M{at - 5} {low}h10M{at - 5} {high}h10"/>'
        f'<circle cx="{at}" cy="{y(mark.y)}" r="5"/></g>'
    )


def _legend(chart: Chart) -> str:
    lines = [
        f'<span><svg class="key" viewBox="0 0 28 8" aria-hidden="true">'
        f'<path class="line s{line.style}" d="M0 4H28"/></svg>{escape(line.name)}</span>'
        for line in chart.lines
    ]
    marks = [
        f'<span><svg class="key" viewBox="0 0 28 12" aria-hidden="true"><g class="mark s{m.style}">'
        f'<circle cx="14" cy="6" r="5"/></g></svg>{escape(m.name)}</span>'
        for m in chart.marks
    ]
    return f'<p class="legend">{"".join([*lines, *marks])}</p>'


def tree_svg(tree: TokenTree, reach: np.ndarray, alt: str) -> str:
    """A planned tree, levels downwards; the likelier a node is reached, the fuller its colour.

    reach: float [n], the chance that a step's walk gets to each node.
    """
    layout = tidy_layout(tree)
    left, width = float(layout.x.min()), float(layout.x.max() - layout.x.min())
    unit = min(30.0, (TREE_WIDTH - 40) / max(width, 1.0))
    radius = max(SMALLEST, min(9.0, 0.42 * unit))
    level = LEVEL if tree.depth <= 12 else 560 / tree.depth
    xs = [round(20 + unit * (float(x) - left), 1) for x in layout.x]
    ys = [round(18 + level * float(y), 1) for y in layout.y]
    edges = "".join(
        f"M{xs[parent]} {ys[parent]}L{xs[node]} {ys[node]}"
        for node, parent in enumerate(tree.parents.tolist())
        if node
    )
    dots = "".join(
        _node(node, xs[node], ys[node], radius, float(reach[node]), int(tree.ranks[node]))
        for node in range(tree.size)
    )
    size = f"{round(unit * width + 40)} {round(36 + level * tree.depth)}"
    return (
        f'<svg class="tree" viewBox="0 0 {size}" style="max-width:{size.split()[0]}px" role="img" '
        f'aria-label="{escape(alt)}"><path class="edge" d="{edges}"/>{dots}</svg>'
    )


def _node(node: int, x: float, y: float, radius: float, reach: float, rank: int) -> str:
    what = (
        "root: the last committed token" if not node else f"child {rank + 1}, reached {reach:.1%}"
    )
    return (
        f'<circle class="node{"" if node else " root"}" cx="{x}" cy="{y}" r="{radius:.1f}" '
        f'style="--full:{100 * math.sqrt(reach):.0f}%"><title>{what}</title></circle>'
    )
