"""Accuracies as whole numbers of images: k of n with the stated n, and the n that explains most."""

import functools

import numpy as np

from leukkit.audit.findings import CONSISTENT, INCONSISTENT, NOT_CHECKABLE, Finding, verdict_of
from leukkit.audit.printed import percent
from leukkit.audit.sizes import sizes
from leukkit.audit.sources import name

EVIDENT = 4  # values that another n must explain beyond the stated one


def check(paper):
    """Return one finding per row of accuracies on the same images, and one per data set's n."""
    return [
        *(finding for group in _rows(paper) for finding in _row(*group)),
        *(finding for group in groups(paper) if (finding := _other_total(*group))),
    ]


def accuracies(paper):
    """Return ``(number, Sizes)`` of each printed accuracy of a part whose size is known."""
    found = []
    for number in paper.numbers:
        if number.quantity == "accuracy" and number.is_number and "label" not in number.keys:
            known = sizes(paper, number.keys) if number.keys.get("part") else None
            if known is not None:
                found.append((number, known))
    return found


@functools.lru_cache(maxsize=8)
def groups(paper):
    """Return the accuracies in tables that were computed on the same images.

    Returns:
        A list of ``(numbers, Sizes)``.
    """
    together = {}
    for number, known in accuracies(paper):
        if number.source[0] == "cell":
            together.setdefault((known.how, known.totals), ([], known))[0].append(number)
    return list(together.values())


def explaining_total(numbers, stated):
    """Return the n up to twice the stated one that explains most of the accuracies.

    A larger n explains more by chance, so what counts is how many values it explains beyond
    that; among equals the n nearest to the stated one is taken.

    Args:
        numbers: ``Printed`` accuracies.
        stated: The stated number of images.

    Returns:
        The n, and how many values are a k/n under it.
    """
    totals = np.arange(2, 2 * stated + 1)
    explained, expected = np.zeros(len(totals), dtype=int), np.zeros(len(totals))
    for number in numbers:
        explained += is_share_of(number, totals)
        expected += np.minimum(1, by_chance(number, 1) * totals)
    excess = explained - expected
    best = np.flatnonzero(excess == excess.max())
    choice = best[np.argmin(np.abs(totals[best] - stated))]
    return int(totals[choice]), int(explained[choice])


def is_share_of(number, totals):
    """Return whether some whole number of ``totals`` images gives the printed share."""
    totals = np.asarray(totals, dtype=np.int64)
    low, _ = number.window()
    smallest = -((-low.numerator * totals) // low.denominator)
    return number.is_met(np.maximum(smallest, 0), totals) & (smallest <= totals)


def by_chance(number, total):
    """Return the share of all values with these digits that are a k/``total``; 1: cannot fail."""
    if number.exact > 1:
        return 0.0  # no share of anything
    low, high = number.window()
    return min(1.0, float(high - low) * total)


def can_fail(numbers, total):
    """Return those of ``numbers`` that are not a k/``total`` whatever they are."""
    return [number for number in numbers if by_chance(number, total) < 1]


def count_on(number, total):
    """Return the whole number of ``total`` images nearest to the printed share."""
    return round(number.exact * total)


def _rows(paper):
    """Accuracies of one row of a table, or of a whole table where none of them can fail."""
    together = {}
    for number, known in accuracies(paper):
        if number.source[0] == "claim" and _in_a_table(paper, number):
            continue
        is_open = can_fail([number], known.totals[0])
        row = number.source[:3] if is_open else number.source[:2]
        together.setdefault((row, known.how), ([], known))[0].append(number)
    return list(together.values())


def _in_a_table(paper, claim):
    return any(n.quantity == "accuracy" and n.keys == claim.keys for n in paper.cells)


def _row(numbers, known):
    """One finding for the accuracies that fit the n, and one for each that does not."""
    if by_chance(numbers[0], known.totals[0]) == 1:
        reason = f"{known.how}: with so many images every value with these digits is some k/n"
        return [_finding(numbers, "", NOT_CHECKABLE, reason)]
    size = " or ".join(str(option) for option in known.totals)
    evidence = f"{known.how}; n = {size}"
    fitting = [n for n in numbers if any(is_share_of(n, option) for option in known.totals)]
    found = []
    if fitting:
        shares = ", ".join(str(_fitting(number, known.totals)) for number in fitting)
        found.append(_finding(fitting, f"{shares} of {size}", CONSISTENT, evidence, known.uses))
    for number in numbers:
        if number not in fitting:
            nearest = f"{count_on(number, known.totals[0])} of {size}"
            why = f"{evidence}; {_neighbors(number, known.totals[0])}"
            found.append(_finding([number], nearest, INCONSISTENT, why, known.uses))
    return found


def _finding(numbers, recomputed, verdict, evidence, uses=()):
    common = set.intersection(*(set(number.keys.items()) for number in numbers))
    keys = {key: value for key, value in numbers[0].keys.items() if (key, value) in common}
    claim = f"accuracy of {name(keys)}: {', '.join(number.text for number in numbers)}"
    return Finding(numbers[0].where, claim, recomputed, verdict, evidence, (*numbers, *uses))


def _fitting(number, totals):
    """The k of the first n that gives the number, else of the first n."""
    fitting = [total for total in totals if is_share_of(number, total)]
    return count_on(number, (fitting or totals)[0])


def _neighbors(number, total):
    nearest = count_on(number, total)
    side = nearest + (1 if nearest < number.exact * total else -1)
    values = ", ".join(f"{k}/{total} = {percent(k / total, 3)}" for k in sorted((nearest, side)))
    text = f"{number.text} is no k/{total}: {values}"
    if number.padded().text != number.text and is_share_of(number.padded(), total):
        text += f" ({number.padded().text} would be)"
    return text


def _other_total(numbers, known):
    """The n that explains most values, where it explains clearly more than the stated one."""
    stated = known.totals[0]
    checkable = can_fail(numbers, stated)
    if len(checkable) < EVIDENT:
        return None
    total, explained = explaining_total(checkable, stated)
    with_stated = sum(
        any(is_share_of(number, option) for option in known.totals) for number in checkable
    )
    expected = sum(by_chance(number, total) for number in checkable)
    where = ", ".join(dict.fromkeys(number.where for number in checkable))
    claim = f"{len(checkable)} accuracies on {stated} images"
    recomputed = f"{with_stated} of {len(checkable)} are k/{stated}"
    evidence = (
        f"{known.how}; every n up to {2 * stated} was tried; {total}, the one farthest above "
        f"chance, explains {explained}"
    )
    is_met = explained - with_stated < EVIDENT
    if explained > with_stated:
        recomputed += f"; {explained} of {len(checkable)} are k/{total}"
        evidence = (
            f"{known.how}; every n up to {2 * stated} was tried; by chance {expected:.1f} of "
            f"{len(checkable)} values would be some k/{total}"
        )
    return Finding(where, claim, recomputed, verdict_of(is_met), evidence, known.uses)
