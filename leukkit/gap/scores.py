"""The scores of the gap's steps and what lies between them, from the results: see `leukkit.gap`."""

import numpy as np
import pandas as pd

from leukkit import datasets, locations, metrics, profiles, results
from leukkit.gap.ladder import PAPER, STEPS

QUANTITIES = ("accuracy", "weighted_f1", "balanced_accuracy", "auc")
LEAKS = {
    "subject": "subject",
    "source_image": "source image",
    "bytes": "file",
    "original": "own copy",
}


def measure(profile_name, results_dir=None, draws=2000, seed=0):
    """Score every step, and the difference to the step before, from the finished runs alone.

    Args:
        profile_name: The profile, or the name of its folder below ``results/gap``.
        results_dir: Folder of the results; None for ``results`` of the project.
        draws: Bootstrap draws.
        seed: What the draws depend on.

    Returns:
        Frame, one row per step and quantity, empty if nothing was run: the fields of `Step`,
        ``quantity, value, low, high`` (mean over the repeats, 0..1, 95% interval over subjects);
        ``worth, worth low, worth high``: the step before minus this one, in the same draws (NaN for
        the first step); ``total, total low, total high``: the ladder's first step minus this one;
        ``lowest, highest`` over the repeats, ``repeats``, how many different ``splits`` they have,
        ``images``, ``subjects``, the ``dataset, backbone, weights`` that were used, and the
        shares (0..1) of `splits.leakage`.

    Raises:
        results.ResultsError: A run is incomplete or mixed; steps tested other subjects.
    """
    base = results_dir or locations.results_dir()
    found = results.find(base, PAPER, profiles.label(profile_name))
    rows, before, first = [], None, None
    for step in STEPS if len(found) else ():
        runs = found[found["protocol"] == step.protocol].sort_values("repeat")
        if runs.empty:
            raise results.ResultsError(
                f"{base}/{PAPER}/{profiles.label(profile_name)} has no run of {step.protocol}: the "
                "same command as before makes what is missing"
            )
        tables = [results.read_table(folder) for folder in runs["folder"]]
        if not step.copies_tested:
            tables = [table[~table["image_id"].str.contains("#")] for table in tables]
        points, drawn, subjects = _score(tables, draws, seed)
        if before is None or rows[-1]["ladder"] != step.ladder:
            before, first = None, (points, drawn, subjects)
        elif subjects != first[2]:
            raise results.ResultsError(
                f"the steps of {base}/{PAPER}/{profiles.label(profile_name)} tested other "
                "subjects; their runs are of two data sets. Move one of them away"
            )
        facts = {
            "repeats": len(runs),
            "splits": len({_split_of(table) for table in tables}),
            "images": len(tables[0]),
            "subjects": len(subjects),
            **_recorded(runs["folder"]),
        }
        for name in QUANTITIES:
            row = {**step._asdict(), "quantity": name, "value": points[name].mean()}
            row |= _interval(drawn[name], "")
            for column, other in (("worth", before), ("total", before and first)):
                if other is None:
                    row |= dict.fromkeys((column, f"{column} low", f"{column} high"), np.nan)
                else:
                    row[column] = other[0][name].mean() - points[name].mean()
                    row |= _interval(other[1][name] - drawn[name], f"{column} ")
            rows.append(row | {"lowest": points[name].min(), "highest": points[name].max()} | facts)
        before = (points, drawn)
    return pd.DataFrame(rows)


def steps(measured, quantity="auc"):
    """Format one quantity of `measure` as a table for reading.

    Args:
        measured: The frame of `measure`.
        quantity: One of `QUANTITIES`.

    Returns:
        Frame of text, one row per step and one for each whole ladder.
    """
    if measured.empty:
        return pd.DataFrame(columns=["split", quantity, "closed here", "worth"])
    rows = []
    here = measured[measured["quantity"] == quantity]
    for ladder, ladder_rows in here.groupby("ladder", sort=False):
        for row in ladder_rows.to_dict("records"):
            rows.append(
                {
                    "ladder": ladder,
                    "split": row["label"],
                    quantity: _text(row, "value", ""),
                    "repeats": f"{row['lowest']:.3f} to {row['highest']:.3f}",
                    "closed here": row["closed"],
                    "worth": _text(row, "worth", "worth "),
                    **{f"{leak} in training": _percent(row[name]) for name, leak in LEAKS.items()},
                }
            )
        last = {"ladder": ladder, "split": "all steps", "worth": _text(row, "total", "total ")}
        rows.append(dict.fromkeys(rows[-1], "") | last)
    return pd.DataFrame(rows).set_index(["ladder", "split"])


def title(measured):
    """Return the figure's title: which images, which features.

    Args:
        measured: The frame of `measure`.
    """
    used = measured.iloc[-1]
    drawn = " (drawn)" if used["dataset"] in datasets.SAMPLES else ""
    random = "random " if used["weights"].startswith("he-normal") else ""
    images = f"{used['images']:,} images of {used['dataset']}{drawn}"
    return f"What each leak is worth: {images}, {random}{used['backbone']} features, one SVM"


def _score(tables, draws, seed):
    """Score the repeats of one step.

    Returns:
        The scores of the repeats by name, float64 (repeats,); their mean in each draw of subjects,
        float64 (draws,); and the subjects, in the order of the draws' clusters.
    """
    subjects = tuple(sorted(tables[0]["subject"].unique()))
    points, drawn = [], []
    for table in tables:
        points.append(metrics.scores(table))
        drawn.append(_drawn(table, subjects, draws, seed))
    return (
        {name: np.array([scores[name] for scores in points]) for name in QUANTITIES},
        {name: np.mean([scores[name] for scores in drawn], axis=0) for name in QUANTITIES},
        subjects,
    )


def _drawn(table, subjects, draws, seed):
    """Return the scores of a run's predictions in each draw of the subjects, alike for all runs."""
    if table["subject"].isna().any() or set(table["subject"]) != set(subjects):
        raise results.ResultsError(
            "two repeats of one step tested other subjects; their runs are of two data sets. Move "
            "one of them away"
        )
    return metrics.resample(table, order=subjects, draws=draws, seed=seed)


def _interval(values, prefix):
    low, high = np.nanquantile(values, [0.025, 0.975])
    return {f"{prefix}low": low, f"{prefix}high": high}


def _split_of(table):
    """Return which images were tested together, whatever the folds' numbers."""
    return frozenset(frozenset(part) for _, part in table.groupby("fold")["image_id"])


def _recorded(folders):
    """Return what was used, and the shares of `splits.leakage` over all test images of all runs."""
    records = [record for folder in folders for record in results.read_records(folder)]
    configuration = records[0]["configuration"]
    rows = pd.DataFrame([record["leakage"] for record in records])
    images = rows["test_images"]
    shares = {
        name: (rows[name].astype(float) * images).sum(skipna=False) / images.sum() for name in LEAKS
    }
    used = {name: configuration["run"][name] for name in ("dataset", "backbone")}
    return used | {"weights": configuration["weights"], **shares}


def _text(row, column, prefix):
    if np.isnan(row[column]):
        return ""
    return metrics.with_interval(row[column], row[f"{prefix}low"], row[f"{prefix}high"])


def _percent(share):
    return "" if np.isnan(share) else f"{share:.1%}"
