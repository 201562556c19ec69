"""Random changes to cell images, within the ranges that a card or a recipe states.

Which operations a paper uses, and where it says so: rotation, zoom, crop, flips, shear, brightness
(Patel et al. 2025, Image Augmentation, a-e); flips, shear, zoom, rotation (Mishra et al., 3.2 and
Figure 2); rotation, zoom, shifts, shear, horizontal flip, empty pixels filled from their neighbors
(Samhitha et al., IV.B.2-6); zoom, crop, flips, rotation and quarter turns, brightness, contrast,
saturation, elastic distortion (Sultana et al., 3.2.b); fixed angles, flips, scale, fixed factors of
brightness (Farag et al. 2025, III.E).

What is drawn depends on the seed, the image's pixels (their hash) and the number of the copy alone,
and each operation draws for itself: another name, another order of the images, more workers, or one
more operation changes nothing of the rest.
"""

import hashlib
import math
from collections.abc import Mapping
from numbers import Real
from typing import Any

import cv2
import numpy as np
import pandas as pd

from leukkit.datasets.cells import TEXT

VERSION = 1  # raise it when the same ranges begin to give other pixels

# The largest value of each; a range r means +-r, or a factor between 1 - r and 1 + r.
LARGEST = {
    "zoom": 1.0,  # factor, one for both axes
    "rotation": 180.0,  # degrees
    "shear": 89.0,  # degrees, along the rows
    "shift": 1.0,  # share of the width and of the height, drawn apart
    "crop": 1.0,  # largest share of the side cut away; the rest is enlarged again
    "brightness": 1.0,  # factor
    "contrast": 1.0,  # factor on the distance from the image's mean gray
    "saturation": 1.0,  # factor on the distance from each pixel's gray
    "scale": 1.0,  # as zoom
}
BELOW = ("zoom", "scale", "crop")  # at their largest value nothing would remain
FLIPS = ("flip_horizontal", "flip_vertical")
SWITCHES = (*FLIPS, "quarter_turns", "mirror")
FILLS = {
    "black": cv2.BORDER_CONSTANT,
    "nearest": cv2.BORDER_REPLICATE,
    "reflect": cv2.BORDER_REFLECT,
}
KEYS = (*LARGEST, *SWITCHES, "angles", "light", "elastic", "fill")
# Farag et al.'s operations draw from one generator, five numbers: each has its place among them.
PLACES = {"angles": 0, "mirror": 1, "scale": 3, "light": 4}
LUMA = np.array([0.299, 0.587, 0.114])  # gray of RGB, ITU-R BT.601
GRID_POINTS_PER_SIGMA = 2  # a smooth field needs no more; drawing it at full size costs 20 ms


def check(ranges: Mapping[str, Any]) -> None:
    """Refuse ranges that :func:`draw` cannot draw from.

    Raises:
        ValueError: An unknown operation, or a value outside of what it can be.
    """
    for key, value in ranges.items():
        if key not in KEYS:
            raise ValueError(f"unknown augmentation {key!r}; known are {', '.join(KEYS)}")
        if key in SWITCHES:
            fits, expected = isinstance(value, bool), "true or false"
        elif key == "fill":
            fits, expected = value in FILLS, " or ".join(map(repr, FILLS))
        elif key == "elastic":
            fits = isinstance(value, dict) and set(value) == {"alpha", "sigma"}
            fits = fits and _are_numbers([*value.values()], 0, math.inf) and value["sigma"] > 0
            expected = "a table with alpha, 0 or more, and sigma, above 0"
        elif key == "angles":
            fits, expected = _are_numbers(value, -180, 180), "a list of degrees from -180 to 180"
        elif key == "light":
            fits = _are_numbers(value, 0, 10) and len(value) == 2 and value[0] <= value[1]
            expected = "a list of the lowest and the highest factor, from 0 to 10"
        else:
            fits = _are_numbers([value], 0, LARGEST[key]) and (value < 1 or key not in BELOW)
            expected = f"a number from 0 to {'below ' * (key in BELOW)}{LARGEST[key]:g}"
        if not fits:
            raise ValueError(f"augmentation {key} is {value!r}, expected {expected}")


def draw(ranges: Mapping[str, Any], seed: int, sha256: str, copy: int) -> dict[str, Any]:
    """Draw what happens to one copy of an image, evenly within the ranges.

    Args:
        ranges: A dict with any of ``zoom``, ``shift``, ``crop``, ``brightness``, ``contrast``,
            ``saturation`` (shares: 0.1 is a factor from 0.9 to 1.1, or up to 0.1 of the side),
            ``rotation``, ``shear`` (degrees to either side), ``flip_horizontal``,
            ``flip_vertical`` (chance 1/2 each), ``quarter_turns`` (0 to 3, evenly), ``elastic``
            (``{alpha, sigma}``: root mean square of the displacement along each axis in pixels,
            and how smooth it is, in pixels or, below 1, as a share of the image's side; with
            alpha under a quarter of sigma the picture does not fold), ``fill`` (of places that
            the moved image does not reach: ``"black"``, the default, ``"nearest"``, ``"reflect"``).
            As Farag et al. 2025 (III.E) name them: ``angles`` (degrees, one of them), ``mirror``
            (left and right, top and bottom, chance 1/2 each, before all else), ``scale`` (as
            ``zoom``), ``light`` (lowest and highest factor on the brightness).
        seed: Any integer.
        sha256: Of the image, as in the cells frame; any text serves.
        copy: 1 for the first copy, and so on.

    Returns:
        A dict for :func:`apply` of numbers, bools and strings, one entry per key of ``ranges``.

    Raises:
        ValueError: Unknown or impossible ranges, or ``copy`` below 1.
    """
    check(ranges)
    if copy < 1:
        raise ValueError(f"copy is {copy}, expected 1 or more; copy 0 is the image itself")
    if not PLACES.keys().isdisjoint(ranges):
        number = int.from_bytes(_digest(seed, sha256, copy), "big")
        together = np.random.default_rng(number).random(5).tolist()
    drawn: dict[str, Any] = {}
    for key, value in ranges.items():
        if key in PLACES:
            shares = together[PLACES[key] :]
        else:
            integers = np.frombuffer(_digest(seed, sha256, copy, key), "<u8")
            shares = [int(integer >> 11) / 2**53 for integer in integers]  # four, even in [0, 1)
        if key in FLIPS:
            drawn[key] = value and shares[0] < 0.5
        elif key == "mirror":
            drawn[key] = [value and share < 0.5 for share in shares[:2]]
        elif key == "quarter_turns":
            drawn[key] = int(4 * shares[0]) if value else 0
        elif key == "shift":
            drawn[key] = [value * (2 * share - 1) for share in shares[:2]]
        elif key == "crop":
            cut = value * shares[0]
            drawn[key] = [cut, cut * shares[1], cut * shares[2]]  # share, of which left and top
        elif key in ("rotation", "shear"):
            drawn[key] = value * (2 * shares[0] - 1)
        elif key == "angles":
            drawn[key] = value[-1 - int(len(value) * shares[0])]
        elif key == "scale":
            drawn[key] = 1 - value + 2 * value * shares[0]
        elif key == "light":
            drawn[key] = value[0] + (value[1] - value[0]) * shares[0]
        elif key == "elastic":
            drawn[key] = {**value, "seed": int(integers[0])}
        else:
            drawn[key] = value if key == "fill" else 1 + value * (2 * shares[0] - 1)
    return drawn


def extremes(ranges: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return each operation alone, as far as it goes: for a figure of what the ranges allow.

    Returns:
        Dict of the operation in words, such as ``"rotation 15°"``, in the order of ``ranges``, to a
        dict for :func:`apply`.

    Raises:
        ValueError: Unknown or impossible ranges.
    """
    check(ranges)
    found: dict[str, dict[str, Any]] = {}
    for key, value in ranges.items():
        if not value or key == "fill":
            continue
        name = key.replace("_", " ")
        if key in SWITCHES:
            found[name] = {key: [True, True] if key == "mirror" else 1}
        elif key == "elastic":
            found[name] = {key: {**value, "seed": 0}}
        elif key == "shift":
            found[f"{name} {value:.0%}"] = {key: [value, value]}
        elif key == "crop":
            found[f"{name} {value:.0%}"] = {key: [value, value / 2, value / 2]}
        elif key in ("rotation", "shear", "angles"):
            degrees = max(value) if key == "angles" else value
            found[f"{name} {degrees:g}°"] = {key: degrees}
        else:
            factors = value if key == "light" else [1 + value]
            factor = max(factors, key=lambda factor: abs(factor - 1))
            found[f"{name} ×{factor:.2f}"] = {key: factor}
    fill = {"fill": ranges.get("fill", "black")}
    return {name: {**one, **fill} for name, one in found.items()}


def apply(rgb: np.ndarray, drawn: Mapping[str, Any]) -> np.ndarray:
    """Change an image as drawn: first all that moves pixels, in one interpolation, then colors.

    Pixels move in this order: mirror, crop, zoom and scale, shear, rotation and angles, quarter
    turns, flips, shift, elastic. Elastic distortion (Simard, Steinkraus and Platt 2003, section 2)
    takes a random field for each axis and each copy.

    Args:
        rgb: uint8 RGB array of shape (height, width, 3).
        drawn: As returned by :func:`draw`.

    Returns:
        A new uint8 array of the same shape.
    """
    height, width = rgb.shape[:2]
    # On its own: as a part of the interpolation it would round other pixels up.
    for axis, mirrored in zip((1, 0), drawn.get("mirror", (False, False)), strict=True):
        rgb = cv2.flip(rgb, axis) if mirrored else rgb
    to_source = _to_source(drawn, height, width)
    border = FILLS[drawn.get("fill", "black")]
    if drawn.get("elastic", {}).get("alpha"):
        x, y = _displaced(drawn["elastic"], height, width)
        at_x, at_y = ((row[0] * x + row[1] * y + row[2]).astype(np.float32) for row in to_source)
        moved = cv2.remap(rgb, at_x, at_y, cv2.INTER_LINEAR, borderMode=border)
    elif not np.array_equal(to_source, np.eye(2, 3)):
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        moved = cv2.warpAffine(rgb, to_source, (width, height), flags=flags, borderMode=border)
    else:
        moved = rgb.copy()
    return _recolor(moved, drawn)


def expand(cells: pd.DataFrame, counts: Mapping[str, int], seed: int = 0) -> pd.DataFrame:
    """Add augmented copies until every class has its target count (Farag et al. 2025, Table I).

    The copies are spread evenly: each original of a class gets the same number, and the remainder
    goes, one each, to the originals that come first in an order drawn from (seed, sha256). Only
    rows are added; the pixels are made by :func:`leukkit.images.prepare`.

    Args:
        cells: The images to expand. For a leak-free protocol these are the training images only.
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
        order = sorted(members, key=lambda member: _digest(seed, cells["sha256"].iloc[member]))
        copies[order[:remainder]] += 1

    copied = np.repeat(np.arange(len(cells)), copies)
    number = np.concatenate([np.zeros(len(cells), int), *(np.arange(1, n + 1) for n in copies)])
    expanded = cells.iloc[[*range(len(cells)), *copied]].reset_index(drop=True)
    expanded["original"] = expanded["image_id"].astype(TEXT)
    expanded["copy"] = pd.array(number, dtype="Int64")
    names = zip(expanded["image_id"], number, strict=True)
    expanded["image_id"] = pd.array([f"{name}#{n}" if n else name for name, n in names], TEXT)
    expanded.attrs = dict(cells.attrs)
    return expanded


def _are_numbers(values, low, high):
    return (
        isinstance(values, list | tuple)
        and len(values) > 0
        and all(
            isinstance(value, Real) and not isinstance(value, bool) and low <= value <= high
            for value in values
        )
    )


def _digest(*parts):
    """Return 32 bytes that depend on the parts only, alike on every machine."""
    return hashlib.sha256("\n".join(map(str, parts)).encode()).digest()


def _to_source(drawn, height, width):
    """Return the 2x3 matrix that takes a result pixel (x, y, 1) to its place in the source."""
    turns = drawn.get("quarter_turns", 0)
    quarter = np.linalg.matrix_power(np.array([[0, 1], [-1, 0]]), turns)  # counterclockwise, exact
    flips = np.diag([-1 if drawn.get(key) else 1 for key in FLIPS])
    angle = math.radians(drawn.get("rotation", 0) + drawn.get("angles", 0))
    rotation = [[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]]
    shear = [[1, math.tan(math.radians(drawn.get("shear", 0)))], [0, 1]]
    cut, left, top = drawn.get("crop", (0, 0, 0))
    factor = drawn.get("zoom", 1) * drawn.get("scale", 1)
    forward = flips @ quarter @ rotation @ shear * factor / (1 - cut)
    center = np.array([width - 1, height - 1]) / 2
    shift = drawn.get("shift", (0, 0)) * np.array([width, height])
    cut_center = center + (np.array([left, top]) - cut / 2) * [width, height]
    linear = np.linalg.inv(forward)
    return np.column_stack([linear, cut_center - linear @ (center + shift)])


def _displaced(elastic, height, width):
    """Return where each pixel comes from, x and y float32 (height, width)."""
    sigma = elastic["sigma"] * (min(height, width) if elastic["sigma"] < 1 else 1)
    generator = np.random.default_rng(elastic["seed"])
    x, y = (_smooth_field(generator, sigma, height, width) for _ in range(2))
    for field in (x, y):
        field *= elastic["alpha"] / np.sqrt(np.mean(np.square(field)))
    return x + np.arange(width, dtype=np.float32), y + np.arange(height, dtype=np.float32)[:, None]


def _smooth_field(generator, sigma, height, width):
    """Return Gaussian noise smoothed over ``sigma`` pixels, float32 (height, width).

    Drawn on a grid as fine as its smoothness asks for, with a margin: without one, the noise at
    the edges would be smoothed over less and be stronger there.
    """
    step = max(1.0, sigma / GRID_POINTS_PER_SIGMA)
    rows, columns = math.ceil(height / step), math.ceil(width / step)
    margin = math.ceil(3 * sigma / step)
    shape = (rows + 2 * margin, columns + 2 * margin)
    noise = generator.standard_normal(shape, np.float32)
    smooth = cv2.GaussianBlur(noise, (2 * margin + 1,) * 2, sigma / step)
    inner = smooth[margin : margin + rows, margin : margin + columns]
    return cv2.resize(inner, (width, height), interpolation=cv2.INTER_CUBIC)


def _recolor(rgb, drawn):
    """Apply brightness, contrast and saturation as one matrix product, rounded and cut once."""
    brightness = drawn.get("brightness", 1.0) * drawn.get("light", 1.0)
    contrast, saturation = drawn.get("contrast", 1.0), drawn.get("saturation", 1.0)
    if contrast == 1 and saturation == 1:
        return rgb if brightness == 1 else cv2.convertScaleAbs(rgb, alpha=brightness)
    colors = saturation * np.eye(3) + (1 - saturation) * LUMA
    offset = (1 - contrast) * brightness * (LUMA @ cv2.mean(rgb)[:3])
    # Gray stays gray under `colors`, so the offset passes through it unchanged.
    return cv2.transform(rgb, np.column_stack([contrast * brightness * colors, [offset] * 3]))
