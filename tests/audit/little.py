"""Little cards for the tests of the audit, printed numbers, and rows of the real papers."""

from leukkit import audit, papers
from leukkit.audit.printed import Printed

POSITIVE = {"positive_class": {"value": "ALL", "reason": "test"}}


def card(tables=(), matrices=(), claims=(), choices=POSITIVE):
    """Return a card that holds only what is given; claims are (where, keys, unit, printed)."""
    return papers.Card(
        key="little",
        paper={"title": "t", "authors": ["a"], "year": 2025},
        summary="",
        run_keys=[],
        datasets={},
        protocol=[],
        choices=choices,
        profiles={},
        tables=list(tables),
        matrices=list(matrices),
        claims=[
            {"where": where, "quote": "", "unit": unit, "printed": printed, "keys": keys}
            for where, keys, unit, printed in claims
        ],
    )


def table(columns, rows, name="Table 1", unit="percent", **where):
    """Return a table: columns are keys, rows are (keys, printed)."""
    rows = [{"keys": keys, "printed": list(printed)} for keys, printed in rows]
    return {
        "name": name, "title": "", "unit": unit, "where": where, "columns": columns, "rows": rows
    }  # fmt: skip


def matrix(counts, name="Figure 1", orientation="not stated", classes="abcdef", **where):
    """Return a printed confusion matrix of the network "net" on the test part."""
    printed = [[int(count) for count in row] for row in counts]
    keys = {"part": "test", "model": "net"} | where
    classes = list(classes[: len(printed)])
    return {
        "name": name, "where": keys, "classes": classes, "orientation": orientation,
        "printed": printed,
    }  # fmt: skip


def images(count, where="II", **keys):
    """Return a claim that prints a number of images."""
    return where, {"quantity": "images", **keys}, "images", str(count)


def images_for_test(**counts):
    """Return claims that print the test images of each class."""
    return [images(count, part="test", label=label) for label, count in counts.items()]


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


def find(key, check, text):
    """Return the findings of one check on a paper whose place or claim holds the text."""
    return [f for f in audit.findings(papers.load(key), [check]) if text in f"{f.where} {f.claim}"]
