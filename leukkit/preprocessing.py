"""From rows of the cells frame to pixels: read, crop, segment, resize, augment."""

import dataclasses
import inspect
import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd

from leukkit import augmentation, distortion, images, segmentation

VERSION = 1  # raise it when the same settings begin to give other pixels


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
            but the nucleus, at the size of the file.
        seed: Of the augmentation.
        augmentation: What happens to the augmented copies: None for the list of Farag et al.
            (:mod:`leukkit.augmentation`), or ranges of :func:`leukkit.distortion.draw`.

    Raises:
        TypeError: ``segmentation`` holds a keyword that ``segment_nucleus`` does not have.
        ValueError: ``augmentation`` holds an unknown operation or an impossible range.
    """

    image_size: int = 224
    segmentation: dict | None = None
    seed: int = 0
    augmentation: dict | None = None

    def __post_init__(self):
        if self.augmentation is not None:
            distortion.check(self.augmentation)
        if self.segmentation is not None:
            settings = inspect.signature(segmentation.segment_nucleus)
            bound = settings.bind(None, **self.segmentation)
            bound.apply_defaults()
            object.__setattr__(self, "segmentation", dict(list(bound.arguments.items())[1:]))

    def description(self, copy_parameters=None, crop=None):
        """Return a canonical text: two images of one file with equal texts have equal pixels.

        Args:
            copy_parameters: The transform drawn for the copy, or None for an original.
            crop: Side of the center crop, or None.
        """
        if self.augmentation is not None and copy_parameters is not None:
            copy_parameters = {"distortion": distortion.VERSION, **copy_parameters}
        return json.dumps(
            {
                "version": VERSION,
                "size": self.image_size,
                "segmentation": self.segmentation,
                "crop": crop,
                "augmentation": copy_parameters,
            },
            sort_keys=True,
        )

    def descriptions(self, cells):
        """Return the :meth:`description` of each row of ``cells``, for use in cache keys."""
        steps = zip(self.draw_copies(cells), _crops(cells), strict=True)
        return [self.description(drawn, crop) for drawn, crop in steps]

    def draw_copies(self, cells):
        """Return the drawn transform of each row that is an augmented copy, None for the others."""
        if "copy" not in cells:
            return [None] * len(cells)
        return [
            self._draw(original, int(copy)) if copy else None
            for original, copy in zip(cells["original"], cells["copy"], strict=True)
        ]

    def transform(self, rgb, drawn):
        """Apply a transform of :meth:`draw_copies`; None leaves the image as it is."""
        if drawn is None:
            return rgb
        if self.augmentation is None:
            return augmentation.augment(rgb, drawn)
        return distortion.distort(rgb, drawn)

    def _draw(self, original, copy):
        if self.augmentation is None:
            return augmentation.parameters(self.seed, original, copy)
        return distortion.draw(self.augmentation, self.seed, original, copy)


def prepare(cells, preparation, threads=2):
    """Return the pixels of every row: read, crop, segment, resize, augment.

    A row's pixels depend on that row and the preparation only, not on the other rows or on
    ``threads``.

    Args:
        cells: The cells frame (with ``original`` and ``copy`` if it was expanded).
        preparation: A :class:`Preparation`.
        threads: Number of threads.

    Returns:
        uint8 RGB array of shape (len(cells), image_size, image_size, 3).

    Raises:
        leukkit.images.ImageError: A file cannot be read, or is gone since the cells were loaded.
        leukkit.segmentation.SegmentationError: The masks of some images are empty or full; lists
            them. A black or unchanged image must not pass for a segmented one.
    """
    size = preparation.image_size
    pixels = np.empty((len(cells), size, size, 3), np.uint8)
    paths, crops = list(cells["path"]), _crops(cells)
    transforms = preparation.draw_copies(cells)

    def fill(position):
        try:
            image, problem = _read(paths[position], crops[position], preparation)
        except FileNotFoundError as error:
            raise images.ImageError(
                f"{paths[position]}: is gone; it was there when the cells were loaded. Put the "
                "data set back in its place, or load it again with leukkit.datasets.load"
            ) from error
        pixels[position] = preparation.transform(image, transforms[position])
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
            "fallback='highest-cluster' or another threshold, or leave these images out."
        )
    return pixels


def _read(path, crop, preparation):
    """Return the image at its final size, and what is wrong with its mask, if anything."""
    if preparation.segmentation is None:
        return images.read_resized(path, preparation.image_size, crop), None
    image, problem = _segment(images.read(path, crop), preparation.segmentation)
    return images.resize(image, preparation.image_size), problem


def _segment(rgb, settings):
    """Return the image under its nucleus mask and what is wrong with the mask, if anything."""
    try:
        mask = segmentation.segment_nucleus(rgb, **settings)
    except segmentation.SegmentationError as error:
        return rgb, str(error)
    problem = "the mask is empty" if not mask.any() else "the mask is full" if mask.all() else None
    return segmentation.apply_mask(rgb, mask), problem


def _crops(cells):
    """Return the side of the center crop of each row, or None."""
    if "crop" not in cells:
        return [None] * len(cells)
    return [None if pd.isna(side) else int(side) for side in cells["crop"]]
