"""Charts that the templates draw, as places in percent of their width, and figures as SVG files."""

import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from leukkit import metrics, plots, results
from leukkit.files import replace_when_done
from leukkit.report import facts
from leukkit.report.tables import COLUMNS as SIDES
from leukkit.report.tables import said

LANES = {"published": 10, "reproduced": 23, "leak-free": 36}  # pixels from the top of a row
AT_MOST = 12  # rows of a chart; the table holds all
ENDS = ("", " low", " high")


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
    shown = cells.head(AT_MOST).rename(columns={"value": "published"})
    numbers = shown.reindex(columns=[f"{name}{end}" for name in LANES for end in ENDS])
    percent = numbers.mul(shown["unit"].map({"percent": 1, "fraction": 100}), axis=0)
    low, step = _scale(percent.min(axis=None), percent.max(axis=None))
    high = max(100, percent.max(axis=None))
    places = 100 * (percent - low) / (high - low)
    rows = []
    for at, cell in shown.iterrows():
        names = [name for name in LANES if pd.notna(cell[name])]
        marks = [_mark(name, percent.loc[at], places.loc[at]) for name in names]
        text = "; ".join(mark["text"] for mark in marks)
        rows.append({"name": f"{cell['what']} ({cell['table']})", "marks": marks, "text": text})
    return {
        "rows": rows,
        "ticks": [
            {"place": f"{100 * (value - low) / (high - low):.2f}", "text": f"{value:g}"}
            for value in np.arange(low, high + step / 2, step)
        ],
        "unit": "accuracy in percent",
        "left_out": len(cells) - len(shown),
    }


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
        right = {side: metrics.arrays(table).is_right for side, table in tables.items()}
        texts = [f"{side}, {it.sum():,} of {len(it):,} images right" for side, it in right.items()]
        alt = f"Confusion matrices of {name}: {'; '.join(texts)}."
        caption = f"Test images by actual and predicted class: {name}."
        path = folder / f"{stem}-matrices.svg"
        drawn.append(write(plots.confusion_grid(tables), path, alt, caption))
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


def _mark(name: str, percent: pd.Series, places: pd.Series) -> dict[str, Any]:
    """Return what is drawn of one side of a cell: its class, lane, text, and places."""
    columns = [f"{name}{end}" for end in ENDS]
    who = "printed" if name == "published" else name
    value, low, high = percent[columns]
    text = f"{who} {metrics.with_interval(value, low, high, 1)}"
    mark: dict[str, Any] = {"name": name, "y": LANES[name], "text": text}
    for end, place in zip(("place", "low", "high"), places[columns], strict=True):
        mark[end] = None if pd.isna(place) else f"{place:.2f}"
    return mark


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
        return [_curve(plots.roc, tables, folder / f"{stem}-roc.svg", alt, f"ROC curves: {name}.")]
    drawn = []
    for side, table in tables.items():
        alt = f"ROC curve of each class against the others, {name}, {side}."
        path = folder / f"{stem}-roc-{side}.svg"
        drawn.append(_curve(plots.roc_one_vs_rest, table, path, alt, alt))
    return drawn


def _curve(
    draw: Callable[[Any], Any], tested: Any, path: pathlib.Path, alt: str, caption: str
) -> dict[str, Any]:
    """Draw ROC curves; or say in the figure's place which class was tested alone, or not at all."""
    import matplotlib.pyplot as plt

    try:
        return write(draw(tested), path, alt, caption)
    except ValueError as error:
        plt.close()
        return {"file": None, "caption": f"Not drawn: {caption} {error}."}


def _keys(folder: pathlib.Path) -> dict[str, Any]:
    return results.read_records(folder)[0].configuration.keys
