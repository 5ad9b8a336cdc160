"""How figures look, and how they become files: one colour per method, one font, the same bytes for the same numbers."""

import io
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

# distinguishable with any colour vision: Okabe and Ito (2008) without yellow and black, then the darkest of Tol (2021)
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#882255", "#999933", "#332288")
BOUND_COLOUR = "#767676"
INK, RULE = "#1a1a1a", "#d0d0d0"
FULL_IN, HALF_IN = 10.5, 5.1  # as wide as the page's text, and half of it
MOST_PANELS = 4  # in a row of the full width
ROW_IN = 0.27  # height of a method in a figure with a row for each
_LINE_IN = 0.165  # height of a line of text
_SVG_DPI, _PNG_DPI = 72, 200
_LINE, _TITLE_LINE, _SHORT = 20, 44, 12  # characters
FONT = "DejaVu Sans"
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")

_SETTINGS: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": [FONT],
    "font.size": 10,  # 13 px, as the page's tables
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "dlfbench",
    "text.parse_math": False,
}


@dataclass(frozen=True)
class Picture:
    """A finished figure.

    Attributes:
        name: File name without suffix.
        title: Short, for headings and lists.
        alt: What it shows, for those who cannot see it.
        content: As the page shows it.
        kind: svg or webp, of the content.
        png: The same for documents that take neither.
    """

    name: str
    title: str
    alt: str
    content: bytes
    kind: str = "svg"
    png: bytes = b""


def colours(methods: Iterable[str]) -> dict[str, str]:
    """One colour per method, by its place in the study: the same in every figure."""
    return {method: PALETTE[place % len(PALETTE)] for place, method in enumerate(methods)}


def markers(methods: Iterable[str]) -> dict[str, str]:
    """One marker per method, so that methods that share a colour still differ."""
    return {method: MARKERS[place % len(MARKERS)] for place, method in enumerate(methods)}


def new_axes(width_in: float, height_in: float) -> Axes:
    """Axes of a new figure that belongs to no window."""
    with mpl.rc_context(_SETTINGS):
        return Figure(figsize=(width_in, height_in), layout="constrained").subplots()


def new_row(panels: int, width_in: float, height_in: float) -> list[Axes]:
    """Panels beside each other with one vertical axis, of a new figure that belongs to no window."""
    with mpl.rc_context(_SETTINGS):
        figure = Figure(figsize=(width_in, height_in), layout="constrained")
        return list(figure.subplots(1, panels, sharey=True, squeeze=False)[0])


def new_panels(panels: int, methods: Sequence[str]) -> list[Axes]:
    """A row of at most `MOST_PANELS` panels, as wide as so many are, with room for a legend of the methods."""
    return new_row(panels, max(FULL_IN * panels / MOST_PANELS, 0.4 * FULL_IN), 3.0 + legend_in(methods))


def against_diagonal(
    axes: Axes, drawn: Mapping[str, tuple[Any, Any]], every: Sequence[str], *, low: float = 0, **style: Any
) -> None:
    """The line on which x and y are equal, from `low` to 1, and x and y of each method as it looks among all."""
    axes.plot([low, 1], [low, 1], color=RULE, zorder=0)
    colour, marker = colours(every), markers(every)
    for method, (x, y) in drawn.items():
        axes.plot(x, y, color=colour[method], marker=marker[method], label=method, **style)


def finish(axes: Axes, *, name: str, title: str, alt: str) -> Picture:
    """Draws the figure of the axes."""
    figure = axes.get_figure(root=True)
    assert isinstance(figure, Figure)
    svg, png = _drawn(figure)
    return Picture(name, title, alt, svg, png=png)


def _drawn(figure: Figure) -> tuple[bytes, bytes]:
    """The figure as SVG and as PNG, laid out once for both; `savefig` would draw it twice more."""
    svg, png = io.BytesIO(), io.BytesIO()
    with mpl.rc_context(_SETTINGS):
        figure.dpi = _SVG_DPI
        if engine := figure.get_layout_engine():
            engine.execute(figure)
            engine.execute(figure)  # again: axes of another size may have other ticks
        figure.set_layout_engine("none")
        FigureCanvasSVG(figure).print_svg(svg, metadata={"Date": None, "Creator": "dlfbench"})
        figure.dpi = _PNG_DPI
        FigureCanvasAgg(figure).print_png(png, metadata={"Software": None})
    return svg.getvalue(), png.getvalue()


def head(axes: Axes, text: str) -> None:
    """The title of a panel, on the left above the axes."""
    axes.set_title(_wrapped(text, _TITLE_LINE), loc="left", fontsize=10.5, fontweight="bold")


def in_lines(name: str) -> str:
    """A name as it fits beside an axis: `jlf[patch_radius=1,search_radius=1]` takes two lines."""
    return _wrapped(name, _LINE)


def rows_in(names: Sequence[str]) -> float:
    """Height of rows with these names beside them, in lines, in inches: none reaches into the next."""
    lines = max((in_lines(name).count("\n") + 1 for name in names), default=1)
    return len(names) * max(ROW_IN, _LINE_IN * lines + 0.03)


def _wrapped(text: str, characters: int) -> str:
    """In lines, which break at spaces and commas; of a name that is too long also after `[` and `;`."""
    spaced = re.sub(r",(?! )", ", ", text)
    if len(spaced) > characters:
        spaced = re.sub(r"([\[;])", "\\1\t", spaced)  # a break that is no space where it is not needed
    lines = textwrap.wrap(spaced, characters, break_on_hyphens=False, expand_tabs=False, replace_whitespace=False)
    return "\n".join(line.replace("\t", "") for line in lines)


def legend_in(names: Sequence[str]) -> float:
    """Height that the legend of these names needs, in inches."""
    lines = max(in_lines(name).count("\n") + 1 for name in names)
    return 0.2 * lines * -(-len(names) // _legend_columns(names))


def legend_below(axes: Axes) -> None:
    """A frameless legend under the axes, names in lines."""
    handles, names = axes.get_legend_handles_labels()
    if not names:
        return
    axes.legend(
        handles,
        [in_lines(name) for name in names],
        loc="upper center",
        bbox_to_anchor=(0.5, -0.16),
        ncols=_legend_columns(names),
        frameon=False,
        handletextpad=0.4,
    )


def _legend_columns(names: Sequence[str]) -> int:
    return min(len(names), 3 if max(map(len, names)) <= _SHORT else 2)
