"""Figures that put scores beside each other."""

import numpy as np
import pandas as pd

from leukkit.plots import colors

PROTOCOLS = ("published", "reproduced", "leak-free")


def bars(frame, quantity="accuracy", unit="percent", ax=None):
    """Show published, reproduced and leak-free values beside each other, one row per model.

    Stands for Figure 15 of farag2025. Points with intervals instead of bars: bars would have to
    begin at 0, where values between 90 and 100 look alike.

    Args:
        frame: One row per model; the index names it (several levels are joined). Columns
            ``published``, ``reproduced``, ``leak-free`` and, for intervals, ``reproduced low``,
            ``reproduced high``, ``leak-free low``, ``leak-free high``. Absent columns and missing
            values are not drawn.
        quantity: What the values are, for the axis.
        unit: Their unit, for the axis.
        ax: Axes to draw on.

    Returns:
        The Axes.

    Raises:
        ValueError: None of the three columns is there.
    """
    shown = [name for name in PROTOCOLS if name in frame]
    if not shown:
        raise ValueError(
            f"needs at least one of the columns {', '.join(PROTOCOLS)}; found: "
            f"{', '.join(map(str, frame.columns))}"
        )
    ax = colors.one_axes(ax, 7, 1.2 + 0.5 * len(frame))
    names = [" + ".join(map(str, np.atleast_1d(name))) for name in frame.index]
    offsets = np.linspace(-0.22, 0.22, len(shown)) if len(shown) > 1 else [0.0]
    for name, offset in zip(shown, offsets, strict=True):
        values = _floats(frame, name)
        _points(
            ax,
            values,
            _floats(frame, f"{name} low"),
            _floats(frame, f"{name} high"),
            np.arange(len(frame)) + offset,
            color=colors.class_color(name),
            marker="D" if name == "published" else "o",
            label=name,
        )
    for boundary in np.arange(len(frame) - 1) + 0.5:
        ax.axhline(boundary, color="0.9", linewidth=1, zorder=0)
    ax.set(yticks=range(len(frame)), yticklabels=names, ylim=(len(frame) - 0.5, -0.5))
    has_intervals = any(f"{name} low" in frame for name in shown)
    ax.set_xlabel(f"{quantity} ({unit})" + (", lines: 95% intervals" if has_intervals else ""))
    ax.grid(axis="x", alpha=0.3)
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=len(shown), frameon=False)
    return ax


def split_comparison(frame, quantity="AUC", ax=None):
    """Show the one classifier under several splits, beside what each split leaks.

    Args:
        frame: One row per split: ``split`` (its name), ``score``, ``low``, ``high`` and
            ``leaked``, the share of test images whose subject is also in training; all 0 to 1.
        quantity: What the score is, for the axis.
        ax: Array of two Axes that share their y axis.

    Returns:
        The Axes, an array (2,).
    """
    left, right = colors.panels(ax, 1, 2, 7, 1.4 + 0.45 * len(frame), sharey=True)[0]
    rows = np.arange(len(frame))
    leaked = frame["leaked"].to_numpy(float)
    leaks = [colors.class_color("reproduced" if share > 0 else "leak-free") for share in leaked]
    for row, color in enumerate(leaks):
        here = frame.iloc[[row]]
        _points(
            left,
            *(here[name].to_numpy(float) for name in ("score", "low", "high")),
            rows[[row]],
            color=color,
            marker="o",
        )
        score = here.iloc[0]
        left.annotate(
            f"{score['score']:.3f}  [{score['low']:.3f}, {score['high']:.3f}]",
            (score["score"], row),
            xytext=(0, 7),
            textcoords="offset points",
            ha="center",
            fontsize=8,
        )
    right.barh(rows, 100 * leaked, color=leaks, height=0.45)
    for row, share in enumerate(leaked):
        right.annotate(
            f"{share:.1%}",
            (100 * share, row),
            xytext=(-4, 0) if share > 0.5 else (4, 0),
            textcoords="offset points",
            ha="right" if share > 0.5 else "left",
            va="center",
            color="white" if share > 0.5 else "black",
            fontsize=9,
        )
    left.set(yticks=rows, yticklabels=frame["split"], ylim=(len(frame) - 0.5, -0.6))
    left.set_xlabel(f"{quantity}, 95% interval")
    right.set(xlim=(0, 100), xlabel="test cells of a subject\nalso in training (%)")
    left.margins(x=0.25)
    for panel in (left, right):
        panel.grid(axis="x", alpha=0.3)
        panel.set_axisbelow(True)
    right.tick_params(axis="y", length=0)
    return np.array([left, right])


def _points(ax, values, low, high, rows, **style):
    """Draw points with intervals; those without an interval have none."""
    widths = np.nan_to_num([values - low, high - values])
    ax.errorbar(values, rows, xerr=widths.clip(0), linestyle="", markersize=6, linewidth=2, **style)


def _floats(frame, name):
    if name not in frame:
        return np.full(len(frame), np.nan)
    return pd.to_numeric(frame[name]).to_numpy(dtype=float, na_value=np.nan)
