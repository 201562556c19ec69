"""What is trained on what: the published protocol, and splits that leak less and less.

Each function returns a `Protocol`: the images (originals first, then augmented copies) and folds of
positions in them. What follows — features, classifiers, scores, `splits.leakage` — is the same code
for all of them. `divide` reads a protocol from a table of a paper card.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from leukkit import augmentation, protocol_tables, splits


class Protocol(NamedTuple):
    """A way to divide images into training and test.

    Attributes:
        name: Such as ``published``, ``image-level``, ``patient`` or ``leak-free``.
        cells: The frame that the folds point into.
        folds: List of `splits.Fold`.
        tuning: For each fold, the division for choosing hyperparameters inside its training part:
            an integer (stratified folds over all training images, as published), or a list of
            ``(train, test)`` positions within ``fold.train``. Empty where nothing is chosen so.
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

    def split(some_cells, number):
        if by is None:
            return splits.stratified_kfold(some_cells, folds=number, seed=seed)
        return splits.identity_kfold(some_cells, folds=number, seed=seed, by=by, missing=missing)

    outer = split(cells, folds)
    if not counts:
        tuning = [_pairs(split(_part(cells, fold.train), tuning_folds)) for fold in outer]
        return Protocol(name, cells, outer, tuning)

    everything, augmented = _augment_training(cells, outer, {"counts": counts}, seed)
    tuning = []
    for original, fold in zip(outer, augmented, strict=True):
        originals = _part(cells, original.train)
        tuning.append(
            [
                _with_copies(everything.iloc[fold.train], originals, inner)
                for inner in split(originals, tuning_folds)
            ]
        )
    return Protocol(name, everything, augmented, tuning)


def divide(cells, table, seed=0, name=""):
    """Divide images as a table of a paper card says (``[profiles.<profile>.protocols.<name>]``).

    Args:
        cells: The `cells` frame, originals only.
        table: Dict with these keys, all but ``split`` optional where they do not apply:

            * ``split``: ``"holdout"`` (once), ``"stratified"`` (folds of single images),
              ``"identity"`` (folds of whole groups) or ``"counts"`` (once, exactly
              ``test_counts`` images of each class for the test, single images).
            * ``test``: Share of all images for the test (holdout).
            * ``validation``: Share of all images for validation; or ``"test"``: the test part is
              watched during training, too, as some papers do.
            * ``folds``: Number of folds. ``by``, ``missing``, ``embargo``: as in
              `splits.identity_kfold`; a holdout takes the first two as well.
            * ``augment``: ``"before"`` copies images of the whole set and then splits, so that
              copies of one original fall on both sides. ``"after"`` copies training images only.
            * ``copies``: ``{counts = {...}}`` images per class after augmentation of the whole set
              (a training part gets its share of them), ``{balance = true}`` as many as the largest
              class has, or ``{each = 10}`` ten copies of each original.
        seed: Draws the split and the copies.
        name: The protocol's name.

    Returns:
        A `Protocol`. Its tuning is empty: networks choose on ``fold.validation``.

    Raises:
        ValueError: An unknown key or value, a missing key, or a split that these images do not
            allow (see `leukkit.splits`).
    """
    protocol_tables.check(table)
    augment, copies = table.get("augment"), table.get("copies")
    if augment == "before":
        everyone = np.arange(len(cells))
        cells = augmentation.expand(cells, _targets(copies, cells, everyone), seed)
    folds = protocol_tables.split(cells, table, seed)
    if augment == "after":
        cells, folds = _augment_training(cells, folds, copies, seed)
    if table.get("validation") == "test":
        folds = [fold._replace(validation=fold.test) for fold in folds]
    return Protocol(name, cells, folds, [])


def _augment_training(cells, folds, copies, seed):
    """Add copies of training images; validation and test hold originals.

    Returns:
        The frame of all originals, in their order, and all copies of any fold; and the folds,
        whose training parts hold their copies too.
    """
    parts = []
    for fold in folds:
        targets = _targets(copies, cells, fold.train)
        parts.append(augmentation.expand(_part(cells, fold.train), targets, seed))
    everything = augmentation.expand(cells, cells["label"].value_counts().to_dict(), seed)
    added = pd.concat([part[part["copy"] > 0] for part in parts])
    added = added.drop_duplicates("image_id").sort_values(["original", "copy"])
    everything = pd.concat([everything, added], ignore_index=True)
    everything.attrs = cells.attrs
    position = pd.Series(everything.index, index=everything["image_id"])
    augmented = [
        fold._replace(train=np.sort(position[part["image_id"]].to_numpy()))
        for fold, part in zip(folds, parts, strict=True)
    ]
    return everything, augmented


def _targets(copies, cells, positions):
    """Return the images per class that a part has after augmentation (see `divide`)."""
    if "counts" in copies:
        return _share(copies["counts"], cells, positions)
    present = cells["label"].iloc[positions].value_counts().to_dict()
    if "each" in copies:
        return {label: (1 + copies["each"]) * count for label, count in present.items()}
    return dict.fromkeys(present, max(present.values()))


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
