"""The figure of the honest benchmark: methods under one protocol, and other people's results."""

import textwrap

import numpy as np

from leukkit.plots import colors

NAMES = {
    "weighted_f1": "weighted F1",
    "auc": "area under the ROC curve",
    "balanced_accuracy": "balanced accuracy",
    "accuracy": "accuracy",
    "patient_vote": "share of subjects right, by the vote of their cells",
    "calibration_error": "expected calibration error (0 is calibrated)",
}
SMALLER_IS_BETTER = ("calibration_error",)
OTHERS = "Other people's results, not made here"


def leaderboard(measured, protocol, quantity="weighted_f1", references=None, title="", ax=None):
    """Show a score of each method with its 95% interval, best first, and other people's below.

    Args:
        measured: The frame of `leukkit.honest.measure`.
        protocol: ``"subject"`` or ``"official"``.
        quantity: A score of the frame.
        references: The frame of `leukkit.honest.references`; those of the same quantity are drawn
            as dashed lines, each with a row of its own that names the split it was made on.
        title: Above the figure; say which images.
        ax: Axes to draw on.

    Returns:
        The Axes.

    Raises:
        ValueError: Nothing was measured under this protocol, or not this quantity.
    """
    rows = measured[(measured["protocol"] == protocol) & (measured["quantity"] == quantity)]
    if len(rows) == 0:
        known = sorted(set(zip(measured["protocol"].dropna(), measured["quantity"], strict=False)))
        raise ValueError(
            f"no {quantity} was measured under {protocol!r}; there is {known or 'nothing'}. Run "
            "leukkit.honest.run first"
        )
    rows = rows.sort_values(
        ["value", "method"], ascending=[quantity in SMALLER_IS_BETTER, True], na_position="last"
    )
    others = [] if references is None else _of(references, quantity)
    height = 1.3 + 0.36 * len(rows) + 0.55 * len(others) + 0.4 * bool(others)
    ax = colors.one_axes(ax, 10, height)
    places, names = np.arange(len(rows), dtype=float), []
    for place, row in zip(places, rows.to_dict("records"), strict=True):
        names.append(f"{row['method']} · {row['paper']}")
        _dot(ax, row, place)
    places, names = list(places), list(names)
    bottom = len(rows) - 0.5
    if others:
        bottom = _draw_others(ax, others, places, names)
    ax.set(yticks=places, yticklabels=names, ylim=(bottom, -0.7), title=title)
    ax.set_xlabel(f"{NAMES[quantity]}; lines: 95% intervals over subjects")
    ax.margins(x=0.02)
    ax.grid(axis="x", alpha=0.3)
    ax.set_axisbelow(True)
    return ax


def _of(references, quantity):
    return references[references["quantity"] == quantity].to_dict("records")


def _dot(ax, row, place):
    value = row["value"]
    widths = np.array([[value - row["low"]], [row["high"] - value]]).clip(0)
    color = colors.class_color("leak-free")
    ax.errorbar(value, place, xerr=widths, marker="o", color=color, linewidth=2, markersize=6)
    text = f"{value:.3f}"
    if row["quantity"] == "patient_vote":
        text = f"{round(value * row['subjects'])} of {row['subjects']}"
    ax.annotate(text, (value, place), (0, 5), textcoords="offset points", ha="center", fontsize=8)


def _draw_others(ax, others, places, names):
    """Add a row and a dashed line for each result that others report; return the lower limit."""
    color = colors.class_color("published")
    first = places[-1] + 1
    ax.axhline(first - 0.5, color="0.6", linewidth=1)
    ax.text(
        0.01,
        first - 0.1,
        OTHERS,
        transform=ax.get_yaxis_transform(),
        va="center",
        fontweight="bold",
        fontsize=9,
        color=color,
    )
    for number, other in enumerate(others):
        place = first + 0.9 + 1.4 * number
        places.append(place)
        names.append(textwrap.fill(other["who"], 30))
        ax.plot([other["value"]] * 2, [-0.7, place], color=color, linestyle="--", linewidth=1)
        ax.plot(other["value"], place, marker="D", color=color, markersize=6)
        printed = other.get("printed")
        result = printed if isinstance(printed, str) else f"{other['value']:.3f}"
        words = textwrap.fill(f"{result}, {other['split']}", 48)
        ax.annotate(
            words,
            (other["value"], place),
            (-8, 0),
            textcoords="offset points",
            ha="right",
            va="center",
            fontsize=8,
            color=color,
            bbox={"color": "white", "pad": 1},  # the other dashed lines pass behind
        )
    return places[-1] + 0.9
