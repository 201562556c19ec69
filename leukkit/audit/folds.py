"""Scores that are means over folds: bounds to redo by hand, and mlscorecheck's exact search."""

import fractions
import math

from leukkit.audit.findings import INCONSISTENT, NOT_CHECKABLE, Finding, listed
from leukkit.audit.printed import percent
from leukkit.audit.sizes import sizes, whole_counts
from leukkit.audit.sources import name

LINEAR = {"accuracy": "acc", "sensitivity": "sens", "specificity": "spec"}


def as_mean(paper, keys, numbers):
    """Return the finding on a row as a mean over the stated folds; none if no folds are stated.

    The bounds are necessary: a row outside of them is no mean over folds of these sizes, a row
    inside may still be none, which `attainable` finds out for the rates.
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
        is_attainable = attainable(numbers, counts, folds)
        found = {None: "", True: "; some folds give the rates", False: "; no folds give the rates"}
        texts.append(f"{counts[0]} + {counts[1]} images in {folds} folds: {text}")
        texts[-1] += found[is_attainable]
        outside = any(_misses(numbers, quantity, *ends) for quantity, ends in limits.items())
        broken.append(outside or is_attainable is False)
    verdict = INCONSISTENT if all(broken) else NOT_CHECKABLE
    claim = f"{name(keys, 'part')}, as a mean of {folds} folds: {listed(numbers)}"
    evidence = (
        "accuracy is a mean of sensitivity and specificity weighted by class size; precision is "
        "largest when all false positives that the specificity needs lie in one fold; whether any "
        "matrices of the folds give accuracy, sensitivity and specificity together (the rates), "
        "mlscorecheck decides by integer programming"
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


def attainable(numbers, counts, folds):
    """Tell whether whole images in stratified folds can give the printed means.

    Source: Fazekas & Kovács 2024, "Testing the consistency of performance scores reported for
    binary classification problems"; their package mlscorecheck, mean of scores over known folds.

    Args:
        numbers: As `bounds`. Accuracy, sensitivity and specificity are used: a mean of precision or
            F1 is not linear in the counts.
        counts: As `bounds`.
        folds: As `bounds`.

    Returns:
        True or False; None with fewer than two of these scores, of which any pair of values is
        attainable nearly always.
    """
    from mlscorecheck.check.binary import check_1_dataset_known_folds_mos

    windows = {n.quantity: n.window() for n in numbers if n.quantity in LINEAR}
    if len(windows) < 2:
        return None
    result = check_1_dataset_known_folds_mos(
        dataset={"p": counts[0], "n": counts[1]},
        folding={"n_folds": folds, "n_repeats": 1, "strategy": "stratified_sklearn"},
        scores={LINEAR[name]: float(sum(window) / 2) for name, window in windows.items()},
        # One width for all: where the digits differ, the widest, which accuses nobody wrongly.
        eps=max(float(window[1] - window[0]) / 2 for window in windows.values()),
        verbosity=0,
    )
    return not result["inconsistency"]


def _misses(numbers, quantity, low, high):
    windows = [number.window() for number in numbers if number.quantity == quantity]
    return any(above <= low or below > high for below, above in windows)
