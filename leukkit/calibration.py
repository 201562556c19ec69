"""Can the probabilities be believed? Reliability, calibration error, temperature scaling.

The definitions are those of Guo et al. 2017, "On calibration of modern neural networks". Their
logits are taken as the logarithms of the probabilities: the soft-max of both is the same, also
after division by a temperature, so ``predictions.csv`` is enough.
"""

import warnings

import numpy as np
import pandas as pd

from leukkit.predictions import check_predictions, class_codes, class_probabilities

TEMPERATURES = (0.01, 100.0)  # the range that is searched
# Networks give float32: probabilities below this are rounded to 0, whose logarithm is infinite.
_SMALLEST = float(np.finfo(np.float32).tiny)


def reliability(predictions, bins=15):
    """Compare confidence and accuracy in bins of equal width (Guo et al. 2017, section 2).

    Confidence is the probability of the predicted class. Bin m of M holds the images with a
    confidence in ((m - 1) / M, m / M].

    Args:
        predictions: See `leukkit.predictions`.
        bins: Number of bins.

    Returns:
        A frame, one row per bin: ``low`` and ``high`` (its ends), ``images``, and ``confidence``
        and ``accuracy``, their means over these images, NaN in an empty bin.

    Raises:
        ValueError: As `check_predictions`, or ``bins`` is no positive integer.
    """
    if bins != int(bins) or bins < 1:
        raise ValueError(f"bins={bins!r} must be an integer of at least 1; Guo et al. take 15")
    classes = check_predictions(predictions)
    actual, predicted = class_codes(predictions, classes)
    confidence = class_probabilities(predictions, classes).max(axis=1)
    edges = np.arange(bins + 1) / bins
    codes = np.digitize(confidence, edges, right=True) - 1
    images = np.bincount(codes, minlength=bins)
    filled = np.where(images > 0, images, np.nan)
    return pd.DataFrame(
        {
            "low": edges[:-1],
            "high": edges[1:],
            "images": images,
            "confidence": np.bincount(codes, confidence, minlength=bins) / filled,
            "accuracy": np.bincount(codes, actual == predicted, minlength=bins) / filled,
        }
    )


def expected_calibration_error(predictions, bins=15):
    """Return the mean distance of confidence and accuracy (Guo et al. 2017, equation 3).

    Args:
        predictions: See `leukkit.predictions`.
        bins: Number of bins of equal width; the value depends on it.

    Returns:
        The distances in the bins, weighted by their images: 0 (calibrated) to 1.

    Raises:
        ValueError: As `reliability`.
    """
    frame = reliability(predictions, bins)
    distances = (frame["accuracy"] - frame["confidence"]).abs().fillna(0)
    return float((frame["images"] * distances).sum() / frame["images"].sum())


def fit_temperature(validation_predictions):
    """Find the temperature that makes the labels likeliest (Guo et al. 2017, section 4.2).

    It minimizes the mean negative log-likelihood of images that were neither trained nor tested
    on. Divided by a temperature above 1, probabilities become less extreme.

    Args:
        validation_predictions: See `leukkit.predictions`; of the validation part.

    Returns:
        The temperature, within ``TEMPERATURES``. Where the likelihood rises up to an end of this
        range (below it if every image is right, above it if the network is no better than
        chance) that end, with a warning.

    Raises:
        ValueError: As `check_predictions`.
    """
    from scipy.optimize import brentq

    classes = check_predictions(validation_predictions)
    actual, _ = class_codes(validation_predictions, classes)
    logits = _logits(class_probabilities(validation_predictions, classes))
    own = logits[np.arange(len(logits)), actual]

    def slope(inverse):
        # Of the mean negative log-likelihood in 1 / temperature, where it is convex: one zero.
        return float(np.mean((_softmax(logits * inverse) * logits).sum(axis=1) - own))

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


def scale_temperature(predictions, temperature):
    """Divide the logits by a temperature (Guo et al. 2017, equation 9).

    The predicted classes stay the same.

    Args:
        predictions: See `leukkit.predictions`.
        temperature: Positive, from `fit_temperature`; 1 changes nothing.

    Returns:
        A copy of ``predictions`` with other probabilities.

    Raises:
        ValueError: As `check_predictions`, or the temperature is no positive number.
    """
    classes = check_predictions(predictions)
    scaled = scale_probabilities(class_probabilities(predictions, classes), temperature)
    return predictions.assign(**{f"prob_{name}": scaled[:, k] for k, name in enumerate(classes)})


def scale_probabilities(probabilities, temperature):
    """Do what `scale_temperature` does to probabilities of shape (images, classes)."""
    if not 0 < temperature < np.inf:
        raise ValueError(f"temperature={temperature!r} must be positive and finite")
    return _softmax(_logits(probabilities) / temperature)


def scale_folds(predictions, validation_predictions):
    """Scale each fold by the temperature of its own validation part.

    Args:
        predictions: See `leukkit.predictions`, with the column ``fold``.
        validation_predictions: The same of the validation parts.

    Returns:
        The scaled predictions, in the order of the folds, and the temperatures by fold (a series).

    Raises:
        ValueError: As `fit_temperature`, or a fold has no validation images.
    """
    scaled, temperatures = [], {}
    for fold, tested in predictions.groupby("fold"):
        watched = validation_predictions[validation_predictions["fold"] == fold]
        temperatures[fold] = fit_temperature(watched)
        scaled.append(scale_temperature(tested, temperatures[fold]))
    temperatures = pd.Series(temperatures, name="temperature").rename_axis("fold")
    return pd.concat(scaled), temperatures


def _logits(probabilities):
    return np.log(probabilities.clip(_SMALLEST))


def _softmax(logits):
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)
