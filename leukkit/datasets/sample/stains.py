"""How a synthetic blood smear takes its color: dyes, light and the camera.

A picture is painted as optical density, one value per color, and developed at the end by the
Beer-Lambert law, light * exp(-density). So overlapping things darken each other as they do on
glass, and a subject's stain is a handful of numbers that touch every cell of that subject.

Everything is float64 NumPy and rounded once, at the end. The last bits of ``exp`` or of a matrix
product differ between machines by about 1e-13 of a gray level, which rounding removes; image
filters of other libraries, which change between versions, are not used.
"""

from typing import NamedTuple

import numpy as np
from numpy.random import RandomState

STAIN_AXES = ("strength", "hue", "warmth", "brightness", "cytoplasm", "red cells")


class Stain(NamedTuple):
    """The light and the dyes of one picture, three values each (red, green, blue)."""

    light: np.ndarray  # color of the empty glass, 0..255
    nucleus: np.ndarray  # optical density of nuclear dye (azure: absorbs green most, blue least)
    cytoplasm: np.ndarray  # optical density of stained cytoplasm (pale blue)
    red_cell: np.ndarray  # optical density of a red cell's rim (eosin)


def stain_at(position: np.ndarray) -> Stain:
    """Return the stain at a point of the space that subjects and pictures are scattered in.

    ``position`` is a number per name of ``STAIN_AXES``, standard normal over subjects and cut to
    -2..2, so that every nucleus stays purple (8-bit LAB a above 141) and every red cell and
    cytoplasm pale (below it) in nearly all pictures.
    """
    strength, hue, warmth, brightness, cytoplasm, red_cells = np.clip(position, -2.0, 2.0)
    light = np.array([226.0, 214.0, 207.0]) * (1.0 + 0.035 * brightness)
    return Stain(
        light=light + warmth * np.array([2.0, 0.0, -5.0]),
        nucleus=(np.array([0.74, 1.14, 0.32]) + hue * np.array([0.075, 0.0, -0.05]))
        * np.exp(0.13 * strength),
        cytoplasm=(np.array([0.27, 0.22, 0.03]) + hue * np.array([0.02, 0.0, -0.01]))
        * np.exp(0.22 * cytoplasm),
        red_cell=np.array([0.07, 0.18, 0.185]) * np.exp(0.12 * red_cells)
        + warmth * np.array([0.0, 0.0, 0.015]),
    )


def develop(
    density: np.ndarray, stain: Stain, random: RandomState, blur: float = 0.7, grain: float = 4.0
) -> np.ndarray:
    """Turn optical density into the picture a camera would take, with uneven light and grain.

    Args:
        density: Float (height, width, 3).
        stain: Its light is used.
        random: The random numbers.
        blur: Standard deviation of the lens blur in pixels.
        grain: Standard deviation of the noise in gray levels, before the blur thins it.

    Returns:
        Float (height, width, 3), 0..255, not yet rounded (see `to_pixels`).
    """
    height, width = density.shape[:2]
    uneven = 1.0 + 0.012 * smooth_noise(random, (height, width), max(height, width) / 2)
    picture = stain.light * np.exp(-density) * uneven[..., None]
    noisy = picture + grain * random.standard_normal(density.shape)
    return np.clip(soften(noisy, blur), 0.0, 255.0)


def to_pixels(picture: np.ndarray) -> np.ndarray:
    """Round a picture (float, 0..255) to uint8."""
    return np.rint(np.clip(picture, 0.0, 255.0)).astype(np.uint8)


def soften(picture: np.ndarray, sigma: float) -> np.ndarray:
    """Blur (height, width, channels) with a Gaussian cut at two pixels; edges are repeated."""
    weights = np.exp(-0.5 * (np.arange(-2, 3) / sigma) ** 2)
    weights /= weights.sum()
    height, width = picture.shape[:2]
    padded = np.pad(picture, ((2, 2), (0, 0), (0, 0)), mode="edge")
    rows = sum(weight * padded[i : i + height] for i, weight in enumerate(weights))
    padded = np.pad(rows, ((0, 0), (2, 2), (0, 0)), mode="edge")
    return sum(weight * padded[:, i : i + width] for i, weight in enumerate(weights))


def smooth_noise(random: RandomState, shape: tuple[int, int], spacing: float) -> np.ndarray:
    """Return noise without edges: random knots ``spacing`` pixels apart, joined by cubic B-splines.

    Its mean is 0 and its standard deviation about 1 over many arrays.
    """
    rows, columns = (_spline_weights(length, spacing) for length in shape)
    knots = random.standard_normal((rows.shape[1], columns.shape[1]))
    return rows @ knots @ columns.T / 0.479  # 0.479: mean sum of squared weights along one axis


def _spline_weights(length: int, spacing: float) -> np.ndarray:
    knots = int(np.ceil(length / spacing)) + 3
    distance = np.abs(np.arange(length)[:, None] / spacing - np.arange(-1, knots - 1)[None, :])
    near = 2.0 / 3.0 - distance**2 + distance**3 / 2.0
    far = np.maximum(2.0 - distance, 0.0) ** 3 / 6.0
    return np.where(distance < 1.0, near, far)
