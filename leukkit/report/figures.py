"""Figures of the page as SVG files, the same bytes for the same results."""

import pathlib

import pandas as pd

from leukkit import metrics, plots, results
from leukkit.metrics import check_predictions
from leukkit.report.names import NAMES, name_model
from leukkit.report.page_rows import said
from leukkit.writing import replace_when_done

SIDES = ("reproduced", "leak-free")


def of_paper(cells, results_dir, folder):
    """Draw the ROC curves and confusion matrices of a paper's best printed runs.

    For every profile and data set, these are of the one run (on both sides, if there is one) whose
    printed scores are highest on average: as a rule the method that the paper proposes.

    Args:
        cells: Rows of `overview.cells` of one paper.
        results_dir: Folder of the results.
        folder: Where the SVG files go.

    Returns:
        List of dicts: ``file`` (name), ``width``, ``height`` (pixels), ``alt`` and ``caption``.
    """
    drawn = []
    for (profile, dataset), runs in _best_runs(cells, pathlib.Path(results_dir)).items():
        tables = {side: results.read_table(folder) for side, folder in runs.items()}
        stem = f"{cells['paper'].iloc[0]}-{profile}-{dataset}"
        name = f"{_name(_keys(next(iter(runs.values()))))} (profile {said(profile)})"
        drawn.append(
            write(
                plots.confusion_grid(tables),
                folder / f"{stem}-matrices.svg",
                f"Confusion matrices of {name}: {_right(tables)}.",
                f"Test images by actual and predicted class: {name}.",
            )
        )
        drawn += _curves(tables, folder, stem, name)
    return drawn


def write(axes, path, alt, caption):
    """Write the figure of some Axes as SVG and close it.

    Args:
        axes: Axes, or an array of them.
        path: The file.
        alt: What a reader who does not see it should know.
        caption: What it shows.

    Returns:
        Dict of ``file, width, height`` (pixels), ``alt, caption``.
    """
    import matplotlib.pyplot as plt

    figure = getattr(axes, "flat", [axes])[0].figure
    width, height = (round(96 * inches) for inches in figure.get_size_inches())
    options = {"format": "svg", "metadata": {"Date": None, "Creator": None}}
    with replace_when_done(path) as temporary, plt.rc_context({"svg.hashsalt": "leukkit"}):
        figure.savefig(temporary, **options)
    plt.close(figure)
    return {"file": path.name, "width": width, "height": height, "alt": alt, "caption": caption}


def _best_runs(cells, base):
    """Return, per profile and data set, the folders of the run with the highest printed scores.

    A run on both sides goes before one on a single side; a side that was not run is absent. Only
    what has an interval is looked at, which are the scores of a test.
    """
    ends = [f"{side} run" for side in SIDES]
    tested = cells[cells[[f"{side} low" for side in SIDES]].notna().any(axis=1)]
    tested = tested[tested["unit"].isin(["percent", "fraction"])]
    scores = tested["value"] * tested["unit"].map({"percent": 1, "fraction": 100})
    best = {}
    groups = scores.groupby([tested[name] for name in ("profile", *ends)], dropna=False)
    for (profile, *runs), score in groups.mean().items():
        folders = {side: base / run for side, run in zip(SIDES, runs, strict=True) if pd.notna(run)}
        place = profile, _keys(next(iter(folders.values())))["dataset"]
        rank = len(folders), score
        if place not in best or rank > best[place][0]:
            best[place] = rank, folders
    return {place: folders for place, (_, folders) in best.items()}


def _curves(tables, folder, stem, name):
    """Draw ROC curves: of two classes both sides in one figure, of more one figure for each."""
    classes = check_predictions(next(iter(tables.values())))
    if len(classes) == 2:
        alt = f"ROC curves of {name}. Positive class: {classes[-1]}."
        axes = plots.roc(tables)
        return [write(axes, folder / f"{stem}-roc.svg", alt, f"ROC curves: {name}.")]
    drawn = []
    for side, table in tables.items():
        alt = f"ROC curve of each class against the others, {name}, {side}."
        axes = plots.roc_one_vs_rest(table)
        drawn.append(write(axes, folder / f"{stem}-roc-{side}.svg", alt, alt))
    return drawn


def _keys(folder):
    """Return the keys of a run: data set, network and what else it has."""
    return results.read_records(folder)[0]["configuration"]["run"]


def _name(keys):
    """Return what a run is in words."""
    parts = [name_model(keys), NAMES.get(keys["dataset"], keys["dataset"])]
    parts += [keys["variant"].replace("-", " ")] if keys.get("variant") else []
    steps = {"segmentation": "segmented", "augmentation": "augmented"}
    parts += [word for step, word in steps.items() if keys.get(step)]
    return ", ".join(parts)


def _right(tables):
    """Say the matrices in a few words: how many images were right."""
    counts = {side: metrics.confusion(table).to_numpy() for side, table in tables.items()}
    return "; ".join(
        f"{side}, {matrix.trace():,} of {matrix.sum():,} images right"
        for side, matrix in counts.items()
    )
