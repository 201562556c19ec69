"""The scores of frozen features with classical classifiers, from predictions in the results."""

import pandas as pd

from leukkit import locations, metrics, profiles, reproduction, results
from leukkit.report.sides import SIDES, beside

PARTS = {"test": "predictions", "training": "training_predictions"}
KEYS = reproduction.KEYS
COLUMNS = (
    *KEYS,
    "protocol",
    "part",
    "quantity",
    "value",
    "low",
    "high",
    "images",
    "groups",
    "groups_are",
    "folder",
)


def measure(card, profile_name, results_dir=None, draws=2000, runs=None):
    """Score the finished runs of a paper from their predictions.

    Args:
        card: A `papers.Card`.
        profile_name: The profile of the results.
        results_dir: Folder of the results; None for `locations.results_dir`.
        draws: Bootstrap draws of the intervals.
        runs: List of `reproduction.Run` to look at; None for all that were made.

    Returns:
        The frames of `score_run`, one below the other.
    """
    base = results_dir or locations.results_dir()
    found = results.find(base, card.key, profiles.label(profile_name))
    if runs is not None and len(found):
        found = found[found["model"].isin([this.model for this in runs])]
    frames = [score_run(run, draws) for run in found.to_dict("records")]
    measured = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()
    return measured.reindex(columns=COLUMNS)


def score_run(run, draws):
    """Score one finished run from its predictions.

    Args:
        run: Dict of a row of `results.find`.
        draws: Bootstrap draws of the intervals.

    Returns:
        Frame with the keys of the run, ``protocol, part, quantity, value, low, high, images,
        groups, groups_are, folder``. Values are fractions. The folds' predictions are pooled.
        Intervals (95%) are over subjects; where no patient is known, over original images, and
        ``groups_are`` says so. Training scores carry no interval.

    Raises:
        ValueError: The predictions cannot be scored (`results.read_table`, `metrics.bootstrap`).
    """
    keys = {name: run[name] for name in (*KEYS, "protocol", "folder")}
    scored = {
        part: _score(results.read_table(run["folder"], name), draws if part == "test" else 0)
        for part, name in PARTS.items()
    }
    frames = [frame.assign(**keys, part=part) for part, frame in scored.items()]
    return pd.concat(frames, ignore_index=True)[list(COLUMNS)]


def compare(card, measured, about=()):
    """Put the measured values beside every printed cell of the card that names a run.

    Args:
        card: A `papers.Card`.
        measured: The frame of `measure`.
        about: Names of more columns of ``measured`` to take over, as ``<side> <name>``.

    Returns:
        Frame with ``paper, table, row, column``, the keys of the run, ``part, quantity, unit,
        printed`` and, for ``reproduced`` and ``leak-free`` each, the value and its interval in the
        unit of the printed number (NaN where the run was not made), and whether it was ``made``.
    """
    keys = [*KEYS, "part", "quantity"]
    printed = card.cells()
    printed = printed[printed[list(KEYS)].notna().all(axis=1)]
    printed = printed[["paper", "table", "row", "column", *keys, "unit", "printed", "value"]]
    return beside(printed, measured, keys, SIDES, about=about)


def _score(predictions, draws):
    scored = metrics.measure(predictions, draws)
    return scored[scored["label"].isna() & scored["quantity"].isin(metrics.NAMES)]
