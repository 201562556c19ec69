"""Signs of leaks in the counts: test sets that only copies can fill, and parts no split gives."""

import fractions

from leukkit.audit import denominators
from leukkit.audit.counts import official_count
from leukkit.audit.findings import NOT_CHECKABLE, Finding, verdict_of
from leukkit.audit.printed import percent
from leukkit.audit.sizes import first_by_label, whole_counts
from leukkit.datasets.official import FACTS


def check(paper):
    """Return the findings on test sets, held-out parts and enlarged training parts."""
    return [*_augmented_test(paper), *_held_out(paper), *_copies(paper)]


def originals(dataset):
    """Return label -> images of a data set that carry labels to train on, as its publisher says."""
    phases = {row.get("split") for row in FACTS[dataset]["counts"]}
    selection = {"split": "training"} if "training" in phases else {}
    return {
        label: official_count("images", dataset, label=label, **selection)
        for label in FACTS[dataset]["classes"]
    }


def _augmented_test(paper):
    """Accuracies that are k/n with the n of the augmented set, not with that of the originals."""
    found = []
    for numbers, known in denominators.groups(paper):
        keys = numbers[0].keys
        if not keys.get("augmentation") or keys.get("part") == "training":
            continue
        before = whole_counts(paper, keys | {"augmentation": False})
        after = whole_counts(paper, keys)
        if set(before) != set(after) or not before or known.counts.keys() != after.keys():
            continue
        share = fractions.Fraction(
            sum(known.counts.values()), sum(number.count for number in after.values())
        )
        images = sum(number.count for number in before.values())
        held_out = round(share * images)
        open_ones = denominators.can_fail(numbers, known.totals[0])
        total, explained = denominators.explaining_total(open_ones, known.totals[0])
        stated = sum(map(bool, (denominators.is_share_of(n, known.totals[0]) for n in open_ones)))
        if stated + denominators.EVIDENT > explained:
            total, explained = known.totals[0], stated
        fitting = sum(map(bool, (denominators.is_share_of(n, held_out) for n in open_ones)))
        claim = f"{keys['dataset']}: tested on held-out images, {held_out} of {images}"
        recomputed = (
            f"{fitting} of {len(open_ones)} accuracies are k/{held_out}, {explained} are k/{total}"
        )
        evidence = (
            f"{percent(share, 0)}% of the {images} originals are {held_out}; {known.how} are "
            f"{known.totals[0]}; a test part of {total} images holds augmented copies"
        )
        where = ", ".join(dict.fromkeys(number.where for number in open_ones))
        is_met = explained - fitting < denominators.EVIDENT
        uses = (*open_ones, *before.values(), *known.uses)
        found.append(Finding(where, claim, recomputed, verdict_of(is_met), evidence, uses))
    return found


def _parts(paper):
    """``(dataset, part, label -> number)`` of every part whose images are printed per class."""
    images = [n for n in paper.find("images") if {"dataset", "part", "label"} <= set(n.keys)]
    places = dict.fromkeys((n.keys["dataset"], n.keys["part"]) for n in images)
    for dataset, part in places:
        if dataset in FACTS and part != "total":
            same = [n for n in images if (n.keys["dataset"], n.keys["part"]) == (dataset, part)]
            yield dataset, part, first_by_label(same)


def _held_out(paper):
    """Whether one share of the originals gives the held-out counts of every class."""
    found = []
    for dataset, part, numbers in _parts(paper):
        whole = originals(dataset)
        if part == "training" or set(numbers) != set(whole):
            continue
        lows = [fractions.Fraction(2 * n.count - 1, 2 * whole[k]) for k, n in numbers.items()]
        highs = [fractions.Fraction(n.count + 1, whole[k]) for k, n in numbers.items()]
        shares = ", ".join(
            f"{label} {n.count}/{whole[label]} = {percent(n.count / whole[label])}%"
            for label, n in numbers.items()
        )
        is_met = max(lows) < min(highs)
        stated = [n for n in paper.find("share", part=part) if n.keys.get("dataset") == dataset]
        claim = f"{' + '.join(n.text for n in numbers.values())} images for {part}"
        claim += f", {stated[0].text}% of {dataset}" if stated else f" of {dataset}"
        if is_met:
            recomputed = f"one share, {percent(max(lows))} to {percent(min(highs))}%"
        else:
            recomputed = "no one share of the originals gives all of these"
        uses = (*numbers.values(), *stated)
        where = next(iter(numbers.values())).where
        evidence = f"against the publisher's counts: {shares}"
        found.append(Finding(where, claim, recomputed, verdict_of(is_met), evidence, uses))
    return found


def _copies(paper):
    """Training counts above the originals: copies, of which the counts alone cannot say more."""
    found = []
    parts = list(_parts(paper))
    for dataset, part, numbers in parts:
        if part != "training":
            continue
        whole = originals(dataset)
        for label, number in numbers.items():
            others = [n[label] for d, p, n in parts if d == dataset and p != part and label in n]
            left = whole[label] - sum(other.count for other in others)
            if number.count <= left:
                continue
            copies = number.count - left
            claim = f"{number.text} {label} images for training"
            share = percent(copies / number.count, 1)
            recomputed = f"{left} originals left, {copies} ({share}%) copies"
            taken = "".join(f" - {other.text}" for other in others)
            evidence = (
                f"{whole[label]}{taken} = {left} originals at most; whether the copies were made "
                "before or after the split, counts cannot tell"
            )
            uses = (number, *others)
            found.append(Finding(number.where, claim, recomputed, NOT_CHECKABLE, evidence, uses))
    return found
