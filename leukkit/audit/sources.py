"""What a paper printed, in the shape that the checks read. Only this module opens a card."""

import dataclasses
import functools
import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from leukkit.audit.printed import Printed, grouped, listed, places, without
from leukkit.papers import Card

SCORES = ("accuracy", "sensitivity", "specificity", "precision", "recall", "f1")
_PLACE = ("paper", "table", "row", "column", "where", "quote", "note")
_VALUE = ("quantity", "unit", "printed", "value")


@dataclasses.dataclass(frozen=True)
class Sizes:
    """The images that a part of the data holds.

    Attributes:
        counts: Class -> images; empty where only the whole is known.
        totals: What the whole can be: one number, or two where a share does not come out even.
        how: Where this comes from, for the reader.
        uses: The printed numbers it was taken from.
    """

    counts: dict
    totals: tuple
    how: str
    uses: tuple


class Paper:
    """A paper's card, read for the audit.

    Args:
        card: The `papers.Card`.
        is_rounded: Whether its numbers must be rounded; else they may as well be truncated.

    Attributes:
        numbers: All printed numbers and words: table cells, then claims of the text.
        matrices: The printed confusion matrices as ``Matrix``.
    """

    def __init__(self, card: Card, is_rounded: bool = False) -> None:
        cells = card.cells().to_dict("records") if card.tables else []
        claims = card.claims.to_dict("records")
        numbers = [
            *(_printed(c, c["table"], ("cell", c["table"], c["row"], c["column"])) for c in cells),
            *(_printed(claim, claim["where"], ("claim", n)) for n, claim in enumerate(claims)),
        ]
        self.numbers = [dataclasses.replace(n, is_rounded=is_rounded) for n in numbers]
        self._choices = {name: choice.value for name, choice in card.choices.items()}
        self.matrices = [
            Matrix(self, one.name, one.where, one.classes, one.orientation, one.printed)
            for one in card.matrices
        ]

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
        return self._choices.get(name)

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
        share of the whole data set.
        """
        part = self.part(keys)
        if part is None:
            return None
        printed = [number for number in self._images(keys) if number.get("part") == part]
        by_label = first_by_label(printed)
        if len(by_label) > 1:
            counts = {label: number.count for label, number in by_label.items()}
            how = f"{places(by_label.values())}: {_list(counts)} in {part}"
            return Sizes(counts, (sum(counts.values()),), how, tuple(by_label.values()))
        for whole in printed:
            if "label" not in whole.keys:
                how = f"{whole.where}: {whole.text} images in {part}"
                return Sizes({}, (whole.count,), how, (whole,))
        return self._by_share(keys, part)

    def whole_counts(self, keys: dict) -> dict[str, Printed]:
        """Return label -> printed images of the undivided data set that ``keys`` name."""
        return first_by_label(n for n in self._images(keys) if n.get("part") in (None, "total"))

    def _by_share(self, keys, part):
        whole = self.whole_counts(keys)
        for stated in self.find("share", part=part):
            if stated.get("dataset") in (None, keys.get("dataset")) and len(whole) > 1:
                counts = {label: round(stated.exact * n.count) for label, n in whole.items()}
                total = stated.exact * sum(number.count for number in whole.values())
                how = f"{stated.text}% ({stated.where}) of {places(whole.values())}"
                totals = tuple(sorted({math.floor(total), math.ceil(total)}))
                uses = (stated, *whole.values())
                return Sizes(counts, totals, f"{how}: {_list(counts)}", uses)
        return None

    def _images(self, keys):
        """Counts of images that may belong to the same form of the data set as ``keys``."""
        form = keys.get("augmentation")
        images = self.find("images", dataset=keys.get("dataset"), phase=None)
        return [n for n in images if form is None or n.get("augmentation") in (None, form)]


class Row:
    """The scores that belong together: of one table, with the same keys but quantity and label.

    Attributes:
        paper: The ``Paper``.
        keys: What all of its numbers belong to.
        numbers: The ``Printed`` scores, and supports.
        table: Where they stand.
        labels: The classes that they are of, each once.
        claim: The row as text for a reader.
        sizes: The ``Sizes`` of the images that it was computed on, or None.
        supports: Class -> images, printed in the row or by its sizes; empty if not known.
        positive: The positive class, or None.
        sides: Images of the positive and of the other class; None unless both are known.
        whole_sides: The same of the undivided data set.
    """

    def __init__(self, paper: Paper, keys: dict, numbers: list[Printed]) -> None:
        self.paper, self.keys, self.numbers = paper, keys, numbers
        self.table = numbers[0].where
        self.labels = list(first_by_label(numbers))
        self.claim = f"{name(keys, 'part')}: {listed(numbers)}"
        self.sizes = paper.sizes(keys)
        supports = {n.get("label"): n.count for n in numbers if n.quantity == "support"}
        self.supports = supports or (self.sizes.counts if self.sizes else {})
        self.positive = paper.choice("positive_class")
        self.sides = self._sides(self.sizes.counts if self.sizes else {})
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
        right: Images on its diagonal.
        total: All of its images.
        accuracy: The share of those on its diagonal.
        readings: What its sides can be, as printed or both -> the counts with the actual classes in
            the rows.
        accuracies: What tables print of the same network, of whichever part, but not of an epoch.
        scores: The scores and supports of single classes that tables print of network and part.
    """

    def __init__(
        self, paper: Paper, where: str, keys: dict, classes: list, orientation: str, printed: Any
    ) -> None:
        self.where, self.keys, self.classes = where, keys, classes
        self.counts = np.array(printed, dtype=np.int64)
        self.right, self.total = int(np.trace(self.counts)), int(self.counts.sum())
        self.accuracy = self.right / self.total
        readings = {"rows are actual": self.counts, "rows are predicted": self.counts.T}
        stated = readings.keys() if orientation == "not stated" else [orientation]
        self.readings = {reading: readings[reading] for reading in stated}
        own, part = without(keys, "part").items(), paper.part(keys)
        of_network = [n for n in paper.scores if own <= n.keys.items() and "epoch" not in n.keys]
        self.accuracies = [
            n for n in of_network if n.quantity == "accuracy" and "label" not in n.keys
        ]
        self.scores = [
            n for n in of_network if n.get("label") in classes and paper.part(n.keys) == part
        ]

    @property
    def numbers(self) -> list[Printed]:
        """Return its counts as printed numbers."""
        return [
            Printed(self.where, ("matrix", self.where, *at), "images", "images", str(n), self.keys)
            for at, n in np.ndenumerate(self.counts)
        ]


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


def _printed(entry, where, source):
    keys = {key: v for key, v in without(entry, *_PLACE, *_VALUE).items() if not pd.isna(v)}
    quote = entry.get("quote", "")
    return Printed(where, source, entry["quantity"], entry["unit"], entry["printed"], keys, quote)


def _list(counts):
    return " + ".join(f"{count} {label}" for label, count in counts.items())
