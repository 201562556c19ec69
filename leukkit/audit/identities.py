"""Scores of one row against each other: relations that hold whatever the number of images."""

from leukkit.audit.findings import NOT_CHECKABLE, Finding, listed, verdict_of
from leukkit.audit.printed import in_unit
from leukkit.audit.sizes import sizes
from leukkit.audit.sources import name


def check(paper):
    """Return the findings on F1, and on accuracy against sensitivity and specificity."""
    found = []
    for keys, numbers in paper.rows:
        found += _f1(keys, numbers)
        found += _accuracy(paper, keys, numbers)
        found += _precision(paper, keys, numbers)
    return found


def f1(precision, recall):
    """Return the harmonic mean of precision and recall (patel2025 Eq. 13, farag2025 Eq. 6)."""
    return 2 * precision * recall / (precision + recall) if precision + recall else precision


def _f1(keys, numbers):
    """F1 of every class from its precision and recall, as windows: F1 grows with both."""
    labels = dict.fromkeys(number.keys.get("label") for number in numbers)
    texts, failed, uses = [], [], []
    for label in labels:
        of = {n.quantity: n for n in numbers if n.keys.get("label") == label}
        recall = of.get("recall") or of.get("sensitivity")
        if recall is None or not {"precision", "f1"} <= set(of):
            continue
        low, high = (
            f1(*edges) for edges in zip(of["precision"].window(), recall.window(), strict=True)
        )
        below, above = of["f1"].window()
        exact = f1(of["precision"].exact, recall.exact)
        texts.append(f"{in_unit(exact, of['f1'])}{f' ({label})' if label else ''}")
        uses += [of["precision"], recall, of["f1"]]
        if above <= low or below >= high:
            failed.append(
                f"{f'{label}: ' if label else ''}2 x {of['precision'].text} x {recall.text} / "
                f"({of['precision'].text} + {recall.text}) = {in_unit(exact, of['f1'])}, printed "
                f"{of['f1'].text}; with the rounding of both {in_unit(low, of['f1'])} to "
                f"{in_unit(high, of['f1'])}"
            )
    if not texts:
        return []
    printed = ", ".join(number.text for number in uses if number.quantity == "f1")
    claim = f"{name(keys, 'part')}: F1 {printed}"
    evidence = "; ".join(failed) or "2 x precision x recall / (precision + recall), as printed"
    verdict = verdict_of(not failed)
    return [Finding(uses[0].where, claim, ", ".join(texts), verdict, evidence, tuple(uses))]


def _accuracy(paper, keys, numbers):
    """The share of positive images that accuracy, sensitivity and specificity imply together."""
    of = {n.quantity: n for n in numbers if n.keys.get("label") is None}
    if not {"accuracy", "sensitivity", "specificity"} <= set(of):
        return []
    row = [of[quantity] for quantity in ("accuracy", "sensitivity", "specificity")]
    claim = f"{name(keys, 'part')}: {listed(row)}"
    known = sizes(paper, keys)
    positive = paper.choice("positive_class")
    if known is None or positive not in known.counts:
        reason = "the share of the positive class is not stated"
        return [Finding(row[0].where, claim, "", NOT_CHECKABLE, reason, tuple(row))]
    stated = known.counts[positive] / sum(known.counts.values())
    window = implied_share(*(number.window() for number in row))
    if window is None:
        reason = "sensitivity and specificity are too close to imply a share"
        return [Finding(row[0].where, claim, "", NOT_CHECKABLE, reason, tuple(row))]
    accuracy, sensitivity, specificity = (number.exact for number in row)
    share = float((accuracy - specificity) / (sensitivity - specificity))
    recomputed = f"implied share of {positive} {share:.3f}, stated {stated:.3f}"
    texts = [number.text for number in row]
    evidence = (
        f"accuracy = share x sensitivity + (1 - share) x specificity, so share = "
        f"({texts[0]} - {texts[2]}) / ({texts[1]} - {texts[2]}) = {share:.3f}; with the rounding "
        f"of all three {float(window[0]):.3f} to {float(window[1]):.3f}; {known.how}"
    )
    verdict = verdict_of(window[0] <= stated <= window[1])
    return [Finding(row[0].where, claim, recomputed, verdict, evidence, (*row, *known.uses))]


def _precision(paper, keys, numbers):
    """Precision from sensitivity, specificity and the stated class sizes."""
    of = {n.quantity: n for n in numbers if n.keys.get("label") is None}
    known, positive = sizes(paper, keys), paper.choice("positive_class")
    if not {"precision", "sensitivity", "specificity"} <= set(of) or known is None:
        return []
    if positive not in known.counts or len(known.counts) != 2:
        return []
    row = [of[quantity] for quantity in ("precision", "sensitivity", "specificity")]
    positives = known.counts[positive]
    negatives = sum(known.counts.values()) - positives
    edges = zip(*((low, min(high, 1)) for low, high in (n.window() for n in row[1:])), strict=True)
    low, high = (precision(a, b, positives, negatives) for a, b in edges)
    value = precision(row[1].exact, row[2].exact, positives, negatives)
    false_positives = float((1 - row[2].exact) * negatives)
    hits = float(row[1].exact * positives)
    below, above = row[0].window()
    needed = f"{hits / float(row[0].exact) - hits:.2f}" if row[0].exact else "only"
    claim = f"{name(keys, 'part')}: {listed(row)}"
    evidence = (
        f"{known.how}; false positives (1 - {row[2].text}%) x {negatives} = {false_positives:.2f}, "
        f"true positives {row[1].text}% x {positives} = {hits:.1f}; with the rounding of both "
        f"{in_unit(low, row[0])} to {in_unit(high, row[0])}; {row[0].text} would need "
        f"{needed} false positives"
    )
    verdict = verdict_of((low < above and below < high) or below <= value < above)
    recomputed = f"precision {in_unit(value, row[0])}"
    return [Finding(row[0].where, claim, recomputed, verdict, evidence, (*row, *known.uses))]


def precision(sensitivity, specificity, positives, negatives):
    """Return the precision that two rates give on these numbers of images."""
    hits, false_alarms = sensitivity * positives, (1 - specificity) * negatives
    return hits / (hits + false_alarms) if hits + false_alarms else hits


def implied_share(accuracy, sensitivity, specificity):
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
