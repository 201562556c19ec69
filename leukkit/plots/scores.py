"""Figures of the answers of classifiers: confusion matrices, ROC, reliability, scores by chance."""

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import ArrayLike, NDArray

from leukkit import metrics
from leukkit.metrics import calibration
from leukkit.plots import colors

# How a printed matrix is to be read -> what its rows and columns are
ORIENTATIONS = {
    "rows are actual": ("actual", "predicted"),
    "rows are predicted": ("predicted", "actual"),
    "not stated": ("rows as printed", "columns as printed"),
}


def confusion_grid(predictions: Mapping[str, pd.DataFrame], ax: NDArray | None = None) -> NDArray:
    """Show a confusion matrix per model, at most three in a row (farag2025, Figures 10 to 13).

    Each field holds the number of images and its share of the images of the actual class; the
    shade follows the share, so that a large class does not drown a small one.
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
        ax: Array of as many Axes as matrices, in rows of at most three, the last filled up.

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

    texts, shares = counts.map("{:,}".format), counts / max(1, counts.to_numpy().max())
    if counts.index.name == "actual":
        shares = counts.div(counts.sum(axis=1), axis=0)  # 0 / 0 is NaN: no share of no images
        texts = texts.where(shares.isna(), texts + "\n" + shares.map("{:.1%}".format))
    shares, size = shares.fillna(0), 9 if len(counts) == 2 else 7
    style = {"cmap": "Blues", "cbar": False, "square": True, "linewidths": 1, "fmt": ""}
    text = {"annot": texts, "annot_kws": {"fontsize": size}}
    seaborn.heatmap(shares, vmin=0, vmax=1, ax=ax, **text, **style)
    ax.set_xlabel(counts.columns.name, fontsize=9)
    ax.set_ylabel(counts.index.name, fontsize=9)
    ax.tick_params(length=0, rotation=0, labelsize=size)
    # seaborn turns to white earlier, on blues too light for it.
    for label, share in zip(ax.texts, shares.to_numpy().flat, strict=True):
        label.set_color("white" if share > 0.6 else "black")
    for label in [*ax.get_xticklabels(), *ax.get_yticklabels()]:
        label.set_color(colors.COLORS.get(label.get_text(), "black"))


def roc(
    predictions: Mapping[str, pd.DataFrame], positive: str | None = None, ax: Axes | None = None
) -> Axes:
    """Show the ROC curve of each model, its AUC in the legend (farag2025, Figure 14).

    The positive class is the last of two, or the one given.

    Raises:
        ValueError: More than two classes and no ``positive``, or not both positive and negative
            images.
    """
    return _roc({name: (frame, positive) for name, frame in predictions.items()}, ax)


def roc_one_vs_rest(predictions: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Show the ROC curve of each class of a model against all the others (mishra, Figure 7).

    Raises:
        ValueError: A class has no images, or all.
    """
    classes = metrics.check_predictions(predictions)
    title = "each class against the others"
    return _roc({name: (predictions, name) for name in classes}, ax, title)


def _roc(shown, ax, title=None):
    from sklearn.metrics import roc_curve

    ax = colors.one_axes(ax, 4.8, 4.8)
    for name, style in colors.line_styles(shown).items():
        frame, positive = shown[name]
        classes = metrics.check_predictions(frame)
        if positive is None and len(classes) > 2:
            raise ValueError(
                f"a ROC curve of {len(classes)} classes needs positive=<class>: {classes}"
            )
        positive = positive or classes[-1]
        area, is_positive = metrics.scores(frame, positive)["auc"], frame["label"] == positive
        if np.isnan(area):
            raise ValueError(
                f"a ROC curve needs images of {positive!r} and others; here is only one kind"
            )
        false, true, _ = roc_curve(is_positive, frame[f"prob_{positive}"])
        ax.plot(false, true, label=f"{name} (AUC {area:.3f})", **style)
    ax.plot([0, 1], [0, 1], color="0.6", linewidth=1)
    ax.annotate("chance", (0.62, 0.6), rotation=45, color="0.4", fontsize=8, va="top")
    ax.set(
        xlabel="false positive rate (1 − specificity)",
        ylabel="true positive rate (sensitivity)",
        xlim=(-0.01, 1.01),
        ylim=(-0.01, 1.01),
        aspect="equal",
    )
    ax.legend(loc="lower right", fontsize=9, title=title)
    colors.grid(ax)
    return ax


def reliability(
    predictions: Mapping[str, pd.DataFrame],
    bins: int = calibration.BINS,
    ax: NDArray | None = None,
) -> NDArray:
    """Show whether a confidence of x means that a share of x is right (Guo et al. 2017, Figure 1).

    Below the diagonal a model is surer than it is right. Points instead of the paper's
    bars, so that several models (or one before and after temperature scaling) can be compared.
    The larger a point, the more images its bin holds; the panel below says how many. The legend
    gives the expected calibration error of each model.
    """
    options = {"sharex": True, "gridspec_kw": {"height_ratios": [3, 1]}}
    upper, lower = axes = colors.panels(ax, 2, 1, 4.8, 5.4, **options)[:, 0]
    for name, style in colors.line_styles(predictions).items():
        table = calibration.reliability(predictions[name], bins)
        error = calibration.expected_calibration_error(predictions[name], bins)
        shares = 100 * table["images"] / table["images"].sum()
        lower.stairs(shares, np.append(table["low"], 1), **style)
        filled, label = table.dropna(), f"{name}: expected calibration error {error:.3f}"
        points = filled["confidence"], filled["accuracy"]
        upper.plot(*points, label=label, **style)
        # A point of one image, far off by chance, should not catch the eye.
        sizes = 6 + 3 * shares[filled.index]
        upper.scatter(*points, s=sizes, color=style["color"], zorder=3, clip_on=False)
    upper.plot([0, 1], [0, 1], color="0.6", linewidth=1, label="perfectly calibrated")
    upper.set(ylabel="accuracy (share of images that are right)", ylim=(-0.02, 1.02))
    upper.legend(loc="lower left", bbox_to_anchor=(0, 1), fontsize=9, frameon=False)
    chance = 1 / max(len(metrics.check_predictions(frame)) for frame in predictions.values())
    lower.set(
        xlabel="confidence (probability of the predicted class)",
        xlim=(np.floor(chance * bins) / bins - 0.01, 1.01),
        ylabel="images (%)",
    )
    colors.grid(*axes)
    return axes


def accuracy_over_orders(
    orders: pd.DataFrame, found: Mapping[str, float], ax: Axes | None = None
) -> Axes:
    """Show which accuracies (0..1) the orders of the labels lead to, and which were found.

    The first are a frame of `leukkit.metrics.shuffling.orders`, the others vertical lines.
    """
    ax = colors.one_axes(ax, 6.4, 2.9)
    likely = 100 * orders[orders["probability"] > 1e-6]
    step = 100 * orders["accuracy"].diff().iloc[-1]
    bars = {"width": step, "color": "0.8", "label": "all orders of the labels"}
    ax.bar(likely["accuracy"], likely["probability"], **bars)
    for name, style in colors.line_styles(found).items():
        ax.axvline(100 * found[name], label=f"{name}: {found[name]:.1%}", **style)
    ax.set(xlabel="accuracy (percent)", ylabel="orders (percent)")
    ax.legend(fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1), frameon=False, ncols=3)
    colors.grid(ax, axis="x")
    return ax
