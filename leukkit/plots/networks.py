"""Figures of networks: their layers, drawn without Graphviz, and how they were trained."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from leukkit.plots import colors

FROZEN, TRAINED, PLAIN = "#E4E4E4", "#CFE8DF", "#FFFFFF"
BOX: dict[str, Any] = {"edgecolor": "0.4", "linewidth": 0.7}
QUANTITIES = {"accuracy": "accuracy (share of images)", "loss": "loss (cross-entropy)"}
TRAINING: dict[str, Any] = {"linestyle": ":", "linewidth": 1.2, "markerfacecolor": "white"}


def network_diagram(columns: Mapping[str, Sequence[Any]], ax: Axes | None = None) -> Axes:
    """Show the layers of a network as boxes: name, kind, output shape, parameters.

    Gray boxes are frozen, green ones trained, white ones have no parameters (mishra, Figure 5).

    Args:
        columns: Dict of a title to Keras layers, each of which feeds the next; the last of a
            column feeds the first of the next column.
        ax: Axes to draw on.

    Raises:
        ValueError: A column has no layers.
    """
    if empty := [title for title, layers in columns.items() if not layers]:
        raise ValueError(f"the column {empty[0]!r} has no layers to show")
    rows = max(map(len, columns.values()))
    ax = colors.one_axes(ax, 4.1 * len(columns), 0.27 * (rows + 3))
    line: dict[str, Any] = {"color": "0.3", "linewidth": 0.8}
    arrow = {"arrowstyle": "-|>", "mutation_scale": 6, "shrinkA": 0, "shrinkB": 0, **line}
    for left, (title, layers) in enumerate(columns.items()):
        middle, right, bottom = left + 0.47, left + 0.94, len(layers) - 1
        ax.text(middle, -0.75, title, ha="center", va="center", fontsize=9, weight="bold")
        shades = list(map(_shade, layers))
        ax.barh(range(len(layers)), 0.94, height=0.72, left=left, color=shades, **BOX)
        for row, layer in enumerate(layers):
            _describe(ax, layer, left, row)
            if row:
                ends = (middle, row - 0.36), (middle, row - 0.64)
                ax.annotate("", *ends, arrowprops=arrow)
        if left + 1 < len(columns):
            ax.plot([right, right + 0.03, right + 0.03], [bottom, bottom, 0], **line)
            ax.annotate("", (left + 1, 0), (right + 0.03, 0), arrowprops=arrow)
    names = {"frozen": FROZEN, "trained": TRAINED, "no parameters": PLAIN}
    ax.legend(
        handles=[Patch(facecolor=shade, label=name, **BOX) for name, shade in names.items()],
        loc="upper center",
        bbox_to_anchor=(0.5, 0),
        ncols=len(names),
        frameon=False,
        fontsize=8,
        title="name · kind, output shape, parameters",
        title_fontsize=8,
    )
    ax.set(xlim=(-0.02, len(columns)), ylim=(rows - 0.4, -1.2))
    ax.set_axis_off()
    return ax


def _shade(layer):
    if layer.count_params() == 0:
        return PLAIN
    return TRAINED if layer.trainable and layer.trainable_variables else FROZEN


def _describe(ax, layer, left, row):
    """Write name and kind, output shape and number of parameters into the box of a layer."""
    size = getattr(layer, "kernel_size", getattr(layer, "pool_size", ()))
    kind = f"{type(layer).__name__} {'×'.join(map(str, size))}".strip()
    shape = layer.output.shape[1:] if hasattr(layer, "output") else ()
    parameters = f"{layer.count_params():,}" if layer.count_params() else ""
    style = {"va": "center", "fontsize": 7}
    ax.text(left + 0.02, row, f"{layer.name} · {kind}", ha="left", **style)
    ax.text(left + 0.73, row, " × ".join(map(str, shape)), ha="right", **style)
    ax.text(left + 0.92, row, parameters, ha="right", **style)


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
    marker = "o" if max(map(len, histories.values())) <= 12 else ""
    dots: dict[str, Any] = {"marker": marker, "markersize": 4}
    for panel, (quantity, label) in zip(axes, QUANTITIES.items(), strict=True):
        for name, style in colors.line_styles(histories).items():
            history, shade = histories[name], {"color": style["color"], **dots}
            panel.plot(history["epoch"], history[quantity], **shade, **TRAINING)
            panel.plot(history["epoch"], history[f"validation_{quantity}"], label=name, **shade)
        panel.set(xlabel="epoch", ylabel=label)
        ticks = MaxNLocator(6, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1)
        panel.xaxis.set_major_locator(ticks)
    for epoch in sorted(set.intersection(*map(_new_phases, histories.values()))):
        for panel in axes:
            panel.axvline(epoch - 0.5, color="0.6", linewidth=1, zorder=0)
        words = {"rotation": 90, "ha": "right", "color": "0.4", "fontsize": 8}
        left.text(epoch - 0.5, 0.04, "new phase", transform=left.get_xaxis_transform(), **words)
    styles = [
        Line2D([], [], color="0.3", label="validation", **dots),
        Line2D([], [], color="0.3", label="training", **dots, **TRAINING),
    ]
    left.legend(handles=styles, fontsize=8, loc="best")
    right.legend(fontsize=8, loc="upper right", ncols=1 + (len(histories) > 4))
    colors.grid(*axes)
    return axes


def _new_phases(history):
    """Return the epochs at which a training begins a new phase."""
    if "phase" not in history:
        return set()
    return set(history["epoch"][history["phase"] != history["phase"].shift()][1:])
