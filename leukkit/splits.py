"""Splits into training, validation and test images, and what leaks through them.

Every split depends on the images in ``cells``, the arguments and the seed, but not on the order
of the rows. Shares (``test``, ``validation``) are shares of all images in ``cells``.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd


class Fold(NamedTuple):
    """Positions (for ``cells.iloc``) of one split: sorted int64 arrays without a common element."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def holdout(cells, test=0.2, validation=0.0, seed=0, by=None, missing="error"):
    """Split once, stratified by label: 80/20, 70/15/15 or any other shares.

    Args:
        cells: The ``cells`` frame.
        test: Share of all images for the test, between 0 and 1.
        validation: Share of all images for validation, from 0; the rest is for training.
        seed: What the draw depends on.
        by: None draws single images, as the papers do. ``"identity"``, ``"patient"``,
            ``"source_image"`` or another column keeps the images of one value together.
        missing: As in `identity_kfold`.

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
    images = _images(cells, by, missing)
    generator = np.random.default_rng(seed)
    everything = np.arange(len(cells))
    tested = _draw(images, everything, test, generator)
    rest = np.setdiff1d(everything, tested)
    return [_with_validation(images, rest, tested, validation, generator)]


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

    images = _images(cells, None, "error")
    _check_folds(images, folds, validation)
    generator = np.random.default_rng(seed)
    order = np.argsort(images.groups)
    splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
    return [
        _with_validation(images, order[train], order[test], validation, generator)
        for train, test in splitter.split(order, images.labels[order])
    ]


def identity_kfold(
    cells, folds=5, validation=0.0, seed=0, by="identity", missing="error", embargo=0
):
    """Split whole identities into folds, with nearly the same share of each class.

    Large identities are placed first; the seed decides between those with equally many images.
    So two seeds can give the same folds where all identities differ in size.

    Args:
        cells: The ``cells`` frame.
        folds: Number of folds; every image is tested in exactly one.
        validation: Share of all images for validation: whole identities of the training side.
        seed: What the draw depends on.
        by: The column whose values stay together. ``"patient"`` leaks where the same file lies
            under two patient ids; ``"identity"`` does not.
        missing: ``"error"`` refuses images without a value in ``by``. ``"image"`` keeps each of
            them on its own, except that identical files and augmented copies stay together.
        embargo: Leaves out of training and validation the images of the same ``sequence`` whose
            ``number`` differs by at most this much from that of a test image: neighbors on a
            smear look alike.

    Returns:
        A list of `Fold`, one per fold. With an embargo a fold does not hold every image.

    Raises:
        ValueError: Images without label or identity, one class only, fewer identities of a class
            than folds, or an embargo without the columns ``sequence`` and ``number``.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    images = _images(cells, by, missing)
    _check_folds(images, folds, validation)
    generator = np.random.default_rng(seed)
    # Not the splitter's own shuffle: before scikit-learn 1.8 it undoes the stratification.
    shuffled = generator.permutation(images.groups.max() + 1)[images.groups]
    result = []
    for train, test in StratifiedGroupKFold(folds).split(shuffled, images.labels, shuffled):
        if embargo:
            train = train[~_within_embargo(cells, train, test, embargo)]
        result.append(_with_validation(images, train, test, validation, generator))
    return result


def leakage(cells, folds):
    """Measure what the test images of each fold share with its training images.

    Args:
        cells: The ``cells`` frame.
        folds: List of `Fold` on these cells.

    Returns:
        A frame with one row per fold: ``fold``, ``test_images`` and the shares (0 to 1) of test
        images whose ``patient``, ``identity``, ``source_image``, file (``bytes``, by SHA-256) or
        ``original`` (the image itself or an augmented copy of it) is also in training. Images
        where the value is missing do not count; a share is NA where no test image has the value.
        Augmented copies do not count for ``bytes``: they carry the hash of a file that they are
        no longer.
    """
    keys = {column: _column(cells, column) for column in ("patient", "identity", "source_image")}
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


class _Images(NamedTuple):
    """What a split needs to know: a label code and a group code per image."""

    labels: np.ndarray
    classes: list
    groups: np.ndarray
    by: str | None


def _images(cells, by, missing):
    labels, classes = _labels(cells)
    return _Images(labels, classes, _groups(cells, by, missing), by)


def _column(cells, name):
    if name in cells:
        return cells[name]
    return pd.Series(pd.NA, index=cells.index, dtype=object)


def _dataset(cells):
    return cells.attrs.get("dataset", "these cells")


def _labels(cells):
    """Return the labels as codes, and the class names by code."""
    if len(cells) == 0:
        raise ValueError(f"{_dataset(cells)}: no images to split")
    unlabeled = int(cells["label"].isna().sum())
    if unlabeled:
        raise ValueError(
            f"{_dataset(cells)}: {unlabeled} of {len(cells)} images have no label and cannot be "
            "split. Leave them out first: cells[cells['label'].notna()]"
        )
    codes, classes = pd.factorize(cells["label"], sort=True)
    if len(classes) < 2:
        raise ValueError(
            f"{_dataset(cells)}: all {len(cells)} images are of the class {classes[0]!r}; a split "
            "needs at least two classes. Was only a part of the data set loaded?"
        )
    return codes, list(classes)


def _groups(cells, by, missing):
    """Return the group of each image as a code that does not depend on the order of the rows."""
    if missing not in ("error", "image"):
        raise ValueError(f"missing={missing!r}: expected 'error' or 'image'")
    column = "image_id" if by is None else by
    if column not in cells:
        raise ValueError(
            f"by={by!r} is no column of {_dataset(cells)}; it has {', '.join(cells.columns)}"
        )
    names = cells[column].astype(object)
    absent = names.isna()
    if missing == "image":
        # The hash, not the image_id: it holds identical files and augmented copies together.
        names = names.where(~absent, "sha256:" + cells["sha256"].astype(object))
    if names.isna().any():
        raise ValueError(
            f"{_dataset(cells)}: {int(absent.sum())} of {len(cells)} images have no {column}, so "
            "they cannot be kept on one side. Split by a column that is known (by=...), leave "
            "these images out, or pass missing='image' to keep each on its own: the same person "
            "may then be on both sides, and no measure of leakage can show it"
        )
    return pd.factorize(names, sort=True)[0]


def _check_folds(images, folds, validation):
    if folds < 2:
        raise ValueError(f"folds={folds}: at least 2 are needed; for a single split use holdout")
    if not 0 <= validation < 1 - 1 / folds:
        raise ValueError(
            f"validation={validation}: with {folds} folds it must be at least 0 and less than "
            f"{1 - 1 / folds:.3g}, which is the share of the images that is not tested"
        )
    _check_enough(images, np.arange(len(images.labels)), folds, f"{folds} folds need")


def _check_enough(images, pool, needed, purpose):
    """Every part of a split needs a group of every class."""
    kind = "images" if images.by is None else f"different values of {images.by!r}"
    for code, name in enumerate(images.classes):
        found = len(np.unique(images.groups[pool][images.labels[pool] == code]))
        if found < needed:
            raise ValueError(
                f"class {name!r}: {purpose} at least {needed} {kind}, found {found}. "
                "Ask for fewer folds or no validation part, or load more data"
            )


def _draw(images, pool, share, generator):
    """Draw whole groups from ``pool`` until they hold ``share`` of all images of each class.

    The groups come in random order, and each that still fits is taken. Then for each class one
    more is taken if that comes closer, or if the class has none so far. A group of each class is
    always left behind.
    """
    _check_enough(images, pool, 2, "taking a part needs")
    groups = images.groups
    held = np.zeros((groups.max() + 1, len(images.classes)))
    np.add.at(held, (groups[pool], images.labels[pool]), 1)
    held /= np.bincount(images.labels)
    left = (held > 0).sum(axis=0)
    gap = np.full(len(images.classes), share + 1e-9)  # rounding must not cost an image
    taken = np.zeros(len(held), dtype=bool)

    def take(group):
        taken[group] = True
        left[held[group] > 0] -= 1
        gap[:] -= held[group]

    order = generator.permutation(np.flatnonzero(held.any(axis=1)))
    for group in order:
        if (held[group] <= gap).all() and (left[held[group] > 0] > 1).all():
            take(group)
    for code in range(len(images.classes)):
        candidates = order[(held[order, code] > 0) & ~taken[order]]
        distances = np.square(gap - held[candidates]).sum(axis=1)
        none_so_far = not held[taken, code].any()
        if left[code] > 1 and (none_so_far or distances.min() < gap @ gap):
            take(candidates[np.argmin(distances)])
    return pool[taken[groups[pool]]]


def _with_validation(images, rest, test, share, generator):
    """Take the validation part from ``rest`` by the rule of the split and check all parts."""
    validation = np.array([], dtype=np.int64)
    if share > 0:
        validation = _draw(images, rest, share, generator)
    train = np.setdiff1d(rest, validation)
    fold = Fold(*(np.sort(part).astype(np.int64) for part in (train, validation, test)))
    for name, part in fold._asdict().items():
        lacking = np.setdiff1d(np.arange(len(images.classes)), images.labels[part])
        if len(lacking) and (name != "validation" or share > 0):
            raise ValueError(
                f"a {name} part has no image of {', '.join(images.classes[c] for c in lacking)}: "
                f"the values of {images.by!r} hold too unequal numbers of images. Ask for fewer "
                "folds, another share, a smaller embargo or another seed"
            )
    return fold


def _within_embargo(cells, train, test, embargo):
    """Return for each position in ``train`` whether a test image is too near in its sequence."""
    if not {"sequence", "number"} <= set(cells.columns):
        raise ValueError(
            f"embargo={embargo} needs the columns 'sequence' and 'number', which "
            f"{_dataset(cells)} does not have (all-2021 does): pass embargo=0"
        )
    order = cells[["sequence", "number"]]
    if order.isna().to_numpy().any():
        raise ValueError(f"embargo={embargo}: some images have no 'sequence' or 'number'")
    near = np.zeros(len(train), dtype=bool)
    sequences, numbers = order["sequence"].to_numpy(object), order["number"].to_numpy(np.int64)
    for sequence in np.unique(sequences[test]):
        tested = np.sort(numbers[test[sequences[test] == sequence]])
        members = np.flatnonzero(sequences[train] == sequence)
        number = numbers[train[members]]
        first = np.searchsorted(tested, number - embargo, side="left")
        last = np.searchsorted(tested, number + embargo, side="right")
        near[members] = last > first
    return near
