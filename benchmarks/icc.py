"""How alike are the answers for cells of one subject? Intraclass correlations on real cells.

Whether a cell is called right is correlated within its subject, so n cells say as much as
n / (1 + (m - 1) ICC) independent ones, m of them per subject. The method is that of the gap (SVM on
standardized features of a frozen network), beside it a random forest on the same features. For a
lead of one over the other the difference of both counts; ``alike`` is what both get right, between
chance (0) and all that either does (1). By image and by subject, five draws of each split.

``LEUKKIT_DATA_DIR=… LEUKKIT_WEIGHTS_DIR=… python -m benchmarks icc`` takes four minutes.
"""

import pathlib

import pandas as pd

from leukkit import classifiers, results, runs
from leukkit.benchmark import gap
from leukkit.metrics.predictions import arrays

SPLITS = ("plain-by-image", "plain-by-subject")
PROFILE = pathlib.Path(__file__).parents[1] / "docs/profiles/cnmc-subset-gap.toml"


def intraclass(values: pd.Series, owner: pd.Series) -> tuple[float, float]:
    """Return the ICC by one-way analysis of variance, and the cells per subject by size.

    Source: Donner 1986, "A review of inference procedures for the intraclass correlation
    coefficient in the one-way random effects model".

    Args:
        values: One number per cell.
        owner: The subject of each.
    """
    groups = values.groupby(owner)
    sizes, means = groups.size(), groups.mean()
    cells, subjects = sizes.sum(), len(sizes)
    between = (sizes * (means - values.mean()) ** 2).sum() / (subjects - 1)
    within = ((values - owner.map(means)) ** 2).sum() / (cells - subjects)
    usual = (cells - (sizes**2).sum() / cells) / (subjects - 1)
    return (between - within) / (between + (usual - 1) * within), (sizes**2).sum() / cells


def right(folder):
    """Return whether each cell was called right (1 or 0), and its subject, both by image id."""
    table = results.read_table(folder).set_index("image_id")
    return pd.Series(arrays(table.reset_index()).is_right * 1.0, table.index), table["subject"]


def main():
    rows = []
    for run in gap.load(str(PROFILE)).plan():
        if run.split not in SPLITS:
            continue
        runs.make([run], jobs=1)
        split = runs.split_of(run)
        forest = classifiers.cross_validate(
            split, run.recipe.replace(classifier="rf"), name=f"{run.name}-forest", seed=run.seed
        )
        (svm, owner), (rf, _) = right(runs.folder(run)), right(forest)
        rf = rf[svm.index]
        both, apart = (svm * rf).mean(), svm.mean() * rf.mean()
        alike = (both - apart) / (min(svm.mean(), rf.mean()) - apart)
        for what, values in (("SVM", svm), ("forest", rf), ("SVM - forest", svm - rf)):
            icc, size = intraclass(values, owner)
            rows.append((run.split, what, values.mean(), icc, size, alike))
    columns = ["split", "of", "mean", "icc", "cells per subject", "alike"]
    found = pd.DataFrame(rows, columns=columns).groupby(["split", "of"], sort=False)
    print(found.agg(["mean", "min", "max"]).round(3).to_string())


if __name__ == "__main__":
    main()
