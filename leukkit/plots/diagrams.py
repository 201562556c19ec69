"""A figure of a network, layer by layer, drawn without Graphviz."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch, Patch

from leukkit.plots import colors

FROZEN, TRAINED, PLAIN = "#E4E4E4", "#CFE8DF", "#FFFFFF"


def network_diagram(columns: Mapping[str, Sequence[Any]], ax: Axes | None = None) -> Axes:
    """Show the layers of a network as boxes: name, kind, output shape, parameters.

    The layers of a column follow each other from top to bottom, and the last of a column feeds the
    first of the next (mishra, Figure 5). Gray boxes are frozen, green ones trained, white ones
    have no parameters.

    Args:
        columns: Dict of a title to Keras layers, each of which feeds the next.
        ax: Axes to draw on.

    Raises:
        ValueError: A column has no layers.
    """
    if empty := [title for title, layers in columns.items() if not layers]:
        raise ValueError(f"the column {empty[0]!r} has no layers to show")
    rows = max(map(len, columns.values()))
    ax = colors.one_axes(ax, 4.1 * len(columns), 0.27 * (rows + 3))
    arrow: dict[str, Any] = {"arrowstyle": "-|>", "mutation_scale": 6, "linewidth": 0.8}
    arrow |= {"color": "0.3", "shrinkA": 0, "shrinkB": 0}
    for number, (title, layers) in enumerate(columns.items()):
        ax.text(number + 0.47, -0.75, title, ha="center", va="center", fontsize=9, weight="bold")
        for row, layer in enumerate(layers):
            _draw_layer(ax, layer, number, row)
            if row:
                ends = (number + 0.47, row - 0.36), (number + 0.47, row - 0.64)
                ax.annotate("", *ends, arrowprops=arrow)
        if number + 1 < len(columns):
            last = len(layers) - 1
            to_the_top = [number + 0.94, number + 0.97, number + 0.97], [last, last, 0]
            ax.plot(*to_the_top, color="0.3", linewidth=0.8)
            ax.annotate("", (number + 1, 0), (number + 0.97, 0), arrowprops=arrow)
    shades = {"frozen": FROZEN, "trained": TRAINED, "no parameters": PLAIN}
    ax.legend(
        handles=[Patch(fc=shade, ec="0.4", lw=0.7, label=name) for name, shade in shades.items()],
        loc="upper center",
        bbox_to_anchor=(0.5, 0),
        ncols=len(shades),
        frameon=False,
        fontsize=8,
        title="name · kind, output shape, parameters",
        title_fontsize=8,
    )
    ax.set(xlim=(-0.02, len(columns)), ylim=(rows - 0.4, -1.2))
    ax.set_axis_off()
    return ax


def _draw_layer(ax, layer, column, row):
    has_parameters = layer.count_params() > 0
    is_trained = layer.trainable and layer.trainable_variables
    shade = (TRAINED if is_trained else FROZEN) if has_parameters else PLAIN
    box = FancyBboxPatch(
        (column, row - 0.36),
        *(0.94, 0.72),
        boxstyle="round,pad=0,rounding_size=0.02",
        mutation_aspect=10,
        facecolor=shade,
        edgecolor="0.4",
        linewidth=0.7,
    )
    ax.add_patch(box)
    size = getattr(layer, "kernel_size", getattr(layer, "pool_size", ()))
    kind = f"{type(layer).__name__} {'×'.join(map(str, size))}".strip()
    shape = layer.output.shape[1:] if hasattr(layer, "output") else ()
    for x, text, side in (
        (0.02, f"{layer.name} · {kind}", "left"),
        (0.73, " × ".join(map(str, shape)), "right"),
        (0.92, f"{layer.count_params():,}" if has_parameters else "", "right"),
    ):
        ax.text(column + x, row, text, ha=side, va="center", fontsize=7)
