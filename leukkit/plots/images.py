"""Figures that show images."""

import numpy as np
import pandas as pd

from leukkit import images
from leukkit.plots import colors


def gallery(cells, per_class=6, seed=0, reader=images.read, ax=None):
    """Show some images of each class, a row per class (farag2025, Figures 1 and 2).

    Args:
        cells: The ``cells`` frame.
        per_class: Images per class, drawn by ``seed``; a smaller class shows all it has.
        seed: What the choice depends on; the order of the rows does not matter.
        reader: ``reader(path, crop)`` returns uint8 RGB (height, width, 3).
        ax: Array of classes x ``per_class`` Axes.

    Returns:
        The Axes, an array (classes, ``per_class``).
    """
    classes = list(cells.attrs.get("classes", sorted(cells["label"].dropna().unique())))
    axes = colors.panels(ax, len(classes), per_class, 7, 0.3 + 7 / per_class * len(classes))
    generator = np.random.default_rng(seed)
    for row, name in zip(axes, classes, strict=True):
        members = cells[cells["label"] == name].sort_values("image_id")
        shown = generator.permutation(len(members))[:per_class]
        for panel, position in zip(row, shown, strict=False):
            cell = members.iloc[position]
            crop = cell.get("crop")
            colors.show_image(panel, reader(cell["path"], None if pd.isna(crop) else int(crop)))
        for panel in row[len(shown) :]:
            panel.set_axis_off()
        row[0].set_title(
            f"{name}, {len(members):,} images",
            loc="left",
            color=colors.class_color(name),
            fontsize=10,
            fontweight="bold",
        )
    return axes


def segmentation_steps(rgb, lab, a_channel, segmented, ax=None):
    """Show how the nucleus is found, in four panels (farag2025, Figure 5).

    Args:
        rgb: The cell, uint8 (height, width, 3).
        lab: The same in 8-bit LAB (height, width, 3), shown as if it were RGB, as in the paper.
        a_channel: Its a channel, uint8 (height, width); 128 is neutral, more is redder.
        segmented: The cell under the mask, uint8 (height, width, 3).
        ax: Array of four Axes.

    Returns:
        The Axes, an array (4,).
    """
    axes = colors.panels(ax, 1, 4, 7, 2.1)[0]
    low, high = int(a_channel.min()), int(a_channel.max())
    colors.show_image(axes[0], rgb, "(a) RGB")
    colors.show_image(axes[1], lab, "(b) LAB")
    colors.show_image(axes[2], a_channel, f"(c) a channel, {low} to {high}", cmap="gray")
    colors.show_image(axes[3], segmented, "(d) segmented")
    return axes


def augmentation_examples(original, copies, titles=None, ax=None):
    """Show an image and augmented copies of it (farag2025, Figures 6 and 7).

    Args:
        original: uint8 RGB (height, width, 3).
        copies: List of such images.
        titles: What was done to each copy; None numbers them.
        ax: Array of as many Axes as images, rows of at most six filled up.

    Returns:
        The Axes, an array (rows, columns); those without an image are empty.

    Raises:
        ValueError: Titles and copies differ in number.
    """
    if titles is None:
        titles = [f"copy {number}" for number in range(1, len(copies) + 1)]
    if len(titles) != len(copies):
        raise ValueError(f"{len(copies)} copies, but {len(titles)} titles")
    columns = min(6, len(copies) + 1)
    rows = -(-(len(copies) + 1) // columns)
    axes = colors.panels(ax, rows, columns, 7, (7 / columns + 0.35) * rows)
    shown = zip(["original", *titles], [original, *copies], strict=True)
    for panel, (title, image) in zip(axes.flat, shown, strict=False):
        colors.show_image(panel, image, title)
    for panel in axes.flat[len(copies) + 1 :]:
        panel.set_axis_off()
    return axes
