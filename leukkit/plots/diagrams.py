"""A figure of a network, layer by layer, drawn without Graphviz."""

from leukkit.plots import colors

FROZEN, TRAINED, PLAIN = "#E4E4E4", "#CFE8DF", "#FFFFFF"
_ROW = 0.27  # inches
_COLUMN = 4.1


def network_diagram(columns, ax=None):
    """Show the layers of a network as boxes: name, kind, output shape, parameters.

    The layers of a column follow each other from top to bottom, and the last of a column feeds the
    first of the next (mishra, Figure 5). Gray boxes are frozen, green ones trained, white ones
    have no parameters.

    Args:
        columns: Dict of a title to a list of Keras layers, each of which feeds the next.
        ax: Axes to draw on.

    Returns:
        The Axes.

    Raises:
        ValueError: A column has no layers.
    """
    from matplotlib.patches import FancyBboxPatch, Patch

    if empty := [title for title, layers in columns.items() if not layers]:
        raise ValueError(f"the column {empty[0]!r} has no layers to show")
    rows = max(map(len, columns.values()))
    ax = colors.one_axes(ax, _COLUMN * len(columns), _ROW * (rows + 2.2))
    arrow = {"arrowstyle": "-|>", "color": "0.3", "shrinkA": 0, "shrinkB": 0, "linewidth": 0.8}
    for number, (title, layers) in enumerate(columns.items()):
        ax.text(number + 0.47, -0.75, title, ha="center", va="center", fontsize=9, weight="bold")
        for row, layer in enumerate(layers):
            box = FancyBboxPatch(
                (number, row - 0.36),
                *(0.94, 0.72),
                boxstyle="round,pad=0,rounding_size=0.02",
                mutation_aspect=10,
                facecolor=_shade(layer),
                edgecolor="0.4",
                linewidth=0.7,
            )
            ax.add_patch(box)
            for x, text, side in (
                (0.02, f"{layer.name} · {_kind(layer)}", "left"),
                (0.73, _shape(layer), "right"),
                (0.92, f"{layer.count_params():,}" if layer.count_params() else "", "right"),
            ):
                ax.text(number + x, row, text, ha=side, va="center", fontsize=7)
            if row:
                ends = (number + 0.47, row - 0.36), (number + 0.47, row - 0.64)
                ax.annotate("", *ends, arrowprops=arrow | {"mutation_scale": 6})
        if number + 1 < len(columns):
            last = len(layers) - 1
            ax.plot(
                [number + 0.94, number + 0.97, number + 0.97], [last, last, 0], color="0.3", lw=0.8
            )
            ends = (number + 1, 0), (number + 0.97, 0)
            ax.annotate("", *ends, arrowprops=arrow | {"mutation_scale": 6})
    shades = {"frozen": FROZEN, "trained": TRAINED, "no parameters": PLAIN}
    ax.legend(
        handles=[Patch(fc=shade, ec="0.4", lw=0.7, label=name) for name, shade in shades.items()],
        loc="lower right",
        fontsize=8,
        title="name · kind, output shape, parameters",
        title_fontsize=8,
    )
    ax.set(xlim=(-0.02, len(columns)), ylim=(rows - 0.4, -1.2))
    ax.set_axis_off()
    return ax


def _kind(layer):
    kind = type(layer).__name__
    size = getattr(layer, "kernel_size", getattr(layer, "pool_size", None))
    return f"{kind} {'×'.join(map(str, size))}" if size else kind


def _shape(layer):
    shape = layer.output.shape if hasattr(layer, "output") else ()
    return " × ".join(map(str, shape[1:]))


def _shade(layer):
    if not layer.count_params():
        return PLAIN
    return TRAINED if layer.trainable and layer.trainable_variables else FROZEN
