"""Random distortion of cell images within the ranges that a card or a recipe states.

Which operations a paper uses, and where it says so: rotation, zoom, crop, flips, shear, brightness
(Patel et al. 2025, Image Augmentation, a-e); flips, shear, zoom, rotation (Mishra et al., 3.2 and
Figure 2); rotation, zoom, shifts, shear, horizontal flip, empty pixels filled from their neighbors
(Samhitha et al., IV.B.2-6); zoom, crop, flips, rotation and quarter turns, brightness, contrast,
saturation, elastic distortion (Sultana et al., 3.2.b). The list of Farag et al. 2025, whose angles
and factors are fixed, is :mod:`leukkit.augmentation`.

What is drawn depends on (seed, image_id, copy) alone, and each operation draws for itself: another
order of the images, more workers, or one more operation changes nothing of the rest.
"""

import hashlib
import math

import cv2
import numpy as np

VERSION = 1  # raise it when the same draws begin to give other pixels

# The largest value of each; a range r means +-r, or a factor between 1 - r and 1 + r.
RANGES = {
    "zoom": 1.0,  # factor, one for both axes
    "rotation": 180.0,  # degrees
    "shear": 89.0,  # degrees, along the rows
    "shift": 1.0,  # share of the width and of the height, drawn apart
    "crop": 1.0,  # largest share of the side cut away; the rest is enlarged again
    "brightness": 1.0,  # factor
    "contrast": 1.0,  # factor on the distance from the image's mean gray
    "saturation": 1.0,  # factor on the distance from each pixel's gray
}
SWITCHES = ("flip_horizontal", "flip_vertical", "quarter_turns")
FILLS = {
    "black": cv2.BORDER_CONSTANT,
    "nearest": cv2.BORDER_REPLICATE,
    "reflect": cv2.BORDER_REFLECT,
}
ELASTIC = ("alpha", "sigma")
KEYS = (*RANGES, *SWITCHES, "elastic", "fill")
LUMA = np.array([0.299, 0.587, 0.114])  # gray of RGB, ITU-R BT.601
GRID_POINTS_PER_SIGMA = 2  # a smooth field needs no more; drawing it at full size costs 20 ms


def check(ranges):
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
            fits = isinstance(value, dict) and set(value) == set(ELASTIC)
            fits = fits and value["alpha"] >= 0 and value["sigma"] > 0
            expected = "a table with alpha, 0 or more, and sigma, above 0"
        else:
            fits = not isinstance(value, bool) and 0 <= value <= RANGES[key]
            fits = fits and (value < 1 or key not in ("zoom", "crop"))  # nothing would remain
            expected = f"a number from 0 to {'below ' * (key in ('zoom', 'crop'))}{RANGES[key]:g}"
        if not fits:
            raise ValueError(f"augmentation {key} is {value!r}, expected {expected}")


def draw(ranges, seed, image_id, copy):
    """Draw the distortion of one copy of an image, evenly within the ranges.

    Args:
        ranges: A dict with any of ``zoom``, ``shift``, ``crop``, ``brightness``, ``contrast``,
            ``saturation`` (shares: 0.1 is a factor from 0.9 to 1.1, or up to 0.1 of the side),
            ``rotation``, ``shear`` (degrees to either side), ``flip_horizontal``,
            ``flip_vertical`` (chance 1/2 each), ``quarter_turns`` (0 to 3, evenly), ``elastic``
            (``{alpha, sigma}``: root mean square of the displacement along each axis in pixels,
            and how smooth it is, in pixels or, below 1, as a share of the image's side; with
            alpha under a quarter of sigma the picture does not fold), ``fill`` (of places that
            the moved image does not reach: ``"black"``, the default, ``"nearest"``, ``"reflect"``).
        seed: Any integer.
        image_id: Of the image.
        copy: 1 for the first copy, and so on.

    Returns:
        A dict for :func:`distort` of numbers, bools and strings, one entry per key of ``ranges``.

    Raises:
        ValueError: Unknown or impossible ranges, or ``copy`` below 1.
    """
    check(ranges)
    if copy < 1:
        raise ValueError(f"copy is {copy}, expected 1 or more; copy 0 is the image itself")
    drawn = {}
    for key, value in ranges.items():
        digest = hashlib.sha256(f"{seed}\n{image_id}\n{copy}\n{key}".encode()).digest()
        integers = np.frombuffer(digest, "<u8")
        shares = [int(integer >> 11) / 2**53 for integer in integers]  # four, even in [0, 1)
        if key in ("flip_horizontal", "flip_vertical"):
            drawn[key] = value and shares[0] < 0.5
        elif key == "quarter_turns":
            drawn[key] = int(4 * shares[0]) if value else 0
        elif key == "shift":
            drawn[key] = [value * (2 * share - 1) for share in shares[:2]]
        elif key == "crop":
            cut = value * shares[0]
            drawn[key] = [cut, cut * shares[1], cut * shares[2]]  # share, of which left and top
        elif key in ("rotation", "shear"):
            drawn[key] = value * (2 * shares[0] - 1)
        elif key == "elastic":
            drawn[key] = {**value, "seed": int(integers[0])}
        elif key == "fill":
            drawn[key] = value
        else:
            drawn[key] = 1 + value * (2 * shares[0] - 1)
    return drawn


def distort(rgb, drawn):
    """Apply a drawn distortion: first all that moves pixels, in one interpolation, then colors.

    Pixels move in this order: crop, zoom, shear, rotation, quarter turns, flips, shift, elastic.
    Elastic distortion (Simard, Steinkraus and Platt 2003, section 2) takes a random field for each
    axis and each copy.

    Args:
        rgb: uint8 RGB array of shape (height, width, 3).
        drawn: As returned by :func:`draw`.

    Returns:
        A new uint8 array of the same shape.
    """
    height, width = rgb.shape[:2]
    to_source = _to_source(drawn, height, width)
    border = FILLS[drawn.get("fill", "black")]
    elastic = drawn.get("elastic")
    if elastic is not None and elastic["alpha"]:
        x, y = _displaced(elastic, height, width)
        sources = [(row[0] * x + row[1] * y + row[2]).astype(np.float32) for row in to_source]
        moved = cv2.remap(rgb, *sources, cv2.INTER_LINEAR, borderMode=border)
    elif not np.array_equal(to_source, np.eye(2, 3)):
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        moved = cv2.warpAffine(rgb, to_source, (width, height), flags=flags, borderMode=border)
    else:
        moved = rgb.copy()
    return _recolor(moved, drawn)


def _to_source(drawn, height, width):
    """Return the 2x3 matrix that takes a result pixel (x, y, 1) to its place in the source."""
    turns = drawn.get("quarter_turns", 0)
    quarter = np.linalg.matrix_power(np.array([[0, 1], [-1, 0]]), turns)  # counterclockwise, exact
    mirror = np.diag([-1 if drawn.get(key) else 1 for key in SWITCHES[:2]])
    angle = math.radians(drawn.get("rotation", 0))
    rotation = [[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]]
    shear = [[1, math.tan(math.radians(drawn.get("shear", 0)))], [0, 1]]
    cut, left, top = drawn.get("crop", (0, 0, 0))
    forward = mirror @ quarter @ rotation @ shear * drawn.get("zoom", 1) / (1 - cut)
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
    x *= elastic["alpha"] / np.sqrt(np.mean(np.square(x)))
    y *= elastic["alpha"] / np.sqrt(np.mean(np.square(y)))
    x += np.arange(width, dtype=np.float32)
    y += np.arange(height, dtype=np.float32)[:, None]
    return x, y


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
    """Apply brightness, contrast and saturation as one product with a 3x4 matrix.

    Rounded and cut to 0-255 once, at the end.
    """
    brightness, contrast, saturation = (
        drawn.get(key, 1.0) for key in ("brightness", "contrast", "saturation")
    )
    if contrast == 1 and saturation == 1:
        return rgb if brightness == 1 else cv2.convertScaleAbs(rgb, alpha=brightness)
    colors = saturation * np.eye(3) + (1 - saturation) * LUMA
    offset = (1 - contrast) * brightness * (LUMA @ cv2.mean(rgb)[:3])
    # Gray stays gray under `colors`, so the offset passes through it unchanged.
    return cv2.transform(rgb, np.column_stack([contrast * brightness * colors, [offset] * 3]))
