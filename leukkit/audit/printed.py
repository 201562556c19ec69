"""Printed numbers as windows of exact values, and what a check finds on them."""

import dataclasses
import decimal
from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import Any

import numpy as np

SCALES = {"percent": Fraction(100), "millions": Fraction(1, 1_000_000)}  # others: 1
Count = int | np.ndarray  # one whole number, or int64 of any shape
VERDICTS = ("consistent", "inconsistent", "not checkable")


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

    @property
    def exact(self) -> Fraction:
        """Return the printed value, as a share where it is printed in percent."""
        return Fraction(self.text.replace(",", "")) / SCALES.get(self.unit, 1)

    def window(self) -> tuple[Fraction, Fraction]:
        """Return the values that round or truncate to the printed one.

        Returns:
            The smallest such value (not below 0), and the first one above it that is too large.
        """
        unit = Fraction(1, 10**self.digits) / SCALES.get(self.unit, 1)
        above = unit / 2 if self.is_rounded else unit
        return max(Fraction(0), self.exact - unit / 2), self.exact + above

    def is_met(self, numerator: Count, denominator: Count = 1) -> Any:
        """Return whether ``numerator / denominator`` rounds or truncates to the printed value.

        The comparison is exact: it multiplies whole numbers and never divides.

        Args:
            numerator: 0 or more.
            denominator: Above 0 (where it is 0 nothing is met).
        """
        low, high = self.window()
        above = low.numerator * denominator <= numerator * low.denominator
        below = numerator * high.denominator < high.numerator * denominator
        return above & below & (denominator > 0)

    def padded(self) -> "Printed":
        """Return this number without the zeros at the end of its decimals (97.20 -> 97.2)."""
        text = self.text.rstrip("0").rstrip(".") if "." in self.text else self.text
        return dataclasses.replace(self, text=text)


@dataclasses.dataclass(frozen=True)
class Finding:
    """One row of the audit.

    Attributes:
        where: Table, section or figure of the paper.
        claim: The printed numbers and what they are of.
        recomputed: What the same numbers come to.
        verdict: One of ``VERDICTS``.
        evidence: The arithmetic, short enough to be redone by hand.
        uses: The ``Printed`` numbers that the verdict depends on.
    """

    where: str
    claim: str
    recomputed: str
    verdict: str
    evidence: str
    uses: tuple

    @classmethod
    def on(
        cls,
        numbers: Iterable[Printed],
        claim: str,
        recomputed: object,
        is_met: bool | None,
        evidence: str,
        uses: Iterable[Printed] = (),
    ) -> "Finding":
        """Return what was found on the printed ``numbers``, at the places where they stand.

        ``is_met`` is the verdict (None: not checkable), ``uses`` are other numbers it depends on.
        """
        verdict = VERDICTS[2 if is_met is None else not is_met]
        return cls(places(numbers), claim, str(recomputed), verdict, evidence, (*numbers, *uses))


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


def percent(value: Any, digits: int = 2) -> str:
    """Return a share as text in percent, without the sign."""
    return f"{float(100 * value):.{digits}f}"


def in_unit(value: Any, number: Printed) -> str:
    """Return a share as text in the unit of ``number``: 99.32 in percent, 0.9932 as a fraction."""
    return percent(value) if number.unit == "percent" else f"{float(value):.4f}"
