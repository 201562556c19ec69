"""The parts under `leukkit.splits`: labels and groups as codes, parts drawn and checked."""

from typing import NamedTuple

import numpy as np
import pandas as pd


class Fold(NamedTuple):
    """Positions (for ``cells.iloc``) of one split: sorted int64 arrays without a common element."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


class Images(NamedTuple):
    """What a split needs to know: a label code and a group code per image."""

    labels: np.ndarray
    classes: list
    groups: np.ndarray
    by: str | None


def images_to_split(cells, by, missing):
    """Return the label and the group of each image; checks that a split is possible."""
    labels, classes = label_codes(cells)
    return Images(labels, classes, group_codes(cells, by, missing), by)


def dataset_name(cells):
    """Return the data set's name for a message."""
    return cells.attrs.get("dataset", "these cells")


def label_codes(cells):
    """Return the labels as codes, and the class names by code."""
    if len(cells) == 0:
        raise ValueError(f"{dataset_name(cells)}: no images to split")
    unlabeled = int(cells["label"].isna().sum())
    if unlabeled:
        raise ValueError(
            f"{dataset_name(cells)}: {unlabeled} of {len(cells)} images have no label and cannot "
            "be split. Leave them out first: cells[cells['label'].notna()]"
        )
    codes, classes = pd.factorize(cells["label"], sort=True)
    if len(classes) < 2:
        raise ValueError(
            f"{dataset_name(cells)}: all {len(cells)} images are of the class {classes[0]!r}; a "
            "split needs at least two classes. Was only a part of the data set loaded?"
        )
    return codes, list(classes)


def group_codes(cells, by, missing):
    """Return the group of each image as a code that does not depend on the order of the rows."""
    if missing not in ("error", "image"):
        raise ValueError(f"missing={missing!r}: expected 'error' or 'image'")
    column = "image_id" if by is None else by
    if column not in cells:
        raise ValueError(
            f"by={by!r} is no column of {dataset_name(cells)}; it has {', '.join(cells.columns)}"
        )
    names = cells[column].astype(object)
    absent = names.isna()
    if missing == "image":
        # The hash, not the image_id: it holds identical files and augmented copies together.
        names = names.where(~absent, "sha256:" + cells["sha256"].astype(object))
    if names.isna().any():
        raise ValueError(
            f"{dataset_name(cells)}: {int(absent.sum())} of {len(cells)} images have no {column}, "
            "so they cannot be kept on one side. Split by a column that is known (by=...), leave "
            "these images out, or pass missing='image' to keep each on its own: the same subject "
            "may then be on both sides, and no measure of leakage can show it"
        )
    return pd.factorize(names, sort=True)[0]


def check_folds(images, folds, validation):
    """Check the number of folds and the validation share against what there is to split."""
    if folds < 2:
        raise ValueError(f"folds={folds}: at least 2 are needed; for a single split use holdout")
    if not 0 <= validation < 1 - 1 / folds:
        raise ValueError(
            f"validation={validation}: with {folds} folds it must be at least 0 and less than "
            f"{1 - 1 / folds:.3g}, which is the share of the images that is not tested"
        )
    check_enough(images, np.arange(len(images.labels)), folds, f"{folds} folds need")


def check_enough(images, pool, needed, purpose):
    """Every part of a split needs a group of every class."""
    kind = "images" if images.by is None else f"different values of {images.by!r}"
    for code, name in enumerate(images.classes):
        found = len(np.unique(images.groups[pool][images.labels[pool] == code]))
        if found < needed:
            raise ValueError(
                f"class {name!r}: {purpose} at least {needed} {kind}, found {found}. "
                "Ask for fewer folds or no validation part, or load more data"
            )


def draw_share(images, pool, share, generator):
    """Draw whole groups from ``pool`` until they hold ``share`` of all images of each class.

    The groups come in random order, and each that still fits is taken. Then for each class one
    more is taken if that comes closer, or if the class has none so far. A group of each class is
    always left behind.
    """
    check_enough(images, pool, 2, "taking a part needs")
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


def with_validation(images, rest, test, share, generator):
    """Take the validation part from ``rest`` by the rule of the split and check all parts."""
    validation = np.array([], dtype=np.int64)
    if share > 0:
        validation = draw_share(images, rest, share, generator)
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


def within_embargo(cells, train, test, embargo):
    """Return for each position in ``train`` whether a test image is too near in its sequence."""
    if not {"sequence", "number"} <= set(cells.columns):
        raise ValueError(
            f"embargo={embargo} needs the columns 'sequence' and 'number', which "
            f"{dataset_name(cells)} does not have (all-2021 does): pass embargo=0"
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
