"""Is there a confusion matrix of whole images that gives all the scores of a row?"""

from leukkit.audit import binary, denominators, folds, multiclass
from leukkit.audit.findings import INCONSISTENT, NOT_CHECKABLE, Finding, listed, verdict_of
from leukkit.audit.printed import percent
from leukkit.audit.sizes import sizes, whole_counts
from leukkit.audit.sources import name

SHOWN = 6  # matrices that are listed one by one


def check(paper):
    """Return one finding per row of scores, and one more per row as the mean of folds."""
    found = []
    for keys, numbers in paper.rows:
        labels = {number.keys["label"] for number in numbers if "label" in number.keys}
        if len(labels) > 2:
            found += _several_classes(paper, keys, numbers)
            continue
        finding, is_found = _two_classes(paper, keys, numbers)
        found += [finding, *_accuracy_of_two_classes(paper, keys, numbers)]
        if not is_found:
            found += folds.as_mean(paper, keys, numbers)
    return found


def binary_matrices(paper, keys, numbers):
    """Return the ``Sizes`` of a two-class row and its matrices, or None without sizes."""
    known = sizes(paper, keys)
    positive = paper.choice("positive_class")
    if known is None or positive not in known.counts or len(known.counts) != 2:
        return None
    (negative,) = set(known.counts) - {positive}
    counts = known.counts[positive], known.counts[negative]
    return known, counts, binary.matrices(numbers, positive, *counts)


def _two_classes(paper, keys, numbers):
    where, claim = numbers[0].where, f"{name(keys, 'part')}: {listed(numbers)}"
    searched = binary_matrices(paper, keys, numbers)
    if searched is None:
        reason = "the number of images per class is not stated"
        return Finding(where, claim, "", NOT_CHECKABLE, reason, tuple(numbers)), False
    known, counts, solutions = searched
    uses = (*numbers, *known.uses)
    evidence = f"{known.how}; positive class {paper.choice('positive_class')}"
    if len(solutions):
        recomputed = _list_matrices(solutions, counts)
        return Finding(where, claim, recomputed, verdict_of(True), evidence, uses), True
    evidence += "; every matrix on these images was tried"
    evidence += "".join(f"; {text}" for text in _other_sizes(paper, keys, numbers, known, counts))
    recomputed = "no integer matrix"
    return Finding(where, claim, recomputed, INCONSISTENT, evidence, uses), False


def _accuracy_of_two_classes(paper, keys, numbers):
    """Accuracies that other tables print for a network, against those a row without one allows."""
    searched = binary_matrices(paper, keys, numbers)
    if searched is None or not len(searched[2]) or any(n.quantity == "accuracy" for n in numbers):
        return []
    known, counts, solutions = searched
    total, right = sum(counts), solutions.sum(axis=1)
    own = {key: value for key, value in keys.items() if key != "part"}
    printed = [
        number
        for number in paper.cells
        if number.quantity == "accuracy"
        and {key: value for key, value in number.keys.items() if key != "part"} == own
    ]
    if not printed:
        return []
    is_met = any(number.is_met(right, total).any() for number in printed)
    texts = ", ".join(f"{n.text} ({n.keys.get('part', 'no part')})" for n in printed)
    recomputed = f"{percent(right.min() / total)} to {percent(right.max() / total)}"
    evidence = (
        f"{numbers[0].where} allows {right.min()} to {right.max()} right of {total} images "
        f"({known.how}); if not met, the two tables are not of the same predictions"
    )
    where = ", ".join(dict.fromkeys(number.where for number in printed))
    claim = f"accuracy of {name(own)}: {texts}"
    uses = (*printed, *numbers, *known.uses)
    return [Finding(where, claim, recomputed, verdict_of(is_met), evidence, uses)]


def _list_matrices(solutions, counts):
    texts = [
        f"TP{hits} FN{counts[0] - hits} TN{rejects} FP{counts[1] - rejects}"
        for hits, rejects in solutions[:SHOWN].tolist()
    ]
    more = len(solutions) - SHOWN
    return "; ".join(texts) + (f"; and {more} more" if more > 0 else "")


def _other_sizes(paper, keys, numbers, known, counts):
    """What happens with the classes exchanged, on the whole data set, and value by value."""
    positive = paper.choice("positive_class")
    whole = whole_counts(paper, keys)
    tried = {"with the classes exchanged": (numbers, *counts[::-1])}
    if set(whole) == set(known.counts):
        (negative,) = set(whole) - {positive}
        sides = whole[positive].count, whole[negative].count
        tried["on the whole data set"] = (numbers, *sides)
    padded = [number.padded() for number in numbers]
    if [number.text for number in padded] != [number.text for number in numbers]:
        tried["without the zeros at the end (99.10 as 99.1)"] = (padded, *counts)
    for text, (row, positives, negatives) in tried.items():
        solutions = binary.matrices(row, positive, positives, negatives)
        result = _list_matrices(solutions, (positives, negatives)) if len(solutions) else "none"
        yield f"{text} ({positives} + {negatives}) {result}"
    if {"sensitivity", "specificity"} <= {number.quantity for number in numbers}:
        for total in _totals(paper, known):
            free = binary.class_sizes(numbers, positive, total)
            some = ", ".join(f"{row[0]} + {row[1]}" for row in free[:SHOWN].tolist())
            more = f" and {len(free) - SHOWN} more" if len(free) > SHOWN else ""
            yield f"other class sizes on {total} images that would do: {some + more or 'none'}"
    if len(numbers) < 3:
        return  # one value alone is attainable nearly always
    without = []
    for number in numbers:
        others = [other for other in numbers if other is not number]
        if len(binary.matrices(others, positive, *counts)):
            without.append(listed([number]))
    yield f"attainable if one value is left out: {' or '.join(without) or 'none'}"


def _totals(paper, known):
    """The stated number of images, and the one that explains the accuracies best."""
    totals = [known.totals[0]]
    for numbers, sizes_ in denominators.groups(paper):
        if sizes_.how == known.how and (open_ones := denominators.can_fail(numbers, totals[0])):
            totals.append(denominators.explaining_total(open_ones, totals[0])[0])
    return list(dict.fromkeys(totals))


def _several_classes(paper, keys, numbers):
    where, claim = numbers[0].where, f"{name(keys, 'part')}: {listed(numbers)}"
    supports = {n.keys["label"]: n.count for n in numbers if n.quantity == "support"}
    uses, how = tuple(numbers), "supports as printed"
    if not supports and (known := sizes(paper, keys)):
        supports, how, uses = known.counts, known.how, (*numbers, *known.uses)
    if not supports:
        return [Finding(where, claim, "", NOT_CHECKABLE, "no number of images is stated", uses)]
    total = sum(supports.values())
    classes, stuck = [], []
    for label, support in supports.items():
        of_class = [
            number
            for number in numbers
            if number.keys.get("label") == label and number.quantity != "support"
        ]
        classes.append(multiclass.error_counts(of_class, support, total))
        if not len(classes[-1]):
            stuck.append(f"{listed(of_class)} on {support} images")
    ways = {} if stuck else multiclass.shared_errors(classes)
    for number in numbers:
        if number.quantity == "accuracy":
            ways = {e: count for e, count in ways.items() if number.is_met(total - e, total)}
    how += f"; {total} images"
    if ways:
        recomputed = f"{min(ways)} to {max(ways)} errors, accuracy {_accuracies(ways, total)}"
        how += f"; {sum(ways.values())} ways to share the errors out among the classes"
        row = Finding(where, claim, recomputed, verdict_of(True), how, uses)
        return [row, *_accuracy_elsewhere(paper, keys, uses, ways, total)]
    reason = (
        f"no whole numbers of images give {'; '.join(stuck)}"
        if stuck
        else "each class alone is attainable, but the errors that the classes miss and the ones "
        "that they take cannot be made equal"
    )
    return [Finding(where, claim, "no integer matrix", INCONSISTENT, f"{how}; {reason}", uses)]


def _accuracies(ways, total):
    return f"{percent(1 - max(ways) / total)} to {percent(1 - min(ways) / total)}"


def _accuracy_elsewhere(paper, keys, uses, ways, total):
    """The accuracy that another table prints for the row, against those the row allows."""
    found = []
    for number in paper.cells:
        if number.quantity != "accuracy" or number.keys != keys or number in uses:
            continue
        is_met = any(number.is_met(total - errors, total) for errors in ways)
        claim = f"accuracy of {name(keys)}: {number.text}"
        evidence = (
            f"the values per class of {uses[0].where} allow {min(ways)} to {max(ways)} errors on "
            f"{total} images"
        )
        recomputed = _accuracies(ways, total)
        verdict = verdict_of(is_met)
        found.append(Finding(number.where, claim, recomputed, verdict, evidence, (number, *uses)))
    return found
