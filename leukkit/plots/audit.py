"""Figures of the audit: what is printed beside what the same paper's other numbers allow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from leukkit.plots import colors

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from leukkit.audit import Lead

MARKERS = ("D", "s", "x", "^", "v")  # of the printed values, one column after the other


def implied_accuracies(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Show printed accuracies beside those that a paper's matrices or scores per class imply.

    Args:
        frame: As `audit.implied_accuracies` gives it: in percent, one row per network, ``low`` and
            ``high`` the implied accuracy (equal where it is exact), every other column printed
            ones. Missing values are not shown.
        ax: Axes to draw on.

    Raises:
        ValueError: ``low`` or ``high`` is not there, or there are more printed columns than
            markers.
    """
    printed = [name for name in frame if name not in ("low", "high")]
    if not {"low", "high"} <= set(frame) or len(printed) > len(MARKERS):
        raise ValueError(
            f"needs the columns low and high and at most {len(MARKERS)} others; found: "
            f"{', '.join(map(str, frame.columns))}"
        )
    ax = colors.one_axes(ax, 8, 1.3 + 0.32 * len(frame))
    rows = range(len(frame))
    ours, theirs = colors.class_color("reproduced"), colors.class_color("published")
    ax.hlines(rows, frame["low"], frame["high"], color=ours, linewidth=3)
    middle = (frame["low"] + frame["high"]) / 2
    ax.plot(middle, rows, "o", color=ours, markersize=8, label="recomputed")
    for name, marker in zip(printed, MARKERS, strict=False):
        label = f"printed, {name}"
        ax.plot(frame[name], rows, marker, c=theirs, fillstyle="none", markersize=7, label=label)
    ax.set(yticks=rows, yticklabels=frame.index, ylim=(len(frame) - 0.4, -0.6))
    ax.set_xlabel("accuracy (percent)")
    ax.grid(alpha=0.3)
    ax.set_axisbelow(True)
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=1 + len(printed), frameon=False)
    return ax


def explaining_totals(
    frame: pd.DataFrame, of: int, marked: Iterable[int] = (), ax: Axes | None = None
) -> Axes:
    """Show how many printed accuracies are whole numbers of images, for every number of images.

    Args:
        frame: As `audit.explaining_totals` gives it.
        of: How many accuracies there are.
        marked: Numbers of images to name in the figure, ascending.
        ax: Axes to draw on.
    """
    ax = colors.one_axes(ax, 8, 3)
    color = colors.class_color("reproduced")
    ax.vlines(frame.index, 0, frame["explained"], color=color, linewidth=0.8)
    ax.plot(frame["by chance"], color=colors.class_color("published"), label="by chance")
    for place, total in enumerate(marked):
        height = frame["explained"].loc[total]
        ax.plot([total], [height], "o", color=color)
        ax.annotate(
            f"n = {total}: {height}",
            (total, height),
            xytext=(6 if place else -6, 4),
            textcoords="offset points",
            ha="left" if place else "right",
            bbox={"color": "white", "alpha": 0.8, "pad": 1},
        )
    ax.set(ylim=(0, of), xlim=(frame.index.min(), frame.index.max()))
    ax.set(xlabel="number of test images n", ylabel=f"accuracies that are a k/n\n(of {of})")
    ax.legend(loc="upper left", frameon=False)
    return ax


def leads(
    leads: Mapping[str, Lead], icc: tuple[float, float], ax: NDArray | None = None
) -> NDArray:
    """Show how likely the runner-up is as good or better, over the number of independent images.

    Args:
        leads: Title of a panel -> lead whose probability is known (`audit.leads`).
        icc: Smallest and largest intraclass correlation; what the printed images are worth with
            them is shaded.
        ax: As many Axes to draw on.
    """
    axes = colors.panels(ax, 1, len(leads), 3 * len(leads), 3.4, sharex=True, sharey=True)
    theirs, ours = colors.class_color("published"), colors.class_color("reproduced")
    lines = {0: ("-", "right alike as by chance"), 1: ("--", "as far as scores allow")}
    sizes = np.geomspace(10, 5000, 80)
    for here, (text, lead) in zip(axes.ravel(), leads.items(), strict=True):
        for alike, (style, label) in lines.items():
            chances = [lead.probability(size, alike) for size in sizes]
            here.plot(sizes, chances, style, color=ours, label=label)
        here.axvline(lead.images, color=theirs, label="images printed")
        worth = sorted(map(lead.effective, icc))
        here.axvspan(*worth, color=theirs, alpha=0.2, linewidth=0, label="what they are worth")
        here.set(title=text, xscale="log", xlim=(10, 5000), ylim=(-0.02, 1.02))
        here.set_xlabel("independent images")
    axes[0, 0].set_ylabel("probability that the runner-up\nis as good or better")
    colors.grid(*axes.ravel())
    handles, labels = axes[0, 0].get_legend_handles_labels()
    axes[0, 0].figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
    return axes
