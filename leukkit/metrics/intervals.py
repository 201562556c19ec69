"""Scores with their intervals: leaving out one subject at a time, and how an interval is written.

The cells of a subject are alike, so what varies is the subject. Each score is computed again
without each subject in turn (the jackknife over clusters). Percentiles of a bootstrap over subjects
cover too little where subjects are few or unequal in size: `benchmarks/bench_coverage.py`.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from leukkit.metrics import calibration
from leukkit.metrics.predictions import arrays, cluster_codes, groups
from leukkit.metrics.scoring import patient_vote, weighted_scores

OF_A_CLASS = ("precision", "recall", "sensitivity", "specificity", "f1", "auc", "support")
LEVEL = 0.95
FEWEST = 4  # subjects: with three of a class, the interval of its sensitivity is 0.9 wide or more
_NOTHING = 1e-9  # a standard error below this is rounding


class LeftOut(NamedTuple):
    """Scores of all predictions, and without each subject in turn.

    Attributes:
        points: The scores, `NAMES` and ``calibration_error``.
        changes: How they change without one subject, (subjects, scores); NaN where undefined then.
        classes: Class of each subject (of most of its images), as a position.
        images: How many each subject has.
        rests_on: How many subjects each score rests on: those of the class without which it is not
            defined (of the smaller one, if there are two), else all.
    """

    points: pd.Series
    changes: pd.DataFrame
    classes: NDArray[np.intp]
    images: NDArray[np.intp]
    rests_on: pd.Series


def jackknife(
    predictions: pd.DataFrame, by: str = "subject", positive: str | None = None
) -> pd.DataFrame:
    """Give each score a 95% interval by leaving out one subject at a time.

    The intervals say how the scores of these trained models vary with the subjects tested, not how
    they vary with the subjects trained on. See `interval`.

    Args:
        predictions: See `leukkit.metrics.predictions`.
        by: The column whose values are left out. ``"image_id"`` treats every image as independent.
        positive: As in `scores`.

    Returns:
        The frame of `interval`, with ``clusters`` (number of subjects).

    Raises:
        ValueError: As `leave_out`.
    """
    left_out = leave_out(predictions, by, positive)
    return interval(left_out).assign(clusters=len(left_out.changes))


def leave_out(
    predictions: pd.DataFrame, by: str = "subject", positive: str | None = None
) -> LeftOut:
    """Score the predictions without each subject in turn; arguments as in `jackknife`.

    Raises:
        ValueError: As `scores`; or ``by`` has missing values or fewer than two different ones.
    """
    answers = arrays(predictions)
    clusters, number = cluster_codes(predictions, by)
    if number < 2:
        raise ValueError(
            f"all {len(predictions)} predictions have the same {by}: an interval over one {by} "
            "says nothing. Test on more, or pass another column (by=...)"
        )

    def without(codes: NDArray, those: NDArray) -> pd.DataFrame:
        weights = (codes[:, None] != those).astype(float)
        errors = calibration.weighted_errors(predictions, weights)
        return weighted_scores(answers, weights, positive).assign(calibration_error=errors)

    at_once = max(1, 500_000 // len(clusters))  # keeps the weights of all images small
    parts = [
        without(clusters, np.arange(first, min(first + at_once, number)))
        for first in range(0, number, at_once)
    ]
    points = without(clusters, np.array([-1])).iloc[0].rename(None)
    names = pd.Index(predictions[by].unique(), name=by)
    changes = pd.concat(parts).set_axis(names) - points
    counts = np.zeros((number, len(answers.classes)), dtype=int)
    np.add.at(counts, (clusters, answers.actual), 1)
    classes = counts.argmax(axis=1)
    present = np.unique(answers.actual)
    rests_on = pd.Series(number, index=points.index)
    if len(present) > 1:
        is_undefined = without(answers.actual, present).isna().to_numpy()
        of_class = np.bincount(classes, minlength=len(answers.classes))[present]
        rests_on[:] = np.where(is_undefined, of_class[:, None], number).min(axis=0)
    return LeftOut(points, changes, classes, counts.sum(axis=1), rests_on)


def interval(left_out: LeftOut) -> pd.DataFrame:
    """Return the 95% interval of each score between 0 and 1.

    It is symmetric on the logit scale: jackknife standard error times the quantile of Student's t.
    Its degrees of freedom are Satterthwaite's: each class adds its squared changes, and has its
    effective number of subjects (Kish: squared sum of their images by sum of squares) less one.
    That of the calibration error is plain, cut at 0.

    Where no subject changes a score (no image wrong, or one class predicted) there is no standard
    error. Then the interval is the exact one of Clopper and Pearson, as though each subject the
    score rests on were one image.

    Returns:
        Frame indexed by score: ``point``, ``low``, ``high``, ``error`` (standard error),
        ``freedom`` (its degrees) and ``rests_on`` (see `LeftOut`). ``low`` and ``high`` are
        infinite where this is below `FEWEST`: too few subjects to say anything.
    """
    from scipy.special import expit, logit
    from scipy.stats import beta

    point = left_out.points
    error, freedom, reach = _spread(left_out)
    ends = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    right, wrong = point * left_out.rests_on, (1 - point) * left_out.rests_on
    exact = (
        np.where(right > 0, beta.ppf(ends[0], right, wrong + 1), 0),
        np.where(wrong > 0, beta.ppf(ends[1], right + 1, wrong), 1),
    )
    varies = error > _NOTHING
    inside = point.where(varies, 0.5)
    half = reach / (inside * (1 - inside))
    low, high = (
        pd.Series(expit(logit(inside) + side * half)).where(varies, end)
        for side, end in zip((-1, 1), exact, strict=True)
    )
    if varies.get("calibration_error", False):  # a distance, no share: often close to 0
        ends = point["calibration_error"] + reach["calibration_error"] * np.array([-1, 1])
        low["calibration_error"], high["calibration_error"] = ends.clip(0, 1)
    return _frame(left_out, "point", low, high, error, freedom)


def difference(one: LeftOut, other: LeftOut) -> pd.DataFrame:
    """Return how much higher each score of ``one`` is, leaving out the same subjects of both.

    Each end is the farther of two. The plain one, standard error of the paired difference times the
    quantile of Student's t, is right where both scores vary alike. Where one is better it varies
    less, the difference is skewed, and the end on the logit scale is right: each score moves by its
    covariance with the difference, as `interval` would move it if the other did not vary.

    Where no subject changes a difference other than 0, each subject counts as one that could also
    have had the opposite: Clopper and Pearson's limit for the share, and the sign test.

    Returns:
        Frame as of `interval`, ``difference`` in place of ``point``; and ``p``, two-sided, that
        there is no difference (NaN for too few subjects), by the plain interval.

    Raises:
        ValueError: The subjects are not the same.
    """
    from scipy.stats import t

    if set(one.changes.index) != set(other.changes.index):
        raise ValueError(
            f"{len(one.changes)} and {len(other.changes)} subjects, which are not the same: "
            "a paired difference needs the same test subjects on both sides"
        )
    between = one._replace(
        points=one.points - other.points,
        changes=one.changes - other.changes.loc[one.changes.index],
        rests_on=np.minimum(one.rests_on, other.rests_on),
    )
    point, number = between.points, between.rests_on
    error, freedom, reach = _spread(between)
    varies, differs = error > _NOTHING, point.abs() > _NOTHING
    opposite = 2 * (1 - ((1 - LEVEL) / 2) ** (1 / number)) * point
    far = [_moved(one, other, between, side * reach / error.where(varies) ** 2) for side in (-1, 1)]
    low = np.fmin(point - reach, far[0]).where(varies, point - opposite.clip(lower=0))
    high = np.fmax(point + reach, far[1]).where(varies, point - opposite.clip(upper=0))
    p = pd.Series(2 * t.sf(point.abs() / error.where(varies, 1), freedom), point.index)
    p = p.where(varies, np.where(differs, 0.5 ** (number - 1), 1))
    frame = _frame(between, "difference", low, high, error, freedom)
    return frame.assign(p=p.where(np.isfinite(frame["low"])))


def holm(p: pd.Series) -> pd.Series:
    """Correct p values for their number (Holm 1979); missing ones are not counted."""
    rising = p.dropna().sort_values()
    factors = np.arange(len(rising), 0, -1)
    return (rising * factors).cummax().clip(upper=1).reindex(p.index)


def measure(predictions: pd.DataFrame, intervals: bool | LeftOut = True) -> pd.DataFrame:
    """Score pooled predictions in every way: of all images, and of each class.

    Args:
        predictions: See `leukkit.metrics.predictions`.
        intervals: Whether scores have one. What `leave_out` gave for the groups of these
            predictions gives the scores of all theirs, and saves leaving them out again.

    Returns:
        Frame, one row per number:

        * ``label``: the class that counts as positive; NA for the score of all (of two classes the
          last is positive, of more the mean over the classes).
        * ``quantity``: the scores of `NAMES`, ``recall`` (the sensitivity) and ``support``
          (images). For all also ``loss`` (mean negative log likelihood), ``calibration_error`` and
          ``patient_level_accuracy`` (NaN where subjects are not known or have several classes).
        * ``value``: of the pooled predictions. ``low, high``: 95% interval (see `interval`) over
          ``groups`` (``groups_are``: subjects, their block proxies, or original images), infinite
          where these are too few. The ``calibration_error`` of few images is itself too high, and
          its interval with it. That of the ``patient_level_accuracy`` is exact.
        * ``mean, sd``: over the folds, each scored by itself; NaN where there is one.
        * ``images, groups``: how many.

    Raises:
        ValueError: As `leave_out`.
    """
    answers = arrays(predictions)
    classes = answers.classes
    over, groups_are = groups(predictions)
    grouped = predictions.assign(group=over)
    names = sorted(predictions["fold"].dropna().unique()) if "fold" in predictions else []
    counted = [np.full(len(predictions), True)]
    if len(names) > 1:
        counted += [(predictions["fold"] == name).to_numpy() for name in names]
    weights = np.array(counted, dtype=float).T
    of_all = pd.DataFrame([_of_all(predictions[part]) for part in counted])
    positives = (classes[-1] if len(classes) == 2 else None, *classes)
    scored = {one: weighted_scores(answers, weights, one) for one in set(positives)}
    if isinstance(intervals, LeftOut):
        ends = {positives[0]: interval(intervals)}
    else:
        ends = {one: jackknife(grouped, "group", one) for one in scored if intervals}
    frames = []
    for label, positive in zip((None, *classes), positives, strict=True):
        values = scored[positive].assign(recall=scored[positive]["sensitivity"])
        if label is None:
            values = values.join(of_all)
        else:
            is_label = answers.actual == classes.index(label)
            values = values.assign(support=is_label @ weights)[list(OF_A_CLASS)]
        frame = values.iloc[0].to_frame("value").rename_axis("quantity")
        frame = frame.assign(low=np.nan, high=np.nan, mean=np.nan, sd=np.nan)
        if len(counted) > 1:
            by_fold = values.iloc[1:]
            frame["mean"], frame["sd"] = by_fold.mean(skipna=False), by_fold.std(skipna=False)
        if positive in ends:
            frame.update(ends[positive][["low", "high"]])
            frame.loc["recall"] = frame.loc["sensitivity"]
        if ends and label is None and _can_vote(predictions):
            exact = patient_level_accuracy(predictions)[1:]
            frame.loc["patient_level_accuracy", ["low", "high"]] = exact
        frame.insert(0, "label", pd.array([label] * len(frame), dtype="string"))
        frames.append(frame.reset_index())
    counts = {"images": len(predictions), "groups": over.nunique(), "groups_are": groups_are}
    return pd.concat(frames, ignore_index=True).assign(**counts)


def patient_level_accuracy(predictions: pd.DataFrame) -> tuple[float, float, float]:
    """Return the share of subjects whose cells vote for the right class, and its 95% interval.

    Subjects are independent, so the interval is the exact one for a share (Clopper and Pearson).

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
    predicted, is called ``undefined``. Without an interval (``low`` missing) the number is alone;
    an infinite one is called ``too few subjects``.
    """
    if pd.isna(value):
        return "undefined"
    if pd.isna(low):
        return f"{value:.{decimals}f}"
    if np.isinf(low):
        return f"{value:.{decimals}f} (too few subjects)"
    return f"{value:.{decimals}f} ({low:.{decimals}f} to {high:.{decimals}f})"


def _spread(left_out: LeftOut) -> tuple[pd.Series, pd.Series, pd.Series]:
    """Return standard error, degrees of freedom, and the error times the quantile of t."""
    from scipy.stats import t

    number, images = len(left_out.changes), left_out.images
    is_of = left_out.classes == np.unique(left_out.classes)[:, None]
    squares = pd.DataFrame(is_of @ left_out.changes.to_numpy() ** 2, columns=left_out.points.index)
    error = np.sqrt((number - 1) / number * squares.sum(skipna=False))
    of_class = ((is_of @ images) ** 2 / (is_of @ images**2) - 1).clip(1)
    with np.errstate(invalid="ignore"):  # 0 / 0: no subject changes the score
        freedom = squares.sum() ** 2 / (squares**2).div(of_class, axis=0).sum()
    return error, freedom, t.ppf((1 + LEVEL) / 2, freedom) * error


def _moved(one: LeftOut, other: LeftOut, between: LeftOut, times: pd.Series) -> pd.Series:
    """Return the difference after moving both scores on the logit scale; NaN for no share.

    ``times`` says how many times their covariance with the difference.
    """
    from scipy.special import expit, logit

    ends = []
    for score in (one, other):
        together = (score.changes * between.changes).sum() * (1 - 1 / len(between.changes))
        inside = score.points.where(score.points.between(0, 1, "neither"))
        moved = expit(logit(inside) + times * together / (inside * (1 - inside)))
        ends.append(moved.fillna(score.points))  # no subject changes a score of 0 or 1
    moved = (ends[0] - ends[1]).reindex(between.points.index)
    return moved.mask(moved.index == "calibration_error")  # a distance, no share


def _frame(left_out, name, low, high, error, freedom):
    """Put an interval together: infinite where it rests on too few subjects."""
    is_enough = (left_out.rests_on >= FEWEST) & error.notna()
    columns = {
        name: left_out.points,
        "low": low.where(is_enough, -np.inf).where(left_out.points.notna()),
        "high": high.where(is_enough, np.inf).where(left_out.points.notna()),
        "error": error,
        "freedom": freedom,
        "rests_on": left_out.rests_on,
    }
    return pd.DataFrame(columns).rename_axis("metric")


def _of_all(predictions):
    """Return what is no score of one class."""
    likelihoods = arrays(predictions).likelihoods.clip(1e-7, 1)  # the clip is Keras's
    right = patient_level_accuracy(predictions)[0] if _can_vote(predictions) else np.nan
    return {
        "support": len(predictions),
        "loss": -np.log(likelihoods).mean(),
        "calibration_error": calibration.expected_calibration_error(predictions),
        "patient_level_accuracy": right,
    }


def _can_vote(predictions):
    labels = predictions.groupby("subject")["label"].nunique()
    return groups(predictions)[1] == "subjects" and (labels == 1).all()
