"""What each leak is worth: one classifier, one set of features, split after split.

A ladder begins where papers stand and closes one leak with each step down. The images, the features
and the classifier stay the same, so that the difference of two neighboring steps is what the leak
between them was worth. Each split is made several times, from other seeds, and a score is the mean
over them; its interval is over subjects, the same left out of all steps, so that differences have
intervals of their own. Everything that is shown is computed from ``results/gap/``.
"""

import pathlib
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from leukkit import benchmark, datasets, metrics, results, runs, splits
from leukkit.files import results_dir
from leukkit.papers.profiles import Profile

KEY = "gap"
QUANTITIES = ("accuracy", "weighted_f1", "balanced_accuracy", "auc")
LEAKS = {name: words for name, words in splits.LEAKS.items() if name != "patient"}


class Step(NamedTuple):
    """One step of a ladder."""

    ladder: str  # "augmented" or "plain"
    split: str  # its name in the profile
    label: str  # what is done, in words
    closed: str  # the leak that the step before has and this one has not; "" for the first
    copies_tested: bool = False  # whether copies in the test parts are scored, too, as papers do

    @property
    def column(self) -> str:
        """What the split keeps on one side: ``image``, or a column of the cells."""
        return self.split.partition("-by-")[2].replace("-", "_")


STEPS = (
    Step("augmented", "copies-before-by-image", "copies, then split by image", "", True),
    Step("augmented", "copies-before-by-image", "the same, originals scored", "copies in the test"),
    Step("augmented", "copies-after-by-image", "by image, then copies", "copies of one cell"),
    Step("augmented", "copies-after-by-source-image", "by source image", "same source image"),
    Step("augmented", "copies-after-by-patient", "by patient id", "same patient id"),
    Step("augmented", "copies-after-by-subject", "by subject", "same subject, other id"),
    Step("plain", "plain-by-image", "by image", ""),
    Step("plain", "plain-by-source-image", "by source image", "same source image"),
    Step("plain", "plain-by-patient", "by patient id", "same patient id"),
    Step("plain", "plain-by-subject", "by subject", "same subject, other id"),
)


def load(profile: str | Profile) -> Profile:
    """Return the numbers of a profile of the gap: see `benchmark.load`."""
    return benchmark.load(KEY, profile)


def problems(profile: str | Profile) -> dict[str, str]:
    """Say of each split that the images of a profile do not allow why it is left out."""
    cells = benchmark.load_cells(load(profile))
    return {
        step.split: f"left out: {cells.attrs['dataset']} says no {step.column} of any image"
        for step in STEPS
        if step.column != "image" and cells[step.column].isna().all()
    }


def run(profile: str | Profile, base: pathlib.Path | str | None = None) -> list[pathlib.Path]:
    """Make what is missing, of every repeat and every split but `problems`; return the folders.

    Raises:
        results.ConfigurationError: A finished fold was made with other settings.
        ValueError: The data set knows only some of its patients, or is too small for the folds.
    """
    numbers, without = load(profile), problems(profile)
    planned = [run for run in numbers.plan() if run.split not in without]
    return runs.make(planned, jobs=numbers.jobs, results_dir=base)


def measure(profile: str, base: pathlib.Path | str | None = None) -> pd.DataFrame:
    """Score every step, and the difference to the step before, from the finished runs alone.

    Args:
        profile: Its name or path, or the name of its folder below ``results/gap``.
        base: Folder of the results; None for ``results`` of the project.

    Returns:
        Frame, one row per step and quantity, empty if nothing was run: the fields of `Step`,
        ``quantity, value, low, high`` (mean over the repeats, 0..1, 95% interval over subjects);
        ``worth, worth low, worth high``: the step before minus this one, paired over subjects
        (NaN for the first step); ``total, total low, total high``: the ladder's first step minus
        this one; ``lowest, highest`` over the repeats, ``repeats``, how many different ``splits``
        they have, ``images``, ``subjects`` (``groups_are`` says where blocks or images stand for
        them), the ``dataset, network, weights`` that were used, and the shares (0..1) of
        `splits.leakage`. Steps that the data set does not allow are left out.

    Raises:
        results.ResultsError: A run is incomplete or mixed; steps tested other subjects.
    """
    found = results.find(base, KEY, profile)
    frames: list[pd.DataFrame] = []
    closed: list[str] = []  # since the step before
    facts: dict[str, Any] = {}
    before: Any = None  # scores of the step before
    for step in STEPS if len(found) else ():
        if facts.get("groups_are") == "block proxies" and step.column == "subject":
            step, closed = step._replace(label="by block", closed="same block"), []
        made = found[found["split"] == step.split].sort_values("run")
        closed = [*closed, step.closed] if step.closed else []
        if made.empty and pd.isna(facts.get(step.column, 0)):
            continue  # the data set does not say what this step keeps together: see `problems`
        if made.empty:
            raise results.ResultsError(
                f"{base or results_dir()}/{KEY}/{pathlib.Path(profile).stem} has no run of "
                f"{step.split}: the same command as before makes what is missing"
            )
        here, columns, facts = _score(made["folder"], step, before)
        if not step.closed:
            first = before = here
        ends = {"value": metrics.interval(here), "worth": metrics.difference(before, here)}
        ends["total"] = metrics.difference(first, here)
        for name, of in ends.items():
            columns |= {name: of.iloc[:, 0], f"{name} low": of["low"], f"{name} high": of["high"]}
        frames.append(pd.DataFrame(columns).assign(**step._asdict(), **facts))
        frames[-1]["closed"] = "; ".join(closed)
        before, closed = here, []
    if not frames:
        return pd.DataFrame()
    measured = pd.concat(frames).rename_axis("quantity").reset_index()
    measured = measured.rename(columns={"value low": "low", "value high": "high"})
    compared = measured.columns.str.match("worth|total")
    measured.loc[measured["closed"] == "", compared] = np.nan  # no step before
    return measured


def steps(measured: pd.DataFrame, quantity: str = "auc") -> pd.DataFrame:
    """Format one quantity of `measure` for reading: one row per step, and one per whole ladder."""
    if measured.empty:
        return pd.DataFrame(columns=["split", quantity, "closed here", "worth"])
    rows = []
    here = measured[measured["quantity"] == quantity]
    for ladder, of_ladder in here.groupby("ladder", sort=False):
        for row in of_ladder.to_dict("records"):
            rows.append(
                {
                    "ladder": ladder,
                    "split": row["label"],
                    quantity: metrics.with_interval(row["value"], row["low"], row["high"]),
                    "repeats": f"{row['lowest']:.3f} to {row['highest']:.3f}",
                    "closed here": row["closed"],
                    "worth": _text(row, "worth"),
                    **{
                        f"{leak} in training": "" if np.isnan(row[name]) else f"{row[name]:.1%}"
                        for name, leak in LEAKS.items()
                    },
                }
            )
        last = {"ladder": ladder, "split": "all steps", "worth": _text(row, "total")}
        rows.append(dict.fromkeys(rows[-1], "") | last)
    table = pd.DataFrame(rows).set_index(["ladder", "split"])
    if set(here["groups_are"]) == {"block proxies"}:
        table = table.rename(columns={"subject in training": "block in training"})
    return table


def title(measured: pd.DataFrame) -> str:
    """Return the figure's title: which images, which features."""
    used = measured.iloc[-1]
    synthetic = " (synthetic)" if used["dataset"] in datasets.SAMPLES else ""
    random = "random " if used["weights"].startswith("he-normal") else ""
    images = f"{used['images']:,} images of {used['dataset']}{synthetic}"
    return f"What each leak is worth: {images}, {random}{used['network']} features, one SVM"


def _score(
    folders: pd.Series, step: Step, before: metrics.LeftOut | None
) -> tuple[metrics.LeftOut, dict[str, pd.Series], dict[str, Any]]:
    """Return the mean scores of a step's repeats, their range, and what was used and leaks.

    Args:
        folders: Of its runs, one per repeat.
        step: The step.
        before: The mean scores of the one before, of the same subjects; None for the first.
    """
    subjects = None if before is None else {*before.changes.index}
    tables = []
    for folder in folders:
        table = results.read_table(folder)
        if not step.copies_tested:
            table = table[~table["image_id"].str.contains("#")]
        over, groups_are = metrics.groups(table)
        if subjects not in (None, {*over}):
            raise results.ResultsError(
                f"{folder} tested other subjects than the runs before it, so they are of two data "
                "sets. Move one of them away"
            )
        subjects = {*over}
        tables.append(table.assign(group=over))
    names = list(QUANTITIES)
    repeats = [metrics.leave_out(table, "group") for table in tables]
    points = pd.DataFrame([one.points[names] for one in repeats])
    order = repeats[0].changes.index
    scored = repeats[0]._replace(
        points=points.mean(),
        changes=sum(one.changes.loc[order, names] for one in repeats) / len(repeats),
        rests_on=repeats[0].rests_on[names],
    )
    records = [record for folder in folders for record in results.read_records(folder)]
    leaks = [record.leakage | {"test_images": record.images["test"]} for record in records]
    used = records[0].configuration
    facts = {
        "repeats": len(tables),
        "splits": len({_tested_together(table) for table in tables}),
        "images": len(tables[0]),
        "subjects": len(order),
        "groups_are": groups_are,
        "dataset": used.dataset,
        "network": (used.recipe or {})["network"],
        "weights": used.weights,
        **splits.pool_leakage(pd.DataFrame(leaks, dtype=float)),
    }
    return scored, {"lowest": points.min(), "highest": points.max()}, facts


def _tested_together(table: pd.DataFrame) -> frozenset:
    """Return which images were tested together, whatever the folds' numbers."""
    return frozenset(frozenset(part) for _, part in table.groupby("fold")["image_id"])


def _text(row: dict[str, Any], name: str) -> str:
    """Return a number of a step and its interval; "" where it has none."""
    ends = [row[name], row[f"{name} low"], row[f"{name} high"]]
    return "" if np.isnan(ends[0]) else metrics.with_interval(*ends)
