"""The figures of the page, as SVG files.

``cells`` are rows of `overview.cells`; files go into ``folder``. What is returned is a list of what
`write` gives, [] where there is nothing to draw.
"""

import pathlib
import textwrap
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pandas as pd

from leukkit import metrics, plots, results
from leukkit.files import replace_when_done
from leukkit.papers import PERCENT
from leukkit.plots import colors
from leukkit.report import facts, overview
from leukkit.report.overview import COLUMNS as SIDES
from leukkit.report.overview import ENDS
from leukkit.report.tables import said

AT_MOST = 12  # rows of a figure; the table holds all


def headlines(cells: pd.DataFrame, folder: pathlib.Path) -> list[dict[str, Any]]:
    """Draw one row per paper: its highest printed accuracy, and what came out here.

    Real images go before the sample, which is drawn alone where nothing else was run.
    """
    rows = overview.headlines(cells)
    real = rows[rows["profile"] != "sample"]
    rows = rows if real.empty else real
    if rows.empty:
        return []
    names = [
        f"{facts.name_paper(row.paper)}: {row.what}" + f" ({row.profile})" * (not real.empty)
        for row in rows.itertuples()
    ]
    text = "the highest accuracy that each paper printed and the kit ran again"
    sample = "" if len(real) else f", profile {said('sample')}"
    caption = f"Printed, and what came out here: {text}{sample}."
    alt = f"{caption} The numbers are in the comparison."
    return [write(_bars(rows, names, 0.6), folder / "papers.svg", alt, caption)]


def accuracies(cells: pd.DataFrame, folder: pathlib.Path) -> list[dict[str, Any]]:
    """Draw a paper's accuracies under each profile: printed, and what was run."""
    drawn = []
    for profile, rows in overview.accuracies(cells).groupby("profile", sort=False):
        shown = rows.head(AT_MOST)
        axes = _bars(shown, shown["what"] + " (" + shown["table"] + ")", 0.5)
        path = folder / f"{cells['paper'].iloc[0]}-{profile}-accuracies.svg"
        name = f"Accuracies printed and run, profile {said(profile)}"
        more = f" ({len(rows) - len(shown)} more in the comparison)" * (len(rows) > len(shown))
        alt = f"{name}; the numbers are in the comparison."
        drawn.append(write(axes, path, alt, f"{name}{more}."))
    return drawn


def of_paper(cells: pd.DataFrame, base: pathlib.Path, folder: pathlib.Path) -> list[dict[str, Any]]:
    """Draw the ROC curves and confusion matrices of a paper's best printed runs.

    For every profile and data set, these are of the one run (on both sides, if there is one) whose
    printed scores are highest on average: as a rule the method that the paper proposes.
    """
    drawn = []
    for (profile, dataset), (_, runs, keys) in _best_runs(cells, base).items():
        tables = {side: results.read_table(run) for side, run in runs.items()}
        stem = f"{cells['paper'].iloc[0]}-{profile}-{dataset}"
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

    Returns:
        Dict of ``file`` (folder and name), ``width, height`` (pixels), ``alt`` (what a reader who
        does not see it should know), ``caption`` (what it shows).
    """
    import matplotlib.pyplot as plt

    figure = getattr(axes, "flat", [axes])[0].figure
    width, height = (round(96 * inches) for inches in figure.get_size_inches())
    with replace_when_done(path) as temporary, plt.rc_context({"svg.hashsalt": "leukkit"}):
        figure.savefig(temporary, format="svg", metadata={"Date": None, "Creator": None})
    plt.close(figure)
    file = f"{path.parent.name}/{path.name}"
    return {"file": file, "width": width, "height": height, "alt": alt, "caption": caption}


def _bars(rows: pd.DataFrame, names: Iterable[str], height: float) -> Any:
    """Draw rows of `overview.accuracies`, each ``height`` inches high."""
    frame = rows[["value", *(f"{side}{end}" for side in SIDES for end in (*ENDS, " name"))]]
    frame = frame.set_axis([textwrap.fill(name, 45) for name in names])
    wide = colors.one_axes(None, 9, 1.2 + height * len(frame))  # the names are long
    return plots.bars(frame.rename(columns={"value": "published"}), ax=wide)


def _best_runs(cells: pd.DataFrame, base: pathlib.Path) -> dict[tuple[str, str], tuple]:
    """Return, per profile and data set, the run with the highest printed scores.

    That is its rank, the folder of each side that was run, and the run's keys. A run on both sides
    goes before others. Only what has an interval is looked at, which are the scores of a test.
    """
    tested = cells[cells[[f"{side} low" for side in SIDES]].notna().any(axis=1)]
    tested = tested[tested["unit"].isin(PERCENT)]
    scores = tested["value"] * tested["unit"].map(PERCENT)
    about = [f"{side} {fact}" for fact in ("name", "folder") for side in SIDES]
    by = [tested[name] for name in ("profile", *about)]
    best: dict = {}
    for (profile, *names, one, other), score in scores.groupby(by, dropna=False).mean().items():
        places = zip(names, (one, other), strict=True)
        runs = {name: base / at for name, at in places if pd.notna(at)}
        keys = results.read_records(next(iter(runs.values())))[0].configuration.keys
        place, rank = (profile, keys["dataset"]), (len(runs), score)
        if place not in best or rank > best[place][0]:
            best[place] = rank, runs, keys
    return best


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
        path = folder / f"{stem}-roc-{side.replace(' ', '-')}.svg"
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
