"""Printed confusion matrices: against the tables, the stated images, and each other."""

import itertools
from collections.abc import Iterator

import numpy as np
import pandas as pd

from leukkit.audit import search
from leukkit.audit.attainable import same_predictions
from leukkit.audit.printed import (
    Finding,
    Matrix,
    Paper,
    Printed,
    grouped,
    listed,
    name,
    percent,
    places,
    statement,
)
from leukkit.papers import Card

# By the predicted, then by the actual class.
NAMED_COUNTS = ("true positives", "false positives", "false negatives", "true negatives")


def check(paper: Paper) -> Iterator[Finding]:
    """Yield the findings on every printed matrix, then those on all of them together."""
    for matrix in paper.matrices:
        yield _accuracy(paper, matrix)
        yield from _per_class(matrix)
        yield from _total(paper, matrix)
        yield from _named_counts(paper, matrix)
    yield from _copies(paper.matrices)
    yield from _one_test_set(paper)


def matrices(card: Card) -> pd.DataFrame:
    """Add up the printed confusion matrices, whose sides a paper may not name.

    "Support" is the number of images of an actual class. Where the column sums of a matrix are the
    printed supports, its columns are the actual classes and its rows the predicted ones. Networks
    that were tested on the same images have the same sums over the actual classes.

    Returns:
        Frame, one row per matrix, indexed by figure and network: ``images``, the sum of all counts,
        and for each class the sum of its ``row``, of its ``column``, and the printed ``support``
        (NA: none).
    """
    rows: dict = {}
    for matrix in Paper(card).matrices:
        supports = {n.get("label"): n.count for n in matrix.scores if n.quantity == "support"}
        sums = {
            "row": matrix.counts.sum(axis=1).tolist(),
            "column": matrix.counts.sum(axis=0).tolist(),
            "support": [supports.get(label, pd.NA) for label in matrix.classes],
        }
        row = {("images", ""): matrix.total}
        for side, numbers in sums.items():
            row |= {(side, c): n for c, n in zip(matrix.classes, numbers, strict=True)}
        rows[matrix.where, name(matrix.keys, "dataset", "part")] = row
    frame = pd.DataFrame.from_dict(rows, orient="index").astype("Int64")
    return frame.rename_axis(["figure", "network"]) if rows else frame


def best_reading(matrix: Matrix) -> tuple[str, np.ndarray, list[Printed]]:
    """Return the reading of a matrix that meets most printed values of the same network.

    With it the counts, the actual classes in the rows, and the values that it meets.
    """
    readings = []
    for reading, counts in matrix.readings.items():
        of = {label: search.ratios(counts, place) for place, label in enumerate(matrix.classes)}
        met = [n for n in matrix.scores if n.is_met(*of[n.get("label")][n.quantity])]
        readings.append((reading, counts, met))
    return max(readings, key=lambda one: len(one[2]))


def _accuracy(paper, matrix):
    """The printed accuracies of the network, whichever part they are said to be of."""
    numbers = matrix.accuracies
    recomputed = f"{matrix.right}/{matrix.total} = {percent(matrix.accuracy)}%"
    claim = f"accuracy of {name(matrix.keys, 'part')}"
    if not numbers:
        return Finding(matrix.numbers, claim, recomputed, None, "printed in no table")
    same_part = [n for n in numbers if paper.part(n.keys) == paper.part(matrix.keys)]
    held_out = same_part or [n for n in numbers if n.get("part") != "training"]
    printed = ", ".join(f"{n.text} ({n.where}, {n.get('part') or 'no part'})" for n in numbers)
    is_met = any(number.is_met(matrix.right, matrix.total) for number in held_out)
    diagonal = " + ".join(map(str, np.diag(matrix.counts)))
    evidence = f"({diagonal}) / {matrix.total}; printed accuracies: {printed}"
    if not is_met and not same_part:
        is_met, evidence = None, f"{evidence}; none of the part that the matrix is of"
    premise = same_predictions(held_out or numbers)
    return Finding(matrix.numbers, claim, recomputed, is_met, evidence, premise)


def _per_class(matrix):
    """One finding per quantity, all in the reading that meets most values together."""
    reading, counts, met = best_reading(matrix)
    scores = [search.ratios(counts, place) for place in range(len(counts))]
    for quantity, same in grouped(matrix.scores, lambda number: number.quantity).items():
        missed = [number for number in same if number not in met]
        values = [_text(quantity, *map(int, of[quantity])) for of in scores]
        evidence = (
            f"{reading}, classes {', '.join(matrix.classes)}; in this orientation {len(met)} of "
            f"all {len(matrix.scores)} printed values are met"
        )
        evidence += f"; not met here: {listed(missed)}" if missed else ""
        claim = f"{places(same)}, {name(matrix.keys, 'part')}: {listed(same)}"
        recomputed = f"{quantity} {', '.join(values)}"
        premise = statement(same)
        yield Finding(matrix.numbers, claim, recomputed, not missed, evidence, premise)


def _text(quantity, numerator, denominator):
    if quantity == "support":
        return str(numerator)
    return percent(numerator / denominator) if denominator else "none"


def _total(paper, matrix):
    """The number of images in the matrix against the stated part and the printed supports."""
    total, numbers = str(matrix.total), matrix.numbers
    if sizes := paper.sizes(matrix.keys):
        evidence = f"{sizes.how}; the matrix holds {total} images"
        is_met = matrix.total in sizes.totals
        if is_met and sizes.counts:
            wanted = [sizes.counts.get(label) for label in matrix.classes]
            sums = {reading: list(counts.sum(1)) for reading, counts in matrix.readings.items()}
            fitting = [reading for reading in sums if sums[reading] == wanted]
            is_met = bool(fitting)
            evidence += f"; class sums fit: {fitting[0] if fitting else 'in neither orientation'}"
        claim = f"{name(matrix.keys)}: {' or '.join(map(str, sizes.totals))} images"
        yield Finding(numbers, claim, total, is_met, evidence, sizes.how)
    if supports := [n for n in matrix.scores if n.quantity == "support"]:
        printed = sum(number.count for number in supports)
        claim = f"{name(matrix.keys)}: supports {' + '.join(n.text for n in supports)} = {printed}"
        evidence = f"sum of all counts of the matrix; supports: {supports[0].where}"
        is_met = matrix.total == printed
        yield Finding(numbers, claim, total, is_met, evidence, statement(supports))


def _named_counts(paper, matrix):
    """True and false positives and negatives named in the text against the matrix."""
    positive = paper.choice("positive_class")
    if positive not in matrix.classes or len(matrix.classes) != 2:
        return
    reading, counts, met = best_reading(matrix)
    place = matrix.classes.index(positive)
    order = [place, 1 - place]
    values = counts[np.ix_(order, order)].T.ravel().tolist()
    evidence = (
        f"{matrix.where} with {reading}, which meets {len(met)} of {len(matrix.scores)} "
        f"printed values per class; positive class {positive}"
    )
    for quantity, value in zip(NAMED_COUNTS, values, strict=True):
        if said := paper.find(quantity, model=matrix.keys["model"]):
            claim = f"{quantity} {', '.join(dict.fromkeys(number.text for number in said))}"
            is_met = all(number.count == value for number in said)
            premise = f"{matrix.where}: {reading}, positive class {positive}"
            yield Finding(said, claim, str(value), is_met, evidence, premise)


def _copies(matrices):
    """Matrices of different networks that agree in all counts but at most one."""
    for one, other in itertools.combinations(matrices, 2):
        if one.counts.shape != other.counts.shape or len(one.counts) < 3:
            continue
        different = np.argwhere(one.counts != other.counts).tolist()
        if len(different) > 1:
            continue
        evidence = "two networks do not err on the same numbers of images in every class"
        for r, c in different:
            evidence += (
                f"; row {r + 1}, column {c + 1}: {one.counts[r, c]} and {other.counts[r, c]}"
            )
        claim = f"matrices of {name(one.keys, 'part')} and of {name(other.keys, 'part')}"
        recomputed = f"{one.counts.size - len(different)} of {one.counts.size} counts are the same"
        premise = f"{one.where} and {other.where} are of two networks"
        yield Finding([*one.numbers, *other.numbers], claim, recomputed, False, evidence, premise)


def _one_test_set(paper):
    """Whether the rows of a table count the same images of each class."""
    supports = [n for row in paper.rows for n in row.numbers if n.quantity == "support"]
    for numbers in grouped(supports, lambda number: number.where).values():
        rows = grouped(numbers, lambda number: name(number.keys, "part", "dataset", "label"))
        if len(rows) < 2:
            continue
        counts = {text: tuple(n.count for n in same) for text, same in rows.items()}
        evidence = "; ".join(f"{text} {'/'.join(map(str, c))}" for text, c in counts.items())
        sums = sorted({sum(row) for row in counts.values()})
        shown = f"sums: {', '.join(map(str, sums))}"
        for text, many in ((shown, len(sums)), ("class counts", len(set(counts.values())))):
            what = text.partition(":")[0]
            claim = f"one test set for {len(rows)} networks: equal {what} of the supports"
            recomputed = f"{'the same' if many == 1 else f'{many} different'} {text}"
            premise = "All networks are tested on the same images"
            yield Finding(numbers, claim, recomputed, many == 1, evidence, premise)
