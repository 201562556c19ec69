"""What each leak is worth: one classifier, one set of features, split after split.

A ladder begins where papers stand and closes one leak with each step down. The images, the features
and the classifier stay the same, so that the difference of two neighboring steps is what the leak
between them was worth. Each split is made several times, from other seeds, and a score is the mean
over them; its interval is over subjects, resampled alike for all steps, so that differences have
intervals of their own. Everything that is shown is computed from ``results/gap/``.
"""

import pathlib
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from leukkit import benchmark, datasets, metrics, results, runs
from leukkit.files import results_dir
from leukkit.papers.profiles import Profile
from leukkit.splits import pool_leakage

KEY = "gap"
QUANTITIES = ("accuracy", "weighted_f1", "balanced_accuracy", "auc")
LEAKS = {
    "subject": "subject",
    "source_image": "source image",
    "bytes": "file",
    "original": "own copy",
}


class Step(NamedTuple):
    """One step of a ladder.

    Attributes:
        ladder: ``augmented`` or ``plain``.
        split: Name of its split in the profile.
        label: What is done, in words.
        closed: The leak that the step before has and this one has not; ``""`` for the first.
        copies_tested: Whether copies in the test parts are scored, too, as papers do.
    """

    ladder: str
    split: str
    label: str
    closed: str
    copies_tested: bool = False


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


def load(profile: str) -> Profile:
    """Return the numbers of a profile of the gap: see `benchmark.load`."""
    return benchmark.load(KEY, profile)


def run(profile: str, base: pathlib.Path | str | None = None) -> list[pathlib.Path]:
    """Make what is missing, of every split and repeat; return the runs' folders.

    Raises:
        results.ConfigurationError: A finished fold was made with other settings.
        ValueError: The data set does not know its patients, or is too small for the folds.
    """
    numbers = load(profile)
    return runs.make(numbers.plan(), jobs=numbers.jobs, results_dir=base)


def measure(
    profile: str,
    base: pathlib.Path | str | None = None,
    draws: int = 2000,
    seed: int = 0,
) -> pd.DataFrame:
    """Score every step, and the difference to the step before, from the finished runs alone.

    Args:
        profile: Its name or path, or the name of its folder below ``results/gap``.
        base: Folder of the results; None for ``results`` of the project.
        draws: Bootstrap draws.
        seed: Of the draws.

    Returns:
        Frame, one row per step and quantity, empty if nothing was run: the fields of `Step`,
        ``quantity, value, low, high`` (mean over the repeats, 0..1, 95% interval over subjects);
        ``worth, worth low, worth high``: the step before minus this one, in the same resamples (NaN
        for the first step); ``total, total low, total high``: the ladder's first step minus this
        one; ``lowest, highest`` over the repeats, ``repeats``, how many different ``splits`` they
        have, ``images``, ``subjects``, the ``dataset, network, weights`` that were used, and the
        shares (0..1) of `splits.leakage`.

    Raises:
        results.ResultsError: A run is incomplete or mixed; steps tested other subjects.
    """
    place = f"{base or results_dir()}/{KEY}/{pathlib.Path(profile).stem}"
    found = results.find(base, KEY, profile)
    rows: list[dict[str, Any]] = []
    before: _Scored | None = None
    first: _Scored | None = None
    for step in STEPS if len(found) else ():
        made = found[found["split"] == step.split].sort_values("run")
        if made.empty:
            raise results.ResultsError(
                f"{place} has no run of {step.split}: the same command as before makes what is "
                "missing"
            )
        here = _Scored.of(made["folder"], step, draws, seed)
        if first is None or rows[-1]["ladder"] != step.ladder:
            before, first = None, here
        elif here.subjects != first.subjects:
            raise results.ResultsError(
                f"the steps of {place} tested other subjects; their runs are of two data sets. "
                "Move one of them away"
            )
        for name in QUANTITIES:
            points = here.points[name]
            row = {
                **step._asdict(),
                "quantity": name,
                **_interval("value", points, here.drawn[name]),
            }
            for column, other in (("worth", before), ("total", before and first)):
                if other is None:
                    row |= dict.fromkeys((column, f"{column} low", f"{column} high"), np.nan)
                else:
                    lost = other.points[name].mean() - points.mean()
                    row |= _interval(column, lost, other.drawn[name] - here.drawn[name])
            rows.append({**row, "lowest": points.min(), "highest": points.max(), **here.facts})
        before = here
    return pd.DataFrame(rows)


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
                    "worth": _worth(row, "worth"),
                    **{f"{leak} in training": _percent(row[name]) for name, leak in LEAKS.items()},
                }
            )
        last = {"ladder": ladder, "split": "all steps", "worth": _worth(row, "total")}
        rows.append(dict.fromkeys(rows[-1], "") | last)
    return pd.DataFrame(rows).set_index(["ladder", "split"])


def title(measured: pd.DataFrame) -> str:
    """Return the figure's title: which images, which features."""
    used = measured.iloc[-1]
    synthetic = " (synthetic)" if used["dataset"] in datasets.SAMPLES else ""
    random = "random " if used["weights"].startswith("he-normal") else ""
    images = f"{used['images']:,} images of {used['dataset']}{synthetic}"
    return f"What each leak is worth: {images}, {random}{used['network']} features, one SVM"


class _Scored(NamedTuple):
    """The repeats of one step.

    Attributes:
        points: Score by name, float64 (repeats,).
        drawn: Mean over the repeats in each resample of subjects, float64 (draws,).
        subjects: In the order of the resamples.
        facts: What was used, and what leaks.
    """

    points: dict[str, np.ndarray]
    drawn: dict[str, np.ndarray]
    subjects: tuple[str, ...]
    facts: dict[str, Any]

    @classmethod
    def of(cls, folders: pd.Series, step: Step, draws: int, seed: int) -> "_Scored":
        tables = [results.read_table(folder) for folder in folders]
        if not step.copies_tested:
            tables = [table[~table["image_id"].str.contains("#")] for table in tables]
        subjects = tuple(sorted(tables[0]["subject"].unique()))
        for table in tables:
            if table["subject"].isna().any() or set(table["subject"]) != set(subjects):
                raise results.ResultsError(
                    "two repeats of one step tested other subjects; their runs are of two data "
                    "sets. Move one of them away"
                )
        scored = pd.DataFrame([metrics.scores(table) for table in tables])
        drawn = [
            metrics.resample(table, order=subjects, draws=draws, seed=seed) for table in tables
        ]
        records = [record for folder in folders for record in results.read_records(folder)]
        leaks = pd.DataFrame([record.leakage for record in records], dtype=float)
        used = records[0].configuration
        facts = {
            "repeats": len(tables),
            "splits": len({_tested_together(table) for table in tables}),
            "images": len(tables[0]),
            "subjects": len(subjects),
            "dataset": used.dataset,
            "network": (used.recipe or {})["network"],
            "weights": used.weights,
            **pool_leakage(leaks)[list(LEAKS)],
        }
        points = {name: scored[name].to_numpy() for name in QUANTITIES}
        means = {name: np.mean([one[name] for one in drawn], axis=0) for name in QUANTITIES}
        return cls(points, means, subjects, facts)


def _interval(name: str, points: Any, drawn: np.ndarray) -> dict[str, float]:
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    ends = ("low", "high") if name == "value" else (f"{name} low", f"{name} high")
    return {name: float(np.mean(points)), ends[0]: low, ends[1]: high}


def _tested_together(table: pd.DataFrame) -> frozenset:
    """Return which images were tested together, whatever the folds' numbers."""
    return frozenset(frozenset(part) for _, part in table.groupby("fold")["image_id"])


def _worth(row: dict[str, Any], name: str) -> str:
    if np.isnan(row[name]):
        return ""
    return metrics.with_interval(row[name], row[f"{name} low"], row[f"{name} high"])


def _percent(share: float) -> str:
    return "" if np.isnan(share) else f"{share:.1%}"
