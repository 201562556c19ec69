"""Published | reproduced | leak-free: the printed numbers beside what came out here."""

import pandas as pd

from leukkit import locations, metrics, profiles, reproduction, results
from leukkit.report import networks
from leukkit.report.sides import SIDES, beside, groups, text_table
from leukkit.report.tables import (
    SPLITS,
    compare_counts,
    compare_grid,
    compare_k,
    compare_splits,
    effect,
    model_dir,
    split_table,
    stand_ins,
)

__all__ = [
    "SIDES",
    "compare",
    "compare_counts",
    "compare_grid",
    "compare_k",
    "compare_splits",
    "effect",
    "groups",
    "measure",
    "model_dir",
    "networks",
    "pooled",
    "print_comparison",
    "split_table",
    "stand_ins",
    "table",
]

PARTS = {"test": "predictions", "training": "training_predictions"}


def measure(card, profile_name, results_dir=None, draws=2000, runs=None):
    """Score the finished runs of a paper from their predictions.

    Args:
        card: A `papers.Card`.
        profile_name: The profile of the results.
        results_dir: Folder of the results; None for `locations.results_dir`.
        draws: Bootstrap draws of the intervals.
        runs: List of `reproduction.Run` to look at; None for all that were made.

    Returns:
        Frame with the keys of the run, ``protocol, part, quantity, value, low, high, images,
        groups, groups_are``. Values are fractions. The folds' predictions are pooled. Intervals
        (95%) are over identities; where no patient is known, over original images, and
        ``groups_are`` says so. Training scores carry no interval.
    """
    base = results_dir or locations.results_dir()
    found = results.find(base, card.key, profiles.label(profile_name))
    if runs is not None and len(found):
        found = found[found["model"].isin([this.model for this in runs])]
    rows = []
    for run in found.itertuples(index=False):
        keys = {name: getattr(run, name) for name in (*reproduction.KEYS, "protocol")}
        for part, table in PARTS.items():
            predictions = results.read_table(run.folder, table)
            scored = _score(predictions, draws if part == "test" else 0)
            rows += [{**keys, "part": part, **row} for row in scored.to_dict("records")]
    columns = [*reproduction.KEYS, "protocol", "part", "quantity", "value", "low", "high"]
    return pd.DataFrame(rows, columns=None if rows else columns)


def compare(card, measured):
    """Put the measured values beside every printed cell of the card that names a run.

    Args:
        card: A `papers.Card`.
        measured: The frame of `measure`.

    Returns:
        Frame with ``table``, the keys of the run, ``part, quantity, unit, printed`` and, for
        ``reproduced`` and ``leak-free`` each, the value and its interval in the unit of the
        printed number (NaN where the run was not made), and whether it was ``made``.
    """
    keys = [*reproduction.KEYS, "part", "quantity"]
    printed = card.cells()
    printed = printed[printed[list(reproduction.KEYS)].notna().all(axis=1)]
    printed = printed[["paper", "table", *keys, "unit", "printed", "value"]]
    return beside(printed, measured, keys, SIDES)


def table(comparison, name, **where):
    """Format one printed table for reading: published, reproduced, leak-free, with intervals.

    Args:
        comparison: The frame of `compare`.
        name: The table, e.g. ``"Table IV"``.
        where: Further conditions, e.g. ``dataset="cnmc-2019"``.

    Returns:
        Frame of text in the unit of the table, indexed by the keys that tell its rows apart.
    """
    rows = comparison[comparison["table"] == name]
    for key, value in where.items():
        rows = rows[rows[key] == value]
    keys = (*reproduction.KEYS, "part", "quantity")
    return text_table(rows, keys, SIDES.values())


def print_comparison(card, profile_name, results_dir=None):
    """Print published | reproduced | leak-free for every printed cell that names a run."""
    profile = profiles.load(card, profile_name)
    if "runs" in profile:
        networks.print_comparison(card, profile_name, results_dir)
        return
    measured = measure(card, profile_name, results_dir, profile["bootstrap_draws"])
    if measured.empty:
        print(f"\n{card.key}, profile {profiles.label(profile_name)}: nothing was run yet")
        return
    comparison = compare(card, measured)
    made = comparison[[f"{side} made" for side in SIDES.values()]].any(axis=1)
    print(f"\n{card.key}, profile {profiles.label(profile_name)}: ", end="")
    print(f"{made.sum()} of {len(comparison)} printed cells were run again")
    print(stand_ins(profile).to_string())
    for name, rows in comparison[made].groupby("table", sort=False):
        print(f"\n{name} ({rows['unit'].iloc[0]}; 95% intervals)")
        print(table(comparison[made], name).to_string())
    _print_splits(profile, measured)


def _print_splits(profile, measured):
    """Print the runs that were made under every split, beside what each split leaks."""
    keys = list(reproduction.KEYS)
    everywhere = measured.groupby(keys)["protocol"].transform(
        lambda names: set(SPLITS) <= set(names)
    )
    for (dataset, backbone), rows in measured[everywhere].groupby(["dataset", "backbone"]):
        print(f"\n{dataset}, {backbone}, only the split changes (95% intervals)")
        print(split_table(rows, reproduction.leakage(profile, dataset, SPLITS)).to_string())


def pooled(card, profile_name, protocol, runs, results_dir=None):
    """Return the pooled test predictions of some runs, for the figures.

    Args:
        card: A `papers.Card`.
        profile_name: The profile of the results.
        protocol: One of `reproduction.PROTOCOLS`.
        runs: Dict of a name to a `reproduction.Run`.
        results_dir: Folder of the results; None for `locations.results_dir`.

    Returns:
        Dict of the name to the predictions.
    """
    return {
        name: results.read_table(model_dir(card, profile_name, protocol, this, results_dir))
        for name, this in runs.items()
    }


def _score(predictions, draws):
    over, name = groups(predictions)
    if draws:
        grouped = predictions.assign(group=over)
        frame = metrics.bootstrap(grouped, by="group", draws=draws)
        frame = frame.rename(columns={"point": "value"})[["value", "low", "high"]]
    else:
        frame = metrics.scores(predictions).to_frame("value").assign(low=None, high=None)
    frame = frame.rename_axis("quantity").reset_index()
    return frame.assign(images=len(predictions), groups=over.nunique(), groups_are=name)
