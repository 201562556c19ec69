"""All confusion matrices of two classes that give the printed scores: an exact search."""

import numpy as np


def scores(true_positives, true_negatives, positives, negatives):
    """Return every score as numerator and denominator, whole numbers or int64 arrays.

    Definitions: patel2025 Eqs. 9-13; farag2025 Eqs. 2-6. A score of the negative class is the
    same ratio with the classes exchanged.

    Returns:
        A dict from ``(quantity, is_of_the_positive_class)`` to ``(numerator, denominator)``.
    """
    false_negatives = positives - true_positives
    false_positives = negatives - true_negatives
    errors = false_negatives + false_positives
    of_positive = {
        "sensitivity": (true_positives, positives),
        "recall": (true_positives, positives),
        "specificity": (true_negatives, negatives),
        "precision": (true_positives, true_positives + false_positives),
        "f1": (2 * true_positives, 2 * true_positives + errors),
        "accuracy": (true_positives + true_negatives, positives + negatives),
    }
    of_negative = {
        "recall": (true_negatives, negatives),
        "precision": (true_negatives, true_negatives + false_negatives),
        "f1": (2 * true_negatives, 2 * true_negatives + errors),
    }
    return {(quantity, True): ratio for quantity, ratio in of_positive.items()} | {
        (quantity, False): ratio for quantity, ratio in of_negative.items()
    }


def key_of(number, positive):
    """Return the key of a printed score in ``scores``."""
    return number.quantity, number.keys.get("label", positive) == positive


def matrices(numbers, positive, positives, negatives):
    """Return all matrices on the given class sizes that give every printed score.

    Args:
        numbers: ``Printed`` scores of one row.
        positive: The positive class; scores without a label are of this class.
        positives: Images of the positive class.
        negatives: Images of the other class.

    Returns:
        int64 (matrices, 2): true positives and true negatives.
    """
    hits, rejects = np.arange(positives + 1), np.arange(negatives + 1)
    # What depends on few counts thins the grid before it is laid out.
    of = {key_of(number, positive): number for number in numbers}
    for key in (("sensitivity", True), ("recall", True)):
        hits = hits[of[key].is_met(hits, positives)] if key in of else hits
    for key in (("specificity", True), ("recall", False)):
        rejects = rejects[of[key].is_met(rejects, negatives)] if key in of else rejects
    true_positives, true_negatives = hits[:, None], rejects[None, :]
    if ("accuracy", True) in of and len(rejects) == negatives + 1:
        right = _near(of["accuracy", True], np.array([positives + negatives]))
        true_negatives = right - true_positives
    ratios = scores(true_positives, true_negatives, positives, negatives)
    met = (true_positives >= 0) & (true_negatives >= 0) & (true_negatives <= negatives)
    for number in numbers:
        met &= number.is_met(*ratios[key_of(number, positive)])
    columns = np.broadcast_arrays(true_positives, true_negatives)
    return np.stack([column[met] for column in columns], axis=1)


def class_sizes(numbers, positive, total):
    """Return the class sizes on ``total`` images that allow a matrix, for rows with both rates.

    Args:
        numbers: ``Printed`` scores of one row, a sensitivity and a specificity among them.
        positive: The positive class.
        total: Images of both classes.

    Returns:
        int64 (solutions, 4): positives, negatives, true positives, true negatives.
    """
    positives = np.arange(1, total)
    rates = {number.quantity: number for number in numbers}
    negatives = total - positives
    hits = _near(rates["sensitivity"], positives)
    rejects = _near(rates["specificity"], negatives)
    shape = (len(positives), hits.shape[1], rejects.shape[1])
    columns = [
        np.broadcast_to(array, shape)
        for array in (
            positives[:, None, None],
            negatives[:, None, None],
            hits[:, :, None],
            rejects[:, None, :],
        )
    ]
    met = (columns[2] <= columns[0]) & (columns[3] <= columns[1])
    ratios = scores(columns[2], columns[3], columns[0], columns[1])
    for number in numbers:
        met &= number.is_met(*ratios[key_of(number, positive)])
    return np.stack([column[met] for column in columns], axis=1)


def _near(rate, sizes):
    """Whole numbers of images, (sizes, some), that hold all that meet ``rate``."""
    low, high = (float(edge) for edge in rate.window())
    steps = int(np.ceil((high - low) * sizes.max())) + 2
    return np.floor(low * sizes).astype(np.int64)[:, None] + np.arange(steps)
