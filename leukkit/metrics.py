"""Scores and intervals, all computed from the predictions of a run.

``predictions`` is the frame that `leukkit.predictions` describes. All scores lie between 0 and 1; a
score that is not defined for the data at hand is NaN, never 0.
"""

import numpy as np
import pandas as pd

from leukkit import intervals
from leukkit.predictions import (
    check_predictions,
    class_codes,
    class_probabilities,
    cluster_codes,
    positive_code,
)

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


def confusion(predictions):
    """Count the images by actual class (rows) and predicted class (columns), as in Figure 9.

    Source: farag2025, section IV.B.

    Args:
        predictions: See `leukkit.predictions`.

    Returns:
        A frame of ints (classes x classes), ``index.name`` "actual", ``columns.name`` "predicted".

    Raises:
        ValueError: As `check_predictions`.
    """
    classes = check_predictions(predictions)
    actual, predicted = class_codes(predictions, classes)
    counts = np.zeros((len(classes), len(classes)), dtype=np.int64)
    np.add.at(counts, (actual, predicted), 1)
    return pd.DataFrame(
        counts,
        index=pd.Index(classes, name="actual"),
        columns=pd.Index(classes, name="predicted"),
    )


def scores(predictions, positive=None):
    """Compute the eight scores of the kit.

    accuracy, specificity, sensitivity, precision and f1 are equations 2 to 6 of farag2025
    (section IV.B). f1 is computed as 2 TP / (2 TP + FP + FN): equal to equation 6 and 0, not
    undefined, where no positive image is found. auc is the area under the ROC curve. weighted_f1,
    the f1 of each class weighted by its images, is the measure of the C-NMC 2019 challenge;
    balanced_accuracy is the mean sensitivity over the classes.

    Args:
        predictions: See `leukkit.predictions`.
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
    from sklearn.metrics import roc_auc_score

    classes = check_predictions(predictions)
    positive = positive_code(classes, positive)
    values = intervals.count_scores(confusion(predictions).to_numpy(), positive)
    actual, _ = class_codes(predictions, classes)
    probabilities = class_probabilities(predictions, classes)
    areas = [
        roc_auc_score(actual == code, probabilities[:, code])
        if 0 < (actual == code).sum() < len(actual)
        else np.nan
        for code in intervals.auc_codes(len(classes), positive)
    ]
    values["auc"] = np.mean(areas)
    return pd.Series(values, dtype=float)[list(NAMES)]


def bootstrap(predictions, by="subject", draws=2000, seed=0, level=0.95, positive=None):
    """Give each score an interval by drawing whole subjects again, with replacement.

    The cells of a subject are alike, so an interval that draws single cells is too narrow. The
    intervals (percentiles of the draws) say how the scores of these trained models vary with
    the subjects tested, not how they vary with the subjects trained on. Where every draw gives the
    same value (no image wrong, or one class predicted), the interval has no width: the images at
    hand cannot tell more, which is no certainty.

    Args:
        predictions: See `leukkit.predictions`.
        by: The column whose values are drawn. ``"image_id"`` treats every image as independent.
        draws: Number of draws.
        seed: What the draws depend on.
        level: Coverage of the intervals.
        positive: As in `scores`.

    Returns:
        A frame indexed by score with ``point`` (as `scores`), ``low``, ``high``, ``draws`` (those
        in which the score was defined; the others are left out) and ``clusters`` (number of
        subjects).

    Raises:
        ValueError: As `scores`; or ``by`` has missing values or fewer than two different ones.
    """
    classes = check_predictions(predictions)
    point = scores(predictions, positive)
    positive = positive_code(classes, positive)
    clusters, number = cluster_codes(predictions, by)
    if number < 2:
        raise ValueError(
            f"all {len(predictions)} predictions have the same {by}: a bootstrap over one {by} "
            "says nothing. Test on more, or pass another column (by=...)"
        )
    drawn = intervals.bootstrap_scores(
        class_codes(predictions, classes),
        class_probabilities(predictions, classes),
        clusters,
        number,
        draws,
        seed,
        positive,
    )
    rows = [
        (point[name], *intervals.percentile_interval(drawn[name], level), number) for name in NAMES
    ]
    return pd.DataFrame(
        rows,
        index=pd.Index(NAMES, name="metric"),
        columns=["point", "low", "high", "draws", "clusters"],
    )


def patient_vote(predictions):
    """Let the cells of each subject vote on its class.

    Args:
        predictions: See `leukkit.predictions`.

    Returns:
        A frame of predictions with one row per subject (``image_id`` is the subject, too) and
        its number of ``cells``. ``prob_<class>`` is the share of the cells whose predicted class
        it is. The mean probability of the cells decides between equal shares: it is mixed in
        with a weight of 1e-9.

    Raises:
        ValueError: As `check_predictions`; or a subject is missing or has two labels.
    """
    classes = check_predictions(predictions)
    clusters, number = cluster_codes(predictions, "subject")
    labels = predictions.groupby(clusters)["label"].nunique()
    if (labels > 1).any():
        name = predictions["subject"].iloc[np.argmax(clusters == labels.idxmax())]
        raise ValueError(
            f"subject {name!r} has cells of {labels.max()} classes: one subject cannot be voted "
            "into one class. Check the labels, or the subjects, of this data set"
        )
    _, predicted = class_codes(predictions, classes)
    votes, means = np.zeros((2, number, len(classes)))
    np.add.at(votes, (clusters, predicted), 1)
    np.add.at(means, clusters, class_probabilities(predictions, classes))
    cells = votes.sum(axis=1, keepdims=True)
    means /= means.sum(axis=1, keepdims=True)
    shares = np.minimum(1, (1 - 1e-9) * votes / cells + 1e-9 * means)  # rounding must not pass 1
    first = predictions.iloc[np.unique(clusters, return_index=True)[1]].reset_index(drop=True)
    frame = first[["subject", "label"]].assign(cells=cells[:, 0].astype(int))
    frame.insert(0, "image_id", first["subject"])
    return frame.assign(**{f"prob_{name}": shares[:, code] for code, name in enumerate(classes)})


def roc_points(predictions, positive=None):
    """Return the points of the ROC curve (farag2025, section IV.B and Figure 14).

    Args:
        predictions: See `leukkit.predictions`.
        positive: The positive class; with more than two classes it must be given.

    Returns:
        A frame with ``threshold`` (falling, from infinity), ``false_positive_rate`` and
        ``true_positive_rate``.

    Raises:
        ValueError: As `scores`; or only one side is present.
    """
    from sklearn.metrics import roc_curve

    classes = check_predictions(predictions)
    code = positive_code(classes, positive)
    if code is None:
        raise ValueError(f"a ROC curve of {len(classes)} classes needs positive=<class>: {classes}")
    actual, _ = class_codes(predictions, classes)
    if not 0 < (actual == code).sum() < len(actual):
        raise ValueError(
            f"a ROC curve needs images of {classes[code]!r} and others; here is only one kind"
        )
    false, true, thresholds = roc_curve(
        actual == code, class_probabilities(predictions, classes)[:, code]
    )
    return pd.DataFrame(
        {"threshold": thresholds, "false_positive_rate": false, "true_positive_rate": true}
    )
