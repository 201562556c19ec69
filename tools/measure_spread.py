"""Print how far persons differ in stain and cell size: between and within them, as SDs.

    python tools/measure_spread.py sample-cells
    python tools/measure_spread.py cnmc-2019 folder

For single cells cut out on black. The spread of the built-in sample is set by it (see DECISIONS).
"""

import argparse

import cv2
import numpy as np
import pandas as pd
from skimage.filters import threshold_multiotsu

from leukkit import datasets
from leukkit.datasets import decode
from leukkit.files import progress

COLORS = ("red", "green", "blue")


def measure(rgb: np.ndarray) -> dict[str, float]:
    """Return the size and stain of one cell on black."""
    cell = rgb.any(axis=-1).astype(np.uint8)
    radius = np.sqrt(cell.sum() / np.pi)
    # Without the edge, where a cut may fade into black.
    edge = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, [2 * round(0.06 * radius) + 1] * 2)
    pixels = rgb[cv2.erode(cell, edge) > 0]
    density = -np.log((pixels + 1.0) / 256)
    # The darkest class is the nucleus, or its dense part where there is no other.
    nucleus = pixels[:, 1] < threshold_multiotsu(pixels[:, 1], 3)[0]
    red, green, blue = density.mean(axis=0)
    return {
        "log radius": np.log(radius),
        "log nucleus share": np.log(nucleus.mean()),
        "density, red": red,
        "density, green": green,
        "density, blue": blue,
        "hue, red - green": red - green,
        "hue, blue - green": blue - green,
        **{
            f"nucleus, {name}": of
            for name, of in zip(COLORS, density[nucleus].mean(axis=0), strict=True)
        },
    }


def spread(values: pd.Series, groups: pd.Series, strata: pd.Series) -> tuple[float, float]:
    """Return the SDs between and within groups of unequal size, whose strata have own means.

    The estimate is that of the one-way random-effects analysis of variance. A variance between
    groups that comes out below zero, as it may when there is none, is given as 0.
    """
    frame = pd.DataFrame({"value": values, "group": groups, "stratum": strata})
    of_group = frame.groupby(["stratum", "group"])["value"].agg(["size", "mean"])
    inside = frame["value"] - frame.groupby(["stratum", "group"])["value"].transform("mean")
    mean_square = (inside**2).sum() / (len(frame) - len(of_group))
    squares = size = 0.0
    for stratum, of_stratum in of_group.groupby("stratum"):
        count, total = of_stratum["size"], of_stratum["size"].sum()
        mean = frame.loc[frame["stratum"] == stratum, "value"].mean()
        squares += (count * (of_stratum["mean"] - mean) ** 2).sum()
        size += total - (count**2).sum() / total
    # Both sums have one degree of freedom per group but the first of each stratum.
    freedom = len(of_group) - frame["stratum"].nunique()
    between = (squares / freedom - mean_square) / (size / freedom)
    return max(between, 0.0) ** 0.5, mean_square**0.5


def table(cells: pd.DataFrame, measured: pd.DataFrame, strata: pd.Series) -> pd.DataFrame:
    """Return one row per measure: means, SDs, and the share of variance that is the person's."""
    rows = {}
    for name, values in measured.items():
        between, within = spread(values, cells["subject"], strata)
        sources, _ = spread(values, cells["source_image"], cells["subject"])
        rows[name] = {
            "mean": values.mean(),
            "between": between,
            "within": within,
            "of it source images": sources,
            "intraclass": between**2 / (between**2 + within**2),
        }
    return pd.DataFrame(rows).T


def main() -> None:
    """Measure the cells of a data set and print the spread of all, then of each class."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cells", help=f"a data set: {', '.join(datasets.NAMES)}")
    parser.add_argument("root", nargs="?", help="its folder, where it is not a sample")
    arguments = parser.parse_args()
    cells = datasets.load(arguments.cells, arguments.root)
    paths = progress(cells["path"], "measuring")
    measured = pd.DataFrame([measure(decode.read(path)) for path in paths])
    for label in (None, *cells.attrs["classes"]):
        chosen = cells if label is None else cells[cells["label"] == label]
        print(f"{label or 'pooled'}: {len(chosen)} cells, {chosen['subject'].nunique()} persons")
        print(table(chosen, measured.loc[chosen.index], chosen["label"]).round(3).to_string())


if __name__ == "__main__":
    main()
