"""From a matplotlib figure to SVG that stands in an HTML page and takes its colours."""

import io
import re
from collections.abc import Callable
from datetime import UTC
from itertools import pairwise
from threading import Lock
from typing import Any, Final

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

from models.units import SECOND_NS
from tasks.report.markup import Markup, text
from tasks.report.style import DASHES, GRID, INK, MUTED, SERIES, VARIABLES

_STYLE: Final[Any] = {
    # Text stays text: small, sharp, searchable, and in the page's font.
    "svg.fonttype": "none", "svg.hashsalt": "floor", "text.parse_math": False,
    "font.size": 10.5, "font.family": "sans-serif",
    "text.color": INK, "axes.labelcolor": MUTED, "xtick.color": MUTED, "ytick.color": MUTED,
    "axes.edgecolor": GRID, "grid.color": GRID, "grid.linewidth": 0.8, "axes.grid": True,
    "axes.axisbelow": True, "axes.spines.top": False, "axes.spines.right": False,
    "figure.facecolor": "none", "axes.facecolor": "none", "savefig.facecolor": "none",
    "axes.linewidth": 0.8, "xtick.major.size": 0, "ytick.major.size": 0,
    "path.simplify": True, "axes.unicode_minus": True,
}  # fmt: skip
_COLOUR = re.compile("|".join(VARIABLES))
_REFERENCE = re.compile(r'(\bid="|url\(#|xlink:href="#)')
_LOCK = Lock()
"""matplotlib's settings are the whole process's: one drawing at a time, and put back after."""

Draw = Callable[[Axes], None]


def draw(paint: Draw, name: str, label: str, size: tuple[float, float] = (5.6, 3.0)) -> Markup:
    """Let `paint` draw on axes, and return the drawing as an SVG element.

    Parameters
    ----------
    name
        Keeps the drawing's ids apart from those of the page's other drawings.
    label
        What is to be seen, for those who can't.
    size
        Width and height in inches at 72 points; the page scales it.
    """
    with _LOCK, mpl.rc_context(_STYLE):
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasSVG(figure)
        paint(figure.add_subplot())
        out = io.StringIO()
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(out, format="svg", metadata=nothing)
    return Markup(_page_svg(out.getvalue(), name, label))


def _page_svg(svg: str, name: str, label: str) -> str:
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = _REFERENCE.sub(rf"\g<1>{name}-", svg).replace("xlink:href=", "href=")
    svg = _COLOUR.sub(lambda found: f"var({VARIABLES[found.group()]})", svg)
    box = re.search(r'viewBox="[^"]*"', svg)
    assert box is not None
    opening = f'<svg {box.group()} role="img" aria-label="{text(label)}">'
    return opening + svg[svg.index(">") + 1 :].strip()


def series_style(number: int) -> dict[str, Any]:
    """Colour and dashes of the `number`th series; they repeat after 24."""
    return {
        "color": SERIES[number % len(SERIES)],
        "dashes": DASHES[number // len(SERIES) % len(DASHES)] or (None, None),
    }


def thin(
    time_ns: npt.NDArray[np.int64], values: npt.NDArray[Any], most: int = 1_000
) -> npt.NDArray[np.int64]:
    """Choose rows that show a curve as it is: of each stretch its ends, lowest and highest."""
    count = len(time_ns)
    if count <= most:
        return np.arange(count)
    edges = np.linspace(0, count, most // 4 + 1).astype(np.int64)
    kept = [
        (low, low + int(values[low:high].argmin()), low + int(values[low:high].argmax()), high - 1)
        for low, high in pairwise(edges)
    ]
    return np.unique(np.array(kept))


def days(time_ns: npt.NDArray[np.int64] | int) -> Any:
    """Times as matplotlib counts them: days since the epoch."""
    return np.asarray(time_ns) / (86_400 * SECOND_NS)


def time_axis(axes: Axes, start_ns: int, end_ns: int) -> None:
    """Make the horizontal axis run over the run's time, in UTC."""
    locator = AutoDateLocator(tz=UTC, minticks=3, maxticks=7)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    formatter = ConciseDateFormatter(locator, tz=UTC)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_formatter(formatter)
    axes.set_xlim(days(start_ns), days(max(end_ns, start_ns + SECOND_NS)))
    axes.set_xlabel("time, UTC")
    axes.grid(axis="x", visible=False)


def zero_line(axes: Axes) -> None:
    axes.axhline(0, color=MUTED, linewidth=0.9)
