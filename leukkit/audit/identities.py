"""Printed scores against each other: relations that hold whatever the number of images."""

import re
from collections.abc import Iterator

import pandas as pd

from leukkit.audit.printed import Finding, in_unit, listed
from leukkit.audit.sources import Paper, name


def check(paper: Paper) -> Iterator[Finding]:
    """Yield the findings on F1, and on accuracy and precision against both rates."""
    for row in paper.rows:
        yield from _f1(row)
        yield from _accuracy(row)
        yield from _precision(row)


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
        claim = f"loss {formula.text}"
        yield Finding.on([formula], claim, recomputed, is_met, evidence, losses)


def f1(precision, recall):
    """Return the harmonic mean of precision and recall (patel2025 Eq. 13, farag2025 Eq. 6)."""
    return 2 * precision * recall / (precision + recall) if precision + recall else precision


def precision(sensitivity, specificity, positives: int, negatives: int):
    """Return the precision that two rates give on these numbers of images."""
    hits, false_alarms = sensitivity * positives, (1 - specificity) * negatives
    return hits / (hits + false_alarms) if hits + false_alarms else hits


def implied_share(accuracy: tuple, sensitivity: tuple, specificity: tuple) -> tuple | None:
    """Return the smallest and largest share of positives that three windows allow.

    Args:
        accuracy: Smallest and largest accuracy.
        sensitivity: Likewise.
        specificity: Likewise.

    Returns:
        Two fractions, which may lie outside of 0..1 if the three cannot belong together; None
        where sensitivity and specificity may be equal, for then every share would do.
    """
    if sensitivity[0] <= specificity[1] and specificity[0] <= sensitivity[1]:
        return None
    corners = [
        (a - low) / (high - low) for a in accuracy for high in sensitivity for low in specificity
    ]
    return min(corners), max(corners)


def rates(card, table: str) -> pd.DataFrame:
    """Compute what the sensitivity and specificity of a table's rows imply, beside what it prints.

    Accuracy is a weighted mean of both rates, so it holds for a mean over folds of equal class
    shares, too; precision and F1 hold up to the spread of the folds.

    Args:
        card: A `papers.Card`.
        table: The table's name.

    Returns:
        Frame in percent, one row per row of the table whose number of images per class is known:
        for accuracy, precision and F1 what is ``printed`` (NaN: nothing), what is ``implied``, and
        the ``difference`` (printed minus implied).
    """
    rows = {}
    for row in Paper(card).rows:
        of = row.of()
        if row.numbers[0].where != table or row.sides is None:
            continue
        if not {"sensitivity", "specificity"} <= set(of):
            continue
        sensitivity, specificity = of["sensitivity"].exact, of["specificity"].exact
        positives, negatives = row.sides
        implied = {
            "accuracy": (sensitivity * positives + specificity * negatives) / sum(row.sides),
            "precision": precision(sensitivity, specificity, positives, negatives),
        }
        implied["f1"] = f1(implied["precision"], sensitivity)
        rows[name(row.keys, "part", "dataset")] = {
            (quantity, side): float(100 * value)
            for quantity, share in implied.items()
            for side, value in _sides(of.get(quantity), share)
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def _sides(printed, implied):
    shown = printed.exact if printed else float("nan")
    return ("printed", shown), ("implied", implied), ("difference", shown - implied)


def _f1(row):
    """F1 of every class from its precision and recall, as windows: F1 grows with both."""
    texts, failed, uses = [], [], []
    for label in (*row.labels, None):
        of = row.of(label)
        recall = of.get("recall") or of.get("sensitivity")
        if recall is None or not {"precision", "f1"} <= set(of):
            continue
        first, printed = of["precision"], of["f1"]
        low, high = map(f1, first.window(), recall.window())
        below, above = printed.window()
        exact = in_unit(f1(first.exact, recall.exact), printed)
        texts.append(f"{exact}{f' ({label})' if label else ''}")
        uses += [first, recall, printed]
        if above <= low or below >= high:
            failed.append(
                f"{f'{label}: ' if label else ''}2 x {first.text} x {recall.text} / "
                f"({first.text} + {recall.text}) = {exact}, printed {printed.text}; with the "
                f"rounding of both {in_unit(low, printed)} to {in_unit(high, printed)}"
            )
    if texts:
        shown = ", ".join(number.text for number in uses if number.quantity == "f1")
        claim = f"{name(row.keys, 'part')}: F1 {shown}"
        evidence = "; ".join(failed) or "2 x precision x recall / (precision + recall), as printed"
        yield Finding.on(uses, claim, ", ".join(texts), not failed, evidence)


def _accuracy(row):
    """The share of positive images that accuracy, sensitivity and specificity imply together."""
    of = row.of()
    if not {"accuracy", "sensitivity", "specificity"} <= set(of):
        return
    scores = [of[quantity] for quantity in ("accuracy", "sensitivity", "specificity")]
    claim = f"{name(row.keys, 'part')}: {listed(scores)}"
    window = implied_share(*(number.window() for number in scores))
    if row.sides is None or window is None:
        reason = (
            "the share of the positive class is not stated"
            if row.sides is None
            else "sensitivity and specificity are too close to imply a share"
        )
        yield Finding.on(scores, claim, "", None, reason)
        return
    stated = row.sides[0] / sum(row.sides)
    accuracy, sensitivity, specificity = scores
    share = float(
        (accuracy.exact - specificity.exact) / (sensitivity.exact - specificity.exact)
    )
    evidence = (
        f"accuracy = share x sensitivity + (1 - share) x specificity, so share = "
        f"({accuracy.text} - {specificity.text}) / ({sensitivity.text} - {specificity.text}) = "
        f"{share:.3f}; with the rounding of all three {float(window[0]):.3f} to "
        f"{float(window[1]):.3f}; {row.sizes.how}"
    )
    recomputed = f"implied share of {row.positive} {share:.3f}, stated {stated:.3f}"
    is_met = window[0] <= stated <= window[1]
    yield Finding.on(scores, claim, recomputed, is_met, evidence, row.sizes.uses)


def _precision(row):
    """Precision from sensitivity, specificity and the stated class sizes."""
    of = row.of()
    if not {"precision", "sensitivity", "specificity"} <= set(of) or row.sides is None:
        return
    scores = [of[quantity] for quantity in ("precision", "sensitivity", "specificity")]
    printed, sensitivity, specificity = scores
    positives, negatives = row.sides
    windows = ((low, min(high, 1)) for low, high in (sensitivity.window(), specificity.window()))
    low, high = (precision(*edges, *row.sides) for edges in zip(*windows, strict=True))
    value = precision(sensitivity.exact, specificity.exact, *row.sides)
    false_positives = float((1 - specificity.exact) * negatives)
    hits = float(sensitivity.exact * positives)
    below, above = printed.window()
    needed = f"{hits / float(printed.exact) - hits:.2f}" if printed.exact else "only"
    evidence = (
        f"{row.sizes.how}; false positives (1 - {specificity.text}%) x {negatives} = "
        f"{false_positives:.2f}, true positives {sensitivity.text}% x {positives} = {hits:.1f}; "
        f"with the rounding of both {in_unit(low, printed)} to {in_unit(high, printed)}; "
        f"{printed.text} would need {needed} false positives"
    )
    claim = f"{name(row.keys, 'part')}: {listed(scores)}"
    recomputed = f"precision {in_unit(value, printed)}"
    is_met = (low < above and below < high) or below <= value < above
    yield Finding.on(scores, claim, recomputed, is_met, evidence, row.sizes.uses)
