"""Figures of confusion matrices, ours and printed ones."""

import textwrap

import numpy as np
import pandas as pd

from leukkit import metrics
from leukkit.plots import colors

ORIENTATIONS = ("rows are actual", "rows are predicted", "not stated")


def confusion_grid(predictions, ax=None):
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


def matrix_grid(matrices, classes, orientation="not stated", ax=None):
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
    return _grid(
        {
            name: _frame(matrix, list(classes), orientation, name)
            for name, matrix in matrices.items()
        },
        ax,
    )


def _frame(matrix, classes, orientation, name):
    """Return a matrix as a frame whose axis names say what is known about rows and columns."""
    if isinstance(matrix, pd.DataFrame):
        if set(matrix.index) != set(classes):
            raise ValueError(f"{name}: its classes are {list(matrix.index)}, not {classes}")
        return matrix.loc[classes, classes]
    counts = np.asarray(matrix)
    if counts.shape != (len(classes), len(classes)):
        raise ValueError(
            f"{name}: {len(classes)} classes ({', '.join(classes)}) need a matrix of "
            f"{len(classes)} x {len(classes)}; found shape {counts.shape}"
        )
    if orientation == "rows are predicted":
        counts = counts.T
    names = ("rows as printed", "columns as printed")
    if orientation != "not stated":
        names = ("actual", "predicted")
    return pd.DataFrame(
        counts, index=pd.Index(classes, name=names[0]), columns=pd.Index(classes, name=names[1])
    )


def _grid(matrices, ax):
    columns = min(3, len(matrices))
    rows = -(-len(matrices) // columns)
    side = {1: 3.6, 2: 3.3, 3: 2.4}[columns]
    spacing = {"gridspec_kw": {"hspace": 0.08}}  # a title is not to be read as the label above it
    axes = colors.panels(ax, rows, columns, side * columns, side * rows, **spacing)
    for panel, (name, counts) in zip(axes.flat, matrices.items(), strict=False):
        _confusion(panel, counts, textwrap.fill(str(name), round(11 * side)))
    if len({counts.index.name for counts in matrices.values()}) == 1:
        for panel in axes[:, 1:].flat:
            panel.set_ylabel("")
        for panel in axes[:-1].flat:
            panel.set_xlabel("")
    for panel in axes.flat[len(matrices) :]:
        panel.set_axis_off()
    return axes


def _confusion(ax, counts, title):
    import seaborn

    is_known = counts.index.name == "actual"
    whole = counts.sum(axis=1) if is_known else pd.Series(counts.to_numpy().max(), counts.index)
    shares = counts.div(whole.where(whole > 0), axis=0)
    text = [
        [
            f"{count:,}" + (f"\n{share:.1%}" if is_known else "")
            for count, share in zip(*row, strict=True)
        ]
        for row in zip(counts.to_numpy(), shares.to_numpy(), strict=True)
    ]
    size = 9 if len(counts) == 2 else 7
    seaborn.heatmap(
        shares.fillna(0),
        vmin=0,
        vmax=1,
        cmap="Blues",
        annot=np.array(text),
        fmt="",
        annot_kws={"fontsize": size},
        cbar=False,
        square=True,
        linewidths=1,
        ax=ax,
    )
    ax.set_xlabel(counts.columns.name, fontsize=9)
    ax.set_ylabel(counts.index.name, fontsize=9)
    ax.set_title(title, fontsize=9)
    ax.tick_params(length=0, rotation=0, labelsize=size)
    # seaborn turns to white earlier, on blues too light for it.
    for label, share in zip(ax.texts, shares.fillna(0).to_numpy().flat, strict=True):
        label.set_color("white" if share > 0.6 else "black")
    for label in [*ax.get_xticklabels(), *ax.get_yticklabels()]:
        label.set_color(colors.COLORS.get(label.get_text(), "black"))
