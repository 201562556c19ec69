"""Figures that put scores and their intervals beside each other."""

import textwrap

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

from leukkit.metrics import with_interval
from leukkit.plots import colors

SIDES = ("published", "reproduced", "kept apart")
MARKERS = {"published": "D", "by block": "s", "by image": "^"}
NAMES = {
    "accuracy": "accuracy",
    "auc": "area under the ROC curve (0.5: chance, 1: perfect)",
    "balanced_accuracy": "balanced accuracy",
    "calibration_error": "expected calibration error (0 is calibrated)",
    "patient_level_accuracy": "patient-level accuracy: share of subjects whose cells vote right",
    "weighted_f1": "weighted F1",
}
LADDERS = {"augmented": "with augmented copies", "plain": "without augmentation"}


def bars(frame: pd.DataFrame, quantity: str = "accuracy", ax: Axes | None = None) -> Axes:
    """Show published, reproduced and kept-apart values beside each other, one row per model.

    Points with intervals instead of bars: bars would have to
    begin at 0, where values between 90 and 100 look alike.

    Args:
        frame: One row per model; the index names it (several levels are joined). Columns
            ``published``, ``reproduced``, ``kept apart``, in percent; ``<side> low`` and ``<side>
            high`` for intervals; ``<side> name``, what the side of this row is called in the legend
            (``leak-free``, ``by block``, …). Absent columns and missing values are not drawn.
        quantity: What the values are, for the axis.
        ax: Axes to draw on.

    Raises:
        ValueError: None of the three columns is there.
    """
    shown = [side for side in SIDES if side in frame]
    if not shown:
        raise ValueError(
            f"needs at least one of the columns {', '.join(SIDES)}; found: "
            f"{', '.join(map(str, frame.columns))}"
        )
    ax = colors.one_axes(ax, 7, 1.2 + 0.5 * len(frame))
    rows = np.arange(len(frame))
    for number, side in enumerate(shown):
        places = rows + 0.66 * ((number + 0.5) / len(shown) - 0.5)
        ends = frame.reindex(columns=[side, f"{side} low", f"{side} high"]).apply(pd.to_numeric)
        values = ends.to_numpy(float, na_value=np.nan)
        names = frame.get(f"{side} name", pd.Series(side, frame.index))
        for name in names.dropna().unique():
            style = {"color": colors.COLORS.get(name, "black"), "marker": MARKERS.get(name, "o")}
            is_here = (names == name).to_numpy(bool, na_value=False)
            _points(ax, places[is_here], values[is_here], label=name, **style)
    for boundary in rows[1:] - 0.5:
        ax.axhline(boundary, color="0.9", linewidth=1, zorder=0)
    names = [" + ".join(map(str, np.atleast_1d(name))) for name in frame.index]
    ax.set(yticks=rows, yticklabels=names, ylim=(len(frame) - 0.5, -0.5))
    has_intervals = any(f"{side} low" in frame for side in shown)
    ax.set_xlabel(f"{quantity} (percent)" + (", lines: 95% intervals" if has_intervals else ""))
    colors.grid(ax, axis="x")
    ax.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=5, frameon=False)
    return ax


def split_comparison(frame: pd.DataFrame, ax: NDArray | None = None) -> NDArray:
    """Show the AUC of one classifier under several splits, beside what each split leaks.

    Args:
        frame: One row per split: ``split`` (its name), ``score``, ``low``, ``high`` and
            ``leaked``, the share of test images whose subject is also in training; all 0 to 1.
        ax: Array of two Axes that share their y axis.
    """
    left, right = axes = colors.panels(ax, 1, 2, 7, 1.4 + 0.45 * len(frame), sharey=True)[0]
    for place, row in enumerate(frame.to_dict("records")):
        ends, leaked = [row[name] for name in ("score", "low", "high")], row["leaked"]
        color = colors.class_color("reproduced" if leaked > 0 else "leak-free")
        _points(left, place, ends, color=color)
        _note(left, place, ends[0], with_interval(*ends))
        bar = right.barh(place, 100 * leaked, color=color, height=0.45)
        inside = {"label_type": "center", "color": "white"} if leaked > 0.5 else {"padding": 4}
        right.bar_label(bar, [f"{leaked:.1%}"], fontsize=9, **inside)
    left.set(yticks=range(len(frame)), yticklabels=frame["split"], ylim=(len(frame) - 0.5, -0.6))
    left.set_xlabel("AUC, 95% interval")
    left.margins(x=0.25)
    right.set(xlim=(0, 100), xlabel="test cells of a subject\nalso in training (%)")
    right.tick_params(axis="y", length=0)
    colors.grid(*axes, axis="x")
    return axes


def leaderboard(
    measured: pd.DataFrame,
    split: str,
    quantity: str = "weighted_f1",
    references: pd.DataFrame | None = None,
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Show a score of each method with its 95% interval, best first, and other people's below.

    Args:
        measured: The frame of `leukkit.benchmark.leaderboard.measure`.
        split: Name of one.
        quantity: A score of the frame.
        references: The frame of `leukkit.benchmark.leaderboard.references`; those of the same
            quantity are dashed lines, each with a row of its own that names its split.
        title: Above the figure; say which images.
        ax: Axes to draw on.

    Raises:
        ValueError: Nothing was measured under this split, or not this quantity.
    """
    rows = measured[(measured["split"] == split) & (measured["quantity"] == quantity)]
    if len(rows) == 0:
        known = sorted(set(zip(measured["split"].dropna(), measured["quantity"], strict=False)))
        raise ValueError(
            f"no {quantity} was measured under {split!r}; there is {known or 'nothing'}. Run "
            "leukkit.benchmark.leaderboard.run first"
        )
    rising = [quantity == "calibration_error", True]  # the smaller the better
    rows = rows.sort_values(["value", "method"], ascending=rising, na_position="last")
    others = rows.head(0) if references is None else references[references["quantity"] == quantity]
    places = [*range(len(rows)), *(len(rows) + 0.9 + 1.4 * np.arange(len(others)))]
    ax = colors.one_axes(ax, 10, 1.4 + 0.38 * (places[-1] + 1))
    names = [f"{row.method} · {row.paper}" for row in rows.itertuples()]
    for place, row in enumerate(rows.to_dict("records")):
        ends = [row[end] for end in ("value", "low", "high")]
        is_behind = {"markerfacecolor": "white"} if row["p"] < 0.05 else {}
        _points(ax, place, ends, color=colors.class_color("leak-free"), **is_behind)
        text = f"{row['value']:.3f}"
        if quantity == "patient_level_accuracy":
            text = f"{round(row['value'] * row['groups'])} of {row['groups']}"
        _note(ax, place, row["value"], text)
    if len(others):
        names += [textwrap.fill(who, 30) for who in others["who"]]
        _draw_others(ax, others, places[len(rows) :])
    bottom = places[-1] + (0.9 if len(others) else 0.5)
    ax.set(yticks=places, yticklabels=names, ylim=(bottom, -0.7), title=title)
    hollow = "; hollow: behind the best (p < 0.05)" * bool((rows["p"] < 0.05).any())
    ax.set_xlabel(
        f"{NAMES[quantity]}; lines: 95% intervals over {rows['groups_are'].iloc[0]}{hollow}"
    )
    ax.margins(x=0.02)
    colors.grid(ax, axis="x")
    return ax


def _draw_others(ax, others, places):
    """Draw a row and a dashed line for each result that others report."""
    gray = colors.class_color("published")
    ax.axhline(places[0] - 1.4, color="0.6", linewidth=1)
    heading = {"va": "center", "fontweight": "bold", "fontsize": 9, "color": gray}
    words = "Other people's results, not made here"
    ax.text(0.01, places[0] - 1, words, transform=ax.get_yaxis_transform(), **heading)
    for place, other in zip(places, others.to_dict("records"), strict=True):
        value, printed = other["value"], other.get("printed")
        ax.plot([value] * 2, [-0.7, place], color=gray, linestyle="--", linewidth=1, zorder=1)
        ax.plot(value, place, marker="D", color=gray, markersize=6)
        result = printed if isinstance(printed, str) else f"{value:.3f}"
        words = textwrap.fill(f"{result}, {other['split']}", 48)
        _note(ax, place, value, words, xytext=(-8, 0), ha="right", va="center", color=gray)


def gap_ladder(
    measured: pd.DataFrame,
    quantity: str = "auc",
    title: str = "What each leak is worth",
    ax: NDArray | None = None,
) -> NDArray:
    """Show the score of each step of the gap, and beside it what each leak was worth.

    Args:
        measured: The frame of `leukkit.benchmark.gap.measure`.
        quantity: One of `leukkit.benchmark.gap.QUANTITIES`.
        title: Above the figure; say which images and which features.
        ax: Array of two Axes.

    Returns:
        The Axes, an array (2,): scores on the left, differences of neighboring steps on the right.

    Raises:
        ValueError: Nothing was measured.
    """
    rows = measured[measured["quantity"] == quantity] if len(measured) else measured
    if len(rows) == 0:
        raise ValueError(f"no {quantity} was measured; run leukkit.benchmark.gap.run first")
    begins = rows["ladder"].ne(rows["ladder"].shift()).to_numpy()
    ends = [*begins[1:], True]
    # A gap of a line and a half between the ladders holds the second one's heading.
    places = np.arange(len(rows)) + 1.5 * (begins.cumsum() - 1)
    size = (8.8, 1.6 + 0.42 * (places[-1] + 1))
    left, right = axes = colors.panels(ax, 1, 2, *size, sharey=True)[0]
    for place, begin, end, row in zip(places, begins, ends, rows.to_dict("records"), strict=True):
        color = colors.class_color("reproduced" if row["subject"] > 0 else "leak-free")
        color = "0.5" if np.isnan(row["subject"]) else color
        score = [row[name] for name in ("value", "low", "high")]
        _points(left, place, score, color=color)
        _note(left, place, score[0], with_interval(*score))
        if begin:
            heading = {"ha": "right", "fontweight": "bold", "fontsize": 10}
            where = {"transform": left.get_yaxis_transform()}
            left.text(-0.02, place - 0.75, LADDERS[row["ladder"]], **heading, **where)
        else:
            _difference(right, place - 0.5, row, "worth", row["closed"])
        if end:
            _difference(right, place + 0.4, row, "total", "all of these leaks", fontweight="bold")
    left.set(yticks=places, yticklabels=rows["label"], ylim=(places[-1] + 0.75, -1.1))
    left.set_xlabel(NAMES[quantity])
    left.margins(x=0.22)
    reach = 1.25 * max(map(abs, right.get_xlim()))  # the texts above 0 need room on both sides
    right.set(xlim=(-reach, reach), xlabel="lost when the named leak is closed")
    right.axvline(0, color="0.3", linewidth=1, zorder=1)
    right.tick_params(axis="y", length=0)
    right.locator_params(axis="x", nbins=6)
    colors.grid(*axes, axis="x")
    left.figure.suptitle(title, fontsize=12)
    left.figure.supxlabel(
        f"Dots: mean of {rows['repeats'].iloc[0]} draws of the split. Brackets and lines: 95% "
        f"intervals over {rows['subjects'].iloc[0]} {rows['groups_are'].iloc[0]}, differences "
        "paired.\nPurple: cells of a test subject are also in training; green: none; gray: not "
        "known. Gray differences: the interval holds 0.",
        fontsize=8.5,
    )
    return axes


def transfer(measured: pd.DataFrame, quantity: str = "auc", ax: NDArray | None = None) -> NDArray:
    """Show what each method, trained on each set, scores on each: a panel per kind of images.

    Args:
        measured: The frame of `leukkit.benchmark.transfer.measure`.
        quantity: One of `leukkit.benchmark.transfer.QUANTITIES`.
        ax: Array of methods x kinds of images Axes.

    Raises:
        ValueError: Nothing was measured.
    """
    import seaborn

    rows = measured[measured["quantity"] == quantity] if len(measured) else measured
    if len(rows) == 0:
        raise ValueError(f"no {quantity} was measured; run leukkit.benchmark.transfer.run first")
    methods = list(rows[["paper", "method"]].drop_duplicates().itertuples(index=False))
    kinds, sets = [list(rows[name].unique()) for name in ("images of", "trained on")]
    side = 1.05 * len(sets)
    size = (1.2 + (side + 0.2) * len(kinds), 1 + (0.75 * side + 0.4) * len(methods))
    axes = colors.panels(ax, len(methods), len(kinds), *size, sharex=True, sharey=True)
    for (paper, method), line in zip(methods, axes, strict=True):
        for kind, panel in zip(kinds, line, strict=True):
            is_here = rows[["paper", "method", "images of"]].eq([paper, method, kind]).all(axis=1)
            here = rows[is_here].assign(
                text=[
                    with_interval(value, low, high, 2).replace(" (", "\n").strip(")")
                    for value, low, high in rows.loc[is_here, ["value", "low", "high"]].to_numpy()
                ]
            )
            value, text = (
                here.pivot(index="trained on", columns="tested on", values=name).loc[sets, sets]
                for name in ("value", "text")
            )
            style = {"cmap": "PuOr", "vmin": 0, "vmax": 1, "cbar": False, "linewidths": 1}
            seaborn.heatmap(value, annot=text, fmt="", annot_kws={"size": 7.5}, ax=panel, **style)
            panel.set(xlabel="", ylabel="", title=kind if panel in axes[0] else "")
            panel.tick_params(length=0)
        line[0].set_ylabel(textwrap.fill(f"{method} · {paper}", 24))
    ends = f"{NAMES[quantity]}, 95% intervals over {', '.join(rows['groups_are'].unique())}"
    axes[0, 0].figure.supxlabel(f"Columns: tested on; {ends} of the tested set", fontsize=9)
    axes[0, 0].figure.supylabel("Rows: trained on", fontsize=9)
    return axes


def _difference(ax, place, row, name, leak, **style):
    """Draw what a leak was worth: black where its interval leaves 0 out, else gray."""
    ends = [row[f"{name}{end}"] for end in ("", " low", " high")]
    color = "black" if ends[1] > 0 or ends[2] < 0 else "0.5"
    _points(ax, place, ends, color=color, marker="D", markersize=5)
    text = with_interval(*ends).replace("-", "\N{MINUS SIGN}")
    _note(ax, place, 0, f"{leak}: {text}", **style)


def _points(ax, places, ends, **style):
    """Draw values with their intervals: ``ends`` (places, 3): value, low, high, or none."""
    values, low, high = np.reshape(np.asarray(ends, dtype=float), (-1, 3)).T
    widths = np.nan_to_num([values - low, high - values], posinf=0).clip(0)
    style = {"linestyle": "", "marker": "o", "markersize": 6, "linewidth": 2} | style
    ax.errorbar(values, np.atleast_1d(places), xerr=widths, **style)


def _note(ax, place, value, text, **style):
    """Write above a point; lines pass behind the text."""
    style = {"xytext": (0, 5.5), "ha": "center", "fontsize": 8.2, "zorder": 1.5} | style
    background = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}
    ax.annotate(text, (value, place), textcoords="offset points", bbox=background, **style)
