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
    """Keep whole subjects on one side, and augmentation inside training: see `grouped`."""
    return grouped("leak-free", cells, counts, by="subject", **options)


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
        return splits.subject_kfold(some_cells, folds=number, seed=seed, by=by, missing=missing)

    outer = split(cells, folds)
    if not counts:
        return Protocol(name, cells, outer, _tuning(cells, outer, split, tuning_folds))
    everything, augmented = _augment_training(cells, outer, {"counts": counts}, seed)
    tuning = _tuning(cells, outer, split, tuning_folds, everything, augmented)
    return Protocol(name, everything, augmented, tuning)


def _tuning(cells, outer, split, number, everything=None, augmented=None):
    """Divide each training part for choosing hyperparameters, by the rule that made the folds.

    Args:
        cells: The originals.
        outer: The folds of the originals.
        split: Function of (cells, number of folds) to folds.
        number: Of folds within a training part.
        everything: The frame with the copies, if there are any.
        augmented: The folds in that frame.

    Returns:
        For each fold a list of ``(train, test)`` positions within its training part; copies of the
        fitting side only.
    """
    tuning = []
    for position, original in enumerate(outer):
        originals = _part(cells, original.train)
        inner = split(originals, number)
        if augmented is None:
            tuning.append(_pairs(inner))
        else:
            training = everything.iloc[augmented[position].train]
            tuning.append([_with_copies(training, originals, fold) for fold in inner])
    return tuning


def divide(cells, table, seed=0, name="", tuning_folds=0):
    """Divide images as a table of a paper card says (``[profiles.<profile>.protocols.<name>]``).

    Args:
        cells: The `cells` frame, originals only.
        table: Dict with these keys, all but ``split`` optional where they do not apply:

            * ``split``: ``"holdout"`` (once), ``"stratified"`` (folds of single images),
              ``"subject"`` (folds of whole groups), ``"counts"`` (once, exactly
              ``test_counts`` images of each class for the test, single images) or ``"official"``
              (once: train on the training phase, test on the preliminary phase; subjects in both
              are tested only, and validation is whole subjects, a share of the training phase).
            * ``test``: Share of all images for the test (holdout).
            * ``validation``: Share of all images for validation; or ``"test"``: the test part is
              watched during training, too, as some papers do.
            * ``folds``: Number of folds. ``by``, ``missing``, ``embargo``: as in
              `splits.subject_kfold`; a holdout takes the first two as well.
            * ``augment``: ``"before"`` copies images of the whole set and then splits, so that
              copies of one original fall on both sides. ``"after"`` copies training images only.
            * ``copies``: ``{counts = {...}}`` images per class after augmentation of the whole set
              (a training part gets its share of them), ``{balance = true}`` as many as the largest
              class has, or ``{each = 10}`` ten copies of each original.
        seed: Draws the split and the copies.
        name: The protocol's name.
        tuning_folds: Folds of whole subjects within each training part, for a grid search.
            0 for none: networks choose on ``fold.validation``.

    Returns:
        A `Protocol`.

    Raises:
        ValueError: An unknown key or value, a missing key, or a split that these images do not
            allow (see `leukkit.splits`); or a grid search within a set that was copied before.
        protocol_tables.NoPhaseError: ``"official"``, and there is no preliminary phase.
    """
    protocol_tables.check(table)
    augment, copies = table.get("augment"), table.get("copies")
    if augment == "before":
        if tuning_folds:
            raise ValueError("augment = 'before' mixes the copies: no grid search without leaks")
        everyone = np.arange(len(cells))
        cells = augmentation.expand(cells, _targets(copies, cells, everyone), seed)
    folds = protocol_tables.split(cells, table, seed)
    originals, outer, copied = cells, folds, ()
    if augment == "after":
        # How many images a set has with its copies is said of what a paper trains and tests on;
        # the preliminary phase is no part of that.
        phase = cells["split"] != "preliminary" if table["split"] == "official" else None
        whole = len(cells) if phase is None else int(phase.fillna(True).sum())
        cells, folds = _augment_training(cells, folds, copies, seed, whole)
        copied = (cells, folds)
    if table.get("validation") == "test":
        folds = [fold._replace(validation=fold.test) for fold in folds]
    tuning = []
    if tuning_folds:

        def split(part, number):
            return splits.subject_kfold(part, folds=number, seed=seed)

        tuning = _tuning(originals, outer, split, tuning_folds, *copied)
    return Protocol(name, cells, folds, tuning)


def _augment_training(cells, folds, copies, seed, whole=None):
    """Add copies of training images; validation and test hold originals.

    Returns:
        The frame of all originals, in their order, and all copies of any fold; and the folds,
        whose training parts hold their copies too.
    """
    parts = []
    for fold in folds:
        targets = _targets(copies, cells, fold.train, whole)
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


def _targets(copies, cells, positions, whole=None):
    """Return the images per class that a part has after augmentation (see `divide`)."""
    if "counts" in copies:
        return _share(copies["counts"], cells, positions, whole or len(cells))
    present = cells["label"].iloc[positions].value_counts().to_dict()
    if "each" in copies:
        return {label: (1 + copies["each"]) * count for label, count in present.items()}
    return dict.fromkeys(present, max(present.values()))


def _part(cells, positions):
    part = cells.iloc[positions].reset_index(drop=True)
    part.attrs = cells.attrs
    return part


def _share(counts, cells, train, whole):
    """Scale the counts of ``whole`` images to a training part; never below its originals."""
    present = cells["label"].iloc[train].value_counts()
    return {
        label: max(int(present.get(label, 0)), round(count * len(train) / whole))
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
