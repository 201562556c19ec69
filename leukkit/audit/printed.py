"""Printed numbers as windows: which exact values round or truncate to what stands in the paper."""

import dataclasses
import decimal
import fractions

SCALES = {"percent": 100, "millions": fractions.Fraction(1, 1_000_000)}  # others: 1


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
    """

    where: str
    source: tuple
    quantity: str
    unit: str
    text: str
    keys: dict

    @property
    def is_number(self):
        """Return whether this is a number, not words."""
        return self.unit != "text"

    @property
    def digits(self):
        """Return the number of digits after the point."""
        return max(0, -self._decimal().as_tuple().exponent)

    @property
    def exact(self):
        """Return the printed value, as a share where it is printed in percent."""
        return fractions.Fraction(self._decimal()) / fractions.Fraction(SCALES.get(self.unit, 1))

    @property
    def count(self):
        """Return the printed value as a whole number."""
        return int(self._decimal())

    def window(self):
        """Return the values that round or truncate to the printed one.

        Returns:
            Two fractions: the smallest such value (not below 0), and the first one above it that is
            too large.
        """
        unit = fractions.Fraction(10) ** -self.digits
        scale = fractions.Fraction(SCALES.get(self.unit, 1))
        value = fractions.Fraction(self._decimal())
        return max(fractions.Fraction(0), value - unit / 2) / scale, (value + unit) / scale

    def is_met(self, numerator, denominator=1):
        """Return whether ``numerator / denominator`` rounds or truncates to the printed value.

        The comparison is exact: it multiplies whole numbers and never divides.

        Args:
            numerator: A whole number or an int64 array of them.
            denominator: Likewise, above 0 (where it is 0 nothing is met).
        """
        low, high = self.window()
        above = low.numerator * denominator <= numerator * low.denominator
        below = numerator * high.denominator < high.numerator * denominator
        return above & below & (denominator > 0)

    def is_met_by(self, value):
        """Return whether the fraction ``value`` rounds or truncates to the printed one."""
        value = fractions.Fraction(value)
        return bool(self.is_met(value.numerator, value.denominator))

    def padded(self):
        """Return this number without the zeros at the end of its decimals (97.20 -> 97.2)."""
        text = self.text.rstrip("0").rstrip(".") if "." in self.text else self.text
        return dataclasses.replace(self, text=text)

    def _decimal(self):
        return decimal.Decimal(self.text.replace(",", ""))


def percent(value, digits=2):
    """Return a share as text in percent, without the sign."""
    return f"{float(100 * value):.{digits}f}"


def in_unit(value, number):
    """Return a share as text in the unit of ``number``: 99.32 in percent, 0.9932 as a fraction."""
    return percent(value) if number.unit == "percent" else f"{float(value):.4f}"
