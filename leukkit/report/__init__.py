"""Published | reproduced | leak-free: the printed numbers beside what came out here."""

from leukkit import profiles, reproduction, results
from leukkit.metrics import groups
from leukkit.report import networks
from leukkit.report.feature_scores import compare, measure
from leukkit.report.sides import SIDES, text_table
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
        results_dir: Folder of the results; None for `files.results_dir`.

    Returns:
        Dict of the name to the predictions.
    """
    return {
        name: results.read_table(model_dir(card, profile_name, protocol, this, results_dir))
        for name, this in runs.items()
    }
