"""Figures of curves: ROC and reliability."""

import numpy as np

from leukkit import metrics
from leukkit.metrics import calibration, check_predictions
from leukkit.plots import colors

STYLES = ("-", "--", "-.", ":")


def roc(predictions, positive=None, ax=None):
    """Show the ROC curve of each model, its AUC in the legend (farag2025, Figure 14).

    Args:
        predictions: Dict of name to predictions (see `leukkit.metrics.predictions`).
        positive: The positive class; None means the last of two.
        ax: Axes to draw on.

    Returns:
        The Axes.
    """
    import seaborn

    ax = colors.one_axes(ax, 4.8, 4.8)
    # From dark to light: apart for everyone, and none of the colors of a class.
    palette = seaborn.color_palette("mako", len(predictions) + 1)
    for number, (name, frame) in enumerate(predictions.items()):
        points = metrics.roc_points(frame, positive)
        area = metrics.scores(frame, positive)["auc"]
        ax.plot(
            points["false_positive_rate"],
            points["true_positive_rate"],
            color=colors.COLORS.get(name, palette[number]),
            linestyle=STYLES[number % len(STYLES)],
            linewidth=2,
            label=f"{name} (AUC {area:.3f})",
        )
    return _roc_axes(ax)


def roc_one_vs_rest(predictions, ax=None):
    """Show the ROC curve of each class against all the others (mishra, Figure 7).

    Args:
        predictions: See `leukkit.metrics.predictions`; of one model.
        ax: Axes to draw on.

    Returns:
        The Axes; the AUC of each class is in the legend.

    Raises:
        ValueError: As `leukkit.metrics.roc_points`: a class has no images, or all.
    """
    classes = check_predictions(predictions)
    ax = colors.one_axes(ax, 4.8, 4.8)
    for number, name in enumerate(classes):
        points = metrics.roc_points(predictions, name)
        area = metrics.scores(predictions, name)["auc"]
        ax.plot(
            points["false_positive_rate"],
            points["true_positive_rate"],
            color=colors.COLORS.get(name, f"C{number}"),
            linestyle=STYLES[number % len(STYLES)],
            linewidth=2,
            label=f"{name} (AUC {area:.3f})",
        )
    _roc_axes(ax).get_legend().set_title("each class against the others")
    return ax


def _roc_axes(ax):
    ax.plot([0, 1], [0, 1], color="0.6", linewidth=1)
    ax.annotate("chance", (0.62, 0.6), rotation=45, color="0.4", fontsize=8, va="top")
    ax.set(
        xlabel="false positive rate (1 − specificity)",
        ylabel="true positive rate (sensitivity)",
        xlim=(-0.01, 1.01),
        ylim=(-0.01, 1.01),
        aspect="equal",
    )
    ax.legend(loc="lower right", fontsize=9)
    ax.grid(alpha=0.3)
    return ax


def reliability(predictions, bins=15, ax=None):
    """Show whether a confidence of x means that a share of x is right (Guo et al. 2017, Figure 1).

    Below the diagonal a model is surer than it is right. Points instead of the paper's
    bars, so that several models (or one before and after temperature scaling) can be compared.
    The larger a point, the more images it stands for; the panel below says how many.

    Args:
        predictions: Dict of name to predictions (see `leukkit.metrics.predictions`), all of the same
            number of classes.
        bins: Number of bins of equal width between 0 and 1.
        ax: Array of two Axes.

    Returns:
        The Axes, an array (2,). The legend gives the expected calibration error of each model.
    """
    import seaborn

    options = {"sharex": True, "gridspec_kw": {"height_ratios": [3, 1]}}
    upper, lower = colors.panels(ax, 2, 1, 4.8, 5.4, **options)[:, 0]
    palette = seaborn.color_palette("mako", len(predictions) + 1)
    chance = 1 / max(len(check_predictions(frame)) for frame in predictions.values())
    for number, (name, frame) in enumerate(predictions.items()):
        table = calibration.reliability(frame, bins)
        filled = table[table["images"] > 0]
        error = calibration.expected_calibration_error(frame, bins)
        style = {
            "color": colors.COLORS.get(name, palette[number]),
            "linestyle": STYLES[number % len(STYLES)],
            "linewidth": 2,
        }
        points = filled["confidence"], filled["accuracy"]
        shares = 100 * table["images"] / table["images"].sum()
        upper.plot(*points, label=f"{name}: expected calibration error {error:.3f}", **style)
        # A point of one image, far off by chance, should not catch the eye.
        sizes = 6 + 3 * shares[filled.index]
        upper.scatter(*points, s=sizes, color=style["color"], zorder=3, clip_on=False)
        lower.stairs(shares, np.append(table["low"], 1), **style)
    upper.plot([0, 1], [0, 1], color="0.6", linewidth=1, label="calibrated")
    upper.set(ylabel="accuracy (share of images that are right)", ylim=(-0.02, 1.02))
    upper.legend(loc="lower left", bbox_to_anchor=(0, 1), fontsize=9, frameon=False)
    low = np.floor(chance * bins) / bins
    lower.set(
        xlabel="confidence (probability of the predicted class)",
        xlim=(low - 0.01, 1.01),
        ylabel="images (%)",
    )
    for panel in (upper, lower):
        panel.grid(alpha=0.3)
        panel.set_axisbelow(True)
    return np.array([upper, lower])
