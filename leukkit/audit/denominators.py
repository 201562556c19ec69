"""Accuracies as whole numbers of images: k of n with the stated n, and the n that explains most."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from leukkit.audit.printed import Finding, Paper, Printed, Sizes, grouped, name, percent
from leukkit.papers import Card

EVIDENT = 4  # values that another n must explain beyond the stated one


def check(paper: Paper) -> Iterator[Finding]:
    """Yield a finding per row of accuracies on the same images, and one per data set's n."""

    def row(number, sizes):
        """The row of its table, or the table where no value of so many images can fail."""
        return number.source[: 3 if can_fail([number], sizes.totals[0]) else 2], sizes.how

    in_tables = [number.keys for number in paper.find("accuracy") if number.is_cell]
    tested = {sizes.how: likely_total(numbers, sizes) for numbers, sizes in groups(paper)}
    for numbers, sizes in _together(paper, row):
        if numbers[0].is_cell or numbers[0].keys not in in_tables:
            yield from _row(paper, numbers, sizes, tested.get(sizes.how))
    for numbers, sizes in groups(paper):
        yield from _other_total(paper, numbers, sizes)


def groups(paper: Paper) -> list[tuple[list[Printed], Sizes]]:
    """Return the accuracies in tables that were computed on the same images, with their sizes."""
    same = _together(paper, lambda number, sizes: (number.is_cell, sizes.how))
    return [(numbers, sizes) for numbers, sizes in same if numbers[0].is_cell]


def explaining_totals(card: Card, stated: int) -> pd.DataFrame:
    """Count for every number of images n how many accuracies of tables are a k/n.

    Returns:
        Frame indexed by n from 2 to twice the stated number of images: ``explained``, how many of
        the accuracies are a k/n, and ``by chance``, how many would be if they had nothing to do
        with n. Its ``attrs["of"]`` is how many there are; those of any n (100%) are left out.

    Raises:
        ValueError: No accuracies are of so many images; says of how many there are.
    """
    known = {sizes.totals[0]: numbers for numbers, sizes in groups(Paper(card))}
    if stated not in known:
        found = ", ".join(map(str, known)) or "no number"
        raise ValueError(f"{card.key}: no accuracies of {stated} images; there are of {found}")
    return _explained(known[stated], stated)


def explaining_total(numbers: Sequence[Printed], stated: int) -> tuple[int, int]:
    """Return the n up to twice the stated one that explains most accuracies, and how many.

    A larger n explains more by chance, so what counts is how many values it explains beyond
    that; among equals the n nearest to the stated one is taken.
    """
    table = _explained(numbers, stated)
    if not table.attrs["of"]:
        return stated, 0
    excess = table["explained"] - table["by chance"]
    total = min(table.index[excess == excess.max()], key=lambda one: abs(one - stated))
    return int(total), int(table.loc[total, "explained"])


def likely_total(numbers: Sequence[Printed], sizes: Sizes) -> int:
    """Return the n that evidently explains more of the accuracies than the stated one, or that."""
    stated = sizes.totals[0]
    total, explained = explaining_total(numbers, stated)
    fitting = shares(can_fail(numbers, stated), *sizes.totals)
    return total if explained - len(fitting) >= EVIDENT else stated


def is_share_of(number: Printed, totals: int | np.ndarray) -> Any:
    """Return whether some whole number of ``totals`` images gives the share."""
    low, _ = number.window()
    smallest = -((-low.numerator * totals) // low.denominator)
    return number.is_met(smallest, totals) & (smallest <= totals)


def by_chance(number: Printed, totals: int | np.ndarray) -> Any:
    """Return the share of all values with these digits that are a k/n; 1: cannot fail."""
    low, high = number.window()
    width = float(high - low) if number.exact <= 1 else 0.0  # above 1 it is no share of anything
    return np.minimum(1, width * totals)


def can_fail(numbers: Sequence[Printed], total: int) -> list[Printed]:
    """Return those of ``numbers`` that are not a k/``total`` whatever they are."""
    return [number for number in numbers if by_chance(number, total) < 1]


def shares(numbers: Sequence[Printed], *totals: int) -> list[Printed]:
    """Return those of ``numbers`` that are a k/n under one of ``totals``."""
    return [number for number in numbers if any(is_share_of(number, n) for n in totals)]


def _explained(numbers, stated):
    numbers, totals = can_fail(numbers, stated), np.arange(2, 2 * stated + 1)
    table = pd.DataFrame({"explained": 0, "by chance": 0.0}, index=pd.Index(totals, name="n"))
    for number in numbers:
        table["explained"] += is_share_of(number, totals)
        table["by chance"] += by_chance(number, totals)
    table.attrs["of"] = len(numbers)
    return table


def _together(paper, key):
    """Accuracies of parts whose sizes are known, in groups, each with the sizes of its first."""
    numbers = [n for n in paper.find("accuracy", label=None) if n.is_number and n.get("part")]
    known = [(number, sizes) for number in numbers if (sizes := paper.sizes(number.keys))]
    same = grouped(known, lambda one: key(*one)).values()
    return [([number for number, _ in group], group[0][1]) for group in same]


def _row(paper, numbers, sizes, tested):
    """One finding for the accuracies that fit the n, and one for each that does not."""
    stated = sizes.totals[0]
    if not can_fail(numbers[:1], stated):
        reason = f"{sizes.how}: with so many images every value with these digits is some k/n"
        yield Finding(numbers, _claim(numbers), "", None, reason)
        return
    size = " or ".join(map(str, sizes.totals))
    evidence = f"{sizes.how}; n = {size}"
    if fitting := shares(numbers, *sizes.totals):
        totals = [next(n for n in sizes.totals if is_share_of(number, n)) for number in fitting]
        counts = [round(n.exact * of) for n, of in zip(fitting, totals, strict=True)]
        recomputed = f"{', '.join(map(str, counts))} of {size}"
        yield Finding(fitting, _claim(fitting), recomputed, True, evidence)
    for number in [number for number in numbers if number not in fitting]:
        nearest = f"{round(number.exact * stated)} of {size}"
        why = f"{evidence}; {_neighbors(number, stated)}"
        is_met, reading = False, ""
        if shares([number.padded()], *sizes.totals):
            is_met, why = None, f"{why}; whether the last zero was computed cannot be told"
        elif folds := paper.find("folds"):
            is_met = None
            why += f"; with {folds[0].text} folds it can be of other images, or a mean: not stated"
        elif tested and is_share_of(number, tested):
            reading = sizes.how
        yield Finding([number], _claim([number]), nearest, is_met, why, reading)


def _claim(numbers):
    common = set.intersection(*(set(number.keys.items()) for number in numbers))
    return f"accuracy of {name(dict(common))}: {', '.join(number.text for number in numbers)}"


def _neighbors(number, total):
    below = int(number.exact * total)
    values = ", ".join(f"{k}/{total} = {percent(k / total, 3)}" for k in (below, below + 1))
    text = f"{number.text} is no k/{total}: {values}"
    if number.padded().text != number.text and is_share_of(number.padded(), total):
        text += f" ({number.padded().text} would be)"
    return text


def _other_total(paper, numbers, sizes):
    """The n that explains most values, where it explains clearly more than the stated one."""
    stated = sizes.totals[0]
    numbers = can_fail(numbers, stated)
    if len(numbers) < EVIDENT:
        return
    total, explained = explaining_total(numbers, stated)
    with_stated, of = len(shares(numbers, *sizes.totals)), len(numbers)
    recomputed = f"{with_stated} of {of} are k/{stated}"
    evidence = f"{sizes.how}; every n up to {2 * stated} was tried; "
    if explained > with_stated:
        recomputed += f"; {explained} of {of} are k/{total}"
        expected = sum(by_chance(number, total) for number in numbers)
        evidence += f"by chance {expected:.1f} of {of} values would be some k/{total}"
        whole = sum(number.count for number in paper.whole_counts(numbers[0].keys).values())
        for share in paper.find("share", part=numbers[0].keys["part"]):
            if share.is_met(total, whole):
                stated_share = f"{percent(total / whole)}%, rounded {share.text}%"
                evidence += f"; {total} of {whole} are {stated_share}"
    else:
        evidence += f"{total}, the one farthest above chance, explains {explained}"
    is_met = explained - with_stated < EVIDENT
    claim = f"{of} accuracies on {stated} images"
    yield Finding(numbers, claim, recomputed, is_met, evidence, sizes.how)
