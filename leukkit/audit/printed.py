"""What a paper printed, in the shape that the checks read, and what a check finds on it."""

import dataclasses
import decimal
import functools
import math
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd

from leukkit import papers

SCALES = {"percent": Fraction(100), "millions": Fraction(1, 1_000_000)}  # others: 1
SCORES = ("accuracy", "sensitivity", "specificity", "precision", "recall", "f1")
VERDICTS = ("consistent", "inconsistent", "not checkable")
NOT_TRAINED = "An accuracy of no named part is of images that were not trained on"
# What a card says of a number beside the keys that it belongs to.
NO_KEYS = (
    *("paper", "table", "row", "column", "where", "quote", "note"),
    *("quantity", "unit", "printed", "value"),
)
Count = int | np.ndarray  # one whole number, or int64 of any shape


@dataclasses.dataclass(frozen=True, eq=False)
class Printed:
    """One number or word as it stands in a paper.

    Attributes:
        where: Table, section or figure.
        source: ``("cell", table, row, column)``, ``("claim", position)`` or
            ``("matrix", name, row, column)``: its place in the card.
        quantity: What it counts or measures.
        unit: As in the card: ``percent``, ``fraction``, ``images``, ``text`` ...
        text: As printed.
        keys: What it belongs to: dataset, model, part, label ...
        quote: The sentence it stands in; empty in tables.
        is_rounded: Whether it must be rounded; else it may as well be truncated.
    """

    where: str
    source: tuple
    quantity: str
    unit: str
    text: str
    keys: dict
    quote: str = ""
    is_rounded: bool = False

    def get(self, key: str) -> Any:
        """Return what it belongs to by one key, or None."""
        return self.keys.get(key)

    @property
    def is_number(self) -> bool:
        """Return whether this is a number, not words."""
        return self.unit != "text"

    @property
    def is_cell(self) -> bool:
        """Return whether this stands in a table."""
        return self.source[0] == "cell"

    @property
    def digits(self) -> int:
        """Return the number of digits after the point."""
        exponent = decimal.Decimal(self.text.replace(",", "")).as_tuple().exponent
        return max(0, -int(exponent))

    @property
    def count(self) -> int:
        """Return the printed value as a whole number."""
        return int(self.exact)

    @functools.cached_property
    def exact(self) -> Fraction:
        """Return the printed value, as a share where it is printed in percent."""
        return Fraction(self.text.replace(",", "")) / SCALES.get(self.unit, 1)

    def window(self) -> tuple[Fraction, Fraction]:
        """Return the smallest value (not below 0) that rounds or truncates to the printed one.

        With it comes the first one above it that is too large.
        """
        unit = Fraction(1, 10**self.digits) / SCALES.get(self.unit, 1)
        above = unit / 2 if self.is_rounded else unit
        return max(Fraction(0), self.exact - unit / 2), self.exact + above

    def is_met(self, numerator: Count, denominator: Count = 1) -> Any:
        """Return whether ``numerator / denominator`` rounds or truncates to the printed value.

        The comparison is exact: it multiplies whole numbers, 0 or more, and never divides. Where
        the denominator is 0 nothing is met.
        """
        low, high = self.window()
        above = low.numerator * denominator <= numerator * low.denominator
        below = numerator * high.denominator < high.numerator * denominator
        return above & below & (denominator > 0)

    def overlaps(self, low: Fraction, high: Fraction) -> bool:
        """Return whether some value between ``low`` and ``high`` may be the printed one."""
        below, above = self.window()
        return low < above and below < high

    def padded(self) -> "Printed":
        """Return this number without the zeros at the end of its decimals (97.20 -> 97.2)."""
        text = self.text.rstrip("0").rstrip(".") if "." in self.text else self.text
        return dataclasses.replace(self, text=text)


@dataclasses.dataclass(frozen=True)
class Finding:
    """One row of the audit.

    Attributes:
        numbers: The printed numbers that the claim is about.
        claim: These numbers and what they are of.
        recomputed: What the same numbers come to.
        is_met: Whether the claim holds; None: not checkable.
        evidence: The arithmetic, short enough to be redone by hand.
        reading: What the verdict takes for granted beyond the numbers; without it, or with another
            value in it, the verdict would be another.
    """

    numbers: Sequence[Printed]
    claim: str
    recomputed: str
    is_met: bool | None
    evidence: str
    reading: str = ""

    @property
    def where(self) -> str:
        """Return the tables, sections and figures where the numbers stand."""
        return places(self.numbers)

    @property
    def verdict(self) -> str:
        """Return the verdict, one of ``VERDICTS``."""
        return VERDICTS[2 if self.is_met is None else not self.is_met]

    @property
    def premise(self) -> str:
        """Return what the row stands or falls with: its reading, or else what is printed."""
        return self.reading or statement(self.numbers)


@dataclasses.dataclass(frozen=True)
class Sizes:
    """The images that a part of the data holds.

    Attributes:
        counts: Class -> images; empty where only the whole is known.
        totals: What the whole can be: one number, or two where a share does not come out even.
        how: Where this comes from, for the reader.
    """

    counts: dict
    totals: tuple
    how: str


class Paper:
    """A paper's card, read for the audit; ``is_rounded`` is of all of its numbers.

    Attributes:
        numbers: All printed numbers and words: table cells, then claims of the text.
        matrices: The printed confusion matrices.
    """

    def __init__(self, card: papers.Card, is_rounded: bool = False) -> None:
        self.card = card
        self.numbers = []
        for cell in card.cells().to_dict("records") if card.tables else ():
            source = ("cell", cell["table"], cell["row"], cell["column"])
            self.numbers.append(_printed(cell, cell["table"], source, is_rounded))
        for place, claim in enumerate(card.claims.to_dict("records")):
            self.numbers.append(_printed(claim, claim["where"], ("claim", place), is_rounded))
        self.matrices = [Matrix(self, printed) for printed in card.matrices]

    @property
    def cells(self) -> list[Printed]:
        """Return the printed numbers that stand in tables."""
        return [number for number in self.numbers if number.is_cell]

    @property
    def scores(self) -> list[Printed]:
        """Return the printed scores and supports that stand in tables."""
        return [n for n in self.cells if n.is_number and n.quantity in (*SCORES, "support")]

    def find(self, quantity: str, **keys: Any) -> list[Printed]:
        """Return the numbers of ``quantity`` whose keys have these values (None: key absent)."""
        return [
            number
            for number in self.numbers
            if number.quantity == quantity
            and all(number.get(name) == value for name, value in keys.items())
        ]

    def choice(self, name: str) -> Any:
        """Return the value of one of the card's choices, or None."""
        return self.card.choices[name].value if name in self.card.choices else None

    def part(self, keys: dict) -> str | None:
        """Return the part of the data that a number belongs to, by its keys or the choice."""
        return keys.get("part") or self.choice("scored_part")

    @functools.cached_property
    def rows(self) -> list["Row"]:
        """Return the rows of scores with at least one beside accuracy, and at least two in all."""
        rows = grouped(
            self.scores, lambda n: (n.where, tuple(sorted(without(n.keys, "label").items())))
        )
        return [
            Row(self, dict(keys), numbers)
            for (_, keys), numbers in rows.items()
            if len({(number.quantity, number.get("label")) for number in numbers}) > 1
            and {number.quantity for number in numbers} - {"accuracy", "support"}
        ]

    def sizes(self, keys: dict) -> Sizes | None:
        """Return the images of the part that ``keys`` name, or None if the paper does not tell.

        Printed counts per class come first, then a printed count of the whole part, then the stated
        share of the whole data set, which does not say how many images of each class it holds.
        """
        part = self.part(keys)
        if part is None:
            return None
        printed = [number for number in self._images(keys) if number.get("part") == part]
        if len(by_label := first_by_label(printed)) > 1:
            counts = {label: number.count for label, number in by_label.items()}
            terms = " + ".join(f"{count} {label}" for label, count in counts.items())
            how = f"{places(by_label.values())}: {terms} in {part}"
            return Sizes(counts, (sum(counts.values()),), how)
        for number in printed:
            if "label" not in number.keys:
                how = f"{number.where}: {number.text} images in {part}"
                return Sizes({}, (number.count,), how)
        whole = self.whole_counts(keys)
        for stated in self.find("share", part=part) if len(whole) > 1 else ():
            if stated.get("dataset") in (None, keys.get("dataset")):
                images = sum(number.count for number in whole.values())
                total = stated.exact * images
                totals = tuple(sorted({math.floor(total), math.ceil(total)}))
                how = (
                    f"{stated.text}% ({stated.where}) of {places(whole.values())}: "
                    f"{' or '.join(map(str, totals))} of {images} images in {part}"
                )
                return Sizes({}, totals, how)
        return None

    def whole_counts(self, keys: dict) -> dict[str, Printed]:
        """Return label -> printed images of the undivided data set that ``keys`` name."""
        return first_by_label(n for n in self._images(keys) if n.get("part") in (None, "total"))

    def _images(self, keys):
        """Counts of images that may belong to the same form of the data set as ``keys``."""
        form = keys.get("augmentation")
        images = self.find("images", dataset=keys.get("dataset"), phase=None)
        return [n for n in images if form is None or n.get("augmentation") in (None, form)]


class Row:
    """The scores that belong together: of one table, with the same keys but quantity and label.

    Attributes:
        paper: The paper.
        keys: What all of its numbers belong to.
        numbers: The printed scores, and supports.
        table: Where they stand.
        claim: The row as text for a reader.
        sizes: The images that it was computed on, as its supports or else the paper says, or None.
        positive: The positive class, or None.
        sides: Images of the positive and of the other class; None unless both are known.
        mixes: What ``sides`` can be, as two whole numbers or two arrays: where only the number of
            images is stated and both rates are printed, every mix of two classes; else ``sides``.
        whole_sides: The same of the undivided data set.
    """

    def __init__(self, paper: Paper, keys: dict, numbers: list[Printed]) -> None:
        self.paper, self.keys, self.numbers = paper, keys, numbers
        self.table = numbers[0].where
        self.claim = f"{name(keys, 'part')}: {listed(numbers)}"
        supports = {n.get("label"): n.count for n in numbers if n.quantity == "support"}
        printed = Sizes(supports, (sum(supports.values()),), "supports as printed")
        self.sizes = printed if supports else paper.sizes(keys)
        self.positive = paper.choice("positive_class")
        self.sides = self._sides(self.sizes.counts if self.sizes else {})
        self.mixes: tuple[Count, Count] | None = self.sides
        if self.sizes and not self.sizes.counts and self.scores("sensitivity", "specificity"):
            self.mixes = mixes(*self.sizes.totals)
        whole = paper.whole_counts(keys)
        self.whole_sides = self._sides({label: number.count for label, number in whole.items()})

    def of(self, label: str | None = None) -> dict[str, Printed]:
        """Return quantity -> number of one label."""
        return {n.quantity: n for n in self.numbers if n.get("label") == label}

    def scores(self, *quantities: str, label: str | None = None) -> list[Printed]:
        """Return the numbers of these quantities and of one label; none if one is not printed."""
        of = self.of(label)
        return [of[quantity] for quantity in quantities] if of.keys() >= {*quantities} else []

    def _sides(self, counts):
        if self.positive not in counts or len(counts) != 2:
            return None
        return counts[self.positive], sum(counts.values()) - counts[self.positive]


class Matrix:
    """A printed confusion matrix.

    Attributes:
        where: The figure.
        keys: What it is of.
        classes: Of its rows and columns.
        counts: int64 (classes, classes), as it stands on paper.
        numbers: The counts as printed numbers.
        right: Images on its diagonal.
        total: All of its images.
        accuracy: The share of those on its diagonal.
        readings: What its sides can be, as printed or both -> the counts with the actual classes in
            the rows.
        accuracies: What tables print of the same network, of whichever part, but not of an epoch.
        scores: The scores and supports of single classes that tables print of network and part.
    """

    def __init__(self, paper: Paper, printed: papers.Matrix) -> None:
        self.where, self.keys, self.classes = printed.name, printed.where, printed.classes
        self.counts = np.array(printed.printed, dtype=np.int64)
        self.numbers = [
            Printed(self.where, ("matrix", self.where, *at), "images", "images", str(n), self.keys)
            for at, n in np.ndenumerate(self.counts)
        ]
        self.right, self.total = int(np.trace(self.counts)), int(self.counts.sum())
        self.accuracy = self.right / self.total
        readings = {"rows are actual": self.counts, "rows are predicted": self.counts.T}
        stated = printed.orientation
        self.readings = {stated: readings[stated]} if stated in readings else readings
        own, part = without(self.keys, "part").items(), paper.part(self.keys)
        of_network = [n for n in paper.scores if own <= n.keys.items() and "epoch" not in n.keys]
        self.scores = [
            n for n in of_network if n.get("label") in self.classes and paper.part(n.keys) == part
        ]
        whole = [number for number in of_network if "label" not in number.keys]
        self.accuracies = [number for number in whole if number.quantity == "accuracy"]


def mixes(*totals: int) -> tuple[np.ndarray, np.ndarray]:
    """Return all ways to divide the totals into two classes: images of the one, of the other."""
    ones = [np.arange(1, total) for total in totals]
    return np.concatenate(ones), np.concatenate([one[::-1] for one in ones])


def grouped(items: Iterable, key: Callable) -> dict:
    """Return the items in lists by what ``key`` gives for them, in their order."""
    groups: dict = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups


def without(keys: dict, *names: str) -> dict:
    """Return keys of printed numbers but those of these names."""
    return {key: value for key, value in keys.items() if key not in names}


def places(numbers: Iterable[Printed]) -> str:
    """Return where printed numbers stand, each place once."""
    return ", ".join(dict.fromkeys(number.where for number in numbers))


def listed(numbers: Iterable[Printed]) -> str:
    """Return printed numbers as text: "accuracy 98.75, recall 29/98 (benign/early)"."""
    words, classes = [], []
    for quantity, same in grouped(numbers, lambda number: number.quantity).items():
        words.append(f"{quantity} {'/'.join(number.text for number in same)}")
        labels = "/".join(number.get("label") for number in same if number.get("label"))
        classes.append(f" ({labels})" if labels else "")
    if len(set(classes)) == 1:  # the same classes throughout
        return ", ".join(words) + classes[0]
    return ", ".join(map("".join, zip(words, classes, strict=True)))


def statement(numbers: Sequence[Printed]) -> str:
    """Return what says the numbers, as one premise: the first sentence, or the row of a table."""
    for number in numbers:
        if number.quote:
            return f'{number.where}: "{number.quote}"'
    first = numbers[0]
    return ": ".join(filter(None, (first.where, name(first.keys, "part", "label"))))


def percent(value: Any, digits: int = 2) -> str:
    """Return a share as text in percent, without the sign."""
    return f"{float(100 * value):.{digits}f}"


def in_unit(value: Any, number: Printed) -> str:
    """Return a share as text in the unit of ``number``: 99.32 in percent, 0.9932 as a fraction."""
    return percent(value) if number.unit == "percent" else f"{float(value):.4f}"


def first_by_label(numbers: Iterable[Printed]) -> dict[str, Printed]:
    """Return label -> the first of ``numbers`` that has this label."""
    labelled = grouped(numbers, lambda number: number.get("label"))
    return {label: same[0] for label, same in labelled.items() if label is not None}


def name(keys: dict, *leave_out: str) -> str:
    """Return a short name of what ``keys`` describe, for a reader: "xgboost, all-idb2"."""
    order = ("model", "backbone", "classifier", "variant", "dataset", "part", "label")
    keys = without(keys, *leave_out)
    flags = [flag for flag in ("augmentation", "segmentation") if flag in keys]
    words = [str(keys[key]) for key in order if key in keys]
    return ", ".join([*words, *(flag if keys[flag] else f"no {flag}" for flag in flags)])


def _printed(entry, where, source, is_rounded):
    keys = {key: v for key, v in without(entry, *NO_KEYS).items() if not pd.isna(v)}
    of = (entry["quantity"], entry["unit"], entry["printed"], keys, entry.get("quote", ""))
    return Printed(where, source, *of, is_rounded)
