"""Charts as places in percent of their width, which the page's templates draw as SVG."""

import numpy as np
import pandas as pd

from leukkit import metrics
from leukkit.audit import VERDICTS

LANES = {"published": 10, "reproduced": 23, "leak-free": 36}  # pixels from the top of a row
AT_MOST = 12  # rows of a chart; the table holds all


def accuracies(cells):
    """Prepare a chart of a paper's accuracies under one profile: printed, and what was run.

    Args:
        cells: Rows of `overview.cells` of one paper and profile.

    Returns:
        Dict of ``rows``, ``ticks``, ``unit`` and ``left_out`` (how many rows did not fit), or None
        if no accuracy was run.
    """
    is_run = (cells["reproduced status"] == "run") | (cells["leak-free status"] == "run")
    cells = cells[is_run & (cells["quantity"] == "accuracy")]
    if cells.empty:
        return None
    # First what has an interval, which is the test; order of the print otherwise.
    has_none = cells[["reproduced low", "leak-free low"]].isna().all(axis=1)
    cells = cells[~has_none] if not has_none.all() else cells
    shown = cells.head(AT_MOST)
    marks = [_marks(cell) for cell in shown.to_dict("records")]
    numbers = [value for row in marks for mark in row for value in mark["numbers"]]
    low, step = _scale(min(numbers), max(numbers))
    high = max(100, max(numbers))
    for row in marks:
        for mark in row:
            _place(mark, low, high)
    names = [f"{cell['what']} ({cell['table']})" for cell in shown.to_dict("records")]
    return {
        "rows": [
            {"name": name, "marks": row, "text": "; ".join(mark["text"] for mark in row)}
            for name, row in zip(names, marks, strict=True)
        ],
        "ticks": [
            {"place": _percent(value, low, high), "text": f"{value:g}"}
            for value in np.arange(low, high + step / 2, step)
        ],
        "unit": "accuracy in percent",
        "left_out": len(cells) - len(shown),
    }


def verdicts(rows):
    """Prepare the bar of an audit: per verdict its ``count``, ``start`` and ``width`` in percent.

    Args:
        rows: Rows of `leukkit.audit.run`.
    """
    counts = rows["verdict"].value_counts()
    start, bars = 0.0, []
    for verdict in VERDICTS:
        count = int(counts.get(verdict, 0))
        width = 100 * count / len(rows)
        places = {"start": f"{start:.2f}", "width": f"{width:.2f}"}
        bars.append({"verdict": verdict, "count": count, **places})
        start += width
    return bars


def _marks(cell):
    """Return what is drawn of a cell, in percent: name, value, ends of its interval, text."""
    scale = 100.0 if cell["unit"] == "fraction" else 1.0
    found = [("published", scale * cell["value"], np.nan, np.nan)]
    for side in ("reproduced", "leak-free"):
        found.append((side, *(scale * cell[f"{side}{end}"] for end in ("", " low", " high"))))
    marks = []
    for name, value, low, high in found:
        if pd.isna(value):
            continue
        who = "printed" if name == "published" else name
        text = f"{who} {metrics.with_interval(value, low, high, 1)}"
        numbers = [value] if pd.isna(low) else [value, low, high]
        marks.append({"name": name, "numbers": numbers, "text": text, "y": LANES[name]})
    return marks


def _place(mark, low, high):
    places = [_percent(value, low, high) for value in mark.pop("numbers")]
    mark["place"] = places[0]
    mark["low"], mark["high"] = places[1:] if len(places) == 3 else (None, None)


def _percent(value, low, high):
    return f"{100 * (value - low) / (high - low):.2f}"


def _scale(lowest, highest):
    """Return where the axis begins, and the step of its ticks: round numbers."""
    span = max(100, highest) - lowest
    step = 20 if span > 50 else 10 if span > 20 else 5 if span > 8 else 1
    return step * np.floor(lowest / step), step
