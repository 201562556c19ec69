"""Scores with their intervals: the bootstrap over subjects, and how an interval is written."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from leukkit.metrics import calibration
from leukkit.metrics.predictions import arrays, check_predictions, cluster_codes, groups
from leukkit.metrics.scoring import patient_vote, scores, weighted_scores

OF_A_CLASS = ("precision", "recall", "sensitivity", "specificity", "f1", "auc", "support")
LEVEL = 0.95


def bootstrap(
    predictions: pd.DataFrame,
    by: str = "subject",
    draws: int = 2000,
    seed: int = 0,
    positive: str | None = None,
) -> pd.DataFrame:
    """Give each score a 95% interval by resampling whole subjects with replacement.

    The cells of a subject are alike, so an interval that resamples single cells is too narrow. The
    intervals (percentiles of the resampled scores) say how the scores of these trained models vary
    with the subjects tested, not how they vary with the subjects trained on. Where every resample
    gives the same value (no image wrong, or one class predicted), the interval has no width: the
    images at hand cannot tell more, which is no certainty.

    Args:
        predictions: See `leukkit.metrics.predictions`.
        by: The column whose values are resampled. ``"image_id"`` treats every image as independent.
        draws: Number of resamples.
        seed: What the resamples depend on.
        positive: As in `scores`.

    Returns:
        A frame indexed by score with ``point`` (as `scores`), ``low``, ``high``, ``draws`` (those
        in which the score was defined; the others are left out) and ``clusters`` (number of
        subjects).

    Raises:
        ValueError: As `scores`; or ``by`` has missing values or fewer than two different ones.
    """
    resampled = resample(predictions, by, None, draws, seed, positive)
    low, high = resampled.quantile([(1 - LEVEL) / 2, (1 + LEVEL) / 2]).to_numpy()
    frame = scores(predictions, positive).to_frame("point").rename_axis("metric")
    return frame.assign(
        low=low, high=high, draws=resampled.notna().sum(), clusters=predictions[by].nunique()
    )


def resample(
    predictions: pd.DataFrame,
    by: str = "subject",
    order: Sequence | None = None,
    draws: int = 2000,
    seed: int = 0,
    positive: str | None = None,
) -> pd.DataFrame:
    """Score the predictions in every resample of a bootstrap over subjects.

    With the same ``order`` and ``seed``, the resamples of two runs hold the same subjects: the
    differences of their scores are paired.

    The arguments are those of `bootstrap`. ``order`` holds the values of ``by`` as they are
    numbered; None numbers them as they come.

    Returns:
        Frame (draws, `NAMES`), NaN where a score is not defined.

    Raises:
        ValueError: As `bootstrap`, or a value of ``by`` is not in ``order``.
    """
    answers = arrays(predictions)
    parts = [
        weighted_scores(answers, weights, positive)
        for weights in resampled_weights(predictions, by, order, draws, seed)
    ]
    return pd.concat(parts, ignore_index=True)


def measure(predictions: pd.DataFrame, draws: int = 2000, seed: int = 0) -> pd.DataFrame:
    """Score pooled predictions in every way: of all images, and of each class.

    The intervals are of ``draws`` resamples; 0 gives none.

    Returns:
        Frame, one row per number:

        * ``label``: the class that counts as positive; NA for the score of all (of two classes the
          last is positive, of more the mean over the classes).
        * ``quantity``: the scores of `NAMES`, ``recall`` (the sensitivity) and ``support``
          (images). For all also ``loss`` (mean negative log likelihood), ``calibration_error`` and
          ``patient_level_accuracy`` (NaN where subjects are not known or have several classes).
        * ``value``: of the pooled predictions. ``low, high``: 95% interval over ``groups``
          (``groups_are``: subjects, their block proxies, or original images). That of the
          ``calibration_error`` leans upward: resampled subjects make the bins more unequal, so it
          can even leave out a very small value. That of the ``patient_level_accuracy`` is exact.
        * ``mean, sd``: over the folds, each scored by itself; NaN where there is one.
        * ``images, groups``: how many.

    Raises:
        ValueError: As `bootstrap`.
    """
    classes = check_predictions(predictions)
    over, groups_are = groups(predictions)
    grouped = predictions.assign(group=over)
    folds = [fold for _, fold in predictions.groupby("fold")] if "fold" in predictions else []
    positives = (classes[-1] if len(classes) == 2 else None, *classes)
    ends = {
        positive: bootstrap(grouped, "group", draws, seed, positive)[["low", "high"]]
        for positive in set(positives)
        if draws
    }
    frames = []
    for label, positive in zip((None, *classes), positives, strict=True):
        frame = _values(predictions, label).to_frame("value").rename_axis("quantity")
        frame = frame.assign(low=np.nan, high=np.nan, mean=np.nan, sd=np.nan)
        if len(folds) > 1:
            by_fold = pd.DataFrame([_values(fold, label) for fold in folds])
            frame["mean"], frame["sd"] = by_fold.mean(skipna=False), by_fold.std(skipna=False)
        if draws:
            frame.update(ends[positive])
            frame.loc["recall"] = frame.loc["sensitivity"]
        if draws and label is None:
            weights = resampled_weights(grouped, "group", None, draws, seed)
            errors = [calibration.weighted_errors(grouped, some) for some in weights]
            limits = np.quantile(np.concatenate(errors), [0.025, 0.975])
            frame.loc["calibration_error", ["low", "high"]] = limits
            if _can_vote(predictions):
                exact = patient_level_accuracy(predictions)[1:]
                frame.loc["patient_level_accuracy", ["low", "high"]] = exact
        frame.insert(0, "label", pd.array([label] * len(frame), dtype="string"))
        frames.append(frame.reset_index())
    counts = {"images": len(predictions), "groups": over.nunique(), "groups_are": groups_are}
    return pd.concat(frames, ignore_index=True).assign(**counts)


def patient_level_accuracy(predictions: pd.DataFrame) -> tuple[float, float, float]:
    """Return the share of subjects whose cells vote for the right class, and its 95% interval.

    Subjects are independent, so the interval is the exact one for a share (Clopper and Pearson): a
    bootstrap would give none at all where all subjects are right.

    Raises:
        ValueError: As `patient_vote`.
    """
    from scipy.stats import binomtest

    is_right = arrays(patient_vote(predictions)).is_right
    test = binomtest(int(is_right.sum()), len(is_right))
    return test.statistic, *test.proportion_ci(LEVEL, "exact")


def with_interval(
    value: float, low: float = np.nan, high: float = np.nan, decimals: int = 3
) -> str:
    """Return a number and its interval as text, e.g. ``0.931 (0.902 to 0.950)``.

    A score that the predictions do not define, such as the precision of a class that was never
    predicted, is called ``undefined``. Without an interval (``low`` missing) the number is alone.
    """
    if pd.isna(value):
        return "undefined"
    if pd.isna(low):
        return f"{value:.{decimals}f}"
    return f"{value:.{decimals}f} ({low:.{decimals}f} to {high:.{decimals}f})"


def resampled_weights(
    predictions: pd.DataFrame, by: str, order: Sequence | None, draws: int, seed: int
) -> Iterator[NDArray[np.float64]]:
    """Yield how often each image is in each resample: (images, some of the resamples)."""
    clusters, number = cluster_codes(predictions, by, order)
    if number < 2:
        raise ValueError(
            f"all {len(predictions)} predictions have the same {by}: a bootstrap over one {by} "
            "says nothing. Test on more, or pass another column (by=...)"
        )
    generator = np.random.default_rng(seed)
    at_once = max(1, 500_000 // len(clusters))  # keeps the weights of all images small
    for first in range(0, draws, at_once):
        picks = generator.integers(0, number, (min(at_once, draws - first), number))
        times = np.array([np.bincount(one, minlength=number) for one in picks], dtype=float)
        yield times.T[clusters]


def _values(predictions, label):
    """Return the values of one class, or of all (``label`` None)."""
    values = scores(predictions, positive=label)
    values["recall"] = values["sensitivity"]
    if label is not None:
        values["support"] = (predictions["label"] == label).sum()
        return values[list(OF_A_CLASS)]
    likelihoods = arrays(predictions).likelihoods.clip(1e-7, 1)  # the clip is Keras's
    values["support"] = len(predictions)
    values["loss"] = -np.log(likelihoods).mean()
    values["calibration_error"] = calibration.expected_calibration_error(predictions)
    right = patient_level_accuracy(predictions)[0] if _can_vote(predictions) else np.nan
    values["patient_level_accuracy"] = right
    return values


def _can_vote(predictions):
    labels = predictions.groupby("subject")["label"].nunique()
    return groups(predictions)[1] == "subjects" and (labels == 1).all()
