"""The data sets, each as the same frame of cells: `load` one, `check` it, `fetch` it."""

from leukkit.datasets.cells import DamagedImagesError, DatasetError, join_subjects
from leukkit.datasets.checks import check
from leukkit.datasets.fetch import FetchError, fetch
from leukkit.datasets.loading import FINDERS, load_published
from leukkit.datasets.official import overview

SAMPLES = ("sample-cells", "sample-phases", "sample-idb", "sample-smears")
NAMES = (*FINDERS, *SAMPLES)

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
    "load_phases",
    "overview",
]


def load(name, root=None, damaged="error"):
    """Return the ``cells`` frame of a data set: one row per image.

    Args:
        name: One of `NAMES`. The samples are drawn by the kit on first use; the others are read.
            ``sample-phases`` is ``sample-cells`` as the training phase, and a preliminary phase of
            other subjects (column ``split``).
        root: Folder of the data set, or any folder above it. None means
            ``LEUKKIT_DATA_DIR/<name>``; the samples need none.
        damaged: ``"error"`` refuses damaged images, ``"drop"`` leaves them out with a warning,
            ``"keep"`` keeps them and says why in a column ``damage``.

    Returns:
        A frame with the columns ``image_id, path, label, patient, source_image, split, fold,
        sha256, subject``, and ``crop, mask, sequence, number`` where the data set has them;
        missing values are ``pandas.NA``. ``attrs``: ``dataset, root, classes, dropped``.

    Raises:
        FileNotFoundError: The folder does not exist.
        DatasetError: The folder is empty, holds another data set or one class only.
        DamagedImagesError: There are damaged images, and ``damaged`` is ``"error"``.
        ValueError: The name is not known, or a root is given for a sample.
    """
    if name in SAMPLES:
        if root is not None:
            raise ValueError(f"{name} is drawn by the kit and has no root; leave root=None")
        from leukkit.datasets import sample

        return sample.load(name, damaged)
    if name not in FINDERS:
        raise ValueError(f"unknown data set {name!r}. Known are: {', '.join(NAMES)}")
    return load_published(name, root, damaged)


def load_phases(name, phases=("training",)):
    """Return the cells of some phases of a data set, by default those that may be trained on.

    Images of a set without phases count as training; those without a label (C-NMC's final phase)
    are in none of the ``phases`` that can be divided.

    Args:
        name: As `load`.
        phases: Values of the column ``split``.

    Returns:
        The frame, as `load` gives it.
    """
    cells = load(name)
    chosen = cells[cells["split"].fillna("training").isin(phases)].reset_index(drop=True)
    chosen.attrs = cells.attrs
    return chosen
