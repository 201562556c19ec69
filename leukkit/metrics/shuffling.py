"""What a shuffled evaluation gives, for two classes.

A generator of Keras shuffles by default. Whoever predicts from it and then scores the predictions
against its list of labels compares each image with the label of another. The totals of the
confusion matrix stay as they are; how they fall together is left to chance. Over all orders of the
labels, the number of images that are of the first class and predicted as such follows the
hypergeometric distribution, so nothing has to be simulated.
"""

import numpy as np
import pandas as pd
from scipy.stats import hypergeom

from leukkit.metrics.scoring import class_scores


def shuffle_labels(predictions: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Return predictions with the labels in another order, as a shuffling generator does."""
    order = np.random.default_rng(seed).permutation(len(predictions))
    return predictions.assign(label=predictions["label"].to_numpy(dtype=object)[order])


def orders(counts: pd.DataFrame) -> pd.DataFrame:
    """Give each accuracy that an order of the labels can lead to, with its probability.

    Of the confusion matrix (2 x 2; rows actual, columns predicted) only the totals matter.

    Returns:
        Frame with ``first`` (images of the first class predicted as such), ``accuracy`` and
        ``probability``: the hypergeometric distribution, all orders being equally likely.
    """
    images, actual, predicted = _totals(counts)
    first = np.arange(max(0, actual + predicted - images), min(actual, predicted) + 1)
    accuracy = (images - actual - predicted + 2 * first) / images
    chances = hypergeom(images, actual, predicted).pmf(first)
    return pd.DataFrame({"first": first, "accuracy": accuracy, "probability": chances})


def scores_over_orders(counts: pd.DataFrame) -> pd.DataFrame:
    """Return what precision, F1 and recall of each class become over all orders of the labels.

    Returns:
        Frame indexed by quantity and class: ``found`` (of the matrix itself), ``mean``, and ``low``
        and ``high``, between which 95% of the orders lie; fractions, NaN where not defined.
    """
    images, actual, predicted = _totals(counts)
    chance = hypergeom(images, actual, predicted)
    # Every score rises with the first field of the matrix: its quantiles lead to theirs.
    ends = {"mean": chance.mean(), "low": chance.ppf(0.025), "high": chance.ppf(0.975)}
    fields = {"found": counts.to_numpy(float)} | {
        name: np.array(
            [[first, actual - first], [predicted - first, images - actual - predicted + first]]
        )
        for name, first in ends.items()
    }
    wanted = ["precision", "f1", "recall"]
    columns = {
        name: pd.DataFrame(class_scores(matrix), counts.index)[wanted].unstack()
        for name, matrix in fields.items()
    }
    return pd.DataFrame(columns).rename_axis(["quantity", "label"])


def _totals(counts: pd.DataFrame) -> tuple[int, int, int]:
    """Return the images, those of the first class, and those predicted as the first class."""
    if counts.shape != (2, 2):
        raise ValueError(f"a matrix of {counts.shape} fields; this is for two classes: 2 x 2")
    images, actual = counts.to_numpy().sum(), counts.iloc[0].sum()
    return int(images), int(actual), int(counts.iloc[:, 0].sum())
