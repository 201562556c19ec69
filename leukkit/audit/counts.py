"""Numbers of images and patients: parts against wholes, what publishers count, signs of leaks."""

import itertools
from collections.abc import Iterator
from fractions import Fraction

from leukkit.audit import denominators
from leukkit.audit.printed import Finding, Paper, first_by_label, grouped, name, percent, places
from leukkit.datasets.published import FACTS

DIMENSIONS = ("phase", "part", "label")
WHOLES = ({"benign", "malignant"},)  # labels that together are everyone, beside the data set's


def check(paper: Paper) -> Iterator[Finding]:
    """Yield the findings on all printed counts."""
    for find, quantity in itertools.product((_sums, _published), ("images", "patients")):
        yield from find(paper, quantity)
    yield from _shares(paper)
    yield from _folds(paper)
    yield from _networks(paper)


def check_leaks(paper: Paper) -> Iterator[Finding]:
    """Yield the findings on test sets, held-out parts and enlarged training parts."""
    yield from _augmented_test(paper)
    yield from _held_out(paper)
    yield from _copies(paper)


def official_count(quantity: str, dataset: str, **selection: str | None) -> int | None:
    """Return the ``images`` or ``patients`` that a data set's publishers count (None: not said).

    ``selection`` is of ``split`` and ``label``; None: in all of them.
    """
    wanted = {key: value for key, value in selection.items() if value}
    rows = [row for row in FACTS[dataset]["counts"] if wanted.items() <= row.items()]
    return sum(row.get(quantity, 0) for row in rows) or None


def originals(dataset: str) -> dict[str, int]:
    """Return label -> images of a data set that carry labels to train on, as its publisher says."""
    split = "training" if "training" in _phases(dataset) else None
    return {
        label: official_count("images", dataset, label=label, split=split) or 0
        for label in FACTS[dataset]["classes"]
    }


def _phases(dataset):
    """The phases in which a data set was published, in order; None alone: it has none."""
    return dict.fromkeys(row.get("split") for row in FACTS[dataset]["counts"])


# ---------------------------------------------------------------- parts against wholes


def _sums(paper, quantity):
    """Every printed whole against the sum of its parts, along phase, part and label."""
    numbers, seen = _first_of_each(paper.find(quantity)), []
    for (keys, number), dimension in itertools.product(numbers.items(), DIMENSIONS):
        parts = _parts(numbers, keys, dimension)
        if not parts or {number, *parts} in seen:
            continue
        seen.append({number, *parts})
        total = sum(part.count for part in parts)
        terms = " + ".join(part.text for part in parts)
        evidence = f"{terms} = {total}, by {dimension} ({places(parts)})"
        claim = f"{number.text} {quantity}, {name(number.keys)}"
        yield Finding([number], claim, str(total), total == number.count, evidence)


def _first_of_each(numbers):
    """What numbers belong to, as a set of keys without "total", -> the first of them."""
    groups = grouped(numbers, lambda number: frozenset(number.keys.items() - {("part", "total")}))
    return {keys: same[0] for keys, same in groups.items()}


def _parts(numbers, keys, dimension):
    """The printed numbers that make up the whole ``keys``; empty if some are not printed."""
    values = _values(numbers, keys, dimension)
    classes = {*FACTS.get(dict(keys).get("dataset"), {}).get("classes", ())}
    if len(values) < 2 or (dimension == "label" and values.keys() not in (classes, *WHOLES)):
        return []
    parts = []
    for value in values:
        inner = keys | {(dimension, value)}
        if inner in numbers:
            parts.append(numbers[inner])
            continue
        # Divided further, but only along what divides the whole in the same way.
        deeper = [
            _parts(numbers, inner, other)
            for other in DIMENSIONS
            if dimension == "phase"
            or _values(numbers, inner, other) == _values(numbers, keys, other)
        ]
        if not any(deeper):
            return []
        parts += next(filter(None, deeper))
    return parts


def _values(numbers, keys, dimension):
    """What a dimension can be among the numbers that have these keys, as a dict's keys."""
    more = [dict(other - keys) for other in numbers if keys <= other]
    return dict.fromkeys(
        one[dimension] for one in more if dimension in one and one.keys() <= {*DIMENSIONS}
    )


# ---------------------------------------------------------------- the published data sets


def _published(paper, quantity):
    """Counts of undivided data sets against what their publishers state."""
    for number in _first_of_each(paper.find(quantity)).values():
        dataset, label, phase = (number.get(key) for key in ("dataset", "label", "phase"))
        is_whole = number.get("part") in (None, "total") and "split" not in number.keys
        if dataset not in FACTS or not is_whole or number.get("augmentation"):
            continue
        values = {
            one or "all": count
            for one in ([phase] if phase else [None, *_phases(dataset)])
            if (count := official_count(quantity, dataset, label=label, split=one))
        }
        if quantity == "patients" and len(values) > 1:
            # Nobody counts the patients of a final phase, so there is no sum of them.
            del values["all"]
        if not values or (quantity == "patients" and not label and len(values) > 1):
            continue
        stated = ", ".join(f"{value} ({text})" for text, value in values.items())
        evidence = f"counts of the publisher of {dataset}: {stated}"
        for other in FACTS[dataset].get("described", ()) if not (label or phase) else ():
            if quantity in other:
                values[other["by"]] = other[quantity]
                evidence += f"; {other['by']}: {other[quantity]}"
        nearest = min(values, key=lambda text: abs(values[text] - number.count))
        is_met = values[nearest] == number.count
        recomputed = f"{values[nearest]}" + (f" ({nearest})" if is_met else "")
        claim = f"{number.text} {quantity}, {name(number.keys)}"
        yield Finding([number], claim, recomputed, is_met, evidence)


# ---------------------------------------------------------------- shares, folds, networks


def _shares(paper):
    """Stated shares of the parts against the printed counts of images."""
    parts = dict.fromkeys(share.keys["part"] for share in paper.find("share"))
    for share in paper.find("share"):
        part, dataset = share.keys["part"], share.get("dataset")
        claim = f"{share.text}% for {part}{f' of {dataset}' if dataset else ''}"
        mine = _part_counts(paper, dataset, part)
        others = [n for one in parts if one != part for n in _part_counts(paper, dataset, one)]
        if not mine or not others:
            reason = "the numbers of images of the parts are not printed"
            yield Finding([share], claim, "", None, reason)
            continue
        images, whole = (sum(n.count for n in numbers) for numbers in (mine, mine + others))
        terms = " + ".join(number.text for number in mine)
        evidence = f"{terms} = {images} of {whole} images ({places(mine)})"
        recomputed, is_met = f"{percent(images / whole)}%", share.is_met(images, whole)
        # What is printed after augmentation may have been divided before it.
        if dataset in FACTS and whole > (before := sum(originals(dataset).values())):
            left = before - (whole - images) if part == "training" else images
            is_met |= left > 0 and share.is_met(left, before)
            evidence += f"; of the {before} originals {left} would be {percent(left / before)}%"
        yield Finding([share], claim, recomputed, is_met, evidence)


def _part_counts(paper, dataset, part):
    """The printed images of a part, per class if they are printed so."""
    numbers = paper.find("images", part=part, dataset=dataset)
    whole = [number for number in numbers if "label" not in number.keys]
    return list(first_by_label(numbers).values()) or whole[:1]


def _folds(paper):
    """Printed sizes of a fold: the images that were divided, over the number of folds."""
    for number in paper.find("images per fold"):
        folds, label = paper.find("folds")[0], number.keys["label"]
        whole = paper.whole_counts(number.keys)[label]
        fold = f"{whole.count / folds.count:.2f}"
        is_met = number.is_met(whole.count, folds.count)
        evidence = f"{whole.text} {label} images / {folds.count} folds = {fold}"
        for other in [] if is_met else paper.find("images", label=label):
            if "part" in other.keys and number.is_met(other.count, folds.count):
                evidence += f"; {number.text} is one of {folds.count} parts of the {other.text} "
                evidence += f"images of {other.keys['part']}: {other.count / folds.count:.2f}"
        claim = f"around {number.text} {label} images in each of {folds.count} test folds"
        yield Finding([number], claim, fold, is_met, evidence)


def _networks(paper):
    """Stated numbers of networks against those in the tables of scores."""
    for number in paper.find("architectures"):
        variant = number.get("variant")
        scores = paper.find("accuracy", **{"variant": variant} if variant else {})
        networks = dict.fromkeys(n.keys["model"] for n in scores if n.is_cell and "model" in n.keys)
        claim = f"{number.text} networks{f', {variant}' if variant else ''}"
        evidence = f"accuracies are printed of {', '.join(networks)}"
        is_met = len(networks) == number.count
        yield Finding([number], claim, str(len(networks)), is_met, evidence)


# ---------------------------------------------------------------- signs of leaks


def _augmented_test(paper):
    """Accuracies that are k/n with the n of the augmented set, not with that of the originals."""
    for numbers, sizes in denominators.groups(paper):
        total, stated = denominators.likely_total(numbers, sizes), sizes.totals[0]
        keys = numbers[0].keys
        before, after = paper.whole_counts(keys | {"augmentation": False}), paper.whole_counts(keys)
        is_test = keys.get("augmentation") and keys.get("part") != "training"
        if not (is_test and before and before.keys() == after.keys()):
            continue
        images, augmented = (sum(n.count for n in part.values()) for part in (before, after))
        share = Fraction(stated, augmented)
        held_out = round(share * images)
        numbers = denominators.can_fail(numbers, stated)
        explained = len(denominators.shares(numbers, total))
        fitting = len(denominators.shares(numbers, held_out))
        claim = f"{keys['dataset']}: tested on held-out images, {held_out} of {images}"
        of = len(numbers)
        recomputed = f"{fitting} of {of} accuracies are k/{held_out}, {explained} are k/{total}"
        evidence = (
            f"{percent(share, 0)}% of the {images} originals are {held_out}; {sizes.how}; a "
            f"test part of {total} images "
        )
        # Only more images than there are originals must be copies.
        evidence += "holds augmented copies" if total > images else "is that of the augmented set"
        is_met = explained - fitting < denominators.EVIDENT
        yield Finding(numbers, claim, recomputed, is_met, evidence, claim)


def _parts_per_class(paper):
    """``(dataset, part) -> label -> number`` of the parts whose images are printed per class."""
    images = [n for n in paper.find("images") if n.get("label") and n.get("dataset") in FACTS]
    parts = grouped(images, lambda number: (number.get("dataset"), number.get("part")))
    return {at: first_by_label(n) for at, n in parts.items() if at[1] not in (None, "total")}


def _held_out(paper):
    """Whether one share of the originals gives the held-out counts of every class.

    A split that is stated without its shares per class need not be stratified.
    """
    for (dataset, part), numbers in _parts_per_class(paper).items():
        whole = originals(dataset)
        if part == "training" or numbers.keys() != whole.keys():
            continue
        shared = one_ratio({label: n.count for label, n in numbers.items()}, whole)
        recomputed = "no one share of the originals gives all of these"
        if shared:
            recomputed = f"one share, {percent(shared[0])} to {percent(shared[1])}%"
        stated = paper.find("share", part=part, dataset=dataset)
        claim = f"{' + '.join(n.text for n in numbers.values())} images for {part}"
        claim += f", {stated[0].text}% of {dataset}" if stated else f" of {dataset}"
        shares = ", ".join(
            f"{label} {n.count}/{whole[label]} = {percent(n.count / whole[label])}%"
            for label, n in numbers.items()
        )
        evidence = f"against the publisher's counts: {shares}"
        is_met = bool(shared) or None
        yield Finding(list(numbers.values()), claim, recomputed, is_met, evidence)


def _copies(paper):
    """Of what the images for training were made, if there are more of them than originals left.

    With as many images of each original, the training images of every class are one multiple of
    those originals that they were made from: of all, or of those that are not held out.
    """
    parts = _parts_per_class(paper)
    for dataset in [dataset for dataset, part in parts if part == "training"]:
        training, whole = parts[dataset, "training"], originals(dataset)
        held_out = [parts[at] for at in parts if at[0] == dataset and at[1] != "training"]
        counts = {label: number.count for label, number in training.items() if label in whole}
        left = {k: whole[k] - sum(n[k].count for n in held_out if k in n) for k in counts}
        has_copies = any(left[k] < n for k, n in counts.items())
        if len(counts) < 2 or not has_copies or min(left.values()) < 1:
            continue
        of_all, of_left = one_ratio(counts, whole), one_ratio(counts, left)
        is_met = None if bool(of_all) == bool(of_left) else bool(of_left)
        recomputed = f"{_multiple(of_all)} of all originals, {_multiple(of_left)} of those left"
        evidence = "; ".join(
            f"{k} {n}/{whole[k]} = {n / whole[k]:.4f} and {n}/{left[k]} = {n / left[k]:.4f}"
            for k, n in counts.items()
        )
        evidence += {
            False: "; so they were made of all, before the split, held-out ones among them",
            True: "; as if they were made after the split",
            None: "; of which originals they were made, these counts cannot tell",
        }[is_met]
        terms = " + ".join(training[label].text for label in counts)
        claim = f"{terms} images for training, as many of each original of {dataset} not held out"
        premise = f"Held-out images of {dataset} are originals, and none of them is in training"
        numbers = [training[label] for label in counts]
        yield Finding(numbers, claim, recomputed, is_met, evidence, premise)


def one_ratio(counts: dict, wholes: dict) -> tuple[Fraction, Fraction] | None:
    """Return which ratios give every count, rounded or truncated, of the whole (above 0) it is of.

    That is the smallest ratio, and the first one above it that is too large; None: no ratio does.
    """
    low = max(Fraction(2 * count - 1, 2 * wholes[key]) for key, count in counts.items())
    high = min(Fraction(count + 1, wholes[key]) for key, count in counts.items())
    return (low, high) if low < high else None


def _multiple(ratio):
    return f"{float(ratio[0]):.5f} to {float(ratio[1]):.5f} times" if ratio else "no one multiple"
