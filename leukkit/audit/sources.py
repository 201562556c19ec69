"""What a paper printed, in the shape that the checks read: numbers, rows of a table, matrices."""

import functools
import itertools

import numpy as np
import pandas as pd

from leukkit.audit.printed import Printed

_FIXED = {"paper", "table", "row", "column", "where", "quote", "note"}
_FIXED |= {"quantity", "unit", "printed", "value"}
SCORES = ("accuracy", "sensitivity", "specificity", "precision", "recall", "f1")


class Paper:
    """A paper's card, read for the audit."""

    def __init__(self, card):
        self.card = card
        self.key = card.key

    @functools.cached_property
    def numbers(self):
        """Return all printed numbers and words: table cells, then claims of the text."""
        rows = self.card.cells().to_dict("records") if self.card.tables else []
        cells = [
            Printed(
                where=cell["table"],
                source=("cell", cell["table"], cell["row"], cell["column"]),
                **_content(cell),
            )
            for cell in rows
        ]
        claims = [
            Printed(where=claim["where"], source=("claim", position), **_content(claim))
            for position, claim in enumerate(self.card.claims.to_dict("records"))
        ]
        return cells + claims

    @property
    def cells(self):
        """Return the printed numbers that stand in tables."""
        return [number for number in self.numbers if number.source[0] == "cell"]

    def find(self, quantity, **keys):
        """Return the numbers of ``quantity`` whose keys have these values (None: key absent)."""
        return [
            number
            for number in self.numbers
            if number.quantity == quantity
            and all(number.keys.get(name) == value for name, value in keys.items())
        ]

    def choice(self, name):
        """Return the value of one of the card's choices, or None."""
        return self.card.choices.get(name, {}).get("value")

    def part(self, keys):
        """Return the part of the data that a number belongs to, by its keys or the choice."""
        return keys.get("part") or self.choice("scored_part")

    @functools.cached_property
    def rows(self):
        """Return the scores that belong together: same table and keys but quantity and label.

        Returns:
            A list of ``(keys, numbers)`` with at least two scores; ``support`` is among them
            where it is printed.
        """
        wanted = [
            number
            for number in self.cells
            if number.is_number and number.quantity in (*SCORES, "support")
        ]
        groups = {}
        for number in wanted:
            keys = {name: value for name, value in number.keys.items() if name != "label"}
            groups.setdefault((number.where, tuple(sorted(keys.items()))), []).append(number)
        return [
            (dict(keys), numbers)
            for (_, keys), numbers in groups.items()
            if len({(number.quantity, number.keys.get("label")) for number in numbers}) > 1
            and any(number.quantity not in ("accuracy", "support") for number in numbers)
        ]

    @functools.cached_property
    def matrices(self):
        """Return the printed confusion matrices as ``Matrix``."""
        return [Matrix(matrix) for matrix in self.card.matrices]


class Matrix:
    """A printed confusion matrix; ``counts`` int64 (classes, classes) as it stands on paper."""

    def __init__(self, matrix):
        self.where = matrix["name"]
        self.keys = matrix["where"]
        self.classes = matrix["classes"]
        self.orientation = matrix["orientation"]
        self.counts = np.array(matrix["printed"], dtype=np.int64)

    @property
    def numbers(self):
        """Return its counts as printed numbers."""
        sides = itertools.product(range(len(self.classes)), repeat=2)
        return [
            Printed(
                where=self.where,
                source=("matrix", self.where, row, column),
                quantity="images",
                unit="images",
                text=str(self.counts[row, column]),
                keys=self.keys,
            )
            for row, column in sides
        ]

    def actual_in_rows(self, orientation):
        """Return the counts with the actual classes in the rows."""
        return self.counts if orientation == "rows are actual" else self.counts.T

    @property
    def orientations(self):
        """Return the orientations that it can have: the printed one, or both."""
        both = ("rows are actual", "rows are predicted")
        return both if self.orientation == "not stated" else (self.orientation,)


def name(keys, *leave_out):
    """Return a short name of what ``keys`` describe, for a reader: "xgboost, all-idb2"."""
    order = ("model", "backbone", "classifier", "variant", "dataset", "part", "label")
    words = [str(keys[key]) for key in order if key in keys and key not in leave_out]
    for flag in ("augmentation", "segmentation"):
        if flag in keys and flag not in leave_out:
            words.append(flag if keys[flag] else f"no {flag}")
    return ", ".join(words)


def _content(entry):
    keys = {key: value for key, value in entry.items() if key not in _FIXED and not pd.isna(value)}
    return {
        "quantity": entry["quantity"],
        "unit": entry["unit"],
        "text": entry["printed"],
        "keys": keys,
    }
