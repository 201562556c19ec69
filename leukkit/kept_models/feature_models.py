"""Keep a classifier on features with what is needed to use it on other images."""

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.model_selection import check_cv

from leukkit import classifiers, kept_models, outliers
from leukkit.kept_models import classifier_files


def keep_classifier(folder, fitted, facts, *, features, cells, train, tuning):
    """Write ``model.skops``, ``predictor.json`` and ``predictor.npz`` into a fold's folder.

    Such a run has no validation part. What takes its place is the held-out part of the first
    tuning fold: a classifier with the same settings, fitted on the rest of the training images,
    gives the scores for the temperature, and the reference embeddings are of that rest. Augmented
    copies serve for fitting only.

    Args:
        folder: The fold's folder.
        fitted: The fitted classifier of the fold.
        facts: The fields of `kept_models.FIELDS` that are not found out here.
        features: float32 (images, features), rows as in ``cells``.
        cells: The `cells` frame.
        train: Positions of the training part.
        tuning: A number of stratified folds, or (train, test) positions within ``train``.
    """
    classifier_files.save(fitted, folder / kept_models.CLASSIFIER)
    part, rows = cells.iloc[train], features[train]
    labels = part["label"].to_numpy(dtype=object).astype(str)
    original = (part["copy"] == 0).to_numpy() if "copy" in part else np.ones(len(part), bool)
    fit, held = _first(tuning, rows, labels)
    held = held[original[held]]
    reference = outliers.draw(fit[original[fit]], facts["seed"])
    facts = {
        "model": kept_models.CLASSIFIER,
        **facts,
        **kept_models.image_facts(part[original], facts["seed"]),
    }
    kept_models.write(
        folder,
        facts,
        training=(rows[reference], labels[reference]),
        validation=rows[held],
        held_out=_scores(fitted, rows, labels, part, fit, held, facts["classes"]),
    )


def _first(tuning, rows, labels):
    """Return the first fold in which hyperparameters were chosen (or would have been)."""
    if isinstance(tuning, int):
        fit, held = next(check_cv(tuning, labels, classifier=True).split(rows, labels))
    else:
        fit, held = tuning[0]
    return np.asarray(fit), np.asarray(held)


def _scores(fitted, rows, labels, part, fit, held, classes):
    """Return the held-out predictions of the same classifier fitted without them, or why not."""
    if set(labels[fit]) != set(classes):
        return "the first tuning fold does not hold every class"
    again = clone(getattr(fitted, "best_estimator_", fitted)).fit(rows[fit], labels[fit])
    scores = classifiers.class_scores(again, rows[held], classes)
    table = part[["image_id", "subject", "label"]].iloc[held].reset_index(drop=True)
    return table.join(pd.DataFrame(scores, columns=[f"prob_{name}" for name in classes]))
