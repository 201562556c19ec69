"""The tables that a notebook shows beside those of published | reproduced | leak-free."""

import pathlib

import numpy as np
import pandas as pd

from leukkit import augmentation, images, locations, metrics, profiles, results, segmentation

SPLITS = {"image-level": "by image", "patient": "by patient id", "leak-free": "by subject"}


def stand_ins(profile):
    """Return what the profile uses for the paper's data sets and networks.

    Returns:
        Frame of text, indexed by the paper's names.
    """
    known = {"none": "random weights", "imagenet": "ImageNet weights"}
    weights = known.get(profile["weights"], pathlib.Path(profile["weights"]).name)
    networks = {
        name: f"{here}, {weights}, {profile['image_size']} px" if here else "not run"
        for name, here in profile["backbones"].items()
    }
    rows = {**profile["datasets"], **networks}
    return pd.DataFrame({"used here": rows}).rename_axis("in the paper")


def compare_counts(card, profile, cells):
    """Put the images per class before and after augmentation beside the printed ones (Table I).

    Args:
        card: The card of farag2025.
        profile: The profile's numbers.
        cells: Dict of the paper's data set names to `cells` frames.

    Returns:
        Frame: printed and used counts, per data set, augmentation and class.
    """
    printed = card.cells()
    printed = printed[printed["table"] == "Table I"]
    rows = []
    for row in printed[printed["dataset"].isin(list(cells))].itertuples():
        frame = cells[row.dataset]
        if row.augmentation:
            frame = augmentation.expand(frame, profile["counts"][row.dataset], profile["seed"])
        rows.append(
            {
                "dataset": row.dataset,
                "class": row.label,
                "augmentation": "after" if row.augmentation else "before",
                "published": int(row.value),
                "used here": int((frame["label"] == row.label).sum()),
            }
        )
    return pd.DataFrame(rows).set_index(["dataset", "class", "augmentation"]).unstack()


def compare_k(cells, ks, threshold=141):
    """Compare the segmentation with different numbers of clusters (farag2025, III.D).

    Args:
        cells: The `cells` frame; a column ``mask`` names the true nucleus masks.
        ks: Numbers of clusters.
        threshold: Of the rule, in 8-bit a units.

    Returns:
        Frame, one row per K: mean share of the image that is nucleus, images with an empty mask,
        and mean and smallest intersection over union with the true nucleus (NA without masks).
    """
    rows = {}
    for k in ks:
        shares, overlaps = [], []
        for row in cells.itertuples():
            mask = segmentation.segment_nucleus(images.read(row.path), k=k, threshold=threshold)
            shares.append(mask.mean())
            if "mask" in cells:
                true = images.read_mask(row.mask)
                overlaps.append((mask & true).sum() / (mask | true).sum())
        rows[k] = {
            "nucleus, share of image": np.mean(shares),
            "empty masks": int(np.sum(np.array(shares) == 0)),
            "mean IoU": np.mean(overlaps) if overlaps else pd.NA,
            "smallest IoU": np.min(overlaps) if overlaps else pd.NA,
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("K")


def compare_grid(card, profile_name, runs, results_dir=None):
    """Put what the grid search chose beside the printed choice (farag2025, Table II).

    Args:
        card: The card of farag2025.
        profile_name: The profile of the results.
        runs: List of `reproduction.Run` of support vector machines.
        results_dir: Folder of the results; None for `locations.results_dir`.

    Returns:
        Frame of text, one row per run and protocol, the paper's own in front. Different choices
        in different folds are all named.
    """
    printed = card.cells()
    best = printed[(printed["table"] == "Table II") & (printed["role"] == "best")]
    best = best.set_index("quantity")["printed"]
    rows = [("as printed", "", "published", best["c"], best["gamma"], best["kernel"])]
    for this in runs:
        for protocol in ("published", "leak-free"):
            folder = model_dir(card, profile_name, protocol, this, results_dir)
            chosen = pd.DataFrame([record["selected"] for record in results.read_records(folder)])
            texts = [" / ".join(map(str, chosen[name].unique())) for name in chosen]
            side = "reproduced" if protocol == "published" else protocol
            rows.append((this.dataset, this.classifier, side, *texts))
    columns = ["dataset", "classifier", "protocol", "C", "gamma", "kernel"]
    return pd.DataFrame(rows, columns=columns).set_index(columns[:3])


def effect(comparison, table, step):
    """Return what a step adds on average: published, reproduced, leak-free.

    Args:
        comparison: The frame of `leukkit.report.compare`.
        table: Name of a table that has each row with and without the step.
        step: ``"segmentation"`` or ``"augmentation"``.

    Returns:
        Series of differences, in the table's unit.
    """
    rows = comparison[comparison["table"] == table].rename(columns={"value": "published"})
    means = rows.groupby(rows[step].astype(bool))[["published", "reproduced", "leak-free"]].mean()
    return means.loc[True] - means.loc[False]


def compare_splits(measured, leaks, this, quantity="auc"):
    """Put the score of one run under several splits beside what each split leaks.

    Args:
        measured: The frame of `leukkit.report.measure`.
        leaks: The frame of `reproduction.leakage`, one row per protocol.
        this: The `reproduction.Run`.
        quantity: The score.

    Returns:
        Frame, one row per protocol in the order of ``leaks``: ``split, score, low, high, leaked``
        (the share of test images whose subject is also in training).
    """
    rows = measured[(measured["part"] == "test") & (measured["quantity"] == quantity)]
    for key, value in this._asdict().items():
        rows = rows[rows[key] == value]
    rows = rows.set_index("protocol").loc[leaks.index, ["value", "low", "high"]]
    rows = rows.rename(columns={"value": "score"}).assign(leaked=leaks["subject"])
    rows.insert(0, "split", [SPLITS[name] for name in rows.index])
    return rows


def split_table(measured, leaks, quantities=("accuracy", "weighted_f1", "auc")):
    """Put the scores of each classifier under several splits beside what each split leaks.

    Args:
        measured: The frame of `leukkit.report.measure`, of runs that differ in classifier only.
        leaks: The frame of `reproduction.leakage`, one row per protocol.
        quantities: The scores.

    Returns:
        Frame of text, indexed by classifier and split: each score with its 95% interval, and the
        shares of test images whose subject, source image or exact file is also in training.
    """
    rows = measured[(measured["part"] == "test") & measured["protocol"].isin(leaks.index)]
    rows = rows[rows["quantity"].isin(quantities)]
    texts = [metrics.with_interval(row.value, row.low, row.high) for row in rows.itertuples()]
    table = rows.assign(text=texts).set_index(["classifier", "protocol", "quantity"])["text"]
    table = table.unstack()[list(quantities)]
    order = [(name, split) for name in table.index.levels[0] for split in leaks.index]
    table = table.reindex(order)
    for column in ("subject", "source_image", "bytes"):
        shares = [leaks.loc[split, column] for _, split in order]
        table[f"{column} leaked"] = ["?" if pd.isna(share) else f"{share:.1%}" for share in shares]
    return table.rename(index=SPLITS, level="protocol").rename_axis(["classifier", "split"])


def model_dir(card, profile_name, protocol, this, results_dir=None):
    """Return the folder of a run's folds."""
    base = results_dir or locations.results_dir()
    name = profiles.label(profile_name)
    return results.fold_dir(base, card.key, name, protocol, this.model, 0).parent
