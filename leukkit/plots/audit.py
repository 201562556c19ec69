"""Figures of the audit: what is printed beside what the same paper's other numbers allow."""

import pandas as pd

from leukkit.plots import colors

MARKERS = ("D", "s", "x", "^", "v")  # of the printed values, one column after the other


def implied_accuracies(frame, ax=None):
    """Show printed accuracies beside those that a paper's matrices or scores per class imply.

    Args:
        frame: One row per network; the index names it. ``low`` and ``high``: the implied accuracy,
            in percent (equal where it is exact). Every other column holds printed accuracies in
            percent; its name stands in the legend. Missing values are not drawn.
        ax: Axes to draw on.

    Returns:
        The Axes.

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
    low, high = (pd.to_numeric(frame[name]).to_numpy(float) for name in ("low", "high"))
    color = colors.class_color("reproduced")
    ax.hlines(rows, low, high, color=color, linewidth=3)
    ax.plot((low + high) / 2, rows, "o", color=color, markersize=8, label="recomputed")
    for name, marker in zip(printed, MARKERS, strict=False):
        values = pd.to_numeric(frame[name]).to_numpy(float)
        style = {"fillstyle": "none", "markersize": 7, "color": colors.class_color("published")}
        ax.plot(values, rows, marker, label=name, **style)
    ax.set(yticks=rows, yticklabels=frame.index, ylim=(len(frame) - 0.4, -0.6))
    ax.set_xlabel("accuracy (percent)")
    ax.grid(alpha=0.3)
    ax.set_axisbelow(True)
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=1 + len(printed), frameon=False)
    return ax


def explaining_totals(frame, of, marked=(), ax=None):
    """Show how many printed accuracies are whole numbers of images, for every number of images.

    Args:
        frame: Indexed by the number of images n. ``explained``: how many accuracies are a k/n;
            ``by chance``: how many would be if they had nothing to do with n.
        of: How many accuracies there are.
        marked: Numbers of images to name in the figure.
        ax: Axes to draw on.

    Returns:
        The Axes.
    """
    ax = colors.one_axes(ax, 8, 3)
    totals = frame.index.to_numpy()
    color = colors.class_color("reproduced")
    ax.vlines(totals, 0, frame["explained"], color=color, linewidth=0.8)
    ax.plot(totals, frame["by chance"], color=colors.class_color("published"), label="by chance")
    for total in marked:
        height = int(frame.loc[total, "explained"])
        ax.plot([total], [height], "o", color=color)
        ax.annotate(
            f"n = {total}: {height}",
            (total, height),
            xytext=(-6 if total == min(marked) else 6, 4),
            textcoords="offset points",
            ha="right" if total == min(marked) else "left",
            bbox={"color": "white", "alpha": 0.8, "pad": 1},
        )
    ax.set(ylim=(0, of), xlim=(totals.min(), totals.max()), xlabel="number of test images n")
    ax.set_ylabel(f"accuracies that are a k/n\n(of {of})")
    ax.legend(loc="upper left", frameon=False)
    return ax
