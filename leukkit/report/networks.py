"""Trained networks beside their papers' tables: published | reproduced | leak-free.

`measure` scores what is in the results folder, `compare` puts it beside the printed cells, `table`
makes one printed table of that.
"""

import numpy as np
import pandas as pd

from leukkit import metrics, models, network_runs, profiles
from leukkit.report.network_scores import KEYS, QUANTITIES, measure
from leukkit.report.sides import SIDES, beside, text_table

__all__ = [
    "compare",
    "compare_images",
    "measure",
    "print_comparison",
    "score_table",
    "shuffle_labels",
    "stand_ins",
    "table",
]

CELL = (*KEYS, "part", "label", "epoch", "quantity")
SPLIT_SIDE = {"published-split": "70/15/15 split"}  # patel2025 states two published protocols


def compare(card, measured, about=()):
    """Put the measured values beside every printed cell that names a network and a data set.

    The part that a paper calls validation is our test part where its protocol has no other
    (mishra); a cell without a part is of the test part (samhitha, Table IV).

    Args:
        card: A `papers.Card`.
        measured: The frame of `measure`.
        about: Names of more columns of ``measured`` to take over, as ``<side> <name>``.

    Returns:
        Frame with ``paper, table, row, column``, the keys of the cell, ``unit, printed, value``,
        and for each side (``reproduced``, ``leak-free``, and ``70/15/15 split`` where that was
        run) the pooled value, its interval (``<side> low``, ``<side> high``) and the mean and
        standard deviation over folds (``<side> mean``, ``<side> sd``) in the unit of the printed
        number, and whether it was measured (``<side> made``); NaN where it was not; and
        ``weights``.
    """
    printed = card.cells()
    place = ["paper", "table", "row", "column"]
    printed = printed.reindex(columns=[*place, *CELL, "unit", "printed", "value"])
    printed = printed[printed[["dataset", "model"]].notna().all(axis=1)]
    printed = printed[printed["quantity"].isin(QUANTITIES)].reset_index(drop=True)
    printed["variant"] = printed["variant"].astype("string").fillna("")
    sides = {**SIDES}
    if (measured["protocol"].isin(SPLIT_SIDE)).any():
        sides = {"published": SIDES["published"], **SPLIT_SIDE, "leak-free": SIDES["leak-free"]}
    columns = ("value", "low", "high", "mean", "sd")
    here = printed.assign(part=_part_here(card, printed))
    compared = beside(here, measured, CELL, sides, columns, about).assign(part=printed["part"])
    weights = measured.groupby(list(KEYS))["weights"].agg(lambda used: " / ".join(used.unique()))
    runs = pd.MultiIndex.from_frame(printed[list(KEYS)].astype(object))
    return compared.assign(
        weights=weights.astype("string").reindex(runs).fillna("").to_numpy(object)
    )


def table(comparison, name, **where):
    """Format one printed table for reading: published, reproduced, leak-free, with intervals.

    Args:
        comparison: The frame of `compare`.
        name: The table, e.g. ``"Table 2"``.
        where: Further conditions, e.g. ``model="vgg19"``.

    Returns:
        Frame of text in the unit of the table, indexed by the keys that tell its rows apart: the
        printed number, the pooled one with its interval, the mean over folds and its standard
        deviation where there are folds, the other sides, and the weights at the start.
    """
    rows = comparison[comparison["table"] == name]
    for key, value in where.items():
        rows = rows[rows[key] == value]
    named = {"label": "all", "part": "", "epoch": ""}
    texts = {key: rows[key].astype("string").fillna(text) for key, text in named.items()}
    rows = rows.assign(**texts)
    sides = [column.removesuffix(" mean") for column in rows if column.endswith(" mean")]
    text = text_table(rows, CELL, sides)
    side = SIDES["published"]
    if rows[f"{side} mean"].notna().any():
        columns = [f"{side} mean", f"{side} sd", "unit", f"{side} made"]
        means = [_with_deviation(*value) for value in rows[columns].itertuples(index=False)]
        text.insert(text.columns.get_loc(side) + 1, f"{side}, mean of folds", means)
    return text.assign(weights=rows["weights"].to_numpy())


def score_table(measured, quantities=("accuracy", "weighted_f1", "auc"), part="test"):
    """Put the scores of all runs under all protocols below each other, printed or not.

    Args:
        measured: The frame of `measure`.
        quantities: The scores.
        part: ``test``, ``validation`` or ``training``.

    Returns:
        Frame of text indexed by the run and its protocol: each score (0..1) with its interval.
    """
    rows = measured[(measured["part"] == part) & measured["quantity"].isin(quantities)]
    rows = rows[rows["label"].isna() & rows["epoch"].isna()]
    values = rows[["value", "low", "high"]].itertuples(index=False)
    protocols = sorted(rows["protocol"].unique(), key=lambda name: (name == "leak-free", name))
    texts = rows.assign(
        text=[metrics.with_interval(*value) for value in values],
        protocol=pd.Categorical(rows["protocol"], protocols),
    )
    wide = texts.pivot(index=[*KEYS, "protocol"], columns="quantity", values="text").sort_index()
    return wide[list(quantities)].rename_axis(columns=None)


def shuffle_labels(predictions, seed=0):
    """Return the predictions with the labels in another order, as a shuffling generator does.

    Scoring ``generator.classes`` against predictions of a generator that shuffles compares each
    image with the label of another (samhitha, Figure 5 and Table IV): the scores become those of
    guessing with the same frequencies, whatever the network can do.

    Args:
        predictions: See `leukkit.metrics.predictions`.
        seed: Draws the order.
    """
    order = np.random.default_rng(seed).permutation(len(predictions))
    return predictions.assign(label=predictions["label"].to_numpy(dtype=object)[order])


def compare_images(card, profile):
    """Put the images per part and class beside the printed ones.

    Args:
        card: A `papers.Card`.
        profile: The profile's numbers.

    Returns:
        Frame of text indexed by table, data set, part and class: the printed count, and the counts
        under each protocol (smallest to largest of the folds). Where the paper counts originals,
        so does this.
    """
    printed = card.cells().reindex(columns=["table", *CELL, "augmentation", "printed"])
    printed = printed[(printed["quantity"] == "images") & printed["model"].isna()]
    printed = printed[printed["part"].notna() & printed["dataset"].isin(list(profile["datasets"]))]
    rows = {"table": printed["table"], "dataset": printed["dataset"], "part": printed["part"]}
    rows |= {"label": printed["label"].astype("string").fillna("all")}
    text = pd.DataFrame({**rows, "published": printed["printed"]})
    wanted = printed.assign(part=_part_here(card, printed))
    for name in profile["protocols"]:
        divided = {
            dataset: network_runs.divide(profile, dataset, name)
            for dataset in printed["dataset"].unique()
        }
        text[SIDES.get(name) or SPLIT_SIDE.get(name, name)] = [
            _count(divided[row.dataset], row) for row in wanted.itertuples()
        ]
    return text.set_index(list(rows))


def stand_ins(card, profile, measured=None):
    """Return what the profile uses for the paper's data sets and networks, as text.

    With ``measured`` the weights are those recorded with the results, without it those that the
    profile asks for.
    """
    recorded = None if measured is None else measured.groupby(list(KEYS))["weights"].first()
    rows = dict(profile["datasets"])
    for run in network_runs.plan(card, profile):
        name = " ".join(value for value in (run.model, run.variant) if value)
        if name in rows:  # the same network, trained otherwise under other protocols
            name += f" ({', '.join(run.protocols)})"
        recipe = run.recipe
        if recipe is None:
            rows[name] = f"mean of {', '.join(profile['ensemble'])}"
            continue
        if recorded is not None:
            begun = recorded.get(tuple(run.keys.values()), "not run")
        else:
            asked = profiles.find_weights(recipe.weights)
            size = recipe.image_size
            begun = models.weights_used(recipe.network, asked, size, profile["seed"])
        epochs = f"{recipe.epochs} epoch{'s' * (recipe.epochs > 1)}"
        steps = f" of {recipe.steps} step{'s' * (recipe.steps > 1)}" if recipe.steps else ""
        rows[name] = f"{recipe.image_size} px, {epochs}{steps}, weights: {begun}"
    return pd.DataFrame({"used here": rows}).rename_axis("in the paper")


def print_comparison(card, profile_name, results_dir=None):
    """Print published | reproduced | leak-free for every printed cell that names a network."""
    profile = profiles.load(card, profile_name)
    measured = measure(card, profile_name, results_dir)
    if measured.empty:
        print(f"\n{card.key}, profile {profiles.label(profile_name)}: nothing was run yet")
        return
    comparison = compare(card, measured)
    sides = [column for column in comparison if column.endswith(" made")]
    made = comparison[comparison[sides].any(axis=1)]
    print(f"\n{card.key}, profile {profiles.label(profile_name)}: ", end="")
    print(f"{len(made)} of {len(comparison)} printed cells were run again")
    print(stand_ins(card, profile, measured).to_string())
    for name, rows in made.groupby("table", sort=False):
        print(f"\n{name} ({', '.join(rows['unit'].unique())}; 95% intervals)")
        print(table(made, name).to_string())
    print("\nEvery run (95% intervals)")
    print(score_table(measured).to_string())
    for dataset in profile["datasets"]:
        print(f"\n{dataset}: share of test images with something of theirs in training")
        print(network_runs.leakage(profile, dataset).to_string())


def _part_here(card, printed):
    """Return the part of ours that each printed cell is compared with."""
    part = printed["part"].astype("string")
    part = part.where(part.notna() | (printed["quantity"] == "epochs"), "test")
    if card.profile("paper")["protocols"]["published"].get("validation") == "test":
        part = part.replace("validation", "test")
    return part


def _count(divided, row):
    """Return the images of one part and class, as text."""
    cells = divided.cells
    counted = np.ones(len(cells), dtype=bool)
    if pd.notna(row.label):
        counted &= (cells["label"] == row.label).to_numpy(bool)
    if "copy" in cells and pd.notna(row.augmentation) and not row.augmentation:
        counted &= (cells["copy"] == 0).to_numpy(bool)
    counts = []
    for fold in divided.folds:
        parts = {"training": fold.train, "validation": fold.validation, "test": fold.test}
        parts["total"] = np.unique(np.concatenate(fold))
        counts.append(int(counted[parts[row.part]].sum()))
    few, many = min(counts), max(counts)
    return f"{few}" if few == many else f"{few} to {many}"


def _with_deviation(mean, deviation, unit, made):
    if pd.isna(mean):
        return "undefined" if made else "not run"
    decimals = 1 if unit == "percent" else 3
    return f"{mean:.{decimals}f} ± {deviation:.{decimals}f}"
