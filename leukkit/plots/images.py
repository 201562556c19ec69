"""Figures that show images."""

from collections.abc import Sequence

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.colors import ListedColormap
from numpy.typing import NDArray

from leukkit import images
from leukkit.plots import colors


def gallery(
    cells: pd.DataFrame, per_class: int = 6, seed: int = 0, ax: NDArray | None = None
) -> NDArray:
    """Show images of each class, a row per class (farag2025, Figures 1 and 2).

    ``per_class`` of each are chosen by ``seed``, whatever the order of the rows; of a smaller
    class all are shown.
    """
    classes = list(cells.attrs.get("classes", sorted(cells["label"].dropna().unique())))
    axes = colors.panels(ax, len(classes), per_class, 7, 0.3 + 7 / per_class * len(classes))
    generator = np.random.default_rng(seed)
    for row, name in zip(axes, classes, strict=True):
        members = cells[cells["label"] == name].sort_values("image_id")
        shown = members.iloc[generator.permutation(len(members))[:per_class]]
        _show_all(row, [_read(cell) for cell in shown.to_dict("records")])
        style = {"color": colors.COLORS.get(name, "black"), "fontsize": 10, "fontweight": "bold"}
        row[0].set_title(f"{name}, {len(members):,} images", loc="left", **style)
    return axes


def segmentation_steps(
    rgb: NDArray, lab: NDArray, a_channel: NDArray, segmented: NDArray, ax: NDArray | None = None
) -> NDArray:
    """Show how the nucleus is found, in four panels (farag2025, Figure 5).

    Args:
        rgb: The cell, uint8 (height, width, 3).
        lab: The same in 8-bit LAB (height, width, 3), shown as if it were RGB, as in the paper.
        a_channel: Its a channel, uint8 (height, width); 128 is neutral, more is redder.
        segmented: The cell under the mask, uint8 (height, width, 3).
        ax: Array of four Axes.
    """
    axes = colors.panels(ax, 1, 4, 7, 2.1)[0]
    ends = f"{a_channel.min()} to {a_channel.max()}"
    titles = ["(a) RGB", "(b) LAB", f"(c) a channel, {ends}", "(d) segmented"]
    _show_all(axes, [rgb, lab, a_channel, segmented], titles, cmap="gray")
    return axes


def augmentation_examples(
    original: NDArray,
    copies: Sequence[NDArray],
    titles: Sequence[str] | None = None,
    ax: NDArray | None = None,
) -> NDArray:
    """Show an image and augmented copies of it (farag2025, Figures 6 and 7).

    All are uint8 RGB (height, width, 3). Titles say what was done to each copy, else copies are
    numbered. The rows hold at most six images and are as equal as can be.

    Raises:
        ValueError: Titles and copies differ in number.
    """
    if titles is None:
        titles = [f"copy {number}" for number in range(1, len(copies) + 1)]
    if len(titles) != len(copies):
        raise ValueError(f"{len(copies)} copies, but {len(titles)} titles")
    rows = -(-(len(copies) + 1) // 6)
    columns = -(-(len(copies) + 1) // rows)
    axes = colors.panels(ax, rows, columns, 7, (7 / columns + 0.35) * rows)
    _show_all(axes.flat, [original, *copies], ["original", *titles])
    return axes


def image_pairs(
    cells: pd.DataFrame, pairs: pd.DataFrame, most: int = 9, ax: NDArray | None = None
) -> NDArray:
    """Show pairs of images that are nearly the same side by side, three pairs a row.

    The first ``most`` rows of ``pairs`` are shown, a frame of
    `leukkit.datasets.near_duplicates.find` for these cells.

    Raises:
        ValueError: There is no pair.
        leukkit.images.ImageError: A file cannot be read.
    """
    shown = pairs.head(most)
    if len(shown) == 0:
        raise ValueError("no pair of near-duplicates to show")
    rows = -(-len(shown) // 3)
    axes = colors.panels(ax, rows, 6, 9, 0.3 + 2.05 * rows)
    by_id = cells.set_index("image_id")
    pictures, titles, notes = [], [], []
    for pair in shown.to_dict("records"):
        for end in ("_first", ""):
            name, patient = pair[f"image_id{end}"], pair[f"patient{end}"]
            pictures.append(_read(by_id.loc[name]))
            titles.append(name if pd.isna(patient) else f"{name}\npatient {patient}")
        turned = f"\nturned {pair['turned']}\N{DEGREE SIGN}" if pair["turned"] else ""
        mirrored = ", mirrored" if pair["mirrored"] else ""
        notes.append(f"{pair['distance']} of 256 bits{turned}{mirrored}")
        notes.append(f"correlation {pair['correlation']:.2f}")
    _show_all(axes.flat, pictures, titles, fontsize=7.5)
    for panel, note in zip(axes.flat, notes, strict=False):
        panel.set_xlabel(note, fontsize=7.5, color="0.3")
    left_out = f" of {len(pairs)}" if len(pairs) > len(shown) else ""
    title = f"Nearly the same image, twice: {len(shown)}{left_out} pairs"
    axes[0, 0].figure.suptitle(title, fontsize=11)
    return axes


def grad_cam_grid(
    images: Sequence[NDArray],
    maps: Sequence[NDArray],
    titles: Sequence[str],
    ax: NDArray | None = None,
) -> NDArray:
    """Show images, and under each the places that speak for its class (Grad-CAM).

    Args:
        images: uint8 RGB, each (height, width, 3).
        maps: From `leukkit.explain.grad_cam`, each (height, width), 0..1.
        titles: One for each image: its class, what was predicted, how surely.
        ax: Array of Axes: for every four images a row of images and a row of maps.

    Raises:
        ValueError: Not as many images, maps and titles, none at all, or a map of another size.
    """
    if not len(images) == len(maps) == len(titles) > 0:
        raise ValueError(
            f"{len(images)} images, {len(maps)} maps and {len(titles)} titles: there must be as "
            "many of each, and at least one"
        )
    for image, one_map, title in zip(images, maps, titles, strict=True):
        if np.shape(image)[:2] != np.shape(one_map):
            raise ValueError(
                f"{title}: the image is {np.shape(image)[:2]}, its map {np.shape(one_map)} "
                "(height, width)"
            )
    columns = min(4, len(images))
    rows = 2 * -(-len(images) // columns)
    axes = colors.panels(ax, rows, columns, 1.6 * columns + 0.6, 1.75 * rows)
    _show_all(axes[::2].flat, images, titles)
    # Gray below, so that all color is the map's.
    grays = [np.mean(image, axis=-1) for image in images]
    _show_all(axes[1::2].flat, grays, cmap="gray", vmin=0, vmax=255)
    # No color where the map is 0, for light and dark backgrounds.
    shades = matplotlib.colormaps["autumn_r"](np.linspace(0, 1, 256))
    shades[:, 3] = np.linspace(0, 0.75, 256)
    for panel, one_map in zip(axes[1::2].flat, maps, strict=False):
        shown = panel.imshow(one_map, cmap=ListedColormap(shades), vmin=0, vmax=1)
    bar = axes[0, 0].figure.colorbar(shown, ax=axes, shrink=0.8, pad=0.02)
    bar.set_label("speaks for the class\n(share of the image's maximum)", fontsize=8)
    bar.ax.tick_params(labelsize=8)
    return axes


def _show_all(axes, pictures, titles=None, fontsize=9, **options):
    """Show images without ticks and frames, titles above; hide the Axes that are left."""
    axes, titles = list(axes), titles or [""] * len(pictures)
    for panel, picture, title in zip(axes, pictures, titles, strict=False):
        panel.imshow(picture, **options)
        panel.set(xticks=[], yticks=[])
        panel.set_title(title, fontsize=fontsize)
        panel.spines[:].set_visible(False)
    for panel in axes[len(pictures) :]:
        panel.set_axis_off()


def _read(cell):
    crop = cell.get("crop")
    return images.read(cell["path"], None if pd.isna(crop) else int(crop))
