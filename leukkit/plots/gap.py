"""The figure of the gap: what each leak is worth."""

import numpy as np

from leukkit.plots import colors

LADDERS = {"augmented": "with augmented copies", "plain": "without augmentation"}
NAMES = {
    "auc": "area under the ROC curve (0.5: chance, 1: perfect)",
    "accuracy": "accuracy (0 to 1)",
    "weighted_f1": "weighted F1 (0 to 1)",
    "balanced_accuracy": "balanced accuracy (0 to 1)",
}


def gap_ladder(measured, quantity="auc", title="What each leak is worth", ax=None):
    """Show the score of each step of the gap, and beside it what each leak was worth.

    Args:
        measured: The frame of `leukkit.gap.measure`.
        quantity: One of `leukkit.gap.QUANTITIES`.
        title: Above the figure; say which images and which features.
        ax: Array of two Axes.

    Returns:
        The Axes, an array (2,): scores on the left, differences of neighboring steps on the right.

    Raises:
        ValueError: Nothing was measured.
    """
    rows = measured[measured["quantity"] == quantity] if len(measured) else measured
    if len(rows) == 0:
        raise ValueError(f"no {quantity} was measured; run leukkit.gap.run first")
    # A gap of a line and a half between the ladders holds the second one's heading.
    places = np.arange(len(rows)) + 1.5 * rows["ladder"].ne(rows["ladder"].iloc[0]).to_numpy()
    size = (8.8, 1.6 + 0.42 * (places[-1] + 1))
    left, right = colors.panels(ax, 1, 2, *size, sharey=True, width_ratios=(1, 1))[0]
    for place, row in zip(places, rows.to_dict("records"), strict=True):
        color = colors.class_color("reproduced" if row["subject"] > 0 else "leak-free")
        _dot(left, row, "value", "", place, color, "o")
        text = f"{row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"
        _write(left, text, row["value"], place)
        if not np.isnan(row["worth"]):
            _difference(right, row, "worth", row["closed"], place - 0.5)
    for ladder, here in rows.assign(place=places).groupby("ladder", sort=False):
        left.text(
            -0.02,
            here["place"].iloc[0] - 0.75,
            LADDERS[ladder],
            transform=left.get_yaxis_transform(),
            ha="right",
            fontweight="bold",
            fontsize=10,
        )
        last = here.iloc[-1]
        _difference(right, last, "total", "all of these leaks", last["place"] + 0.4)
    left.set(yticks=places, yticklabels=rows["label"], ylim=(places[-1] + 0.75, -1.1))
    left.set_xlabel(NAMES[quantity])
    right.set_xlabel("lost when the named leak is closed")
    right.axvline(0, color="0.3", linewidth=1, zorder=1)
    for panel in (left, right):
        panel.margins(x=0.22)
        panel.grid(axis="x", alpha=0.3)
        panel.set_axisbelow(True)
    _widen(right)
    right.tick_params(axis="y", length=0)
    left.figure.suptitle(title, fontsize=12)
    first = rows.iloc[0]
    left.figure.supxlabel(
        f"Dots: mean of {first['repeats']} draws of the split. Brackets and lines: 95% intervals "
        f"over {first['subjects']} subjects, differences in the same draws.\n"
        "Purple: cells of a test subject are also in training; green: none. Gray "
        "differences: the interval holds 0.",
        fontsize=8.5,
    )
    return np.array([left, right])


def _difference(panel, row, name, leak, place):
    """Draw what a leak was worth: black where its interval leaves 0 out, else gray."""
    low, high = row[f"{name} low"], row[f"{name} high"]
    color = "black" if low > 0 or high < 0 else "0.5"
    _dot(panel, row, name, f"{name} ", place, color, "D")
    text = f"{leak}: {row[name]:+.3f} [{low:+.3f}, {high:+.3f}]".replace("-", "\N{MINUS SIGN}")
    _write(panel, text, 0, place, fontweight="bold" if name == "total" else "normal")


def _dot(panel, row, name, prefix, place, color, marker):
    value, low, high = row[name], row[f"{prefix}low"], row[f"{prefix}high"]
    panel.errorbar(
        [value],
        [place],
        xerr=[[max(0, value - low)], [max(0, high - value)]],
        color=color,
        marker=marker,
        markersize=6 if marker == "o" else 5,
        linewidth=2,
    )


def _write(panel, text, x, place, **style):
    background = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}
    panel.annotate(
        text,
        (x, place),
        xytext=(0, 5.5),
        textcoords="offset points",
        ha="center",
        fontsize=8.2,
        bbox=background,
        zorder=1.5,
        **style,
    )


def _widen(panel):
    """Make the axis reach as far on both sides of 0, so that the texts above 0 have room."""
    reach = max(map(abs, panel.get_xlim()))
    panel.set_xlim(-reach, reach)
