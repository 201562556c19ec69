"""The data sets, each as the same frame of cells: `load` one, `check` it, `fetch` it."""

import os

import pandas as pd

from leukkit.datasets import links as listed
from leukkit.datasets import own, published, sample
from leukkit.datasets.cells import DamagedImagesError, DatasetError, join_subjects
from leukkit.datasets.checks import check
from leukkit.datasets.fetch import FetchError, fetch
from leukkit.datasets.published import overview

SAMPLES = tuple(sample.PLANS)
NAMES = (*published.PUBLISHED, *SAMPLES)
LOADERS = dict.fromkeys(published.PUBLISHED, published.load) | dict.fromkeys(SAMPLES, sample.load)

__all__ = [
    "NAMES",
    "SAMPLES",
    "DamagedImagesError",
    "DatasetError",
    "FetchError",
    "check",
    "fetch",
    "join_subjects",
    "load",
    "overview",
]


def load(
    name: str | os.PathLike,
    root: str | os.PathLike | None = None,
    damaged: str = "error",
    links: str = "several pairs",
) -> pd.DataFrame:
    """Return the ``cells`` frame of a data set: one row per image.

    Args:
        name: One of `NAMES`. The samples are made by the kit on first use; the others are read.
            What holds a slash is the folder of a data set of one's own (`leukkit.datasets.own`).
            ``sample-phases`` is ``sample-cells`` as the training phase, and a preliminary phase of
            other subjects (column ``split``).
        root: Folder of the data set, or any folder above it. None means
            ``LEUKKIT_DATA_DIR/<name>``; the samples need none.
        damaged: ``"error"`` refuses damaged images, ``"drop"`` leaves them out with a warning,
            ``"keep"`` keeps them and says why in a column ``damage``.
        links: What makes two patients of C-NMC 2019 one subject: ``"identical"`` files alone, also
            ``"several pairs"`` of cells that were cut out twice, or also ``"single pairs"``
            (`leukkit.datasets.links`).

    Returns:
        A frame with the columns ``image_id, path, label, patient, source_image, split, fold,
        sha256, subject``, and ``crop, mask, sequence, number`` where the data set has them;
        missing values are ``pandas.NA``. ``attrs``: ``dataset, root, classes, dropped, links``.

    Raises:
        FileNotFoundError: The folder does not exist.
        DatasetError: The folder is empty, holds another data set or one class only, or images
            other than those whose likeness links two patients.
        DamagedImagesError: There are damaged images, and ``damaged`` is ``"error"``.
        ValueError: The name or ``links`` is not known, or a root is given for a sample.
    """
    if isinstance(name, os.PathLike) or "/" in name or os.sep in name:
        if root is not None:
            raise ValueError(f"{name} is a folder itself: leave root out")
        return listed.join(own.load(name, damaged), links)
    if name not in LOADERS:
        raise ValueError(
            f"unknown data set {name!r}. Known are: {', '.join(NAMES)}; a "
            "folder of your own holds a slash, such as ./cells"
        )
    return listed.join(LOADERS[name](name, root, damaged), links)
