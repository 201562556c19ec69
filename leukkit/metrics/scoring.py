"""Scores of predictions: the only place where accuracy, recall, F1, AUC and their like are made."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from leukkit.metrics.predictions import Arrays, arrays, cluster_codes, with_probabilities

NAMES = (
    "accuracy",
    "sensitivity",
    "specificity",
    "precision",
    "f1",
    "auc",
    "weighted_f1",
    "balanced_accuracy",
)


def confusion(predictions: pd.DataFrame) -> pd.DataFrame:
    """Count the images by actual class (rows) and predicted class (columns), as in Figure 9.

    Source: farag2025, section IV.B.

    Returns:
        A frame of ints (classes x classes), ``index.name`` "actual", ``columns.name`` "predicted".
    """
    from sklearn.metrics import confusion_matrix

    classes, actual, predicted, _ = arrays(predictions)
    counts = confusion_matrix(actual, predicted, labels=range(len(classes)))
    rows, columns = pd.Index(classes, name="actual"), pd.Index(classes, name="predicted")
    return pd.DataFrame(counts, index=rows, columns=columns)


def scores(predictions: pd.DataFrame, positive: str | None = None) -> pd.Series:
    """Compute the eight scores of the kit.

    accuracy, specificity, sensitivity, precision and f1 are equations 2 to 6 of farag2025
    (section IV.B). f1 is computed as 2 TP / (2 TP + FP + FN): equal to equation 6 and 0, not
    undefined, where no positive image is found. auc is the area under the ROC curve. weighted_f1,
    the f1 of each class weighted by its images, is the measure of the C-NMC 2019 challenge;
    balanced_accuracy is the mean sensitivity over the classes.

    Args:
        predictions: See `leukkit.metrics.predictions`.
        positive: The positive class. None means the last class if there are two. With more, None
            gives the mean over the classes, each against the rest (macro average), of
            sensitivity, specificity, precision, f1 and auc. The other three never depend on it.

    Returns:
        A Series of float64 indexed by `NAMES`. NaN where undefined: precision if nothing was
        predicted positive, sensitivity and balanced_accuracy if a class is absent, specificity if
        everything is positive, auc if only one class is present, and means over such values.

    Raises:
        ValueError: As `check_predictions`, or ``positive`` is none of the classes.
    """
    weights = np.ones((len(predictions), 1))
    return weighted_scores(arrays(predictions), weights, positive).iloc[0].rename(None)


def class_scores(counts: NDArray) -> dict[str, NDArray[np.float64]]:
    """Compute precision, recall, F1 and specificity of each class from confusion matrices.

    Args:
        counts: (..., actual, predicted).

    Returns:
        Dict of ``precision``, ``recall`` (also named ``sensitivity``), ``f1`` and ``specificity``
        to float64 (..., classes); NaN where undefined, see `scores`.
    """
    hits = np.diagonal(counts, axis1=-2, axis2=-1)
    actual, predicted = counts.sum(axis=-1), counts.sum(axis=-2)
    others = counts.sum(axis=(-2, -1))[..., None] - actual
    with np.errstate(invalid="ignore"):  # 0 / 0 is NaN: undefined
        recall = hits / actual
        return {
            "precision": hits / predicted,
            "recall": recall,
            "sensitivity": recall,
            "f1": 2 * hits / (actual + predicted),
            "specificity": (others - predicted + hits) / others,
        }


def weighted_scores(answers: Arrays, weights: NDArray, positive: str | None) -> pd.DataFrame:
    """Compute `scores` for many weightings of the same images.

    The weights (images, weightings) say how often each image counts. The frame (weightings,
    `NAMES`) is NaN where a score is undefined.

    Raises:
        ValueError: ``positive`` is none of the classes.
    """
    classes, size = answers.classes, len(answers.classes)
    if positive not in (None, *classes):
        raise ValueError(f"positive={positive!r} is none of the classes {', '.join(classes)}")
    codes = [classes.index(positive or classes[-1])] if positive or size == 2 else range(size)
    fields = np.eye(size * size)[answers.actual * size + answers.predicted]
    counts = (weights.T @ fields).reshape(-1, size, size)
    actual, total = counts.sum(axis=-1), counts.sum(axis=(-2, -1))
    per_class = class_scores(counts)
    areas = [
        weighted_auc(answers.actual == code, answers.probabilities[:, code], weights)
        for code in codes
    ]
    values = {name: value[:, codes].mean(axis=-1) for name, value in per_class.items()} | {
        "accuracy": np.trace(counts, axis1=-2, axis2=-1) / total,
        "weighted_f1": np.where(actual > 0, actual * per_class["f1"], 0).sum(axis=-1) / total,
        "balanced_accuracy": per_class["sensitivity"].mean(axis=-1),
        "auc": sum(areas) / len(areas),
    }
    return pd.DataFrame(values)[list(NAMES)]


def weighted_auc(
    positive: NDArray[np.bool_], scores: NDArray, weights: NDArray
) -> NDArray[np.float64]:
    """Area under the ROC curve for many weightings (images, weightings) of the same images.

    The share of pairs of a positive and a negative image, each counted by the product of the
    weights, in which the positive one has the higher score; equal scores count one half. NaN where
    the positive or the negative images weigh nothing.
    """
    order = np.argsort(scores[~positive])
    negative_scores = scores[~positive][order]
    below = np.zeros((len(order) + 1, weights.shape[1]))  # weight of the first 0, 1, 2, … negatives
    np.cumsum(weights[~positive][order], axis=0, out=below[1:])
    lower = np.searchsorted(negative_scores, scores[positive], side="left")
    not_higher = np.searchsorted(negative_scores, scores[positive], side="right")
    won = np.einsum("ij,ij->j", weights[positive], below[lower] + below[not_higher]) / 2
    with np.errstate(invalid="ignore"):  # 0 / 0 is NaN: undefined
        return won / (weights[positive].sum(axis=0) * below[-1])


def patient_vote(predictions: pd.DataFrame) -> pd.DataFrame:
    """Let the cells of each subject vote on its class.

    Returns:
        A frame of predictions with one row per subject (``image_id`` is the subject, too) and
        its number of ``cells``. ``prob_<class>`` is the share of the cells whose predicted class
        it is. The mean probability of the cells decides between equal shares: it is mixed in
        with a weight of 1e-9.

    Raises:
        ValueError: As `check_predictions`; or a subject is missing or has two labels.
    """
    answers = arrays(predictions)
    clusters, _ = cluster_codes(predictions, "subject")
    labels = predictions.groupby(clusters)["label"].nunique()
    if (labels > 1).any():
        name = predictions["subject"].iloc[np.argmax(clusters == labels.idxmax())]
        raise ValueError(
            f"subject {name!r} has cells of {labels.max()} classes: one subject cannot be voted "
            "into one class. Check the labels, or the subjects, of this data set"
        )
    votes = pd.DataFrame(np.eye(len(answers.classes))[answers.predicted]).groupby(clusters).mean()
    chances = pd.DataFrame(answers.probabilities).groupby(clusters).mean()
    mixed = (1 - 1e-9) * votes + 1e-9 * chances.div(chances.sum(axis=1), axis=0)
    voted = predictions[["subject", "label"]].drop_duplicates("subject").reset_index(drop=True)
    voted.insert(0, "image_id", voted["subject"])
    voted["cells"] = np.bincount(clusters)
    return with_probabilities(voted, mixed, answers.classes)
