"""Is there a confusion matrix of whole images that gives all the scores of a row?"""

import itertools
import math
from collections.abc import Iterator

import numpy as np
import pandas as pd

from leukkit.audit import denominators, search
from leukkit.audit.printed import Finding, grouped, listed, percent, without
from leukkit.audit.sources import Paper, Row, name

SHOWN = 6  # matrices that are listed one by one
MOST = 100_000  # matrices that are tried one by one


def check(paper: Paper) -> Iterator[Finding]:
    """Yield a finding per row of scores, per accuracy it can be held against, and per mean."""
    for row in paper.rows:
        if len(row.labels) > 2:
            yield from _several_classes(row)
        elif row.sides:
            yield from _two_classes(row)
        else:
            reason = "the number of images per class is not stated"
            yield Finding.on(row.numbers, row.claim, "", None, reason)


def row_matrices(row: Row) -> np.ndarray:
    """Return all matrices (some, 2, 2) of a row of two classes; none unless their sizes are known."""
    if not row.sides:
        return np.zeros((0, 2, 2), dtype=np.int64)
    return search.matrices(row.numbers, row.positive, *row.sides)


def possible_matrices(card, table: str) -> dict[str, np.ndarray]:
    """List the confusion matrices that agree with all that is printed of the rows of a table.

    An accuracy that another table prints for the same network and part counts, too.

    Args:
        card: A `papers.Card`.
        table: The table's name.

    Returns:
        Name of the row -> int64 (matrices, classes, classes): actual classes in the rows; of two
        classes the positive one first, of more in the order of the printed numbers of images.

    Raises:
        ValueError: A row allows too many errors to try all matrices.
    """
    found = {}
    for row in Paper(card).rows:
        if row.numbers[0].where == table and (row.sides or _supports(row)):
            of_row = row_matrices(row) if row.sides else _matrices_of_several(row)
            found[name(row.keys, "part")] = of_row
    return found


def implied_accuracies(card, table: str | None = None) -> pd.DataFrame:
    """Put the accuracies that a paper's other numbers imply beside the printed ones.

    Args:
        card: A `papers.Card`.
        table: A table of scores per class; None: the printed confusion matrices.

    Returns:
        Frame in percent, one row per network: ``low`` and ``high``, the implied accuracy (equal
        where it is exact), then a column per part of the data with the accuracy that tables print
        for it, and ``text``, where the text says one of no part (NaN: none).
    """
    paper, implied, rows = Paper(card), [], {}
    if table is None:
        implied = [(one.keys, one.total, [one.right]) for one in paper.matrices]
    for row in paper.rows:
        if row.numbers[0].where == table and (row.sides or _supports(row)):
            implied.append((row.keys, *(_right(row))))
    for keys, total, right in implied:
        own = without(keys, "part")
        printed = [
            number
            for number in paper.find("accuracy")
            if number.is_number and without(number.keys, "part", "rank") == own
        ]
        of_part = grouped(printed, lambda n: n.get("part") or ("table" if n.is_cell else "text"))
        rows[name(own, "dataset")] = {
            "low": 100 * min(right, default=math.nan) / total,
            "high": 100 * max(right, default=math.nan) / total,
            **{part: float(100 * same[0].exact) for part, same in of_part.items()},
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def _right(row):
    """The images that the row was computed on, and how many of them can have been right."""
    if row.sides:
        return sum(row.sides), search.ratios(row_matrices(row))["accuracy"][0].tolist()
    supports, *_ = _supports(row)
    total = sum(supports.values())
    return total, [total - errors for errors in _ways(row, supports)[0]]


# ---------------------------------------------------------------- two classes


def _two_classes(row):
    found, uses = row_matrices(row), row.sizes.uses
    evidence = f"{row.sizes.how}; positive class {row.positive}"
    if len(found):
        yield Finding.on(row.numbers, row.claim, _list(found), True, evidence, uses)
        yield from _accuracy_of_two_classes(row)
        return
    tried = ["every matrix on these images was tried", *_other_sizes(row)]
    evidence = "; ".join([evidence, *tried])
    yield Finding.on(row.numbers, row.claim, "no integer matrix", False, evidence, uses)
    yield from _as_mean(row)


def _accuracy_of_two_classes(row):
    """Accuracies that other tables print for a network, against those a row without one allows."""
    own = without(row.keys, "part")
    numbers = [n for n in row.paper.find("accuracy") if n.is_cell and without(n.keys, "part") == own]
    if not numbers or "accuracy" in {number.quantity for number in row.numbers}:
        return
    total, right = _right(row)
    texts = ", ".join(f"{n.text} ({n.get('part') or 'no part'})" for n in numbers)
    evidence = (
        f"{row.numbers[0].where} allows {min(right)} to {max(right)} right of {total} images "
        f"({row.sizes.how}); if not met, the two tables are not of the same predictions"
    )
    claim = f"accuracy of {name(own)}: {texts}"
    is_met = any(number.is_met(count, total) for number in numbers for count in right)
    uses = (*row.numbers, *row.sizes.uses)
    yield Finding.on(numbers, claim, _shares(right, total), is_met, evidence, uses)


def _shares(right, total):
    return f"{percent(min(right) / total)} to {percent(max(right) / total)}"


def _list(found):
    ordered = sorted(found.tolist(), key=lambda counts: (counts[0][0], counts[1][1]))
    texts = [f"TP{tp} FN{fn} TN{tn} FP{fp}" for (tp, fn), (fp, tn) in ordered[:SHOWN]]
    return "; ".join(texts) + (f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else "")


def _other_sizes(row):
    """What happens with the classes exchanged, on the whole data set, and value by value."""
    tried = {"with the classes exchanged": (row.numbers, row.sides[::-1])}
    if row.whole_sides:
        tried["on the whole data set"] = (row.numbers, row.whole_sides)
    padded = [number.padded() for number in row.numbers]
    if [number.text for number in padded] != [number.text for number in row.numbers]:
        tried["without the zeros at the end (99.10 as 99.1)"] = (padded, row.sides)
    for text, (numbers, sides) in tried.items():
        found = search.matrices(numbers, row.positive, *sides)
        yield f"{text} ({sides[0]} + {sides[1]}) {_list(found) or 'none'}"
    for total in _totals(row) if {"sensitivity", "specificity"} <= set(row.of()) else ():
        sizes = np.arange(1, total)
        free = search.matrices(row.numbers, row.positive, sizes, total - sizes).sum(axis=-1)
        some = ", ".join(f"{a} + {b}" for a, b in free[:SHOWN].tolist()) or "none"
        more = f" and {len(free) - SHOWN} more" if len(free) > SHOWN else ""
        yield f"other class sizes on {total} images that would do: {some}{more}"
    if len(row.numbers) > 2:  # one value alone is attainable nearly always
        spare = [
            listed([number])
            for number in row.numbers
            if len(search.matrices([n for n in row.numbers if n is not number], row.positive, *row.sides))
        ]
        yield f"attainable if one value is left out: {' or '.join(spare) or 'none'}"


def _totals(row):
    """The stated number of images, and the one that explains the accuracies best."""
    stated = row.sizes.totals[0]
    totals = [stated]
    for numbers, sizes in denominators.groups(row.paper):
        if sizes.how == row.sizes.how and (checkable := denominators.can_fail(numbers, stated)):
            totals.append(denominators.explaining_total(checkable, stated)[0])
    return list(dict.fromkeys(totals))


def _as_mean(row):
    """The row as a mean over the stated folds.

    The bounds are necessary: a row outside of them is no mean over folds of these sizes, a row
    inside may still be none, which the search finds out for the rates.
    """
    for folds in row.paper.find("folds")[:1]:
        sides = [row.sides] + ([row.whole_sides] if row.whole_sides else [])
        means = [_mean_of(row.numbers, one, folds.count) for one in sides]
        claim = f"{name(row.keys, 'part')}, as a mean of {folds.text} folds: {listed(row.numbers)}"
        evidence = (
            "accuracy is a mean of sensitivity and specificity weighted by class size; precision is "
            "largest when all false positives that the specificity needs lie in one fold; whether "
            "any matrices of the folds give accuracy, sensitivity and specificity together (the "
            "rates), mlscorecheck decides by integer programming"
        )
        is_met = None if any(is_possible for _, is_possible in means) else False
        recomputed = "; ".join(text for text, _ in means)
        yield Finding.on(row.numbers, claim, recomputed, is_met, evidence, (folds, *row.sizes.uses))


def _mean_of(numbers, sides, folds):
    """What folds of a data set of this size allow, as text, and whether the row may be of it."""
    bounds = search.mean_bounds(numbers, sides, folds)
    ends = ", ".join(f"{q} {percent(low)} to {percent(high)}" for q, (low, high) in bounds.items())
    is_mean = search.is_mean_of_folds(numbers, sides, folds)
    found = {None: "", True: "; some folds give the rates", False: "; no folds give the rates"}
    is_outside = any(
        number.window()[1] <= bounds[number.quantity][0]
        or number.window()[0] > bounds[number.quantity][1]
        for number in numbers
        if number.quantity in bounds
    )
    text = f"{sides[0]} + {sides[1]} images in {folds} folds: {ends}{found[is_mean]}"
    return text, not is_outside and is_mean is not False


# ---------------------------------------------------------------- more than two classes


def _several_classes(row):
    supports, how, uses = _supports(row) or ({}, "", ())
    if not supports:
        yield Finding.on(row.numbers, row.claim, "", None, "no number of images is stated")
        return
    how += f"; {sum(supports.values())} images"
    ways, reason = _ways(row, supports)
    if reason:
        how += f"; {reason}"
        yield Finding.on(row.numbers, row.claim, "no integer matrix", False, how, uses)
        return
    total, right = _right(row)
    errors = f"{min(ways)} to {max(ways)} errors"
    recomputed = f"{errors}, accuracy {_shares(right, total)}"
    how += f"; {sum(ways.values())} ways to share the errors out among the classes"
    yield Finding.on(row.numbers, row.claim, recomputed, True, how, uses)
    for number in _accuracies_elsewhere(row):
        claim = f"accuracy of {name(row.keys)}: {number.text}"
        table = row.numbers[0].where
        evidence = f"the values per class of {table} allow {errors} on {total} images"
        is_met = any(number.is_met(count, total) for count in right)
        all_uses = (*row.numbers, *uses)
        yield Finding.on([number], claim, _shares(right, total), is_met, evidence, all_uses)


def _supports(row):
    """Images per class (in the row first), where they come from, and their numbers; or None."""
    supports = {n.get("label"): n.count for n in row.numbers if n.quantity == "support"}
    if supports:
        return supports, "supports as printed", ()
    return row.sizes and (row.sizes.counts, row.sizes.how, row.sizes.uses)


def _ways(row, supports):
    """Number of errors -> ways to share them out; and the reason where there are none."""
    total = sum(supports.values())
    scores = {label: list(row.of(label).values()) for label in supports}
    classes = {
        label: search.matrices(scores[label], label, support, total - support)
        for label, support in supports.items()
    }
    stuck = [
        f"{listed(n for n in scores[label] if n.quantity != 'support')} on {supports[label]} images"
        for label, found in classes.items()
        if not len(found)
    ]
    if stuck:
        return {}, f"no whole numbers of images give {'; '.join(stuck)}"
    accuracies = [number for number in row.numbers if number.quantity == "accuracy"]
    ways = {
        errors: count
        for errors, count in search.shared_errors(list(classes.values())).items()
        if all(number.is_met(total - errors, total) for number in accuracies)
    }
    reason = (
        "each class alone is attainable, but the errors that the classes miss and the ones that "
        "they take cannot be made equal"
    )
    return ways, "" if ways else reason


def _accuracies_elsewhere(row):
    """The accuracies that other tables print for the row."""
    accuracies = row.paper.find("accuracy")
    return [n for n in accuracies if n.is_cell and n.keys == row.keys and n not in row.numbers]


def _matrices_of_several(row):
    """All matrices with as many errors as the printed accuracies allow, tried one by one."""
    supports, *_ = _supports(row)
    labels, total = list(supports), sum(supports.values())
    numbers = [*row.numbers, *_accuracies_elsewhere(row)]
    pairs = list(itertools.permutations(range(len(labels)), 2))
    found = []
    for errors in range(total + 1):
        if not all(n.is_met(total - errors, total) for n in numbers if n.quantity == "accuracy"):
            continue
        if math.comb(len(pairs) + errors - 1, errors) > MOST:
            raise ValueError(f"{row.claim}: too many matrices have {errors} errors")
        for mistakes in itertools.combinations_with_replacement(pairs, errors):
            counts = np.diag(list(supports.values()))
            for actual, predicted in mistakes:
                counts[actual, [actual, predicted]] += (-1, 1)
            found.append(counts)
    candidates = np.array(found, dtype=np.int64).reshape(-1, len(labels), len(labels))
    return search.give(candidates, numbers, labels)
