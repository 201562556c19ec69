"""The colors of classes and protocols, and the axes that figures are drawn on."""

import itertools
from collections.abc import Collection
from typing import Any, Literal

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

# After Okabe and Ito, darkened so that text in these colors can be read on white. The classes of
# one data set, and the protocols, stay apart for color-blind readers.
COLORS = {
    "healthy": "#0072B2",
    "ALL": "#D55E00",
    "benign": "#2E93D1",
    "early": "#C47F00",
    "pre": "#B03A78",
    "pro": "#3D1030",
    "published": "#4D4D4D",
    "reproduced": "#AA4499",
    "leak-free": "#009E73",
    "by block": "#E64C00",
    "by image": "#0F0F8A",
}


def class_color(name: str) -> str:
    """Return the hexadecimal color of a class or a protocol: the same in every figure.

    Raises:
        KeyError: No color is set for this name.
    """
    if name not in COLORS:
        raise KeyError(f"no color is set for {name!r}; there is one for {', '.join(COLORS)}")
    return COLORS[name]


def line_styles(names: Collection[str]) -> dict[str, dict[str, Any]]:
    """Return color, line style and width of a line for each name, apart for everyone.

    A name of `COLORS` has its color, the others go from dark to light.
    """
    import seaborn

    shades = seaborn.color_palette("mako", len(names) + 1)
    lines = itertools.cycle(("-", "--", "-.", ":"))
    return {
        name: {"color": COLORS.get(name, shade), "linestyle": line, "linewidth": 2}
        for name, shade, line in zip(names, shades, lines, strict=False)
    }


def one_axes(ax: Axes | None, width: float, height: float) -> Axes:
    """Return ``ax``, or the Axes of a new figure of that size in inches."""
    if ax is not None:
        return ax
    return plt.subplots(figsize=(width, height), layout="constrained")[1]


def panels(
    ax: NDArray | None, rows: int, columns: int, width: float, height: float, **options
) -> NDArray:
    """Return rows x columns Axes: those given as ``ax`` (in any shape), or those of a new figure.

    That has the width and height in inches; ``options`` are for ``Figure.subplots``.

    Raises:
        ValueError: ``ax`` holds another number of Axes.
    """
    if ax is None:
        figure = plt.figure(figsize=(width, height), layout="constrained")
        return figure.subplots(rows, columns, squeeze=False, **options)
    axes = np.asarray(ax, dtype=object)
    if axes.size != rows * columns:
        raise ValueError(
            f"this figure has {rows} x {columns} panels, but ax holds {axes.size} Axes: pass "
            f"plt.subplots({rows}, {columns})[1]"
        )
    return axes.reshape(rows, columns)


def grid(*axes: Axes, axis: Literal["both", "x", "y"] = "both") -> None:
    """Draw a light grid behind what the Axes show."""
    for ax in axes:
        ax.grid(axis=axis, alpha=0.3)
        ax.set_axisbelow(True)
