"""All ways in which several classes can share out their errors to give the printed scores."""

import collections

import numpy as np


def error_counts(numbers, support, total):
    """Return the errors of one class that give its printed precision, recall and F1.

    Args:
        numbers: ``Printed`` precision, recall and F1 of the class (any of them).
        support: Images of the class.
        total: Images of all classes.

    Returns:
        int64 (solutions, 2): images of the class that were missed (false negatives), and images
        of other classes that were taken for it (false positives).
    """
    missed = np.arange(support + 1)
    for number in numbers:
        if number.quantity in ("recall", "sensitivity"):
            missed = missed[number.is_met(support - missed, support)]
    missed, taken = np.meshgrid(missed, np.arange(total - support + 1), indexing="ij")
    found = support - missed
    ratios = {
        "recall": (found, support),
        "sensitivity": (found, support),
        "precision": (found, found + taken),
        "f1": (2 * found, 2 * found + missed + taken),
    }
    met = np.ones(missed.shape, dtype=bool)
    for number in numbers:
        met &= number.is_met(*ratios[number.quantity])
    return np.stack([missed[met], taken[met]], axis=1)


def shared_errors(classes):
    """Return how many errors a matrix can have whose classes have these errors.

    Each error is missed by one class and taken by another, so the missed and the taken ones have
    equal sums E; and a matrix with these sums and nothing on its diagonal exists exactly when no
    class has more than E of both together.

    Args:
        classes: One array of ``error_counts`` per class.

    Returns:
        A dict from the number of errors to the number of ways to share them out, ascending.
    """
    ways = {}
    for errors in sorted(_reachable(classes)):
        fitting = [array[array.sum(axis=1) <= errors] for array in classes]
        if count := _sums(fitting)[errors, errors]:
            ways[errors] = count
    return ways


def _reachable(classes):
    return {missed for (missed, taken) in _sums(classes) if missed == taken}


def _sums(classes):
    """Counter of the sums (missed, taken) over all choices of one row per class."""
    sums = collections.Counter({(0, 0): 1})
    for array in classes:
        rows = array.tolist()
        following = collections.Counter()
        for (missed, taken), ways in sums.items():
            for more_missed, more_taken in rows:
                following[missed + more_missed, taken + more_taken] += ways
        sums = following
    return sums
