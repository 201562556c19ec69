"""Can the probabilities be believed? Reliability, calibration error, temperature scaling.

The definitions are those of Guo et al. 2017, "On calibration of modern neural networks". Their
logits are taken as the logarithms of the probabilities: the soft-max of both is the same, also
after division by a temperature, so ``predictions.csv`` is enough.
"""

import warnings

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import softmax

from leukkit.metrics.predictions import arrays, with_probabilities

BINS = 15
FEWEST = 5  # subjects that tell whether a temperature helps others
PARTS = 10  # that they are divided into, at most
TEMPERATURES = (0.01, 100.0)  # the range that is searched
# Networks give float32: probabilities below this are rounded to 0, whose logarithm is infinite.
SMALLEST = float(np.finfo(np.float32).tiny)


def reliability(predictions: pd.DataFrame, bins: int = BINS) -> pd.DataFrame:
    """Compare confidence and accuracy in bins of equal width (Guo et al. 2017, section 2).

    Confidence is the probability of the predicted class. Bin m of M holds the images with a
    confidence in ((m - 1) / M, m / M].

    Returns:
        A row per bin: ``low, high`` (its ends), ``images``, and the means over these, NaN of none,
        ``confidence`` and ``accuracy``.

    Raises:
        ValueError: As `check_predictions`, or ``bins`` is no positive integer.
    """
    is_right, confidence, codes = _binned(predictions, bins)
    edges, images = np.arange(bins + 1) / bins, np.bincount(codes, minlength=bins)
    table = pd.DataFrame({"low": edges[:-1], "high": edges[1:], "images": images})
    for name, values in (("confidence", confidence), ("accuracy", is_right)):
        sums = np.bincount(codes, values, minlength=bins)
        table[name] = sums / np.where(images > 0, images, np.nan)
    return table


def expected_calibration_error(predictions: pd.DataFrame, bins: int = BINS) -> float:
    """Return the mean distance of confidence and accuracy (Guo et al. 2017, equation 3).

    The distances in the bins are weighted by their images: 0 (calibrated) to 1. The value depends
    on the number of bins. ValueError as `reliability`.
    """
    return float(weighted_errors(predictions, np.ones((len(predictions), 1)), bins)[0])


def weighted_errors(
    predictions: pd.DataFrame, weights: NDArray, bins: int = BINS
) -> NDArray[np.float64]:
    """Compute the expected calibration error for weights of shape (images, weightings).

    Within a bin the distance of confidence and accuracy, weighted by its images, is the sum of
    (right - confidence) over them.
    """
    is_right, confidence, codes = _binned(predictions, bins)
    surplus = np.eye(bins)[codes] * (is_right - confidence)[:, None]
    return np.abs(weights.T @ surplus).sum(axis=1) / weights.sum(axis=0)


def fit_temperature(validation_predictions: pd.DataFrame) -> float:
    """Find the temperature that makes the labels likeliest (Guo et al. 2017, section 4.2).

    It minimizes the mean negative log-likelihood of images that were neither trained nor tested
    on. Divided by a temperature above 1, probabilities become less extreme. It lies within
    ``TEMPERATURES``: where the likelihood rises up to an end (the lower if every image is right,
    the upper if the network is no better than chance) it is that end, with a warning. ValueError
    as `check_predictions`.
    """
    from scipy.optimize import brentq

    answers = arrays(validation_predictions)
    logits, own = _logits(answers.probabilities), _logits(answers.likelihoods)

    def slope(inverse):
        # Of the mean negative log-likelihood in 1 / temperature, where it is convex: one zero.
        return float(np.mean((softmax(logits * inverse, axis=1) * logits).sum(axis=1) - own))

    lowest, highest = TEMPERATURES
    if slope(1 / lowest) > 0 > slope(1 / highest):
        return float(1 / brentq(slope, 1 / highest, 1 / lowest, xtol=1e-12))
    end = lowest if slope(1 / lowest) <= 0 else highest
    warnings.warn(
        f"no temperature between {lowest} and {highest} is best for these {len(logits)} images; "
        f"{end} is taken. They are too few, all right, or no better than chance",
        stacklevel=2,
    )
    return end


def losses_of_others(predictions: pd.DataFrame, groups: ArrayLike) -> tuple[float, float]:
    """Return the mean log loss without and with a temperature that was fitted to other groups.

    The cells of one subject are alike: a temperature that suits the subjects that it was fitted to
    may make the probabilities of others worse. Each part of whole groups is scaled by the
    temperature of the rest. ``groups`` are the subjects; ValueError if it is one alone, or as
    `fit_temperature`.
    """
    from sklearn.model_selection import GroupKFold

    parts = GroupKFold(min(PARTS, len(np.unique(groups)))).split(predictions, groups=groups)
    scaled = [
        scale_temperature(predictions.iloc[left_out], fit_temperature(predictions.iloc[others]))
        for others, left_out in parts
    ]
    both = [arrays(frame).likelihoods for frame in (predictions, pd.concat(scaled))]
    without, with_it = (-float(np.log(one.clip(SMALLEST)).mean()) for one in both)
    return without, with_it


def scale_temperature(predictions: pd.DataFrame, temperature: float) -> pd.DataFrame:
    """Divide the logits by a temperature (Guo et al. 2017, equation 9); 1 changes nothing.

    The predicted classes stay the same. ValueError as `check_predictions`, or the temperature is no
    positive number.
    """
    answers = arrays(predictions)
    scaled = scale_probabilities(answers.probabilities, temperature)
    return with_probabilities(predictions, scaled, answers.classes)


def scale_probabilities(probabilities: NDArray, temperature: float) -> NDArray[np.float64]:
    """Do what `scale_temperature` does to probabilities of shape (images, classes)."""
    if not 0 < temperature < np.inf:
        raise ValueError(f"temperature={temperature!r} must be positive and finite")
    return softmax(_logits(probabilities) / temperature, axis=1)


def scale_folds(
    predictions: pd.DataFrame, validation_predictions: pd.DataFrame
) -> tuple[pd.DataFrame, pd.Series]:
    """Scale each fold by the temperature of its own validation part; return these, too, by fold.

    ValueError as `fit_temperature`, or a fold has no validation images.
    """
    scaled, temperatures = [], {}
    for fold, tested in predictions.groupby("fold"):
        watched = validation_predictions[validation_predictions["fold"] == fold]
        temperatures[fold] = fit_temperature(watched)
        scaled.append(scale_temperature(tested, temperatures[fold]))
    return pd.concat(scaled), pd.Series(temperatures, name="temperature").rename_axis("fold")


def _binned(predictions, bins):
    """Return whether each image is right, its confidence, and the number of its bin from 0."""
    if bins != int(bins) or bins < 1:
        raise ValueError(f"bins={bins!r} must be an integer of at least 1; Guo et al. take 15")
    answers = arrays(predictions)
    confidence = answers.probabilities.max(axis=1)
    codes = np.digitize(confidence, np.arange(bins) / bins, right=True) - 1
    return answers.is_right, confidence, codes


def _logits(probabilities):
    return np.log(probabilities.clip(SMALLEST))
