"""The figure of images that are alike."""

import pandas as pd

from leukkit import images
from leukkit.plots import colors

PAIRS_PER_ROW = 3


def image_pairs(cells, pairs, most=9, ax=None):
    """Show pairs of images that are nearly the same, side by side.

    Args:
        cells: The cells frame that they are from.
        pairs: The frame of `leukkit.datasets.near_duplicates.find`, or some of its rows.
        most: How many to show, from the top.
        ax: Array of rows x 6 Axes, three pairs a row.

    Returns:
        The Axes, an array (rows, 6); those without an image are empty.

    Raises:
        ValueError: There is no pair.
        leukkit.images.ImageError: A file cannot be read.
    """
    shown = pairs.head(most)
    if len(shown) == 0:
        raise ValueError("no pair of near-duplicates to show")
    rows = -(-len(shown) // PAIRS_PER_ROW)
    axes = colors.panels(ax, rows, 2 * PAIRS_PER_ROW, 9, 0.3 + 2.05 * rows)
    by_id = cells.set_index("image_id")
    for number, pair in enumerate(shown.to_dict("records")):
        row, place = divmod(number, PAIRS_PER_ROW)
        left, right = axes[row, 2 * place : 2 * place + 2]
        for panel, end in ((left, "_first"), (right, "")):
            name = pair[f"image_id{end}"]
            patient = pair[f"patient{end}"]
            title = name if pd.isna(patient) else f"{name}\npatient {patient}"
            colors.show_image(panel, _read(by_id.loc[name]), title)
            panel.title.set_fontsize(7.5)
        turned = f", turned {pair['turned']}\N{DEGREE SIGN}" if pair["turned"] else ""
        mirrored = ", mirrored" if pair["mirrored"] else ""
        left.set_xlabel(
            f"{pair['distance']} of 256 bits{turned}{mirrored}", fontsize=7.5, color="0.3"
        )
        right.set_xlabel(f"correlation {pair['correlation']:.2f}", fontsize=7.5, color="0.3")
    for panel in axes.ravel()[2 * len(shown) :]:
        panel.set_axis_off()
    left_out = f" of {len(pairs)}" if len(pairs) > len(shown) else ""
    axes[0, 0].figure.suptitle(
        f"Nearly the same image, twice: {len(shown)}{left_out} pairs", fontsize=11
    )
    return axes


def _read(cell):
    crop = cell.get("crop")
    return images.read(cell["path"], None if pd.isna(crop) else int(crop))
