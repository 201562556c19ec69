"""Printed confusion matrices: against the tables, the stated images, and each other."""

import itertools
from collections.abc import Iterator

import numpy as np
import pandas as pd

from leukkit.audit import search
from leukkit.audit.printed import Finding, Printed, grouped, listed, percent, places
from leukkit.audit.sources import Matrix, Paper, name
from leukkit.papers import Card

SIDES = {
    "true positives": (True, True),
    "false positives": (False, True),
    "false negatives": (True, False),
    "true negatives": (False, False),
}  # quantity -> (is actually positive, is predicted positive)


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

    Args:
        card: A `papers.Card`.

    Returns:
        Frame, one row per matrix, indexed by figure and network: ``images``, the sum of all counts,
        and for each class the sum of its ``row``, of its ``column``, and the printed ``support``
        (NA: none).
    """
    paper, rows = Paper(card), {}
    for matrix in paper.matrices:
        printed = [number for number in matrix.scores if number.quantity == "support"]
        supports: dict = {number.get("label"): number.count for number in printed}
        row = {("images", ""): matrix.total}
        for side, sums in (("row", matrix.counts.sum(1)), ("column", matrix.counts.sum(0))):
            row |= {(side, c): n for c, n in zip(matrix.classes, sums.tolist(), strict=True)}
        row |= {("support", label): supports.get(label, pd.NA) for label in matrix.classes}
        rows[matrix.where, name(matrix.keys, "dataset", "part")] = row
    frame = pd.DataFrame.from_dict(rows, orient="index").astype("Int64")
    frame.index.names = ["figure", "network"]
    return frame


def best_reading(matrix: Matrix) -> tuple[str, np.ndarray, list[Printed]]:
    """Return the reading of a matrix that meets most printed values of the same network.

    Returns:
        The reading, the counts with the actual classes in the rows, and the values that it meets.
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
        return Finding.on(matrix.numbers, claim, recomputed, None, "printed in no table")
    same_part = [n for n in numbers if paper.part(n.keys) == paper.part(matrix.keys)]
    held_out = same_part or [n for n in numbers if n.get("part") != "training"]
    printed = ", ".join(f"{n.text} ({n.where}, {n.get('part') or 'no part'})" for n in numbers)
    is_met = any(number.is_met(matrix.right, matrix.total) for number in held_out)
    diagonal = " + ".join(map(str, np.diag(matrix.counts)))
    evidence = f"({diagonal}) / {matrix.total}; printed accuracies: {printed}"
    return Finding.on(matrix.numbers, claim, recomputed, is_met, evidence, held_out)


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
        yield Finding.on(matrix.numbers, claim, recomputed, not missed, evidence, same)


def _text(quantity, numerator, denominator):
    if quantity == "support":
        return str(numerator)
    return percent(numerator / denominator) if denominator else "none"


def _total(paper, matrix):
    """The number of images in the matrix against the stated part and the printed supports."""
    if sizes := paper.sizes(matrix.keys):
        evidence = f"{sizes.how}; the matrix holds {matrix.total} images"
        is_met = matrix.total in sizes.totals
        if is_met and sizes.counts:
            wanted = [sizes.counts.get(label) for label in matrix.classes]
            fitting = [
                reading
                for reading, counts in matrix.readings.items()
                if counts.sum(axis=1).tolist() == wanted
            ]
            is_met = bool(fitting)
            evidence += f"; class sums fit: {fitting[0] if fitting else 'in neither orientation'}"
        claim = f"{name(matrix.keys)}: {' or '.join(map(str, sizes.totals))} images"
        yield Finding.on(matrix.numbers, claim, matrix.total, is_met, evidence, sizes.uses)
    supports = [n for n in matrix.scores if n.quantity == "support"]
    if supports:
        printed = sum(number.count for number in supports)
        claim = f"{name(matrix.keys)}: supports {' + '.join(n.text for n in supports)} = {printed}"
        evidence = f"sum of all counts of the matrix; supports: {supports[0].where}"
        is_met = matrix.total == printed
        yield Finding.on(matrix.numbers, claim, matrix.total, is_met, evidence, supports)


def _named_counts(paper, matrix):
    """True and false positives and negatives named in the text against the matrix."""
    positive = paper.choice("positive_class")
    if positive not in matrix.classes or len(matrix.classes) != 2:
        return
    reading, counts, met = best_reading(matrix)
    place = matrix.classes.index(positive)
    for quantity, sides in SIDES.items():
        row, column = (place if side else 1 - place for side in sides)
        if said := paper.find(quantity, model=matrix.keys["model"]):
            evidence = (
                f"{matrix.where} with {reading}, which meets {len(met)} of {len(matrix.scores)} "
                f"printed values per class; positive class {positive}"
            )
            claim = f"{quantity} {', '.join(dict.fromkeys(number.text for number in said))}"
            value = int(counts[row, column])
            is_met = all(number.count == value for number in said)
            yield Finding.on(said, claim, value, is_met, evidence, matrix.numbers)


def _copies(matrices):
    """Matrices of different networks that agree in all counts but at most one."""
    for one, other in itertools.combinations(matrices, 2):
        if one.counts.shape != other.counts.shape or len(one.counts) < 3:
            continue
        different = np.argwhere(one.counts != other.counts).tolist()
        if len(different) > 1:
            continue
        changes = "".join(
            f"; row {r + 1}, column {c + 1}: {one.counts[r, c]} and {other.counts[r, c]}"
            for r, c in different
        )
        evidence = f"two networks do not err on the same numbers of images in every class{changes}"
        claim = f"matrices of {name(one.keys, 'part')} and of {name(other.keys, 'part')}"
        recomputed = f"{one.counts.size - len(different)} of {one.counts.size} counts are the same"
        yield Finding.on([*one.numbers, *other.numbers], claim, recomputed, False, evidence)


def _one_test_set(paper):
    """Whether the rows of a table count the same images of each class."""
    with_supports = [row for row in paper.rows if "support" in {n.quantity for n in row.numbers}]
    for rows in grouped(with_supports, lambda row: row.table).values():
        supports = {
            name(row.keys, "part", "dataset"): [n for n in row.numbers if n.quantity == "support"]
            for row in rows
        }
        if len(supports) < 2:
            continue
        counts = {text: tuple(n.count for n in same) for text, same in supports.items()}
        evidence = "; ".join(f"{text} {'/'.join(map(str, c))}" for text, c in counts.items())
        sums = sorted({sum(row) for row in counts.values()})
        numbers = [number for same in supports.values() for number in same]
        for what, many, shown in (
            ("sums", len(sums), f": {', '.join(map(str, sums))}"),
            ("class counts", len(set(counts.values())), ""),
        ):
            claim = f"one test set for {len(supports)} networks: equal {what} of the supports"
            recomputed = f"{'the same' if many == 1 else f'{many} different'} {what}{shown}"
            yield Finding.on(numbers, claim, recomputed, many == 1, evidence)
