"""What a shuffled evaluation gives, for two classes.

A generator of Keras shuffles by default. Whoever predicts from it and then scores the predictions
against its list of labels compares each image with the label of another. The totals of the
confusion matrix, images of each class and predictions of each class, stay as they are; how they
fall together is left to chance. Over all orders of the labels, the number of images that are of the
first class and predicted as such follows the hypergeometric distribution, so nothing has to be
drawn here.
"""

import numpy as np
import pandas as pd

from leukkit import metrics
from leukkit.report.networks import shuffle_labels

QUANTITIES = ("precision", "f1", "recall")  # in the order of samhitha's Table IV


def counts_of(matrix, classes):
    """Return a printed matrix whose rows are actual classes as `metrics.confusion` gives ours.

    Args:
        matrix: Two lists of two counts.
        classes: The two classes of its rows.
    """
    return pd.DataFrame(
        np.asarray(matrix, dtype=int),
        index=pd.Index(classes, name="actual"),
        columns=pd.Index(classes, name="predicted"),
    )


def scores(counts):
    """Return the scores of Table IV, and the accuracy, of a confusion matrix.

    Args:
        counts: Frame of counts (2 x 2), rows actual, columns predicted.

    Returns:
        Series of fractions by ``accuracy`` and, e.g., ``precision, ALL``; NaN where a class was
        never predicted.
    """
    values = metrics.class_scores(counts.to_numpy(float))
    named = {
        f"{quantity}, {label}": values[quantity][number]
        for quantity in QUANTITIES
        for number, label in enumerate(counts.index)
    }
    accuracy = np.trace(counts.to_numpy(float)) / counts.to_numpy().sum()
    return pd.Series({"accuracy": accuracy, **named})


def orders(counts):
    """Give each accuracy that an order of the labels can lead to, with its probability.

    Args:
        counts: As in `scores`; only its totals matter.

    Returns:
        Frame with ``first`` (images of the first class predicted as such), ``accuracy`` and
        ``probability``: the hypergeometric distribution, all orders being equally likely.
    """
    from scipy.stats import hypergeom

    images, actual, predicted = _totals(counts)
    first = np.arange(max(0, actual + predicted - images), min(actual, predicted) + 1)
    return pd.DataFrame(
        {
            "first": first,
            "accuracy": (images - actual - predicted + 2 * first) / images,
            "probability": hypergeom(images, actual, predicted).pmf(first),
        }
    )


def scores_by_chance(counts):
    """Return what the scores of a confusion matrix become over all orders of the labels.

    Args:
        counts: As in `scores`; only its totals matter.

    Returns:
        Frame indexed as `scores`: ``mean``, and ``low`` and ``high``, between which 95% of the
        orders lie.
    """
    from scipy.stats import hypergeom

    images, actual, predicted = _totals(counts)
    distribution = hypergeom(images, actual, predicted)
    # Every score rises with the first field of the matrix, linearly: its mean and its quantiles
    # lead to theirs.
    ends = {
        "mean": actual * predicted / images,
        "low": distribution.ppf(0.025),
        "high": distribution.ppf(0.975),
    }
    return pd.DataFrame(
        {name: scores(_matrix(counts, first)) for name, first in ends.items()}
    ).rename_axis("quantity")


def score_twice(predictions, printed, seed=0):
    """Score the same predictions with the labels in their order and in another one.

    Args:
        predictions: See `leukkit.metrics.predictions`; of two classes.
        printed: Series of the printed scores (percent), indexed as `scores`; others are left out.
        seed: Draws the other order.

    Returns:
        Frame of text in percent: the printed score, ours with the labels in order, with the labels
        in one other order, and the mean over all orders with the range of 95% of them.
    """
    right = metrics.confusion(predictions)
    other = metrics.confusion(shuffle_labels(predictions, seed))
    chance = scores_by_chance(right)
    table = pd.DataFrame(
        {
            "published": printed,
            "labels in order": (100 * scores(right)).map(one_decimal),
            "labels shuffled once": (100 * scores(other)).map(one_decimal),
            "over all orders": [with_range(*row) for row in chance.to_numpy()],
        },
        index=chance.index,
    )
    return table.dropna(subset="published")


def with_range(mean, low, high):
    """Return fractions as text in percent, e.g. ``56.9 (54.8 to 59.0)``."""
    return metrics.with_interval(100 * mean, 100 * low, 100 * high, decimals=1)


def one_decimal(value):
    """Return a number as text; a score that is not defined is called so."""
    return metrics.with_interval(value, decimals=1)


def _totals(counts):
    """Return the images, those of the first class, and those predicted as the first class."""
    if counts.shape != (2, 2):
        raise ValueError(f"a matrix of {counts.shape} fields; the paper has two classes: 2 x 2")
    return tuple(
        int(total)
        for total in (counts.to_numpy().sum(), counts.iloc[0].sum(), counts.iloc[:, 0].sum())
    )


def _matrix(counts, first):
    """Return the matrix with the same totals and ``first`` in its first field."""
    images, actual, predicted = _totals(counts)
    fields = [
        [first, actual - first],
        [predicted - first, images - actual - predicted + first],
    ]
    return pd.DataFrame(fields, index=counts.index, columns=counts.columns)
