"""Printed confusion matrices: against the tables, the stated images, and each other."""

import fractions
import itertools

import numpy as np

from leukkit.audit.findings import INCONSISTENT, NOT_CHECKABLE, Finding, listed, verdict_of
from leukkit.audit.printed import percent
from leukkit.audit.sizes import sizes
from leukkit.audit.sources import SCORES, name

SIDES = {
    "true positives": (True, True),
    "false positives": (False, True),
    "false negatives": (True, False),
    "true negatives": (False, False),
}  # quantity -> (is actually positive, is predicted positive)


def check(paper):
    """Return the findings on every printed matrix, then those on all of them together."""
    found = []
    for matrix in paper.matrices:
        found += [*_accuracy(paper, matrix), *_per_class(paper, matrix), *_total(paper, matrix)]
        found += _named_counts(paper, matrix)
    return found + _copies(paper.matrices) + _one_test_set(paper)


def class_scores(counts):
    """Return precision, recall, F1 and support of each class, exactly.

    Args:
        counts: int64 (classes, classes), actual classes in the rows.

    Returns:
        A list with a dict from the quantity to a ``Fraction`` (None where nothing is divided by).
    """
    scores = []
    for index in range(len(counts)):
        found, actual = int(counts[index, index]), int(counts[index].sum())
        predicted = int(counts[:, index].sum())
        ratios = {
            "precision": (found, predicted),
            "recall": (found, actual),
            "f1": (2 * found, actual + predicted),
            "support": (actual, 1),
        }
        scores.append(
            {key: fractions.Fraction(*ratio) if ratio[1] else None for key, ratio in ratios.items()}
        )
    return scores


def best_orientation(paper, matrix):
    """Return the orientation that meets most printed values of the same network, and those.

    Returns:
        The orientation, the printed per-class numbers, and for each whether it is met.
    """
    numbers = _class_numbers(paper, matrix)
    results = []
    for orientation in matrix.orientations:
        scores = class_scores(matrix.actual_in_rows(orientation))
        met = []
        for number in numbers:
            quantity = "recall" if number.quantity == "sensitivity" else number.quantity
            value = scores[matrix.classes.index(number.keys["label"])][quantity]
            met.append(value is not None and number.is_met_by(value))
        results.append((orientation, numbers, met))
    return max(results, key=lambda result: sum(result[2]))


def _same(paper, matrix, quantities):
    """Printed numbers in tables of the same network and part as the matrix."""
    part = paper.part(matrix.keys)
    return [
        number
        for number in paper.cells
        if number.quantity in quantities
        and number.is_number
        and "epoch" not in number.keys
        and all(number.keys.get(k) == v for k, v in matrix.keys.items() if k != "part")
        and paper.part(number.keys) == part
    ]


def _class_numbers(paper, matrix):
    quantities = (*SCORES, "support")
    return [
        number
        for number in _same(paper, matrix, quantities)
        if number.keys.get("label") in matrix.classes
    ]


def _accuracy(paper, matrix):
    """The printed accuracies of the network, whichever part they are said to be of."""
    right, total = int(np.trace(matrix.counts)), int(matrix.counts.sum())
    numbers = [
        number
        for number in paper.numbers
        if number.quantity == "accuracy"
        and number.source[0] == "cell"
        and "label" not in number.keys
        and "epoch" not in number.keys
        and all(number.keys.get(k) == v for k, v in matrix.keys.items() if k != "part")
    ]
    recomputed = f"{right}/{total} = {percent(right / total)}%"
    claim = f"accuracy of {name(matrix.keys, 'part')}"
    if not numbers:
        return [Finding(matrix.where, claim, recomputed, NOT_CHECKABLE, "printed in no table")]
    same_part = [n for n in numbers if paper.part(n.keys) == paper.part(matrix.keys)]
    held_out = same_part or [n for n in numbers if n.keys.get("part") != "training"]
    printed = ", ".join(f"{n.text} ({n.where}, {n.keys.get('part', 'no part')})" for n in numbers)
    is_met = any(number.is_met(right, total) for number in held_out)
    diagonal = " + ".join(str(count) for count in np.diag(matrix.counts))
    evidence = f"({diagonal}) / {total}; printed accuracies: {printed}"
    uses = (*matrix.numbers, *held_out)
    return [Finding(matrix.where, claim, recomputed, verdict_of(is_met), evidence, uses)]


def _per_class(paper, matrix):
    """One finding per quantity, all in the orientation that meets most values together."""
    orientation, numbers, met = best_orientation(paper, matrix)
    scores = class_scores(matrix.actual_in_rows(orientation))
    found = []
    for quantity in dict.fromkeys(number.quantity for number in numbers):
        pairs = [pair for pair in zip(numbers, met, strict=True) if pair[0].quantity == quantity]
        key = "recall" if quantity == "sensitivity" else quantity
        values = ["none" if score[key] is None else score[key] for score in scores]
        is_count = quantity == "support"
        texts = [str(v) if is_count or v == "none" else percent(v) for v in values]
        same = [number for number, _ in pairs]
        missed = [number for number, is_met in pairs if not is_met]
        where = ", ".join(dict.fromkeys(number.where for number in same))
        claim = f"{where}, {name(matrix.keys, 'part')}: {listed(same)}"
        evidence = f"{orientation}, classes {', '.join(matrix.classes)}; in this orientation "
        evidence += f"{sum(met)} of all {len(met)} printed values are met"
        evidence += f"; not met here: {listed(missed)}" if missed else ""
        uses = (*matrix.numbers, *same)
        verdict = verdict_of(not missed)
        recomputed = f"{quantity} {', '.join(texts)}"
        found.append(Finding(matrix.where, claim, recomputed, verdict, evidence, uses))
    return found


def _total(paper, matrix):
    """The number of images in the matrix against the stated part and the printed supports."""
    total, found = int(matrix.counts.sum()), []
    known = sizes(paper, matrix.keys)
    if known is not None:
        claim = f"{name(matrix.keys)}: {' or '.join(map(str, known.totals))} images"
        sums = {o: matrix.actual_in_rows(o).sum(axis=1).tolist() for o in matrix.orientations}
        evidence = f"{known.how}; the matrix holds {total} images"
        is_met = total in known.totals
        if is_met and known.counts:
            wanted = [known.counts.get(label) for label in matrix.classes]
            fitting = [orientation for orientation, row in sums.items() if row == wanted]
            is_met = bool(fitting)
            evidence += f"; class sums fit: {fitting[0] if fitting else 'in neither orientation'}"
        uses = (*matrix.numbers, *known.uses)
        found.append(Finding(matrix.where, claim, f"{total}", verdict_of(is_met), evidence, uses))
    supports = [n for n in _class_numbers(paper, matrix) if n.quantity == "support"]
    if supports:
        printed = sum(number.count for number in supports)
        claim = f"{name(matrix.keys)}: supports {' + '.join(n.text for n in supports)} = {printed}"
        evidence = f"sum of all counts of the matrix; supports: {supports[0].where}"
        uses = (*matrix.numbers, *supports)
        verdict = verdict_of(total == printed)
        found.append(Finding(matrix.where, claim, f"{total}", verdict, evidence, uses))
    return found


def _named_counts(paper, matrix):
    """True and false positives and negatives named in the text against the matrix."""
    positive = paper.choice("positive_class")
    model = matrix.keys["model"]
    claims = [number for quantity in SIDES for number in paper.find(quantity, model=model)]
    if not claims or positive not in matrix.classes or len(matrix.classes) != 2:
        return []
    orientation, _, met = best_orientation(paper, matrix)
    place = matrix.classes.index(positive)
    counts = matrix.actual_in_rows(orientation)
    found = []
    for quantity, (actually, predicted) in SIDES.items():
        row, column = (place if side else 1 - place for side in (actually, predicted))
        said = [claim for claim in claims if claim.quantity == quantity]
        value = int(counts[row, column])
        is_met = all(claim.count == value for claim in said)
        where = ", ".join(dict.fromkeys(claim.where for claim in said))
        claim = f"{quantity} {', '.join(dict.fromkeys(number.text for number in said))}"
        evidence = (
            f"{matrix.where} with {orientation}, which meets {sum(met)} of {len(met)} printed "
            f"values per class; positive class {positive}"
        )
        uses = (*matrix.numbers, *said)
        found.append(Finding(where, claim, str(value), verdict_of(is_met), evidence, uses))
    return found


def _copies(matrices):
    """Matrices of different networks that agree in all counts but at most one."""
    found = []
    for one, other in itertools.combinations(matrices, 2):
        if one.counts.shape != other.counts.shape or len(one.counts) < 3:
            continue
        different = np.argwhere(one.counts != other.counts)
        if len(different) > 1:
            continue
        cells = one.counts.size
        changes = "".join(
            f"; row {r + 1}, column {c + 1}: {one.counts[r, c]} and {other.counts[r, c]}"
            for r, c in different.tolist()
        )
        claim = f"matrices of {name(one.keys, 'part')} and of {name(other.keys, 'part')}"
        recomputed = f"{cells - len(different)} of {cells} counts are the same"
        evidence = f"two networks do not err on the same numbers of images in every class{changes}"
        uses = (*one.numbers, *other.numbers)
        where = f"{one.where}, {other.where}"
        found.append(Finding(where, claim, recomputed, INCONSISTENT, evidence, uses))
    return found


def _one_test_set(paper):
    """Whether the rows of a paper count the same images of each class."""
    groups = {}
    for keys, numbers in paper.rows:
        supports = [number for number in numbers if number.quantity == "support"]
        if supports:
            row = name(keys, "part", "dataset"), supports
            groups.setdefault(numbers[0].where, []).append(row)
    found = []
    for where, rows in groups.items():
        if len(rows) < 2:
            continue
        texts = {text: [number.count for number in supports] for text, supports in rows}
        evidence = "; ".join(f"{text} {'/'.join(map(str, row))}" for text, row in texts.items())
        uses = tuple(number for _, supports in rows for number in supports)
        for what, values in (
            ("sums", {sum(row) for row in texts.values()}),
            ("class counts", {tuple(row) for row in texts.values()}),
        ):
            claim = f"one test set for {len(rows)} networks: equal {what} of the supports"
            shown = f": {', '.join(map(str, sorted(values)))}" if what == "sums" else ""
            how_many = "the same" if len(values) == 1 else f"{len(values)} different"
            recomputed = f"{how_many} {what}{shown}"
            verdict = verdict_of(len(values) == 1)
            found.append(Finding(where, claim, recomputed, verdict, evidence, uses))
    return found
