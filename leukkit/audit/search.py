"""Exact searches: which matrices of whole images, and which means over folds, give scores."""

import collections
import math
from collections.abc import Iterable, Sequence
from fractions import Fraction

import numpy as np

from leukkit.audit.printed import Count, Printed


def ratios(counts: np.ndarray, place: int = 0) -> dict[str, tuple]:
    """Return every score of the class at ``place`` as numerator and denominator, int64 (...).

    ``counts`` are int64 (..., classes, classes), actual classes in the rows. Definitions: patel2025
    Eqs. 9-13; farag2025 Eqs. 2-6.
    """
    found = counts[..., place, place]
    actual, predicted = counts[..., place, :].sum(-1), counts[..., :, place].sum(-1)
    total = counts.sum((-2, -1))
    return {
        "accuracy": (np.trace(counts, axis1=-2, axis2=-1), total),
        "recall": (found, actual),
        "sensitivity": (found, actual),
        "specificity": (total - actual - predicted + found, total - actual),
        "precision": (found, predicted),
        "f1": (2 * found, actual + predicted),
        "support": (actual, np.ones_like(actual)),
    }


def give(counts: np.ndarray, numbers: Iterable[Printed], classes: Sequence) -> np.ndarray:
    """Return those matrices, int64 (matrices, classes, classes), that give every printed score.

    A number of none of ``classes`` is of the first one.
    """
    met = (counts >= 0).all(axis=(-2, -1))
    for number in numbers:
        place = classes.index(number.get("label")) if number.get("label") in classes else 0
        met &= number.is_met(*ratios(counts, place)[number.quantity])
    return counts[met]


def matrices(
    numbers: Sequence[Printed], positive: str | None, positives: Count, negatives: Count
) -> np.ndarray:
    """Return all matrices of two classes that give every printed score.

    Args:
        numbers: Scores of one row; those without a label are of the positive class.
        positive: The positive class.
        positives: Its images; or an array of sizes to try, if the row has both rates.
        negatives: Images of the other class; likewise.

    Returns:
        int64 (matrices, 2, 2), the actual classes in the rows, the positive one first.
    """
    positives, negatives = np.atleast_1d(positives), np.atleast_1d(negatives)
    of = {(number.quantity, number.get("label") in (None, positive)): number for number in numbers}
    # What depends on few counts thins the grid before it is laid out.
    hit_rate = of.get(("sensitivity", True)) or of.get(("recall", True))
    reject_rate = of.get(("specificity", True)) or of.get(("recall", False))
    hits = _candidates(hit_rate, positives)[:, :, None]
    rejects = _candidates(reject_rate, negatives)[:, None, :]
    if reject_rate is None and ("accuracy", True) in of:
        right = _candidates(of["accuracy", True], positives + negatives)
        rejects = right[:, None, :] - hits
    missed, taken = positives[:, None, None] - hits, negatives[:, None, None] - rejects
    fields = np.broadcast_arrays(hits, missed, taken, rejects)
    counts = np.stack(fields, axis=-1).reshape(-1, 2, 2)
    labels = filter(None, (number.get("label") for number in numbers))
    return give(counts, numbers, list(dict.fromkeys([positive, *labels])))


def _candidates(rate, sizes):
    """Whole numbers of images, int64 (sizes, some), that hold all that meet ``rate``."""
    if rate is None:
        return np.arange(sizes.max() + 1)[None, :].repeat(len(sizes), axis=0)
    low, high = (float(edge) for edge in rate.window())
    steps = math.ceil((high - low) * sizes.max()) + 2
    return np.floor(low * sizes).astype(np.int64)[:, None] + np.arange(steps)


def shared_errors(classes: Sequence[np.ndarray]) -> dict[int, int]:
    """Return how many errors a matrix of several classes can have.

    Each error is missed by one class and taken by another, so the missed and the taken ones have
    equal sums E; and a matrix with these sums and nothing on its diagonal exists exactly when no
    class has more than E of both together.

    Args:
        classes: Of each class the matrices (some, 2, 2) against all others that its scores allow.

    Returns:
        Number of errors -> number of ways to share them out, ascending.
    """
    errors = [counts[:, [0, 1], [1, 0]] for counts in classes]  # missed, taken
    totals = sorted(missed for missed, taken in _sums(errors) if missed == taken)
    ways = {
        total: _sums([pairs[pairs.sum(axis=1) <= total] for pairs in errors])[total, total]
        for total in totals
    }
    return {total: count for total, count in ways.items() if count}


def _sums(classes):
    """Counter of the sums (missed, taken) over all choices of one pair per class."""
    sums = collections.Counter({(0, 0): 1})
    for pairs in classes:
        following: collections.Counter = collections.Counter()
        for (missed, taken), ways in sums.items():
            for more_missed, more_taken in pairs.tolist():
                following[missed + more_missed, taken + more_taken] += ways
        sums = following
    return sums


def mean_bounds(numbers: Sequence[Printed], counts: tuple, folds: int) -> dict[str, tuple]:
    """Return the smallest and largest mean accuracy and precision that mean rates allow.

    Precision is largest when all false positives that the specificity needs lie in one fold.

    Args:
        numbers: Scores, a sensitivity and a specificity among them.
        counts: Images of the positive and of the negative class in all folds together.
        folds: Number of folds, whose sizes differ by one image of a class at most.

    Returns:
        ``accuracy`` and ``precision`` -> two fractions; empty without both rates.
    """
    windows = {number.quantity: number.window() for number in numbers}
    if not {"sensitivity", "specificity"} <= set(windows):
        return {}
    (hit_low, hit_high), (reject_low, reject_high) = windows["sensitivity"], windows["specificity"]
    small, large = zip(*((count // folds, -(-count // folds)) for count in counts), strict=True)
    lightest = Fraction(small[0], small[0] + large[1])
    heaviest = Fraction(large[0], large[0] + small[1])
    most_errors = heaviest * (1 - hit_low) + (1 - lightest) * (1 - reject_low)
    fewest_errors = lightest * (1 - hit_high) + (1 - heaviest) * (1 - reject_high)
    false_positives = max(0, math.ceil(folds * (1 - reject_high) * small[1]))
    last_fold = Fraction(large[0], large[0] + false_positives)
    return {
        "accuracy": (1 - most_errors, 1 - fewest_errors),
        "precision": (Fraction(0), (folds - 1 + last_fold) / folds),
    }


def is_mean_of_folds(numbers: Sequence[Printed], counts: tuple, folds: int) -> bool | None:
    """Tell whether whole images in stratified folds can give the printed means.

    Source: Fazekas & Kovács 2024, "Testing the consistency of performance scores reported for
    binary classification problems"; their package mlscorecheck, mean of scores over known folds.

    Arguments are as of `mean_bounds`. Accuracy, sensitivity and specificity are used: a mean of
    precision or F1 is not linear in the counts. None with fewer than two of these scores, of which
    any pair of values is attainable nearly always.
    """
    from mlscorecheck.check.binary import check_1_dataset_known_folds_mos

    linear = {"accuracy": "acc", "sensitivity": "sens", "specificity": "spec"}
    windows = {linear[n.quantity]: n.window() for n in numbers if n.quantity in linear}
    if len(windows) < 2:
        return None
    result = check_1_dataset_known_folds_mos(
        dataset={"p": counts[0], "n": counts[1]},
        folding={"n_folds": folds, "n_repeats": 1, "strategy": "stratified_sklearn"},
        scores={name: float(sum(window) / 2) for name, window in windows.items()},
        # One width for all: where the digits differ, the widest, which accuses nobody wrongly.
        eps=max(float(high - low) / 2 for low, high in windows.values()),
        verbosity=0,
    )
    return not result["inconsistency"]
