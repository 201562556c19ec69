"""The printed numbers of any paper, without a card: one table of scores, or a card to fill in."""

import os
import pathlib
import re

from leukkit.audit.printed import SCORES
from leukkit.files import read_table
from leukkit.papers import Card, CardError
from leukkit.schemas import check

NAMES = {  # what tables call a score -> its quantity
    **{name: name for name in (*SCORES, "support")},
    "acc": "accuracy",
    "sens": "sensitivity",
    "spec": "specificity",
    "tpr": "sensitivity",
    "tnr": "specificity",
    "prec": "precision",
    "ppv": "precision",
    "rec": "recall",
    "f1score": "f1",
    "fscore": "f1",
    "fmeasure": "f1",
}
_COUNTS = re.compile(r"(?:(?P<label>[^=,]+)=)?(?P<count>\d+)")

TEMPLATE = """\
# The printed numbers of a paper, to be audited: leukkit audit THIS_FILE
# Numbers are written as printed, in quotation marks: "97.0" and "97" are two different statements.

[paper]
title = "…"                     # authors, journal, year, doi: as you like

[choices]                       # which class counts as positive, which part the scores are of
positive_class = { value = "ALL", reason = "Section 4: ..." }
scored_part = { value = "test", reason = "Section 4: ..." }

# Each table: what its columns are, then one entry per row. Keys tell rows and columns apart; any
# names will do. Quantities: accuracy, sensitivity, specificity, precision, recall, f1, support,
# images. A score of one class has its key label. unit: percent, fraction, images, or text.
[[tables]]
name = "Table 1"
title = "Scores on the test set"
unit = "percent"
where = { dataset = "cells", part = "test" }
columns = [{ quantity = "accuracy" }, { quantity = "sensitivity" }, { quantity = "specificity" }]

[[tables.rows]]
keys = { model = "net" }
printed = ["97.75", "98.35", "96.46"]

# Counts of images, and numbers of the running text: with the sentence they stand in.
[[claims]]
where = "Section 3"
keys = { quantity = "images", dataset = "cells", part = "test", label = "ALL" }
unit = "images"
printed = "1091"
quote = "The test set has 1091 blasts and 509 normal cells."

[[claims]]
where = "Section 3"
keys = { quantity = "images", dataset = "cells", part = "test", label = "healthy" }
unit = "images"
printed = "509"
quote = "The test set has 1091 blasts and 509 normal cells."

# A printed confusion matrix, if there is one (take the signs away):
# [[matrices]]
# name = "Figure 5"
# where = { dataset = "cells", part = "test", model = "net" }
# classes = ["ALL", "healthy"]
# orientation = "rows are actual"         # or "rows are predicted", "not stated"
# printed = [[1073, 18], [18, 491]]
"""


def from_csv(path: str | os.PathLike, test: str) -> Card:
    """Return a card that holds one table of scores.

    Args:
        path: CSV with a first line of names. Columns called like scores (accuracy, sensitivity,
            specificity, precision, recall, f1, support, and usual short forms) hold numbers as
            printed, as fractions if none is above 1, else in percent; the others say what a row is
            of, and one called ``label`` or ``class`` of which class its scores are.
        test: Images of each class that the scores are of, the positive class first:
            ``"1091,509"`` or ``"ALL=1091,healthy=509"``.

    Raises:
        ValueError: The table or the counts cannot be read; names line, column and value.
        OSError: The file cannot be read.

    Example:
        >>> card = audit.from_csv("table2.csv", test="1091,509")
        >>> audit.run(card)
    """
    path = pathlib.Path(path)
    counts = _counts(test)
    table = read_table(path, [])
    header = list(table)
    columns = {name: NAMES[key] for name in header if (key := _plain(name)) in NAMES}
    if not columns:
        raise CardError(
            f"{path}: no column is called like a score ({', '.join(SCORES)}); found were "
            f"{', '.join(header) or 'none'}"
        )
    if taken := sorted({_key(name) for name in header} & {"dataset", "part"}):
        raise CardError(
            f"{path}: a column {taken[0]} cannot be used, since the images given are of one "
            "part of one data set. Make a table of each; or write a card: leukkit audit --new FILE"
        )
    keyed = [_key(name) for name in header if name not in columns]
    if twice := sorted({name for name in keyed if keyed.count(name) > 1}):
        raise CardError(f"{path}: two columns say the {twice[0]} of a row. Leave one of them out")
    rows, unit = [], "fraction"
    for line, row in table.iterrows():
        place = f"{path}, line {line}"
        printed = [row[name].rstrip("%").strip() for name in columns]
        for name, text in zip(columns, printed, strict=True):
            if text and not re.fullmatch(r"\d+(\.\d+)?", text):
                raise CardError(f"{place}: {name} is {text!r}, expected a number as printed")
            if text and columns[name] != "support" and float(text) > 1:
                unit = "percent"
        keys = {_key(name): row[name] for name in header if name not in columns}
        keys = {name: text for name, text in keys.items() if text}
        if "label" in keys and keys["label"] not in counts:
            raise CardError(
                f"{place}: class {keys['label']!r} is none of those of --test ({', '.join(counts)})"
            )
        rows.append({"keys": keys or {"line": line}, "printed": printed})
    of_part = {"dataset": path.stem, "part": "test"}
    shown = [
        {"quantity": name, "unit": "images" if name == "support" else unit}
        for name in columns.values()
    ]
    claims = [
        {
            "where": "--test",
            "keys": {"quantity": "images", "label": label, **of_part},
            "unit": "images",
            "printed": str(count),
            "quote": f"{count} test images of {label}, as given",
        }
        for label, count in counts.items()
    ]
    said = {"value": next(iter(counts)), "reason": "the first of the counts given"}
    scores = {"name": path.name, "title": "", "where": of_part, "columns": shown, "rows": rows}
    content = {
        "key": path.stem,
        "paper": {"title": path.stem},
        "choices": {"positive_class": said},
        "tables": [scores],
        "claims": claims,
    }
    return check(Card, content, str(path))


def _counts(text: str) -> dict[str, int]:
    found = [_COUNTS.fullmatch(part.strip()) for part in text.split(",")]
    if len(found) < 2 or None in found:
        raise CardError(
            f"test counts {text!r}: expected the images of each class, the positive one first, "
            "such as 1091,509 or ALL=1091,healthy=509"
        )
    names = ["positive", "negative"] if len(found) == 2 else [str(i) for i in range(len(found))]
    counts = {
        (one["label"] or name).strip(): int(one["count"])
        for one, name in zip(found, names, strict=True)
        if one
    }
    if len(counts) < len(found):
        raise CardError(f"test counts {text!r}: a class is named twice")
    return counts


def _plain(name: str) -> str:
    """Return a heading as `NAMES` has it: ``F1-Score (%)`` is ``f1score``."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _key(name: str) -> str:
    return {"class": "label", "method": "model"}.get(name.lower(), name.lower())
