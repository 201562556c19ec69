"""The scores of the honest benchmark, computed from the results folder alone: no image is read."""

import pathlib

import numpy as np
import pandas as pd

from leukkit import calibration, files, intervals, metrics, profiles, results
from leukkit.honest import catalog
from leukkit.predictions import check_predictions, class_codes, class_probabilities, cluster_codes

# quantity -> its name in a table. Scores are 0..1; the calibration error is better when small.
QUANTITIES = {
    "weighted_f1": "weighted F1",
    "auc": "AUC",
    "balanced_accuracy": "balanced accuracy",
    "accuracy": "accuracy",
    "patient_vote": "subjects right",
    "calibration_error": "calibration error",
    "seconds_per_image": "per image",
}
COLUMNS = (
    "paper",
    "method",
    "protocol",
    "quantity",
    "value",
    "low",
    "high",
    "images",
    "subjects",
    "folds",
    "weights",
)
NOT_HERE, NOT_RUN = "not in this profile", "not run"
BINS = 15  # of the calibration error


def measure(profile, results_dir=None, draws=2000):
    """Score the finished runs of a profile.

    Args:
        profile: Its name, or the path or name of its TOML file, under which its results are.
        results_dir: Folder of the results; None for `files.results_dir`.
        draws: Bootstrap draws of the intervals.

    Returns:
        Frame, one row per number: ``paper, method, protocol``; ``quantity`` (of `QUANTITIES`) and
        its ``value`` with a 95% interval over subjects (``low``, ``high``); ``images`` and
        ``subjects`` tested, all ``folds`` together; ``weights`` that the network began with.
        ``patient_vote`` is the share of subjects whose cells vote for the right class, its interval
        that of Clopper and Pearson; the other intervals are bootstraps. That of the
        ``calibration_error`` leans upward: drawing subjects again makes the bins more unequal, so
        it can even leave out a very small value. ``seconds_per_image`` has neither protocol nor
        interval, and is there once `honest.time_methods` has measured it.

    Raises:
        results.ResultsError: A run cannot be used: incomplete, mixed or damaged.
    """
    rows = []
    for (paper, method), protocol, folder in _runs(profile, results_dir):
        records = results.read_records(folder)
        facts = {
            "paper": paper,
            "method": method,
            "protocol": protocol,
            "folds": len(records),
            "weights": weights_of(records[0]),
        }
        scored = score(results.read_table(folder), draws)
        rows += [facts | row for row in scored.to_dict("records")]
    times = seconds_file(profile, results_dir)
    if rows and times.exists():
        seconds = pd.read_csv(times).rename(columns={"seconds": "value"}).drop(columns="images")
        rows += [row | {"quantity": "seconds_per_image"} for row in seconds.to_dict("records")]
    frame = pd.DataFrame(rows, columns=COLUMNS)
    return frame.astype(dict.fromkeys(("images", "subjects", "folds"), "Int64"))


def read(profile, protocol, results_dir=None):
    """Return the predictions of each method under one protocol, its folds pooled.

    Returns:
        Dict of ``(paper, method)`` to a frame of predictions (see `leukkit.predictions`).
    """
    found = _runs(profile, results_dir)
    return {key: results.read_table(folder) for key, made, folder in found if made == protocol}


def score(predictions, draws=2000, seed=0):
    """Score one run.

    Args:
        predictions: See `leukkit.predictions`; folds are pooled.
        draws: Bootstrap draws.
        seed: What the draws depend on.

    Returns:
        Frame with ``quantity, value, low, high, images, subjects``, in the order of `QUANTITIES`.

    Raises:
        ValueError: As `metrics.bootstrap` and `metrics.patient_vote`.
    """
    drawn = metrics.bootstrap(predictions, draws=draws, seed=seed)
    rows = {
        quantity: tuple(drawn.loc[quantity, ["point", "low", "high"]])
        for quantity in QUANTITIES
        if quantity in drawn.index
    }
    rows["patient_vote"] = patients_right(predictions)
    rows["calibration_error"] = (
        calibration.expected_calibration_error(predictions, BINS),
        *_calibration_interval(predictions, draws, seed),
    )
    frame = pd.DataFrame.from_dict(rows, orient="index", columns=["value", "low", "high"])
    frame = frame.rename_axis("quantity").reset_index()
    return frame.assign(images=len(predictions), subjects=predictions["subject"].nunique())


def patients_right(predictions):
    """Return the share of subjects whose cells vote for the right class, and its 95% interval.

    Subjects are independent, so the interval is the exact one for a share (Clopper and Pearson): a
    bootstrap would give none at all where everybody is right.
    """
    from scipy.stats import binomtest

    votes = metrics.patient_vote(predictions)
    actual, voted = class_codes(votes, check_predictions(votes))
    test = binomtest(int((actual == voted).sum()), len(votes))
    low, high = test.proportion_ci(0.95, "exact")
    return test.statistic, float(low), float(high)


def leaderboard(measured, protocol, methods=None):
    """Rank the methods under one protocol.

    Args:
        measured: The frame of `measure`.
        protocol: ``"subject"`` or ``"official"``.
        methods: The frame of `catalog.methods`: those that are not in the profile or were
            not run follow below, and say so. None for none.

    Returns:
        Frame of text indexed by ``rank``, best weighted F1 first (equal to three digits: the same
        rank): ``method``, ``paper``, a column per quantity with its interval (subjects right are
        counted: 26 of 28), and ``tested on``: images of how many subjects.
    """
    here = measured[measured["protocol"] == protocol]
    seconds = measured[measured["quantity"] == "seconds_per_image"]
    seconds = seconds.set_index(["paper", "method"])["value"]
    rows = []
    for key, run in here.groupby(["paper", "method"], sort=False):
        values = run.set_index("quantity")
        texts = {"method": key[1], "paper": key[0], "score": values.loc["weighted_f1", "value"]}
        for quantity, name in QUANTITIES.items():
            if quantity in values.index:
                texts[name] = _text(quantity, values.loc[quantity])
            elif key in seconds.index:
                texts[name] = f"{seconds[key]:.3f} s"
        first = values.iloc[0]
        rows.append(texts | {"tested on": f"{first['images']} of {first['subjects']}"})
    table = pd.DataFrame(rows, columns=None if rows else ["method", "paper", "score"])
    table["rank"] = table["score"].astype(float).round(3).rank(ascending=False, method="min")
    table = table.sort_values(["rank", "paper", "method"]).drop(columns="score")
    table["rank"] = [f"{rank:.0f}" for rank in table["rank"]]
    if methods is not None:
        table = pd.concat([table, _others(methods, table)], ignore_index=True)
    return table.fillna("").set_index("rank")


def references():
    """Return other people's honest results on C-NMC 2019, none of which was made here.

    Returns:
        Frame with ``who``, ``quantity`` (of `QUANTITIES`), ``value`` (0..1), ``split``, ``phase``
        (on which they tested), ``source``, and ``printed`` where the print has another form.
    """
    return pd.DataFrame(catalog.read_file()["references"])


def weights_of(record):
    """Return what the network of a run began with, from its ``fold.json``."""
    return record.get("weights_used", record["configuration"].get("weights", pd.NA))


def seconds_file(profile, results_dir=None):
    """Return the path of the measured seconds per image of a profile."""
    base, name = results_dir or files.results_dir(), profiles.label(profile)
    return results.fold_dir(base, catalog.KEY, name, "", "", 0).parent / "seconds.csv"


def _runs(profile, results_dir):
    """Yield ``((paper, method), protocol, folder)`` of each finished run that is a method."""
    base, name = results_dir or files.results_dir(), profiles.label(profile)
    for run in results.find(base, catalog.KEY, name).itertuples():
        record = results.read_record(pathlib.Path(run.folder) / "fold-0")
        if (method := catalog.name_of(record["configuration"])) is not None:
            yield method, run.protocol, run.folder


def _others(methods, table):
    """Return the rows of the methods that have no scores, and why."""
    ranked = set(zip(table["paper"], table["method"], strict=True))
    rows = [
        {
            "rank": "",
            "method": row["method"],
            "paper": row["paper"],
            QUANTITIES["weighted_f1"]: NOT_RUN if row["in this profile"] else NOT_HERE,
        }
        for row in methods.to_dict("records")
        if (row["paper"], row["method"]) not in ranked
    ]
    return pd.DataFrame(rows, columns=["rank", "method", "paper", QUANTITIES["weighted_f1"]])


def _text(quantity, row):
    value, low, high = row["value"], row["low"], row["high"]
    if quantity == "patient_vote":
        count = row["subjects"]
        return f"{round(value * count)} of {count} ({low:.2f} to {high:.2f})"
    if pd.isna(value):
        return "undefined"
    return f"{value:.3f} ({low:.2f} to {high:.2f})"


def _calibration_interval(predictions, draws, seed, level=0.95):
    """Return the percentiles of the expected calibration error over drawn subjects.

    A draw counts each subject some number of times; within a bin the distance of confidence and
    accuracy, weighted by its images, is then the sum of (right - confidence) over the drawn images.
    """
    classes = check_predictions(predictions)
    actual, predicted = class_codes(predictions, classes)
    confidence = class_probabilities(predictions, classes).max(axis=1)
    clusters, number = cluster_codes(predictions, "subject")
    bins = np.digitize(confidence, np.arange(BINS + 1) / BINS, right=True) - 1
    surplus = np.zeros((number, BINS))
    np.add.at(surplus, (clusters, bins), (actual == predicted) - confidence)
    images = np.bincount(clusters, minlength=number)
    errors = [
        np.abs(times @ surplus).sum(axis=1) / (times @ images)
        for times in intervals.cluster_draws(number, draws, seed, draws)
    ]
    return intervals.percentile_interval(np.concatenate(errors), level)[:2]
