"""Figures of what a network looks at."""

import numpy as np

from leukkit.plots import colors

_PER_ROW = 4


def _shades():
    """Return colors that hide nothing where the map is 0, for light and dark backgrounds."""
    import matplotlib
    from matplotlib.colors import ListedColormap

    shades = matplotlib.colormaps["autumn_r"](np.linspace(0, 1, 256))
    shades[:, 3] = np.linspace(0, 0.75, 256)
    return ListedColormap(shades)


def grad_cam_grid(images, maps, titles, ax=None):
    """Show images, and under each the places that speak for its class (Grad-CAM).

    Args:
        images: uint8 RGB, each (height, width, 3).
        maps: From `leukkit.explain.grad_cam`, each (height, width), 0..1.
        titles: One for each image: its class, what was predicted, how surely.
        ax: Array of Axes: for every four images a row of images and a row of maps.

    Returns:
        The Axes, an array (rows, columns); those without an image are empty.

    Raises:
        ValueError: Not as many images, maps and titles, none at all, or a map of another size.
    """
    if not len(images) == len(maps) == len(titles) > 0:
        raise ValueError(
            f"{len(images)} images, {len(maps)} maps and {len(titles)} titles: there must be as "
            "many of each, and at least one"
        )
    columns = min(_PER_ROW, len(images))
    rows = 2 * -(-len(images) // columns)
    side = 6.4 / _PER_ROW
    axes = colors.panels(ax, rows, columns, side * columns + 0.6, (side + 0.15) * rows)
    for panel in axes.flat:
        panel.set_axis_off()
    shades = _shades()
    for number, (image, one_map, title) in enumerate(zip(images, maps, titles, strict=True)):
        image, one_map = np.asarray(image), np.asarray(one_map)
        if image.shape[:2] != one_map.shape:
            raise ValueError(
                f"{title}: the image is {image.shape[:2]}, its map {one_map.shape} (height, width)"
            )
        row, column = 2 * (number // columns), number % columns
        colors.show_image(axes[row, column], image, title)
        # Gray below, so that all color is the map's.
        colors.show_image(axes[row + 1, column], image.mean(axis=-1), cmap="gray", vmin=0, vmax=255)
        shown = axes[row + 1, column].imshow(one_map, cmap=shades, vmin=0, vmax=1)
    bar = axes[0, 0].figure.colorbar(shown, ax=axes, shrink=0.8, pad=0.02)
    bar.set_label("speaks for the class\n(share of the image's maximum)", fontsize=8)
    bar.ax.tick_params(labelsize=8)
    return axes
