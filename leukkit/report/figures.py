"""Charts that the templates draw, as places in percent of their width, and figures as SVG files."""

import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from leukkit import metrics, plots, results
from leukkit.audit import VERDICTS
from leukkit.files import replace_when_done
from leukkit.report import facts
from leukkit.report.tables import COLUMNS as SIDES
from leukkit.report.tables import said

LANES = {"published": 10, "reproduced": 23, "leak-free": 36}  # pixels from the top of a row
AT_MOST = 12  # rows of a chart; the table holds all


def accuracies(cells: pd.DataFrame) -> dict[str, Any] | None:
    """Prepare a chart of a paper's accuracies under one profile: printed, and what was run.

    Args:
        cells: Rows of `overview.cells` of one paper and profile.

    Returns:
        Dict of ``rows``, ``ticks``, ``unit`` and ``left_out`` (how many rows did not fit), or None
        if no accuracy was run.
    """
    is_run = (cells[[f"{side} status" for side in SIDES]] == "run").any(axis=1)
    cells = cells[is_run & (cells["quantity"] == "accuracy")]
    if cells.empty:
        return None
    # First what has an interval, which is the test; order of the print otherwise.
    tested = cells[[f"{side} low" for side in SIDES]].notna().any(axis=1)
    cells = cells[tested] if tested.any() else cells
    shown = cells.head(AT_MOST).to_dict("records")
    rows = [_marks(cell) for cell in shown]
    numbers = [number for row in rows for mark in row for number in mark["numbers"]]
    low, step = _scale(min(numbers), max(numbers))
    high = max(100, *numbers)
    for mark in (mark for row in rows for mark in row):
        places = [_percent(number, low, high) for number in mark["numbers"]]
        mark["place"] = places[0]
        mark["low"], mark["high"] = places[1:] if len(places) == 3 else (None, None)
    return {
        "rows": [
            {
                "name": f"{cell['what']} ({cell['table']})",
                "marks": marks,
                "text": "; ".join(mark["text"] for mark in marks),
            }
            for cell, marks in zip(shown, rows, strict=True)
        ],
        "ticks": [
            {"place": _percent(value, low, high), "text": f"{value:g}"}
            for value in np.arange(low, high + step / 2, step)
        ],
        "unit": "accuracy in percent",
        "left_out": len(cells) - len(shown),
    }


def verdicts(claims: pd.DataFrame) -> list[dict[str, Any]]:
    """Prepare the bar of an audit: per verdict its ``count``, ``start`` and ``width`` in percent.

    Args:
        claims: Rows of `leukkit.audit.run`.
    """
    counts = claims["verdict"].value_counts().reindex(VERDICTS, fill_value=0)
    widths = 100 * counts / len(claims)
    starts = widths.cumsum() - widths
    return [
        {
            "verdict": verdict,
            "count": int(counts[verdict]),
            "start": f"{starts[verdict]:.2f}",
            "width": f"{widths[verdict]:.2f}",
        }
        for verdict in VERDICTS
    ]


def of_paper(
    cells: pd.DataFrame, base: pathlib.Path | str, folder: pathlib.Path
) -> list[dict[str, Any]]:
    """Draw the ROC curves and confusion matrices of a paper's best printed runs.

    For every profile and data set, these are of the one run (on both sides, if there is one) whose
    printed scores are highest on average: as a rule the method that the paper proposes.

    Args:
        cells: Rows of `overview.cells` of one paper.
        base: Folder of the results.
        folder: Where the SVG files go.

    Returns:
        List of what `write` gives.
    """
    drawn = []
    for (profile, dataset), runs in _best_runs(cells, pathlib.Path(base)).items():
        tables = {side: results.read_table(run) for side, run in runs.items()}
        stem = f"{cells['paper'].iloc[0]}-{profile}-{dataset}"
        keys = _keys(next(iter(runs.values())))
        told = [key for key in ("dataset", "segmentation", "augmentation") if keys.get(key)]
        name = f"{facts.name_run(keys, told)} (profile {said(profile)})"
        counts = {side: metrics.arrays(table).is_right for side, table in tables.items()}
        right = "; ".join(
            f"{side}, {is_right.sum():,} of {len(is_right):,} images right"
            for side, is_right in counts.items()
        )
        drawn.append(
            write(
                plots.confusion_grid(tables),
                folder / f"{stem}-matrices.svg",
                f"Confusion matrices of {name}: {right}.",
                f"Test images by actual and predicted class: {name}.",
            )
        )
        drawn += _curves(tables, folder, stem, name)
    return drawn


def write(axes: Any, path: pathlib.Path, alt: str, caption: str) -> dict[str, Any]:
    """Write the figure of some Axes as SVG, the same bytes for the same figure, and close it.

    Args:
        axes: Axes, or an array of them.
        path: The file.
        alt: What a reader who does not see it should know.
        caption: What it shows.

    Returns:
        Dict of ``file`` (folder and name), ``width, height`` (pixels), ``alt, caption``.
    """
    import matplotlib.pyplot as plt

    figure = getattr(axes, "flat", [axes])[0].figure
    width, height = (round(96 * inches) for inches in figure.get_size_inches())
    with replace_when_done(path) as temporary, plt.rc_context({"svg.hashsalt": "leukkit"}):
        figure.savefig(temporary, format="svg", metadata={"Date": None, "Creator": None})
    plt.close(figure)
    file = f"{path.parent.name}/{path.name}"
    return {"file": file, "width": width, "height": height, "alt": alt, "caption": caption}


def _marks(cell: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what is drawn of a cell, in percent: name, value and interval, text, lane."""
    scale = 100.0 if cell["unit"] == "fraction" else 1.0
    found = [("published", [cell["value"]])]
    found += [(side, [cell[f"{side}{end}"] for end in ("", " low", " high")]) for side in SIDES]
    marks = []
    for name, values in found:
        numbers = [scale * value for value in values if pd.notna(value)]
        if numbers:
            value, low, high = numbers if len(numbers) == 3 else (numbers[0], np.nan, np.nan)
            who = "printed" if name == "published" else name
            text = f"{who} {metrics.with_interval(value, low, high, 1)}"
            marks.append({"name": name, "numbers": numbers, "text": text, "y": LANES[name]})
    return marks


def _percent(value: float, low: float, high: float) -> str:
    return f"{100 * (value - low) / (high - low):.2f}"


def _scale(lowest: float, highest: float) -> tuple[float, int]:
    """Return where the axis begins, and the step of its ticks: round numbers."""
    span = max(100, highest) - lowest
    step = 20 if span > 50 else 10 if span > 20 else 5 if span > 8 else 1
    return step * np.floor(lowest / step), step


def _best_runs(
    cells: pd.DataFrame, base: pathlib.Path
) -> dict[tuple[str, str], dict[str, pathlib.Path]]:
    """Return, per profile and data set, the folders of the run with the highest printed scores.

    A run on both sides goes before one on a single side; a side that was not run is absent. Only
    what has an interval is looked at, which are the scores of a test.
    """
    tested = cells[cells[[f"{side} low" for side in SIDES]].notna().any(axis=1)]
    tested = tested[tested["unit"].isin(["percent", "fraction"])]
    scores = tested["value"] * tested["unit"].map({"percent": 1, "fraction": 100})
    by = [tested[name] for name in ("profile", *(f"{side} folder" for side in SIDES))]
    best: dict = {}
    for (profile, *places), score in scores.groupby(by, dropna=False).mean().items():
        runs = {side: base / at for side, at in zip(SIDES, places, strict=True) if pd.notna(at)}
        place = profile, _keys(next(iter(runs.values())))["dataset"]
        rank = len(runs), score
        if place not in best or rank > best[place][0]:
            best[place] = rank, runs
    return {place: runs for place, (_, runs) in best.items()}


def _curves(
    tables: Mapping[str, pd.DataFrame], folder: pathlib.Path, stem: str, name: str
) -> list[dict[str, Any]]:
    """Draw ROC curves: of two classes both sides in one figure, of more one figure for each."""
    classes = metrics.check_predictions(next(iter(tables.values())))
    if len(classes) == 2:
        alt = f"ROC curves of {name}. Positive class: {classes[-1]}."
        return [write(plots.roc(tables), folder / f"{stem}-roc.svg", alt, f"ROC curves: {name}.")]
    drawn = []
    for side, table in tables.items():
        alt = f"ROC curve of each class against the others, {name}, {side}."
        drawn.append(
            write(plots.roc_one_vs_rest(table), folder / f"{stem}-roc-{side}.svg", alt, alt)
        )
    return drawn


def _keys(folder: pathlib.Path) -> dict[str, Any]:
    return results.read_records(folder)[0].configuration.keys
