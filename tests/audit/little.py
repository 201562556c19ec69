"""Little cards for the tests of the audit, and printed numbers."""

import pandas as pd

from leukkit import papers
from leukkit.audit.printed import Printed

POSITIVE = {"positive_class": {"value": "ALL", "reason": "test"}}


def card(tables=(), matrices=(), claims=(), choices=POSITIVE):
    """Return a card that holds only what is given; claims are (where, keys, unit, printed)."""
    rows = [
        {"paper": "little", "where": where, "quote": "", "unit": unit, "printed": printed} | keys
        for where, keys, unit, printed in claims
    ]
    columns = ["paper", "where", "quote", "quantity", "unit", "printed"]
    claims = pd.DataFrame(rows) if rows else pd.DataFrame(columns=columns)
    return papers.Card(
        key="little",
        paper={},
        summary="",
        datasets={},
        protocol=[],
        choices=choices,
        profiles={},
        tables=list(tables),
        matrices=list(matrices),
        claims=claims,
    )


def table(columns, rows, name="Table 1", unit="percent", **where):
    """Return a table: columns are keys, rows are (keys, printed)."""
    rows = [{"keys": keys, "printed": list(printed)} for keys, printed in rows]
    return {
        "name": name, "title": "", "unit": unit, "where": where, "columns": columns, "rows": rows
    }  # fmt: skip


def images_for_test(**counts):
    """Return claims that print the test images of each class."""
    return [
        ("II", {"quantity": "images", "part": "test", "label": label}, "images", str(count))
        for label, count in counts.items()
    ]


def number(text, quantity="accuracy", unit="percent", **keys):
    """Return one printed number."""
    return Printed("Table 1", ("cell", "Table 1", 0, 0), quantity, unit, text, keys)


def shown(numerator, denominator, digits, is_rounded, scale=100):
    """Return a ratio as a paper would print it: rounded half up, or truncated."""
    units = scale * 10**digits * numerator * 2 + (denominator if is_rounded else 0)
    whole = str(units // (2 * denominator)).zfill(digits + 1)
    return f"{whole[:-digits]}.{whole[-digits:]}" if digits else whole


def verdicts(found):
    """Return the verdicts of findings."""
    return [finding.verdict for finding in found]
