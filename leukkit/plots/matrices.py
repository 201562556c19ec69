"""Figures of confusion matrices, ours and printed ones."""

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from leukkit import metrics
from leukkit.plots import colors

# How a printed matrix is to be read -> what its rows and columns are
ORIENTATIONS = {
    "rows are actual": ("actual", "predicted"),
    "rows are predicted": ("predicted", "actual"),
    "not stated": ("rows as printed", "columns as printed"),
}


def confusion_grid(predictions: Mapping[str, pd.DataFrame], ax: NDArray | None = None) -> NDArray:
    """Show a confusion matrix per model (farag2025, Figures 10 to 13).

    Each field holds the number of images and its share of the images of the actual class; the
    shade follows the share, so that a large class does not drown a small one.

    Args:
        predictions: Dict of name to predictions (see `leukkit.metrics.predictions`).
        ax: Array of as many Axes as models, in rows of at most three, the last filled up.

    Returns:
        The Axes, an array (rows, columns); those without a matrix are empty.
    """
    return _grid({name: metrics.confusion(frame) for name, frame in predictions.items()}, ax)


def matrix_grid(
    matrices: Mapping[str, ArrayLike | pd.DataFrame],
    classes: Sequence[str],
    orientation: str = "not stated",
    ax: NDArray | None = None,
) -> NDArray:
    """Show printed confusion matrices, and ours beside them, in the style of `confusion_grid`.

    A printed matrix whose rows are predicted classes is turned. One whose orientation is not
    stated is shown as printed: without shares, which would need the images of a class, and shaded
    by its counts.

    Args:
        matrices: Dict of title to matrix of ints (classes x classes): lists as in a card's
            ``[[matrices]]``, or frames of `leukkit.metrics.confusion`, whose rows are actual.
        classes: The classes of the rows of every list; frames are put in this order.
        orientation: Of the lists, in the words of a card: ``"rows are actual"``, ``"rows are
            predicted"`` or ``"not stated"``.
        ax: As in `confusion_grid`.

    Returns:
        The Axes, an array (rows, columns); those without a matrix are empty.

    Raises:
        ValueError: Another orientation, or a matrix that does not fit the classes.
    """
    if orientation not in ORIENTATIONS:
        raise ValueError(f"orientation={orientation!r} is none of {', '.join(ORIENTATIONS)}")
    classes, frames = list(classes), {}
    for name, matrix in matrices.items():
        if isinstance(matrix, pd.DataFrame):
            if set(matrix.index) != set(classes):
                raise ValueError(f"{name}: its classes are {list(matrix.index)}, not {classes}")
            frames[name] = matrix.loc[classes, classes]
            continue
        if np.shape(matrix) != (len(classes), len(classes)):
            raise ValueError(
                f"{name}: {len(classes)} classes ({', '.join(classes)}) need a matrix of "
                f"{len(classes)} x {len(classes)}; found shape {np.shape(matrix)}"
            )
        rows, columns = (pd.Index(classes, name=axis) for axis in ORIENTATIONS[orientation])
        frame = pd.DataFrame(np.asarray(matrix), index=rows, columns=columns)
        frames[name] = frame.T if orientation == "rows are predicted" else frame
    return _grid(frames, ax)


def _grid(matrices, ax):
    columns = min(3, len(matrices))
    rows = -(-len(matrices) // columns)
    side = {1: 3.6, 2: 3.3, 3: 2.4}[columns]
    spacing = {"gridspec_kw": {"hspace": 0.08}}  # a title is not to be read as the label above it
    axes = colors.panels(ax, rows, columns, side * columns, side * rows + 0.3, **spacing)
    for panel, (name, counts) in zip(axes.flat, matrices.items(), strict=False):
        _heatmap(panel, counts)
        panel.set_title(textwrap.fill(str(name), round(11 * side)), fontsize=9)
    if len({counts.index.name for counts in matrices.values()}) == 1:
        for number, panel in enumerate(axes.flat):
            if number % columns:
                panel.set_ylabel("")
            if number + columns < len(matrices):
                panel.set_xlabel("")
    for panel in axes.flat[len(matrices) :]:
        panel.set_axis_off()
    return axes


def _heatmap(ax, counts):
    import seaborn

    is_known = counts.index.name == "actual"
    whole = counts.sum(axis=1) if is_known else pd.Series(counts.to_numpy().max(), counts.index)
    shares = counts.div(whole.where(whole > 0), axis=0)
    texts = counts.map("{:,}".format)
    if is_known:
        texts = texts.where(shares.isna(), texts + "\n" + shares.map("{:.1%}".format))
    size = 9 if len(counts) == 2 else 7
    style = {"cmap": "Blues", "cbar": False, "square": True, "linewidths": 1, "fmt": ""}
    shares = shares.fillna(0)
    annotated = {"annot": texts, "annot_kws": {"fontsize": size}}
    seaborn.heatmap(shares, vmin=0, vmax=1, ax=ax, **annotated, **style)
    ax.set_xlabel(counts.columns.name, fontsize=9)
    ax.set_ylabel(counts.index.name, fontsize=9)
    ax.tick_params(length=0, rotation=0, labelsize=size)
    # seaborn turns to white earlier, on blues too light for it.
    for label, share in zip(ax.texts, shares.to_numpy().flat, strict=True):
        label.set_color("white" if share > 0.6 else "black")
    for label in [*ax.get_xticklabels(), *ax.get_yticklabels()]:
        label.set_color(colors.COLORS.get(label.get_text(), "black"))
