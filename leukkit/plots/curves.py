"""Figures of curves: ROC, reliability, training, and accuracies by chance."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from leukkit import metrics
from leukkit.metrics import calibration
from leukkit.plots import colors

QUANTITIES = {"accuracy": "accuracy (share of images)", "loss": "loss (cross-entropy)"}
TRAINING: dict[str, Any] = {"linestyle": ":", "linewidth": 1.2, "markerfacecolor": "white"}


def roc(
    predictions: Mapping[str, pd.DataFrame], positive: str | None = None, ax: Axes | None = None
) -> Axes:
    """Show the ROC curve of each model, its AUC in the legend (farag2025, Figure 14).

    Args:
        predictions: Dict of name to predictions (see `leukkit.metrics.predictions`).
        positive: The positive class; None means the last of two.
        ax: Axes to draw on.
    """
    return _roc({name: (frame, positive) for name, frame in predictions.items()}, ax)


def roc_one_vs_rest(predictions: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Show the ROC curve of each class against all the others (mishra, Figure 7).

    Args:
        predictions: See `leukkit.metrics.predictions`; of one model.
        ax: Axes to draw on.

    Raises:
        ValueError: As `leukkit.metrics.roc_points`: a class has no images, or all.
    """
    classes = metrics.check_predictions(predictions)
    title = "each class against the others"
    return _roc({name: (predictions, name) for name in classes}, ax, title)


def _roc(shown, ax, title=None):
    ax = colors.one_axes(ax, 4.8, 4.8)
    for (name, (frame, positive)), style in zip(
        shown.items(), colors.line_styles(shown), strict=True
    ):
        points = metrics.roc_points(frame, positive)
        area = metrics.scores(frame, positive)["auc"]
        ends = points["false_positive_rate"], points["true_positive_rate"]
        ax.plot(*ends, label=f"{name} (AUC {area:.3f})", **style)
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
    The larger a point, the more images it stands for; the panel below says how many.

    Args:
        predictions: Dict of name to predictions (see `leukkit.metrics.predictions`), all of the
            same number of classes.
        bins: Number of bins of equal width between 0 and 1.
        ax: Array of two Axes.

    Returns:
        The Axes, an array (2,). The legend gives the expected calibration error of each model.
    """
    options = {"sharex": True, "gridspec_kw": {"height_ratios": [3, 1]}}
    upper, lower = axes = colors.panels(ax, 2, 1, 4.8, 5.4, **options)[:, 0]
    for (name, frame), style in zip(
        predictions.items(), colors.line_styles(predictions), strict=True
    ):
        table = calibration.reliability(frame, bins)
        shares = 100 * table["images"] / table["images"].sum()
        error = calibration.expected_calibration_error(frame, bins)
        points = table["confidence"], table["accuracy"]
        filled = table["images"] > 0
        upper.plot(
            *(values[filled] for values in points),
            label=f"{name}: expected calibration error {error:.3f}",
            **style,
        )
        # A point of one image, far off by chance, should not catch the eye.
        upper.scatter(*points, s=6 + 3 * shares, color=style["color"], zorder=3, clip_on=False)
        lower.stairs(shares, np.append(table["low"], 1), **style)
    upper.plot([0, 1], [0, 1], color="0.6", linewidth=1, label="calibrated")
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


def training_curves(histories: Mapping[str, pd.DataFrame], ax: NDArray | None = None) -> NDArray:
    """Show accuracy and loss by epoch (patel2025, Figure 8; mishra, 8; samhitha, 3 and 4).

    A color per training (its folds, or several networks); solid is validation, thin and dotted
    is training. A vertical line marks where a new phase of training begins, if it does so at the
    same epoch in all.

    Args:
        histories: Dict of name (of a fold or network) to the frame of ``history.csv``: ``epoch``
            (from 1), ``accuracy``, ``loss``, ``validation_accuracy``, ``validation_loss`` and, if
            there, ``phase``. Missing values are not drawn.
        ax: Array of two Axes.

    Returns:
        The Axes, an array (2,).

    Raises:
        ValueError: A history lacks a column.
    """
    wanted = ["epoch", *QUANTITIES, *(f"validation_{quantity}" for quantity in QUANTITIES)]
    for name, history in histories.items():
        if lacking := [column for column in wanted if column not in history]:
            raise ValueError(
                f"the history of {name} has no column {', '.join(lacking)}; found: "
                f"{', '.join(map(str, history.columns))}"
            )
    left, right = axes = colors.panels(ax, 1, 2, 7, 3.1)[0]
    shades = [style["color"] for style in colors.line_styles(histories)]
    dots: dict[str, Any] = {
        "marker": "o" if max(map(len, histories.values())) <= 12 else "",
        "markersize": 4,
    }
    for panel, (quantity, label) in zip(axes, QUANTITIES.items(), strict=True):
        for color, (name, history) in zip(shades, histories.items(), strict=True):
            epochs, style = history["epoch"], {"color": color, **dots}
            panel.plot(epochs, history[quantity], **style, **TRAINING)
            panel.plot(epochs, history[f"validation_{quantity}"], label=name, **style)
        for epoch in _new_phases(histories.values()):
            panel.axvline(epoch - 0.5, color="0.6", linewidth=1, zorder=0)
        panel.set(xlabel="epoch", ylabel=label)
        ticks = MaxNLocator(6, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1)
        panel.xaxis.set_major_locator(ticks)
    for epoch in _new_phases(histories.values()):
        style = {"rotation": 90, "ha": "right", "color": "0.4", "fontsize": 8}
        place = {"transform": left.get_xaxis_transform()}
        left.text(epoch - 0.5, 0.04, "new phase", **style, **place)
    styles = [
        Line2D([], [], color="0.3", label="validation", **dots),
        Line2D([], [], color="0.3", label="training", **dots, **TRAINING),
    ]
    left.legend(handles=styles, fontsize=8, loc="best")
    right.legend(fontsize=8, loc="upper right", ncols=1 + (len(histories) > 4))
    colors.grid(*axes)
    return axes


def _new_phases(histories):
    """Return the epochs at which all trainings begin a new phase."""
    firsts = [
        set(history["epoch"][history["phase"] != history["phase"].shift()][1:])
        if "phase" in history
        else set()
        for history in histories
    ]
    return sorted(set.intersection(*firsts))


def accuracy_over_orders(
    orders: pd.DataFrame, found: Mapping[str, float], ax: Axes | None = None
) -> Axes:
    """Show which accuracies the orders of the labels lead to, and the ones that were found.

    Args:
        orders: Frame of `leukkit.metrics.shuffling.orders`: ``accuracy`` (0..1), ``probability``.
        found: Dict of name to an accuracy, drawn as a vertical line.
        ax: Axes to draw on.
    """
    ax = colors.one_axes(ax, 6.4, 2.9)
    likely = 100 * orders[orders["probability"] > 1e-6]
    step = 100 * orders["accuracy"].diff().iloc[-1]
    ax.bar(
        likely["accuracy"],
        likely["probability"],
        width=step,
        color="0.8",
        label="all orders of the labels",
    )
    for (name, accuracy), style in zip(found.items(), colors.line_styles(found), strict=True):
        ax.axvline(100 * accuracy, label=f"{name}: {accuracy:.1%}", **style)
    ax.set(xlabel="accuracy (percent)", ylabel="orders (percent)")
    ax.legend(fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1), frameon=False, ncols=3)
    colors.grid(ax, axis="x")
    return ax
