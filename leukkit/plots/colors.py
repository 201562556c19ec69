"""The colors of classes and protocols, and the axes that figures are drawn on."""

import numpy as np

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
}


def class_color(name):
    """Return the color of a class or a protocol: the same in every figure.

    Args:
        name: ``healthy``, ``ALL``, ``benign``, ``early``, ``pre``, ``pro``, ``published``,
            ``reproduced`` or ``leak-free``.

    Returns:
        A hexadecimal color.

    Raises:
        KeyError: No color is set for this name.
    """
    if name not in COLORS:
        raise KeyError(f"no color is set for {name!r}; there is one for {', '.join(COLORS)}")
    return COLORS[name]


def one_axes(ax, width, height):
    """Return ``ax``, or the Axes of a new figure of that size in inches."""
    import matplotlib.pyplot as plt

    if ax is not None:
        return ax
    return plt.subplots(figsize=(width, height), layout="constrained")[1]


def panels(ax, rows, columns, width, height, **options):
    """Return rows x columns Axes: those given as ``ax``, or those of a new figure.

    Args:
        ax: None, or an array of rows x columns Axes in any shape.
        rows: Number of rows.
        columns: Number of columns.
        width: Of a new figure, in inches.
        height: Of a new figure, in inches.
        **options: For ``matplotlib.pyplot.subplots``.

    Raises:
        ValueError: ``ax`` holds another number of Axes.
    """
    import matplotlib.pyplot as plt

    if ax is None:
        options = {"figsize": (width, height), "layout": "constrained", "squeeze": False} | options
        return plt.subplots(rows, columns, **options)[1]
    axes = np.asarray(ax, dtype=object)
    if axes.size != rows * columns:
        raise ValueError(
            f"this figure has {rows} x {columns} panels, but ax holds {axes.size} Axes: pass "
            f"plt.subplots({rows}, {columns})[1]"
        )
    return axes.reshape(rows, columns)


def show_image(ax, image, title="", **options):
    """Show an image without ticks and frame, its title above."""
    ax.imshow(image, **options)
    ax.set(xticks=[], yticks=[])
    ax.set_title(title, fontsize=9)
    for spine in ax.spines.values():
        spine.set_visible(False)
