"""Do sets of classes hold for a new subject at 90%? Images as units, and subjects as units.

Simulated subjects are those of `bench_coverage` (network of scores near 0.85). The real ones are
the 42 of the subset of C-NMC 2019: MobileNet 0.25 features and the support vector machine of the
gap, five folds of whole subjects, drawn anew each time; then each subject is left out in turn, and
some of the others are the calibration subjects. Predictions of different folds are of different
machines, so the promise of `leukkit.metrics.conformal` holds there as far as these are alike.

``LEUKKIT_WEIGHTS_DIR=… LEUKKIT_DATA_DIR=… python -m benchmarks conformal`` takes some ten minutes
on one core; without the two folders the real subjects are left out.
"""

import os
import pathlib

import numpy as np
import pandas as pd
from scipy.stats import t

from benchmarks.bench_coverage import simulate
from leukkit import classifiers, datasets, features, metrics, splits
from leukkit.metrics import conformal

LEVEL = 0.9
SUBJECTS = (5, 10, 20, 40)
DATA_SETS, NEW = 1000, 20  # new subjects in each
DRAWS = 20  # of the folds of the real subjects
WEIGHTS = "mobilenet_2_5_224_tf_no_top.h5"


def tried(known, new):
    """Calibrate on the predictions of some subjects; return what the sets of others are worth."""
    found = metrics.arrays(new)
    scores = 1 - metrics.arrays(known).likelihoods
    rows = []
    for unit in ("image_id", "subject"):
        limit = conformal.quantile(scores, known[unit], LEVEL)
        size = (1 - found.probabilities <= limit).sum(axis=1)
        held = 1 - found.likelihoods <= limit
        columns = {"unit": unit, "subject": new["subject"], "held": held, "size": size}
        one = {"single": size == 1, "wrong single": (size == 1) & ~held, "none": size == 0}
        rows.append(pd.DataFrame(columns | one))
    return pd.concat(rows).groupby(["unit", "subject"]).mean()


def simulated(subjects):
    """Return the mean over new subjects, one row per data set and unit."""
    means = []
    for seed in range(DATA_SETS):
        generator = np.random.default_rng([subjects, seed])
        one, _ = simulate(generator, subjects + NEW, (2.4, 2.0))
        is_new = one["subject"].astype(int) >= subjects
        means.append(tried(one[~is_new], one[is_new]).groupby("unit").mean())
    return pd.concat(means)


def real(subjects, predictions):
    """Return the mean over the draws, one row per subject and unit."""
    found = []
    for seed, frame in enumerate(predictions):
        generator = np.random.default_rng([subjects, seed])
        names = frame["subject"].unique()
        for name in names:
            chosen = generator.choice(names[names != name], subjects, replace=False)
            known = frame[frame["subject"].isin(chosen)]
            found.append(tried(known, frame[frame["subject"] == name]))
    return pd.concat(found).groupby(["unit", "subject"]).mean()


def predictions_of_cells():
    """Return the predictions of all real cells, by machines that have not met their subject."""
    cells = datasets.load("cnmc-2019")
    weights = pathlib.Path(os.environ["LEUKKIT_WEIGHTS_DIR"], WEIGHTS)
    vectors = features.extract(cells, "mobilenet-0.25", weights=weights)
    labels, classes = cells["label"].to_numpy(str), ["healthy", "ALL"]
    for seed in range(DRAWS):
        scores = np.empty((len(cells), 2))
        for fold in splits.folds(cells, {"split": "subject", "folds": 5}, seed):
            machine = classifiers.grid_search_svm(
                vectors[fold.train],
                labels[fold.train],
                *((10,), (0.01,), ("rbf",)),
                scale=True,
                class_weight="balanced",
            )
            scores[fold.test] = classifiers.class_scores(machine, vectors[fold.test], classes)
        yield metrics.prediction_frame(cells, scores, classes)


def shown(found):
    """Print the means over the rows of each unit, with the 95% interval of what is held."""
    for unit in ("image_id", "subject"):
        rows = found.loc[unit]
        mean = rows.mean()
        half = t.ppf(0.975, len(rows) - 1) * rows["held"].sem()
        right = 1 - mean["wrong single"] / mean["single"] if mean["single"] else np.nan
        print(
            f"  {unit:8s} held {mean['held']:.3f} ({mean['held'] - half:.3f} to "
            f"{mean['held'] + half:.3f}), classes {mean['size']:.2f}, sets of one class "
            f"{mean['single']:.2f} and these hold {right:.3f}, none {mean['none']:.3f}",
            flush=True,
        )


def main():
    print(f"sets at {LEVEL:.0%}, by what the calibration counts once")
    for subjects in SUBJECTS:
        print(f"\n{subjects} calibration subjects, simulated")
        shown(simulated(subjects))
    if not {"LEUKKIT_WEIGHTS_DIR", "LEUKKIT_DATA_DIR"} <= {*os.environ}:
        print("\nno real subjects: LEUKKIT_WEIGHTS_DIR and LEUKKIT_DATA_DIR are not both set")
        return
    predictions = list(predictions_of_cells())
    for subjects in SUBJECTS:
        print(f"\n{subjects} calibration subjects, C-NMC 2019")
        shown(real(subjects, predictions))


if __name__ == "__main__":
    main()
