"""Accuracies as whole numbers of images: k of n with the stated n, and the n that explains most."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from leukkit.audit.printed import Finding, Printed, grouped, percent
from leukkit.audit.sources import Paper, Sizes, name
from leukkit.papers import Card

EVIDENT = 4  # values that another n must explain beyond the stated one


def check(paper: Paper) -> Iterator[Finding]:
    """Yield a finding per row of accuracies on the same images, and one per data set's n."""
    for numbers, sizes in _rows(paper):
        yield from _row(numbers, sizes)
    for numbers, sizes in groups(paper):
        yield from _other_total(numbers, sizes)


def groups(paper: Paper) -> list[tuple[list[Printed], Sizes]]:
    """Return the accuracies in tables that were computed on the same images, with their sizes."""
    in_tables = [(number, sizes) for number, sizes in _accuracies(paper) if number.is_cell]
    return _together(in_tables, lambda one: (one[1].how, one[1].totals))


def explaining_totals(card: Card, stated: int) -> pd.DataFrame:
    """Count for every number of images n how many accuracies of tables are a k/n.

    Args:
        card: A `papers.Card`.
        stated: The number of images that the accuracies are said to be of.

    Returns:
        Frame indexed by n from 2 to twice the stated one: ``explained``, how many of the accuracies
        are a k/n, and ``by chance``, how many would be if they had nothing to do with n. Its
        ``attrs["of"]`` is how many accuracies there are; those of any n (100%) are left out.

    Raises:
        ValueError: No accuracies are of so many images; says of how many there are.
    """
    known = {sizes.totals[0]: numbers for numbers, sizes in groups(Paper(card))}
    if stated not in known:
        found = ", ".join(map(str, known)) or "no number"
        raise ValueError(f"{card.key}: no accuracies of {stated} images; there are of {found}")
    numbers = can_fail(known[stated], stated)
    table = _explained(numbers, stated)
    table.attrs["of"] = len(numbers)
    return table


def explaining_total(numbers: Sequence[Printed], stated: int) -> tuple[int, int]:
    """Return the n up to twice the stated one that explains most of the accuracies.

    A larger n explains more by chance, so what counts is how many values it explains beyond
    that; among equals the n nearest to the stated one is taken.

    Returns:
        The n, and how many values are a k/n under it.
    """
    table = _explained(numbers, stated)
    excess = table["explained"] - table["by chance"]
    total = min(table.index[excess == excess.max()], key=lambda one: abs(one - stated))
    return int(total), int(table.loc[total, "explained"])


def is_share_of(number: Printed, totals: int | Sequence[int] | np.ndarray) -> Any:
    """Return whether some whole number of ``totals`` images gives the share."""
    totals = np.asarray(totals, dtype=np.int64)
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
    return [number for number in numbers if is_share_of(number, totals).any()]


def _explained(numbers, stated):
    totals = np.arange(2, 2 * stated + 1)
    columns = {
        "explained": sum(is_share_of(number, totals).astype(int) for number in numbers),
        "by chance": sum(by_chance(number, totals) for number in numbers),
    }
    return pd.DataFrame(columns, index=pd.Index(totals, name="n"))


def _accuracies(paper):
    """Each printed accuracy of a part whose size is known, with its ``Sizes``."""
    numbers = [n for n in paper.find("accuracy", label=None) if n.is_number and n.get("part")]
    known = [(number, paper.sizes(number.keys)) for number in numbers]
    return [(number, sizes) for number, sizes in known if sizes]


def _together(accuracies, key):
    """Accuracies in groups, each with the ``Sizes`` of its first."""
    same = grouped(accuracies, key).values()
    return [([number for number, _ in group], group[0][1]) for group in same]


def _rows(paper):
    """Accuracies of one row of a table, or of a whole table where none of them can fail."""
    in_tables = [number.keys for number in paper.find("accuracy") if number.is_cell]
    accuracies = [a for a in _accuracies(paper) if a[0].is_cell or a[0].keys not in in_tables]

    def row(one):
        number, sizes = one
        return number.source[: 3 if can_fail([number], sizes.totals[0]) else 2], sizes.how

    return _together(accuracies, row)


def _row(numbers, sizes):
    """One finding for the accuracies that fit the n, and one for each that does not."""
    stated = sizes.totals[0]
    if not can_fail(numbers[:1], stated):
        reason = f"{sizes.how}: with so many images every value with these digits is some k/n"
        yield Finding.on(numbers, _claim(numbers), "", None, reason)
        return
    size = " or ".join(map(str, sizes.totals))
    evidence = f"{sizes.how}; n = {size}"
    if fitting := shares(numbers, *sizes.totals):
        totals = [next(n for n in sizes.totals if is_share_of(number, n)) for number in fitting]
        counts = ", ".join(str(_nearest(*pair)) for pair in zip(fitting, totals, strict=True))
        recomputed = f"{counts} of {size}"
        yield Finding.on(fitting, _claim(fitting), recomputed, True, evidence, sizes.uses)
    for number in [number for number in numbers if number not in fitting]:
        nearest = f"{_nearest(number, stated)} of {size}"
        why = f"{evidence}; {_neighbors(number, stated)}"
        yield Finding.on([number], _claim([number]), nearest, False, why, sizes.uses)


def _claim(numbers):
    common = set.intersection(*(set(number.keys.items()) for number in numbers))
    return f"accuracy of {name(dict(common))}: {', '.join(number.text for number in numbers)}"


def _nearest(number, total):
    return round(number.exact * total)


def _neighbors(number, total):
    nearest = _nearest(number, total)
    side = nearest + (1 if nearest < number.exact * total else -1)
    values = ", ".join(f"{k}/{total} = {percent(k / total, 3)}" for k in sorted((nearest, side)))
    text = f"{number.text} is no k/{total}: {values}"
    if number.padded().text != number.text and is_share_of(number.padded(), total):
        text += f" ({number.padded().text} would be)"
    return text


def _other_total(numbers, sizes):
    """The n that explains most values, where it explains clearly more than the stated one."""
    stated = sizes.totals[0]
    numbers = can_fail(numbers, stated)
    if len(numbers) < EVIDENT:
        return
    total, explained = explaining_total(numbers, stated)
    with_stated = len(shares(numbers, *sizes.totals))
    recomputed = f"{with_stated} of {len(numbers)} are k/{stated}"
    evidence = f"{sizes.how}; every n up to {2 * stated} was tried; "
    if explained > with_stated:
        recomputed += f"; {explained} of {len(numbers)} are k/{total}"
        expected = sum(by_chance(number, total) for number in numbers)
        evidence += f"by chance {expected:.1f} of {len(numbers)} values would be some k/{total}"
    else:
        evidence += f"{total}, the one farthest above chance, explains {explained}"
    claim, is_met = (
        f"{len(numbers)} accuracies on {stated} images",
        explained - with_stated < EVIDENT,
    )
    yield Finding.on(numbers, claim, recomputed, is_met, evidence, sizes.uses)
