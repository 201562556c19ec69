"""Scores that are means over folds: bounds that need no search."""

import fractions
import math

from leukkit.audit.findings import INCONSISTENT, NOT_CHECKABLE, Finding, listed
from leukkit.audit.printed import percent
from leukkit.audit.sizes import sizes, whole_counts
from leukkit.audit.sources import name


def as_mean(paper, keys, numbers):
    """Return the finding on a row as a mean over the stated folds; none if no folds are stated.

    The bounds are necessary: a row outside of them is no mean over folds of these sizes, a row
    inside may still be none.
    """
    stated = paper.find("folds")
    known = sizes(paper, keys)
    if not stated or known is None or len(known.counts) != 2:
        return []
    folds, positive = stated[0].count, paper.choice("positive_class")
    (negative,) = set(known.counts) - {positive}
    options = [(known.counts[positive], known.counts[negative])]
    whole = whole_counts(paper, keys)
    if set(whole) == set(known.counts):
        options.append((whole[positive].count, whole[negative].count))
    texts, broken = [], []
    for counts in options:
        limits = bounds(numbers, counts, folds)
        text = ", ".join(
            f"{quantity} {percent(low)} to {percent(high)}"
            for quantity, (low, high) in limits.items()
        )
        texts.append(f"{counts[0]} + {counts[1]} images in {folds} folds: {text}")
        broken.append(any(_misses(numbers, quantity, *ends) for quantity, ends in limits.items()))
    verdict = INCONSISTENT if all(broken) else NOT_CHECKABLE
    claim = f"{name(keys, 'part')}, as a mean of {folds} folds: {listed(numbers)}"
    evidence = (
        "accuracy is a mean of sensitivity and specificity weighted by class size; precision is "
        "largest when all false positives that the specificity needs lie in one fold"
    )
    uses = (*numbers, stated[0], *known.uses)
    return [Finding(numbers[0].where, claim, "; ".join(texts), verdict, evidence, uses)]


def bounds(numbers, counts, folds):
    """Return the smallest and largest mean accuracy and precision that mean rates allow.

    Args:
        numbers: ``Printed`` scores, a sensitivity and a specificity among them.
        counts: Images of the positive and of the negative class in all folds together.
        folds: Number of folds, whose sizes differ by one image of a class at most.

    Returns:
        A dict from ``accuracy`` and ``precision`` to two fractions; empty without both rates.
    """
    windows = {number.quantity: number.window() for number in numbers}
    if not {"sensitivity", "specificity"} <= set(windows):
        return {}
    small, large = zip(*((count // folds, -(-count // folds)) for count in counts), strict=True)
    lightest = fractions.Fraction(small[0], small[0] + large[1])
    heaviest = fractions.Fraction(large[0], large[0] + small[1])
    missed = [1 - edge for edge in reversed(windows["sensitivity"])]
    taken = [1 - edge for edge in reversed(windows["specificity"])]
    most_errors = heaviest * missed[1] + (1 - lightest) * taken[1]
    fewest_errors = lightest * missed[0] + (1 - heaviest) * taken[0]
    false_positives = max(0, math.ceil(folds * taken[0] * small[1]))
    last_fold = fractions.Fraction(large[0], large[0] + false_positives)
    return {
        "accuracy": (1 - most_errors, 1 - fewest_errors),
        "precision": (0, (folds - 1 + last_fold) / folds),
    }


def _misses(numbers, quantity, low, high):
    windows = [number.window() for number in numbers if number.quantity == quantity]
    return any(above <= low or below > high for below, above in windows)
