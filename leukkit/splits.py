"""Splits into training, validation and test images, and what leaks through them.

Every split depends on the images in ``cells``, the arguments and the seed, but not on the order
of the rows. Shares (``test``, ``validation``) are shares of all images in ``cells``.
"""

import numpy as np
import pandas as pd

from leukkit.split_parts import (
    Fold,
    check_folds,
    draw_share,
    images_to_split,
    with_validation,
    within_embargo,
)

__all__ = [
    "Fold",
    "holdout",
    "leakage",
    "leakage_shares",
    "stratified_kfold",
    "subject_kfold",
]


def holdout(cells, test=0.2, validation=0.0, seed=0, by=None, missing="error"):
    """Split once, stratified by label: 80/20, 70/15/15 or any other shares.

    Args:
        cells: The ``cells`` frame.
        test: Share of all images for the test, between 0 and 1.
        validation: Share of all images for validation, from 0; the rest is for training.
        seed: What the draw depends on.
        by: None draws single images, as the papers do. ``"subject"``, ``"patient"``,
            ``"source_image"`` or another column keeps the images of one value together.
        missing: As in `subject_kfold`.

    Returns:
        A list of one `Fold`.

    Raises:
        ValueError: Images without label, one class only, shares that leave no training images,
            too few images or groups of a class, or values missing in the column ``by``.
    """
    if not 0 < test < 1 or validation < 0 or test + validation >= 1:
        raise ValueError(
            f"test={test} and validation={validation}: test must lie between 0 and 1, validation "
            "must not be negative, and both together must leave a share for training"
        )
    images = images_to_split(cells, by, missing)
    generator = np.random.default_rng(seed)
    everything = np.arange(len(cells))
    tested = draw_share(images, everything, test, generator)
    rest = np.setdiff1d(everything, tested)
    return [with_validation(images, rest, tested, validation, generator)]


def stratified_kfold(cells, folds=7, validation=0.0, seed=0):
    """Split single images into folds with the same share of each class.

    Patients, source images and augmented copies end up on both sides: see `leakage`.

    Args:
        cells: The ``cells`` frame.
        folds: Number of folds; every image is tested in exactly one.
        validation: Share of all images for validation, taken from the training side.
        seed: What the draw depends on.

    Returns:
        A list of `Fold`, one per fold.

    Raises:
        ValueError: Images without label, one class only, or fewer images of a class than folds.
    """
    from sklearn.model_selection import StratifiedKFold

    images = images_to_split(cells, None, "error")
    check_folds(images, folds, validation)
    generator = np.random.default_rng(seed)
    order = np.argsort(images.groups)
    splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
    return [
        with_validation(images, order[train], order[test], validation, generator)
        for train, test in splitter.split(order, images.labels[order])
    ]


def subject_kfold(cells, folds=5, validation=0.0, seed=0, by="subject", missing="error", embargo=0):
    """Split whole subjects into folds, with nearly the same share of each class.

    Large subjects are placed first; the seed decides between those with equally many images.
    So two seeds can give the same folds where all subjects differ in size.

    Args:
        cells: The ``cells`` frame.
        folds: Number of folds; every image is tested in exactly one.
        validation: Share of all images for validation: whole subjects of the training side.
        seed: What the draw depends on.
        by: The column whose values stay together. ``"patient"`` leaks where the same file lies
            under two patient ids; ``"subject"`` does not.
        missing: ``"error"`` refuses images without a value in ``by``. ``"image"`` keeps each of
            them on its own, except that identical files and augmented copies stay together.
        embargo: Leaves out of training and validation the images of the same ``sequence`` whose
            ``number`` differs by at most this much from that of a test image: neighbors on a
            smear look alike.

    Returns:
        A list of `Fold`, one per fold. With an embargo a fold does not hold every image.

    Raises:
        ValueError: Images without label or subject, one class only, fewer subjects of a class
            than folds, or an embargo without the columns ``sequence`` and ``number``.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    images = images_to_split(cells, by, missing)
    check_folds(images, folds, validation)
    generator = np.random.default_rng(seed)
    # Not the splitter's own shuffle: before scikit-learn 1.8 it undoes the stratification.
    shuffled = generator.permutation(images.groups.max() + 1)[images.groups]
    result = []
    for train, test in StratifiedGroupKFold(folds).split(shuffled, images.labels, shuffled):
        if embargo:
            train = train[~within_embargo(cells, train, test, embargo)]
        result.append(with_validation(images, train, test, validation, generator))
    return result


def leakage(cells, folds):
    """Measure what the test images of each fold share with its training images.

    Args:
        cells: The ``cells`` frame.
        folds: List of `Fold` on these cells.

    Returns:
        A frame with one row per fold: ``fold``, ``test_images`` and the shares (0 to 1) of test
        images whose ``patient``, ``subject``, ``source_image``, file (``bytes``, by SHA-256) or
        ``original`` (the image itself or an augmented copy of it) is also in training. Images
        where the value is missing do not count; a share is NA where no test image has the value.
        Augmented copies do not count for ``bytes``: they carry the hash of a file that they are
        no longer.
    """
    keys = {column: _column(cells, column) for column in ("patient", "subject", "source_image")}
    keys["bytes"] = _column(cells, "sha256")
    if "copy" in cells:
        keys["bytes"] = keys["bytes"].where(cells["copy"] == 0)
    keys["original"] = _column(cells, "original")
    rows = []
    for number, fold in enumerate(folds):
        row = {"fold": number, "test_images": len(fold.test)}
        for name, key in keys.items():
            known = key.iloc[fold.test].dropna()
            row[name] = known.isin(key.iloc[fold.train].dropna()).mean() if len(known) else pd.NA
        rows.append(row)
    frame = pd.DataFrame(rows, columns=["fold", "test_images", *keys])
    return frame.astype(dict.fromkeys(keys, "Float64"))


def leakage_shares(protocols):
    """Sum up `leakage` over the folds of several protocols.

    Args:
        protocols: Dict of a name to a `leukkit.protocols.Protocol`.

    Returns:
        Frame, one row per protocol: ``test images``, and the shares (0..1) of `leakage` over all
        test images of all folds; NA where the data set does not know.
    """
    rows = {}
    for name, divided in protocols.items():
        table = leakage(divided.cells, divided.folds).drop(columns="fold")
        images = table.pop("test_images")
        shares = table.mul(images, axis=0).sum(skipna=False) / images.sum()
        rows[name] = {"test images": int(images.sum()), **shares}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("protocol")


def _column(cells, name):
    if name in cells:
        return cells[name]
    return pd.Series(pd.NA, index=cells.index, dtype=object)
