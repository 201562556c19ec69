"""Figures of how a training went."""

from leukkit.plots import colors

QUANTITIES = {"accuracy": "accuracy (share of images)", "loss": "loss (cross-entropy)"}
TRAINING = {"linestyle": ":", "linewidth": 1.2, "markerfacecolor": "white"}


def training_curves(histories, ax=None):
    """Show accuracy and loss by epoch (patel2025, Figure 8; mishra, 8; samhitha, 3 and 4).

    A color per training (its folds, or several networks); solid is validation, thin and dotted
    is training. A vertical line marks where a new phase of training begins, if it does so at the
    same epoch in all.

    Args:
        histories: Dict of name (of a fold or network) to the frame of ``history.csv``: ``epoch``
            (from 1), ``accuracy``, ``loss``, ``validation_accuracy``, ``validation_loss`` and, if
            there, ``phase``. Missing values are not drawn.
        ax: Array of two Axes.

    Returns:
        The Axes, an array (2,).

    Raises:
        ValueError: A history lacks a column.
    """
    import seaborn
    from matplotlib.lines import Line2D
    from matplotlib.ticker import MaxNLocator

    _check_histories(histories)
    axes = colors.panels(ax, 1, 2, 7, 3.1)[0]
    palette = seaborn.color_palette("mako", len(histories) + 1)
    marker = "o" if max(map(len, histories.values())) <= 12 else ""
    for panel, (quantity, label) in zip(axes, QUANTITIES.items(), strict=True):
        for color, (name, history) in zip(palette, histories.items(), strict=False):
            epochs = history["epoch"]
            style = {"color": color, "marker": marker, "markersize": 4}
            panel.plot(epochs, history[quantity], **style, **TRAINING)
            panel.plot(epochs, history[f"validation_{quantity}"], label=name, **style)
        for epoch in _new_phases(histories.values()):
            panel.axvline(epoch - 0.5, color="0.6", linewidth=1, zorder=0)
        panel.set(xlabel="epoch", ylabel=label)
        panel.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10], integer=True))
        panel.grid(alpha=0.3)
    styles = [
        Line2D([], [], color="0.3", marker=marker, markersize=4, **style)
        for style in ({"label": "validation"}, {"label": "training", **TRAINING})
    ]
    for epoch in _new_phases(histories.values()):
        axes[0].text(
            *(epoch - 0.5, 0.04, "new phase"),
            transform=axes[0].get_xaxis_transform(),
            rotation=90,
            ha="right",
            color="0.4",
            fontsize=8,
        )
    axes[0].legend(handles=styles, fontsize=8, loc="lower right")
    axes[1].legend(fontsize=8, loc="upper right", ncols=1 + (len(histories) > 4))
    return axes


def _check_histories(histories):
    wanted = ["epoch", *QUANTITIES, *(f"validation_{quantity}" for quantity in QUANTITIES)]
    for name, history in histories.items():
        lacking = [column for column in wanted if column not in history]
        if lacking:
            raise ValueError(
                f"the history of {name} has no column {', '.join(lacking)}; found: "
                f"{', '.join(map(str, history.columns))}"
            )


def _new_phases(histories):
    """Return the epochs at which all trainings begin a new phase."""
    firsts = [
        set(history["epoch"][history["phase"] != history["phase"].shift()][1:])
        if "phase" in history
        else set()
        for history in histories
    ]
    return sorted(set.intersection(*firsts))
