"""What is trained on what: the published protocol, and splits that leak less and less.

Each function returns a `Protocol`: the images (originals first, then augmented copies) and folds of
positions in them. What follows — features, classifiers, scores, `splits.leakage` — is the same code
for all of them.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from leukkit import augmentation, splits


class Protocol(NamedTuple):
    """A way to divide images into training and test.

    Attributes:
        name: ``published``, ``image-level``, ``source-image``, ``patient`` or ``leak-free``.
        cells: The frame that the folds point into.
        folds: List of `splits.Fold`.
        tuning: For each fold, the division for choosing hyperparameters inside its training part:
            an integer (stratified folds over all training images, as published), or a list of
            ``(train, test)`` positions within ``fold.train``.
    """

    name: str
    cells: pd.DataFrame
    folds: list
    tuning: list


def published(cells, counts=None, *, test=0.2, seed=0, tuning_folds=5):
    """Augment, then split by image, as the paper does (farag2025, III.E and IV.A).

    Copies of one original fall on both sides, and so do the cells of one patient.

    Args:
        cells: The `cells` frame.
        counts: Images per class after augmentation (Table I), or None for no augmentation.
        test: Share of the test images.
        seed: Draws the copies and the split.
        tuning_folds: Stratified folds of the grid search.
    """
    if counts:
        cells = augmentation.expand(cells, counts, seed)
    return Protocol("published", cells, splits.holdout(cells, test=test, seed=seed), [tuning_folds])


def leak_free(cells, counts=None, **options):
    """Keep whole identities on one side, and augmentation inside training: see `grouped`."""
    return grouped("leak-free", cells, counts, by="identity", **options)


def image_level(cells, counts=None, **options):
    """Split by image, with augmentation inside training: see `grouped`."""
    return grouped("image-level", cells, counts, by=None, **options)


def patient_level(cells, counts=None, **options):
    """Split by the patient ids as printed, blind to linked patients: see `grouped`."""
    return grouped("patient", cells, counts, by="patient", **options)


def grouped(name, cells, counts=None, *, by, folds=5, seed=0, tuning_folds=5, missing="error"):
    """Make k folds that keep groups whole; augmented copies exist in training only.

    Validation and test hold originals. Hyperparameters are chosen within the training part by
    the same rule: groups whole, copies only on the fitting side.

    Args:
        name: The protocol's name.
        cells: The `cells` frame, originals only.
        counts: Images per class after augmentation of the whole set; a training part gets its
            share of them. None for no augmentation.
        by: Column of the groups, or None to split by image.
        folds: Number of folds.
        seed: Draws the folds and the copies.
        tuning_folds: Number of folds within a training part.
        missing: ``"error"``, or ``"image"`` to let an image without a group stand for itself.
    """

    def divide(some_cells, number):
        if by is None:
            return splits.stratified_kfold(some_cells, folds=number, seed=seed)
        return splits.identity_kfold(some_cells, folds=number, seed=seed, by=by, missing=missing)

    outer = divide(cells, folds)
    if not counts:
        tuning = [_pairs(divide(_part(cells, fold.train), tuning_folds)) for fold in outer]
        return Protocol(name, cells, outer, tuning)

    parts = [
        augmentation.expand(_part(cells, fold.train), _share(counts, cells, fold.train), seed)
        for fold in outer
    ]
    everything = augmentation.expand(cells, cells["label"].value_counts().to_dict(), seed)
    copies = pd.concat([part[part["copy"] > 0] for part in parts])
    copies = copies.drop_duplicates("image_id").sort_values(["original", "copy"])
    everything = pd.concat([everything, copies], ignore_index=True)
    everything.attrs = cells.attrs
    position = pd.Series(everything.index, index=everything["image_id"])

    augmented, tuning = [], []
    for fold, part in zip(outer, parts, strict=True):
        train = np.sort(position[part["image_id"]].to_numpy())
        augmented.append(fold._replace(train=train))
        originals = _part(cells, fold.train)
        tuning.append(
            [
                _with_copies(everything.iloc[train], originals, inner)
                for inner in divide(originals, tuning_folds)
            ]
        )
    return Protocol(name, everything, augmented, tuning)


def _part(cells, positions):
    part = cells.iloc[positions].reset_index(drop=True)
    part.attrs = cells.attrs
    return part


def _share(counts, cells, train):
    """Scale the target counts to a training part; never below the originals it has."""
    present = cells["label"].iloc[train].value_counts()
    return {
        label: max(int(present.get(label, 0)), round(count * len(train) / len(cells)))
        for label, count in counts.items()
    }


def _pairs(folds):
    return [(fold.train, fold.test) for fold in folds]


def _with_copies(training, originals, inner):
    """Translate positions in the originals to positions in the augmented training part."""
    fitted_on = set(originals["image_id"].iloc[inner.train])
    scored_on = set(originals["image_id"].iloc[inner.test])
    is_original = (training["copy"] == 0).to_numpy()
    fit = training["original"].isin(fitted_on).to_numpy()
    score = training["original"].isin(scored_on).to_numpy() & is_original
    return np.flatnonzero(fit), np.flatnonzero(score)
