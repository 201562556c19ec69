"""The figure of what a shuffled evaluation gives."""

from leukkit.plots import colors


def accuracy_over_orders(orders, found, ax=None):
    """Show which accuracies the orders of the labels lead to, and the ones that were found.

    Args:
        orders: Frame of `leukkit.report.shuffling.orders`: ``accuracy`` (0..1), ``probability``.
        found: Dict of name to an accuracy, drawn as a vertical line.
        ax: Axes to draw on.

    Returns:
        The Axes.
    """
    import seaborn

    ax = colors.one_axes(ax, 6.4, 2.9)
    likely = orders[orders["probability"] > 1e-6]
    step = 100 * orders["accuracy"].diff().iloc[-1]
    ax.bar(
        100 * likely["accuracy"],
        100 * likely["probability"],
        width=step,
        color="0.8",
        label="all orders of the labels",
    )
    palette = seaborn.color_palette("mako", len(found) + 1)
    styles = ("-", "--", ":")
    for number, (name, accuracy) in enumerate(found.items()):
        ax.axvline(
            100 * accuracy,
            color=palette[number],
            linestyle=styles[number % len(styles)],
            linewidth=2,
            label=f"{name}: {accuracy:.1%}",
        )
    ax.set(xlabel="accuracy (percent)", ylabel="orders (percent)")
    ax.legend(fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1), frameon=False, ncols=3)
    ax.grid(axis="x", alpha=0.3)
    ax.set_axisbelow(True)
    return ax
