"""Is there a confusion matrix of whole images that gives all the scores of a row?"""

import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from leukkit.audit import denominators, search
from leukkit.audit.printed import (
    Finding,
    Paper,
    Printed,
    Row,
    grouped,
    listed,
    mixes,
    name,
    percent,
    places,
    without,
)
from leukkit.papers import Card

SHOWN = 6  # matrices that are listed one by one
MOST = 100_000  # matrices that are tried one by one


def check(paper: Paper) -> Iterator[Finding]:
    """Yield a finding per row of scores, per accuracy it can be held against, and per mean."""
    for row in paper.rows:
        if not (row.sizes and (row.sizes.counts or row.mixes)):
            reason = "the number of images per class is not stated"
            yield Finding(row.numbers, row.claim, "", None, reason)
            continue
        possible, evidence = _two_classes(row) if row.mixes else _several_classes(row)
        recomputed, is_met = possible or "no integer matrix", bool(possible)
        others = {} if is_met else _on_other_sizes(row)
        # Where other sizes would do, what fails is what is said of them.
        reading = row.sizes.how if any(map(len, others.values())) else ""
        yield Finding(row.numbers, row.claim, recomputed, is_met, evidence, reading)
        if is_met:
            yield from _accuracies(row)
        elif row.sides:
            yield from _as_mean(row)


def row_matrices(row: Row) -> np.ndarray:
    """Return all matrices (some, 2, 2) of a row of two classes; none if its size is unknown."""
    if not row.mixes:
        return np.zeros((0, 2, 2), dtype=np.int64)
    return search.matrices(row.numbers, row.positive, *row.mixes)


def possible_matrices(card: Card, table: str, is_rounded: bool = False) -> dict[str, np.ndarray]:
    """List the confusion matrices that agree with all that is printed of the rows of a table.

    An accuracy that another table prints for the same network and part counts, too. Numbers may as
    well be truncated, unless ``is_rounded``.

    Returns:
        Name of the row -> int64 (matrices, classes, classes): actual classes in the rows; of two
        classes the positive one first, of more in the order of the printed numbers of images.

    Raises:
        ValueError: A row allows too many errors to try all matrices.
    """
    return {
        name(row.keys, "part"): row_matrices(row) if row.sides else _matrices_of_several(row)
        for row in _rows(Paper(card, is_rounded), table)
    }


def implied_accuracies(card: Card, table: str | None = None) -> pd.DataFrame:
    """Put the accuracies that a paper's other numbers imply beside the printed ones.

    Returns:
        Frame in percent, one row per network in ``table``, or per printed confusion matrix: ``low``
        and ``high``, the implied accuracy (equal where it is exact; NaN: nothing is possible), then
        a column per part of the data with the accuracy that tables print for it, and ``text``,
        where the text says one of no part.
    """
    paper, rows = Paper(card), {}
    implied = [(one.keys, [one.right], one.total) for one in paper.matrices if table is None]
    implied += [(row.keys, *_right(row)) for row in _rows(paper, table)]
    accuracies = [n for n in paper.find("accuracy") if n.is_number]
    for keys, right, total in implied:
        own = without(keys, "part")
        printed = [n for n in accuracies if without(n.keys, "part", "rank") == own]
        of_part = grouped(printed, lambda n: n.get("part") or ("table" if n.is_cell else "text"))
        rows[name(own, "dataset")] = {
            "low": 100 * min(right, default=math.nan) / total,
            "high": 100 * max(right, default=math.nan) / total,
            **{part: float(100 * same[0].exact) for part, same in of_part.items()},
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def _rows(paper, table):
    """The rows of a table whose number of images per class is known."""
    return [row for row in paper.rows if row.table == table and row.sizes and row.sizes.counts]


def _right(row):
    """How many images can have been right, as a list, and of how many."""
    total = sum(row.sizes.counts.values())
    if row.sides:
        return search.ratios(row_matrices(row))["accuracy"][0].tolist(), total
    return [total - errors for errors in _ways(row)[0]], total


def _accuracies(row):
    """Accuracies that other tables print for a network, against those that a row allows."""
    numbers = _accuracies_elsewhere(row)
    if not numbers or (row.mixes and row.scores("accuracy")):
        return
    right, total = _right(row)
    parts = ["" if row.keys.get("part") else f" ({n.get('part') or 'no part'})" for n in numbers]
    texts = [number.text + part for number, part in zip(numbers, parts, strict=True)]
    claim = f"accuracy of {name(row.keys)}: {', '.join(texts)}"
    if row.sides:
        evidence = f"{row.table} allows {min(right)} to {max(right)} right of {total} images "
        evidence += f"({row.sizes.how})"
    else:
        evidence = f"the values per class of {row.table} allow {_errors(right, total)} on "
        evidence += f"{total} images"
    is_met = any(number.is_met(count, total) for number in numbers for count in right)
    if not is_met and row.paper.part(row.keys) not in [number.get("part") for number in numbers]:
        is_met, evidence = None, f"{evidence}; {row.table} names no part: it can be of other images"
    premise, recomputed = same_predictions(numbers), _shares(right, total)
    yield Finding(numbers, claim, recomputed, is_met, evidence, premise)


def same_predictions(accuracies: Sequence[Printed]) -> str:
    """Return the premise of what holds accuracies against scores printed elsewhere."""
    return f"The accuracies of {places(accuracies)} are of predictions that are scored elsewhere"


def _accuracies_elsewhere(row):
    """The accuracies that other tables print for the row, of any part if it names none."""
    own, part = without(row.keys, "part"), row.keys.get("part")
    cells = [n for n in row.paper.find("accuracy") if n.is_cell and without(n.keys, "part") == own]
    return [n for n in cells if part in (None, n.get("part")) and n not in row.numbers]


def _shares(right, total):
    return f"{percent(min(right) / total)} to {percent(max(right) / total)}"


def _errors(right, total):
    return f"{total - max(right)} to {total - min(right)} errors"


# ---------------------------------------------------------------- two classes


def _two_classes(row):
    """The matrices that give the row, as text, and the evidence."""
    found = row_matrices(row)
    evidence = [row.sizes.how, f"positive class {row.positive}"]
    if not row.sides:
        evidence.append("no class sizes are stated, so all that add up were tried")
    if not len(found):
        evidence += ["every matrix on these images was tried", *_other_sizes(row)]
    return _list(found), "; ".join(evidence)


def _list(found):
    ordered = sorted(found.tolist(), key=lambda counts: (counts[0][0], counts[1][1]))
    texts = [f"TP{tp} FN{fn} TN{tn} FP{fp}" for (tp, fn), (fp, tn) in ordered[:SHOWN]]
    return "; ".join(texts) + (f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else "")


def _other_sizes(row):
    """What happens with the classes exchanged, on the whole data set, and value by value."""
    padded = [number.padded() for number in row.numbers]
    exchanged = row.sides and row.sides[::-1]
    tried = {"with the classes exchanged": exchanged, "on the whole data set": row.whole_sides}
    for text, sides in tried.items():
        if sides:
            found = _list(search.matrices(row.numbers, row.positive, *sides))
            yield f"{text} ({sides[0]} + {sides[1]}) {found or 'none'}"
    if [number.text for number in padded] != [number.text for number in row.numbers]:
        found = _list(search.matrices(padded, row.positive, *row.mixes))
        yield f"without the zeros at the end (99.10 as 99.1) {found or 'none'}"
    for total, matrices in _on_other_sizes(row).items():
        some = [f"{a} + {b}" for a, b in matrices[:SHOWN].sum(axis=-1).tolist()] or ["none"]
        more = f" and {len(matrices) - SHOWN} more" if len(matrices) > SHOWN else ""
        yield f"other class sizes on {total} images that would do: {', '.join(some)}{more}"
    if len(row.numbers) > 2:  # one value alone is attainable nearly always
        spare = []
        rates = () if row.sides else row.scores("sensitivity", "specificity")  # thin out all mixes
        for number in [number for number in row.numbers if number not in rates]:
            others = [other for other in row.numbers if other is not number]
            if len(search.matrices(others, row.positive, *row.mixes)):
                spare.append(listed([number]))
        yield f"attainable if one value is left out: {' or '.join(spare) or 'none'}"


def _on_other_sizes(row):
    """Total, stated or explaining the accuracies best -> matrices of any classes that would do."""
    if not row.mixes or not row.scores("sensitivity", "specificity"):
        return {}
    totals = list(row.sizes.totals[:1])
    for numbers, sizes in denominators.groups(row.paper):
        if sizes.how == row.sizes.how:
            totals.append(denominators.explaining_total(numbers, totals[0])[0])
    return {n: search.matrices(row.numbers, row.positive, *mixes(n)) for n in totals}


def _as_mean(row):
    """The row as a mean over the stated folds, of its own images or of all.

    The bounds are necessary: a row outside of them is no mean over folds of these sizes, a row
    inside may still be none, which the search finds out for the rates.
    """
    evidence = (
        "accuracy is a mean of sensitivity and specificity weighted by class size; precision is "
        "largest when all false positives that the specificity needs lie in one fold; whether any "
        "matrices of the folds give accuracy, sensitivity and specificity together (the rates), "
        "mlscorecheck decides by integer programming"
    )
    said = {None: "", True: "; some folds give the rates", False: "; no folds give the rates"}
    for folds in row.paper.find("folds")[:1]:
        texts, is_met = [], False
        for sides in filter(None, (row.sides, row.whole_sides)):
            bounds = search.mean_bounds(row.numbers, sides, folds.count)
            is_mean = search.is_mean_of_folds(row.numbers, sides, folds.count)
            ends = [f"{key} {percent(a)} to {percent(b)}" for key, (a, b) in bounds.items()]
            images = f"{sides[0]} + {sides[1]} images in {folds.text} folds"
            texts.append(f"{images}: {', '.join(ends)}{said[is_mean]}")
            bounded = [
                (n.window(), bounds[n.quantity]) for n in row.numbers if n.quantity in bounds
            ]
            is_inside = all(low < end and start <= high for (start, end), (low, high) in bounded)
            if is_inside and is_mean is not False:
                is_met = None
        claim = f"{name(row.keys, 'part')}, as a mean of {folds.text} folds: {listed(row.numbers)}"
        yield Finding(row.numbers, claim, "; ".join(texts), is_met, evidence)


# ---------------------------------------------------------------- more than two classes


def _several_classes(row):
    """How many errors the row allows, as text, and the evidence."""
    (ways, reason), total = _ways(row), sum(row.sizes.counts.values())
    how = f"{row.sizes.how}; {total} images; "
    if reason:
        return "", how + reason
    how += f"{sum(ways.values())} ways to share the errors out among the classes"
    right = [total - errors for errors in ways]
    return f"{_errors(right, total)}, accuracy {_shares(right, total)}", how


def _ways(row):
    """Number of errors -> ways to share them out; and the reason where there are none."""
    total = sum(row.sizes.counts.values())
    classes, stuck = [], []
    for label, support in row.sizes.counts.items():
        scores = [n for n in row.of(label).values() if n.quantity != "support"]
        classes.append(search.matrices(scores, label, support, total - support))
        if not len(classes[-1]):
            stuck.append(f"{listed(scores)} on {support} images")
    if stuck:
        return {}, f"no whole numbers of images give {'; '.join(stuck)}"
    ways, accuracy = search.shared_errors(classes), row.scores("accuracy")
    ways = {k: n for k, n in ways.items() if all(a.is_met(total - k, total) for a in accuracy)}
    reason = (
        "each class alone is attainable, but the errors that the classes miss and the ones that "
        "they take cannot be made equal"
    )
    return ways, "" if ways else reason


def _matrices_of_several(row):
    """All matrices with as many errors as the printed accuracies allow, tried one by one."""
    labels, supports = list(row.sizes.counts), list(row.sizes.counts.values())
    elsewhere, (rights, total) = _accuracies_elsewhere(row), _right(row)
    pairs = list(itertools.permutations(range(len(labels)), 2))
    found = []
    for right in [one for one in rights if all(n.is_met(one, total) for n in elsewhere)]:
        errors = total - right
        if math.comb(len(pairs) + errors - 1, errors) > MOST:
            raise ValueError(f"{row.claim}: too many matrices have {errors} errors")
        for mistakes in itertools.combinations_with_replacement(pairs, errors):
            counts = np.diag(supports)
            for actual, predicted in mistakes:
                counts[actual, [actual, predicted]] += (-1, 1)
            found.append(counts)
    candidates = np.array(found, dtype=np.int64).reshape(-1, len(labels), len(labels))
    return search.give(candidates, row.numbers, labels)
