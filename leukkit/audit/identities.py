"""Printed scores against each other: relations that hold whatever the number of images."""

import re
from collections.abc import Iterator
from fractions import Fraction

import pandas as pd

from leukkit.audit.printed import Finding, Paper, first_by_label, in_unit, listed, name
from leukkit.papers import Card


def check(paper: Paper) -> Iterator[Finding]:
    """Yield the findings on F1, and on accuracy and precision against both rates."""
    for row in paper.rows:
        for find in (_f1, _accuracy, _precision):
            yield from find(row)


def check_formulas(paper: Paper) -> Iterator[Finding]:
    """Yield a finding per printed loss: a sum of y log(p) needs a minus before it."""
    losses = [number for number in paper.find("loss") if number.is_number and number.exact > 0]
    printed = ", ".join(f"{number.text} ({number.where})" for number in losses)
    for formula in paper.find("loss formula"):
        right = formula.text.partition("=")[2].strip()
        is_sum_of_logarithms = re.fullmatch(r"[-−]?\s*(\S*\s*)?Σ.*log.*", right)
        is_met = right.startswith(("-", "−")) or not is_sum_of_logarithms
        evidence = (
            "y is 0 or 1 and log of a probability is 0 or less, so without a minus no such sum is "
            f"above 0; printed losses: {printed or 'none'}"
        )
        recomputed = "0 or above" if is_met else "0 or below"
        yield Finding([formula], f"loss {formula.text}", recomputed, is_met, evidence)


def f1(precision: Fraction, recall: Fraction) -> Fraction:
    """Return the harmonic mean of precision and recall (patel2025 Eq. 13, farag2025 Eq. 6)."""
    return 2 * precision * recall / (precision + recall) if precision + recall else precision


def lowest_mean_f1(precision: Fraction, recall: Fraction, folds: int) -> Fraction:
    """Return a bound below which no mean F1 over folds with these means of both can lie.

    If precision and recall of a fold lack s of 2, F1 lacks s / (2 - s) of 1 at most. That is convex
    in s, so in the mean over the folds it is largest where one fold lacks everything.
    """
    lacking = 2 - precision - recall
    return 1 - lacking / (2 - folds * lacking) if folds * lacking < 2 else Fraction(0)


def precision(
    sensitivity: Fraction, specificity: Fraction, positives: int, negatives: int
) -> Fraction:
    """Return the precision that two rates give on these numbers of images."""
    hits, false_alarms = sensitivity * positives, (1 - specificity) * negatives
    return hits / (hits + false_alarms) if hits + false_alarms else hits


def implied_share(accuracy: tuple, sensitivity: tuple, specificity: tuple) -> tuple | None:
    """Return the smallest and largest share of positives that three windows (low, high) allow.

    Both may lie outside of 0..1 if the three cannot belong together; None where sensitivity and
    specificity may be equal, for then every share would do.
    """
    if sensitivity[0] <= specificity[1] and specificity[0] <= sensitivity[1]:
        return None
    corners = [
        (a - low) / (high - low) for a in accuracy for high in sensitivity for low in specificity
    ]
    return min(corners), max(corners)


def rates(card: Card, table: str) -> pd.DataFrame:
    """Compute what sensitivity and specificity in a table's rows imply, beside what is printed.

    Accuracy is a weighted mean of both rates, so it holds for a mean over folds of equal class
    shares, too; precision and F1 hold up to the spread of the folds.

    Returns:
        Frame in percent, one row per row of the table that has both rates and whose number of
        images per class is known: for accuracy, precision and F1 what is ``printed`` (NaN:
        nothing), what is ``implied``, and the ``difference`` (printed minus implied).
    """
    rows: dict = {}
    for row in Paper(card).rows:
        scores = row.scores("sensitivity", "specificity")
        if row.table != table or not scores or not row.sides:
            continue
        sensitivity, specificity = (number.exact for number in scores)
        implied = {
            "accuracy": (sensitivity * row.sides[0] + specificity * row.sides[1]) / sum(row.sides),
            "precision": precision(sensitivity, specificity, *row.sides),
        }
        implied["f1"] = f1(implied["precision"], sensitivity)
        of_row = rows.setdefault(name(row.keys, "part", "dataset"), {})
        for quantity, share in implied.items():
            printed = row.of()[quantity].exact if quantity in row.of() else float("nan")
            values = {"printed": printed, "implied": share, "difference": printed - share}
            of_row |= {(quantity, column): float(100 * value) for column, value in values.items()}
    return pd.DataFrame.from_dict(rows, orient="index")


def _f1(row):
    """F1 of every class from its precision and recall, as windows: F1 grows with both."""
    texts, failed, numbers = [], [], []
    for label in (*first_by_label(row.numbers), None):
        scores = row.scores("precision", "recall", "f1", label=label)
        scores = scores or row.scores("precision", "sensitivity", "f1", label=label)
        if not scores:
            continue
        numbers += scores
        first, second, printed = scores
        window = [f1(*edges) for edges in zip(first.window(), second.window(), strict=True)]
        if folds := row.paper.find("folds"):  # a mean of F1 is never larger than that of the means
            lows = (first.window()[0], second.window()[0])
            window[0] = lowest_mean_f1(*lows, folds[0].count)
        exact = in_unit(f1(first.exact, second.exact), printed)
        texts.append(exact + (f" ({label})" if label else ""))
        if not printed.overlaps(*window):
            low, high = (in_unit(edge, printed) for edge in window)
            failed.append(
                f"{f'{label}: ' if label else ''}2 x {first.text} x {second.text} / ({first.text} "
                f"+ {second.text}) = {exact}, printed {printed.text}; with the rounding of both "
                f"{'and as a mean of folds ' * bool(folds)}{low} to {high}"
            )
    if texts:
        claim = f"{name(row.keys, 'part')}: F1 {', '.join(number.text for number in numbers[2::3])}"
        evidence = "; ".join(failed) or "2 x precision x recall / (precision + recall), as printed"
        yield Finding(numbers, claim, ", ".join(texts), not failed, evidence)


def _accuracy(row):
    """The share of positive images that accuracy, sensitivity and specificity imply together."""
    scores = row.scores("accuracy", "sensitivity", "specificity")
    if not scores:
        return
    claim = f"{name(row.keys, 'part')}: {listed(scores)}"
    window = implied_share(*(number.window() for number in scores))
    if not row.sides or not window:
        reason = "sensitivity and specificity are too close to imply a share"
        reason = reason if row.sides else "the share of the positive class is not stated"
        yield Finding(scores, claim, "", None, reason)
        return
    stated = row.sides[0] / sum(row.sides)
    share = float(implied_share(*((number.exact, number.exact) for number in scores))[0])
    texts = [number.text for number in scores]
    evidence = (
        f"accuracy = share x sensitivity + (1 - share) x specificity, so share = ({texts[0]} - "
        f"{texts[2]}) / ({texts[1]} - {texts[2]}) = {share:.3f}; with the rounding of all three "
        f"{float(window[0]):.3f} to {float(window[1]):.3f}; {row.sizes.how}"
    )
    recomputed = f"implied share of {row.positive} {share:.3f}, stated {stated:.3f}"
    is_met = window[0] <= stated <= window[1]
    yield Finding(scores, claim, recomputed, is_met, evidence)


def _precision(row):
    """Precision from sensitivity, specificity and the stated class sizes."""
    scores = row.scores("precision", "sensitivity", "specificity")
    if not scores or not row.sides:
        return
    printed, sensitivity, specificity = scores
    positives, negatives = row.sides
    windows = zip(sensitivity.window(), specificity.window(), strict=True)
    low, high = (precision(min(a, 1), min(b, 1), *row.sides) for a, b in windows)
    value = precision(sensitivity.exact, specificity.exact, *row.sides)
    false_positives = float((1 - specificity.exact) * negatives)
    hits = float(sensitivity.exact * positives)
    needed = f"{hits / float(printed.exact) - hits:.2f}" if printed.exact else "only"
    evidence = (
        f"{row.sizes.how}; false positives (1 - {specificity.text}%) x {negatives} = "
        f"{false_positives:.2f}, true positives {sensitivity.text}% x {positives} = {hits:.1f}; "
        f"with the rounding of both {in_unit(low, printed)} to {in_unit(high, printed)}; "
        f"{printed.text} would need {needed} false positives"
    )
    claim = f"{name(row.keys, 'part')}: {listed(scores)}"
    is_met = printed.overlaps(low, high) or bool(printed.is_met(*value.as_integer_ratio()))
    recomputed = f"precision {in_unit(value, printed)}"
    yield Finding(scores, claim, recomputed, is_met, evidence)
