"""The thirteen printed confusion matrices of sultana, whose rows and columns are not named.

What they are can be read from the printed tables: the supports of Tables 4, 6 and 7, and the
accuracies of Tables 3 and 5.
"""

import numpy as np
import pandas as pd

from leukkit import metrics, network_runs, profiles, results
from leukkit.report.sultana import name_run

READING = "rows are predicted"  # of all printed matrices: see `reread_matrices`


def reread_matrices(card):
    """Hold the printed confusion matrices (Figures 4 to 6) against the printed tables.

    "Support" is the number of images of an actual class. Where the column sums of a matrix are the
    printed supports, its columns are the actual classes and its rows the predicted ones.

    Args:
        card: The `papers.Card` of sultana.

    Returns:
        Frame, one row per matrix, indexed by figure and network: ``images``; ``column sums`` and
        ``row sums``; ``support``, as printed in Tables 4, 6 and 7; ``columns off`` and ``rows
        off``, how many images the sums are away from the supports, added over the classes.
    """
    cells = card.cells()
    rows = []
    for matrix in card.matrices:
        keys, counts = matrix["where"], np.array(matrix["printed"])
        same = (cells["model"] == keys["model"]) & (cells["variant"] == keys["variant"])
        printed = cells[same.fillna(False)]
        support = printed[printed["quantity"] == "support"].set_index("label")["value"]
        support = support.loc[matrix["classes"]].to_numpy(int)
        columns, sums = counts.sum(axis=0), counts.sum(axis=1)
        rows.append(
            {
                "figure": matrix["name"],
                "network": name_run(keys),
                "images": int(counts.sum()),
                "column sums": _texts(columns),
                "row sums": _texts(sums),
                "support": _texts(support),
                "columns off": int(abs(columns - support).sum()),
                "rows off": int(abs(sums - support).sum()),
            }
        )
    return pd.DataFrame(rows).set_index(["figure", "network"])


def reread_accuracies(card):
    """Compare the share of images on the diagonals of the printed matrices with the accuracies.

    Args:
        card: The `papers.Card` of sultana.

    Returns:
        Frame in percent, one row per matrix: ``diagonal of the matrix``; ``model accuracy`` and
        ``training accuracy`` as printed in Tables 3 and 5 (for DEX the Abstract's, and NaN).
    """
    cells = card.cells()
    cells = cells[cells["quantity"] == "accuracy"]
    printed = {}
    claims = card.claims[card.claims["quantity"] == "accuracy"].assign(part="test")
    for row in pd.concat([claims[claims["model"] == "dex"], cells]).itertuples():
        printed[(row.model, row.variant, row.part)] = row.value
    rows = {}
    for matrix in card.matrices:
        counts, keys = np.array(matrix["printed"]), matrix["where"]
        run = keys["model"], keys["variant"]
        rows[(matrix["name"], name_run(keys))] = {
            "diagonal of the matrix": 100 * np.trace(counts) / counts.sum(),
            "model accuracy": printed.get((*run, "test"), np.nan),
            "training accuracy": printed.get((*run, "training"), np.nan),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(["figure", "network"])


def spread_of_sums(card):
    """Compare over the printed matrices how much their row and column sums differ.

    All networks were tested on the same classes, so the sums over the images of an actual class
    should be alike in all matrices, and the sums over a predicted class need not be.

    Returns:
        Frame, one row per class: smallest and largest sum of the rows and of the columns, as text.
    """
    counts = np.array([matrix["printed"] for matrix in card.matrices])
    sums = {"rows": counts.sum(axis=2), "columns": counts.sum(axis=1)}
    return pd.DataFrame(
        {
            f"sums of {name}": [f"{low} to {high}" for low, high in zip(low, high, strict=True)]
            for name, (low, high) in {
                name: (values.min(axis=0), values.max(axis=0)) for name, values in sums.items()
            }.items()
        },
        index=pd.Index(card.matrices[0]["classes"], name="class"),
    )


def matrices(card, profile_name, variant, protocols=("published",), results_dir=None):
    """Gather the printed matrices of a variant and ours, in rows of three for one figure.

    Args:
        card: The `papers.Card` of sultana.
        profile_name: The profile of the results.
        variant: ``full-training``, ``frozen-features`` or ``ensemble``.
        protocols: Ours by which protocols.
        results_dir: Folder of the results; None for `files.results_dir`.

    Returns:
        Dict of a title to a matrix for `plots.matrix_grid`: printed ones as lists, read as
        `READING`, ours as frames.
    """
    printed = [matrix for matrix in card.matrices if matrix["where"]["variant"] == variant]
    profile = profiles.load(card, profile_name)
    runs = {run.model: run for run in network_runs.plan(card, profile) if run.variant == variant}
    grid = {}
    for start in range(0, len(printed), 3):
        some = printed[start : start + 3]
        for matrix in some:
            figure = matrix["name"].replace("Figure", "Fig.")
            grid[f"{matrix['where']['model']}, {figure}"] = matrix["printed"]
        for protocol in protocols:
            side = {"published": "reproduced"}.get(protocol, protocol)
            for matrix in some:
                run = runs[matrix["where"]["model"]]
                folder = network_runs.folder(card, profile_name, protocol, run, results_dir)
                grid[f"{run.model}, {side}"] = metrics.confusion(results.read_table(folder))
    return grid


def _texts(numbers):
    return " ".join(str(number) for number in numbers)
