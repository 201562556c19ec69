"""From rows of the cells frame to pixels: read, crop, segment, resize, stain, augment; cached.

Every image is uint8 RGB of shape (height, width, 3), values 0-255.
"""

import dataclasses
import hashlib
import inspect
import json
import os
import pathlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from leukkit import augmentation, cache, files, segmentation
from leukkit.datasets.cells import crops
from leukkit.datasets.decode import ImageError, read, read_mask, resize
from leukkit.schemas import Recipe

__all__ = [
    "ImageError",
    "Preparation",
    "channel_statistics",
    "keys",
    "load",
    "preparation",
    "prepare",
    "read",
    "read_mask",
    "resize",
    "segment_and_resize",
]

Stain = list[list[float]]  # mean and standard deviation, each of L (0 to 100), a and b
VERSION = 1  # raise it when the same settings begin to give other pixels
CHUNK_BYTES = 32 * 2**20  # counted at once
BLACK = 8  # pixels whose channels are all at most this are background that was blacked out
FLAT = 0.5  # a spread in LAB below this is rounding (of a gray image), and is not stretched


_OF_SEGMENTATION = inspect.signature(segmentation.segment_nucleus)  # once: reading it is slow


@dataclasses.dataclass(frozen=True)
class Preparation:
    """How images become pixels.

    The order of the steps is fixed: segmentation before augmentation, as in Farag et al. 2025,
    III and Fig. 3. (Their IV.D names them the other way round; but brightness would then move the
    colors that the threshold of the segmentation is made for.)

    Attributes:
        image_size: Side of the result in pixels.
        segmentation: None keeps the whole image; a dict of keywords of
            :func:`leukkit.segmentation.segment_nucleus` (``{}`` for the paper's) blacks out all
            but the nucleus, at the size of the file; with ``after_resizing = True`` beside them at
            ``image_size``, the order of Farag et al. 2025, III.C and III.D.
        seed: Of the augmented copies.
        distortion: What happens to the augmented copies, ranges of
            :func:`leukkit.augmentation.draw`; None where there are no copies.
        stain: None keeps the colors; else what `normalize_stain` gives to each image at its final
            size.

    Raises:
        TypeError: ``segmentation`` holds a keyword that ``segment_nucleus`` does not have.
        ValueError: ``distortion`` holds an unknown operation or an impossible range.
    """

    image_size: int = 224
    segmentation: Mapping[str, Any] | None = None
    seed: int = 0
    distortion: Mapping[str, Any] | None = None
    stain: Stain | None = None

    def __post_init__(self):
        if self.distortion is not None:
            augmentation.check(self.distortion)
        if self.segmentation is not None:
            given = dict(self.segmentation)
            order = {"after_resizing": True} if given.pop("after_resizing", False) else {}
            bound = _OF_SEGMENTATION.bind(None, **given)
            bound.apply_defaults()
            settings = dict(list(bound.arguments.items())[1:])
            object.__setattr__(self, "segmentation", settings | order)

    def description(self, drawn: Mapping[str, Any] | None = None, crop: int | None = None) -> str:
        """Return a canonical text: two images of one file with equal texts have equal pixels.

        Args:
            drawn: What was drawn for the copy; None or nothing for an original.
            crop: Side of the center crop, or None.
        """
        steps = {
            "version": VERSION,
            "size": self.image_size,
            "segmentation": self.segmentation,
            "crop": crop,
            "augmentation": {"version": augmentation.VERSION, **drawn} if drawn else None,
        } | ({} if self.stain is None else {"stain": self.stain})
        return json.dumps(steps, sort_keys=True)

    def draw(self, cells: pd.DataFrame) -> list[dict[str, Any] | None]:
        """Return what happens to each row that is an augmented copy, None for the others.

        Raises:
            ValueError: There are copies, and no ``distortion`` says what happens to them.
        """
        if "copy" not in cells or not (cells["copy"] > 0).any():
            return [None] * len(cells)
        if self.distortion is None:
            raise ValueError(
                f"{(cells['copy'] > 0).sum()} of {len(cells)} images are augmented copies, but no "
                "distortion says how they differ; give its ranges (leukkit.augmentation.draw)"
            )
        return [
            augmentation.draw(self.distortion, self.seed, sha256, int(copy)) if copy else None
            for sha256, copy in zip(cells["sha256"], cells["copy"], strict=True)
        ]


def preparation(recipe: Recipe, seed: int, training: pd.DataFrame) -> Preparation:
    """Return how a recipe makes pixels in a fold: what is fitted is fitted to its training images.

    The color that ``stain`` moves images to is the mean, over the different files among the
    training images, of what each has of its own: the mean and the standard deviation of L, a and b.

    Args:
        recipe: A `Recipe`.
        seed: Of the augmented copies.
        training: Rows of the cells frame; read only if the recipe has a ``stain``.

    Raises:
        ValueError: All training images are black.
        ImageError, leukkit.segmentation.SegmentationError: As `load`.
    """
    made = Preparation(recipe.image_size, recipe.segmentation, seed, recipe.distortion)
    if recipe.stain is None:
        return made
    originals = training.drop_duplicates("sha256").drop(columns="copy", errors="ignore")
    pixels = load(originals, Preparation(recipe.image_size, recipe.segmentation))
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda row: _stain(pixels[row])[2:], range(len(pixels))))
    if not (shown := [one for one in found if not np.isnan(one).any()]):
        raise ValueError(f"all of {len(found)} training images are black: they have no stain")
    stain = np.mean(shown, axis=0).round(4).tolist()  # machines differ beyond that
    return dataclasses.replace(made, stain=stain)


def normalize_stain(rgb: np.ndarray, stain: Stain) -> np.ndarray:
    """Give an image the mean and standard deviation of color of others, black pixels left out.

    Reinhard et al. 2001, equations 10 and 11, in CIELAB, which is usual for stains, in place of
    their logarithmic space, in which a dark pixel has no finite place. Black pixels (`BLACK`) are
    no tissue: they count for nothing and stay as they are.

    Args:
        rgb: uint8 (height, width, 3).
        stain: What the result is to have.

    Returns:
        uint8 of the same shape; what lies outside of RGB is clipped.
    """
    lab, shown, mean, deviation = _stain(rgb)
    if not shown.any():
        return rgb
    factor = np.where(deviation < FLAT, 1, stain[1] / np.maximum(deviation, FLAT))
    moved = np.where(shown[..., None], (lab - mean) * factor + stain[0], lab)
    back = cv2.cvtColor(moved.astype(np.float32), cv2.COLOR_LAB2RGB)
    return np.where(shown[..., None], np.rint(back.clip(0, 1) * 255).astype(np.uint8), rgb)


def _stain(rgb):
    """Return an image in LAB, which pixels are not black, and their mean and deviation."""
    lab = cv2.cvtColor(rgb.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    shown = (rgb > BLACK).any(axis=2)
    colors = lab[shown].astype(np.float64)
    if not len(colors):
        return lab, shown, np.full(3, np.nan), np.full(3, np.nan)
    return lab, shown, colors.mean(axis=0), colors.std(axis=0)


def prepare(cells: pd.DataFrame, preparation: Preparation, threads: int = 2) -> np.ndarray:
    """Return the pixels of every row: read, crop, segment, resize, stain, augment.

    A row's pixels depend on that row and the preparation only, not on the other rows or on
    ``threads``.

    Args:
        cells: The cells frame (with ``original`` and ``copy`` if it was expanded).
        preparation: How images become pixels.
        threads: Number of threads.

    Returns:
        uint8 RGB array of shape (len(cells), image_size, image_size, 3).

    Raises:
        ImageError: A file cannot be read, or is gone since the cells were loaded.
        leukkit.segmentation.SegmentationError: The masks of some images are empty or full; lists
            them. A black or unchanged image must not pass for a segmented one.
        ValueError: There are copies, and no ``distortion`` says what happens to them.
    """
    size = preparation.image_size
    pixels = np.empty((len(cells), size, size, 3), np.uint8)
    rows = [*zip(cells["path"], crops(cells), preparation.draw(cells), strict=True)]

    def fill(position):
        path, crop, drawn = rows[position]
        try:
            image, problem = segment_and_resize(read(path, crop), preparation)
        except FileNotFoundError as error:
            raise ImageError(
                f"{path}: is gone; it was there when the cells were loaded. Put the data set back "
                "in its place, or load it again with leukkit.datasets.load"
            ) from error
        pixels[position] = image if drawn is None else augmentation.apply(image, drawn)
        return problem

    with ThreadPoolExecutor(threads) as pool:
        found = list(pool.map(fill, range(len(cells))))
    named = zip(cells["image_id"], found, strict=True)
    problems = {name: problem for name, problem in named if problem}
    if problems:
        first = "; ".join(f"{name}: {problem}" for name, problem in list(problems.items())[:10])
        raise segmentation.SegmentationError(
            f"no nucleus found in {len(problems)} of {len(cells)} images ({first}"
            f"{'; ...' if len(problems) > 10 else ''}). Look at them; for another stain set "
            "rule='highest cluster' or another threshold, or leave these images out."
        )
    return pixels


def keys(cells: pd.DataFrame, preparation: Preparation, more: str = "") -> list[bytes]:
    """Return 32 bytes for each row, equal where the pixels are made of the same in the same way.

    Args:
        cells: The cells frame.
        preparation: How images become pixels.
        more: What else the cached rows depend on, such as a network.

    Raises:
        ValueError: A row without hash, or copies without ``distortion``.
    """
    if cells["sha256"].isna().any():
        raise ValueError(
            f"{cells['sha256'].isna().sum()} images have no hash in the column sha256; "
            "load the cells with leukkit.datasets.load"
        )
    rows = zip(cells["sha256"], preparation.draw(cells), crops(cells), strict=True)
    texts = (
        f"{more}\n{file}\n{preparation.description(drawn, crop)}" for file, drawn, crop in rows
    )
    return [hashlib.sha256(text.encode()).digest() for text in texts]


def load(
    cells: pd.DataFrame,
    preparation: Preparation,
    cache_dir: str | os.PathLike | None = None,
) -> cache.Rows:
    """Return the pixels of every row, from the cache where they are there.

    What is cached for an image depends on the bytes of its file and on all that is done to them:
    identical images are stored once, and neither the order of the rows nor the paths matter. An
    image in the cache is not read.

    Args:
        cells: The cells frame (with ``original`` and ``copy`` if it was expanded).
        preparation: How images become pixels.
        cache_dir: Folder of the cache; None for ``pixels`` in ``leukkit``'s own cache.

    Returns:
        uint8 RGB of shape (len(cells), image_size, image_size, 3), mapped into memory.

    Raises:
        ValueError: No rows, a row without hash, or copies without ``distortion``.
        ImageError: An image cannot be read, or is gone.
        leukkit.segmentation.SegmentationError: As :func:`prepare`.
        OSError: The cache folder cannot be written to, or has too little space.
    """
    if not len(cells):
        raise ValueError("no images to load: the cells frame has no rows")
    root = pathlib.Path(cache_dir) if cache_dir else files.cache_dir() / "pixels"
    size, steps = preparation.image_size, preparation.description().encode()
    return cache.rows(
        root / f"{size}-{hashlib.sha256(steps).hexdigest()[:16]}",
        keys(cells, preparation),
        lambda positions: [prepare(cells.iloc[positions], preparation)],
        (size, size, 3),
        np.uint8,
        "reading images",
    )


def channel_statistics(
    pixels: np.ndarray | cache.Rows, positions: ArrayLike
) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean and standard deviation of each color channel, over all pixels.

    For the z-score of Patel et al. 2025, Equation 1; fitted on training images only.

    Args:
        pixels: uint8 (n, height, width, 3).
        positions: Of the images to use.

    Returns:
        Two float64 arrays of shape (3,), in units of 0-255.
    """
    positions = np.asarray(positions)
    at_once = max(1, CHUNK_BYTES // int(np.prod(pixels.shape[1:])))
    counts = np.zeros((3, 256), np.int64)  # exact, whatever the chunks
    for start in range(0, len(positions), at_once):
        images = pixels[positions[start : start + at_once]]
        counts += [np.bincount(images[..., channel].ravel(), minlength=256) for channel in range(3)]
    values, total = np.arange(256.0), counts.sum(axis=1)
    mean = counts @ values / total
    squares = np.sum(counts * (values - mean[:, None]) ** 2, axis=1)
    return mean, np.sqrt(squares / total)


def segment_and_resize(rgb: np.ndarray, preparation: Preparation) -> tuple[np.ndarray, str | None]:
    """Return one decoded image at its final size, and what is wrong with its mask, if anything.

    ``stain`` is normalized, too: of what the segmentation, made for the original colors, left.
    """
    image, problem = _segment_and_resize(rgb, preparation)
    return image if preparation.stain is None else normalize_stain(
        image, preparation.stain
    ), problem


def _segment_and_resize(rgb, preparation):
    if preparation.segmentation is None:
        return resize(rgb, preparation.image_size), None
    settings = dict(preparation.segmentation)
    if settings.pop("after_resizing", False):
        rgb = resize(rgb, preparation.image_size)
    try:
        mask = segmentation.segment_nucleus(rgb, **settings)
    except segmentation.SegmentationError as error:
        return resize(rgb, preparation.image_size), str(error)
    problem = "the mask is empty" if not mask.any() else "the mask is full" if mask.all() else None
    return resize(segmentation.apply_mask(rgb, mask), preparation.image_size), problem
