"""Augmentation of cell images (Farag et al. 2025, III.E and Table I).

What happens to a copy is drawn from (seed, image_id, copy) alone, so a cell's copies do not depend
on the order of the images, on the other images, or on the number of workers.
"""

import hashlib

import cv2
import numpy as np
import pandas as pd

from leukkit.datasets.cells import TEXT

ROTATIONS = (0, 45)  # degrees
SCALE = 0.2
BRIGHTNESS = (0.2, 1.0)


def parameters(seed, image_id, copy):
    """Draw the transform of one augmented copy (Farag et al. 2025, III.E).

    The paper names rotation "0 and 45 degrees", flips, "scaling factor 0.2" and brightness
    "factors of 0.2 and 1.0". Read here as: either angle, each flip with probability 1/2, a zoom
    drawn evenly from 1 - 0.2 to 1 + 0.2, a brightness drawn evenly from 0.2 to 1.0.

    Args:
        seed: Any integer.
        image_id: Of the original image.
        copy: 1 for the first augmented copy, 2 for the second, and so on.

    Returns:
        A dict: rotation (degrees, counterclockwise), flip_horizontal, flip_vertical (bool),
        scale (factor, above 1 enlarges), brightness (factor).

    Raises:
        ValueError: ``copy`` is below 1; copy 0 is the image itself.
    """
    if copy < 1:
        raise ValueError(f"copy is {copy}, expected 1 or more; copy 0 is the image itself")
    draws = np.random.default_rng(_digest(seed, image_id, copy)).random(5)
    return {
        "rotation": ROTATIONS[int(draws[0] < 0.5)],
        "flip_horizontal": bool(draws[1] < 0.5),
        "flip_vertical": bool(draws[2] < 0.5),
        "scale": float(1 - SCALE + 2 * SCALE * draws[3]),
        "brightness": float(BRIGHTNESS[0] + (BRIGHTNESS[1] - BRIGHTNESS[0]) * draws[4]),
    }


def augment(rgb, parameters):
    """Apply a drawn transform: flips, then rotation and zoom about the center, then brightness.

    Where the turned or shrunken image does not reach, the result is black, as around a segmented
    nucleus and around the cells of C-NMC.

    Args:
        rgb: uint8 RGB array of shape (height, width, 3).
        parameters: As returned by :func:`parameters`.

    Returns:
        A new uint8 array of the same shape.
    """
    height, width = rgb.shape[:2]
    if parameters["flip_horizontal"]:
        rgb = cv2.flip(rgb, 1)
    if parameters["flip_vertical"]:
        rgb = cv2.flip(rgb, 0)
    center = ((width - 1) / 2, (height - 1) / 2)
    transform = cv2.getRotationMatrix2D(center, parameters["rotation"], parameters["scale"])
    rgb = cv2.warpAffine(
        rgb, transform, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT
    )
    return cv2.convertScaleAbs(rgb, alpha=parameters["brightness"])


def expand(cells, counts, seed=0):
    """Add augmented copies until every class has its target count (Farag et al. 2025, Table I).

    The copies are spread evenly: each original of a class gets the same number, and the remainder
    goes, one each, to the originals that come first in an order drawn from (seed, image_id). Only
    rows are added; the pixels are made by :func:`leukkit.preprocessing.prepare`.

    Args:
        cells: The cells frame of the images to expand. For a leak-free protocol these are the
            training images only.
        counts: Class name to number of images wanted, originals included; every class of
            ``cells`` and no other.
        seed: Decides which originals get the remaining copies.

    Returns:
        A cells frame: all originals in their order (copy 0), then the copies, with the columns
        ``original`` (image_id of the original) and ``copy``. A copy's image_id is
        ``<original>#<copy>``; its other columns are the original's.

    Raises:
        ValueError: The classes differ from those of ``counts``, a class has more images than its
            target, or ``cells`` already holds copies.
    """
    if "copy" in cells:
        raise ValueError("cells already holds augmented copies; expand the frame they came from")
    found = cells["label"].value_counts(dropna=False).to_dict()
    if set(found) != set(counts):
        raise ValueError(
            f"targets are given for the classes {sorted(map(str, counts))}, the cells have "
            f"{sorted(map(str, found))}; name a target for each class of the cells, and no other"
        )
    copies = np.zeros(len(cells), np.int64)
    for label, target in counts.items():
        if found[label] > target:
            raise ValueError(
                f"class {label} has {found[label]} images, more than its target of {target}; "
                "raise the target or leave images out first"
            )
        members = np.flatnonzero(cells["label"] == label)
        each, remainder = divmod(target - len(members), len(members))
        copies[members] = each
        order = sorted(members, key=lambda i: _digest(seed, cells["image_id"].iloc[i]))
        copies[order[:remainder]] += 1

    positions = np.repeat(np.arange(len(cells)), copies + 1)
    number = np.concatenate([np.arange(1 + n) for n in copies])
    originals_first = np.argsort(number > 0, kind="stable")
    positions, number = positions[originals_first], number[originals_first]
    expanded = cells.iloc[positions].reset_index(drop=True)
    expanded["original"] = expanded["image_id"].astype(TEXT)
    expanded["copy"] = pd.array(number, dtype="Int64")
    names = [
        f"{name}#{n}" if n else name for name, n in zip(expanded["image_id"], number, strict=True)
    ]
    expanded["image_id"] = pd.array(names, dtype=TEXT)
    expanded.attrs = dict(cells.attrs)
    return expanded


def _digest(*parts):
    """Return a 256-bit number that depends on the parts only, alike on every machine."""
    return int.from_bytes(hashlib.sha256("\n".join(map(str, parts)).encode()).digest(), "big")
