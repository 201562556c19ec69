"""How often a 95% interval holds the true score, on simulated subjects as unequal as C-NMC's.

Each subject has one class (64% have ALL, as 47 of 73 in the training phase of C-NMC 2019) and an
exponential number of cells: the five largest of 26 hold half of all, as there. The score of a cell
is normal around its class, with an effect of its subject (standard deviation 0.7) and of its own
(1). A second network sees the same cells, less well; its effects correlate with the first's (0.7).
The truth is the score of the pooled cells of the population, each cell counted once, as in the kit.
The number of cells does not depend on the effect, so it follows from the normal distribution.

``python -m benchmarks coverage`` takes about six minutes on one core.
"""

from unittest import mock

import numpy as np
import pandas as pd
from scipy.stats import norm

from leukkit import metrics
from leukkit.metrics.predictions import arrays
from leukkit.metrics.scoring import weighted_scores

NAMES = ["accuracy", "sensitivity", "specificity", "f1", "auc"]
SUBJECTS = (40, 20, 10)
FEW = (2, 3, 4, 5, 6)
DRAWS = 500
WITH_ALL = 0.64  # share of the subjects
CELLS = {True: 30, False: 25}  # of a subject on average, with ALL and without: a fifth of C-NMC
EFFECT, ALIKE = 0.7, 0.7
# Data sets, and distance of the classes' means in standard deviations of a cell, of both networks.
EASE = {"scores near 0.85": (1000, (2.4, 2.0)), "scores near 0.96": (400, (4.2, 3.8))}
SHIFT = 0.2  # of all scores, toward ALL


def truth(distance, size=EFFECT):
    """Return the scores of the whole population; ``size`` is that of a subject's effect."""
    deviation = np.hypot(1, size)
    sensitivity, specificity = norm.cdf((distance / 2 + np.array([SHIFT, -SHIFT])) / deviation)
    ill = WITH_ALL * CELLS[True]
    ill /= ill + (1 - WITH_ALL) * CELLS[False]
    found, false = ill * sensitivity, (1 - ill) * (1 - specificity)
    area = norm.cdf(distance / deviation / np.sqrt(2))
    values = [ill * sensitivity + (1 - ill) * specificity, sensitivity, specificity]
    f1 = 2 * found / (ill + found + false)
    healthy = 1 - ill - false
    weighted = ill * f1 + (1 - ill) * 2 * healthy / (1 - ill + healthy + ill - found)
    both = (sensitivity + specificity) / 2
    names = [*NAMES, "weighted_f1", "balanced_accuracy"]
    return pd.Series([*values, f1, area, weighted, both], names)


def simulate(generator, subjects, distances, with_all=WITH_ALL, sizes=(EFFECT, EFFECT)):
    """Return the predictions of two networks for the same cells; ``sizes`` of subjects' effects."""
    has_all = generator.random(subjects) < with_all
    means = np.where(has_all, CELLS[True], CELLS[False])
    owner = np.repeat(np.arange(subjects), 1 + generator.poisson(generator.exponential(means - 1)))
    label = has_all[owner]

    def alike(size):
        one, other = generator.normal(size=(2, size))
        return one, ALIKE * one + np.sqrt(1 - ALIKE**2) * other

    frames = []
    drawn = zip(distances, sizes, alike(subjects), alike(len(owner)), strict=True)
    for distance, size, effect, noise in drawn:
        score = np.where(label, distance, -distance) / 2 + SHIFT + size * effect[owner] + noise
        chance = 1 / (1 + np.exp(-score))
        columns = {"image_id": np.arange(len(owner)), "subject": owner.astype(str)}
        columns |= {"label": np.where(label, "ALL", "healthy")}
        frames.append(pd.DataFrame(columns | {"prob_healthy": 1 - chance, "prob_ALL": chance}))
    return frames


def percentiles(predictions, by, seed):
    """Score resamples of the values of a column: what the intervals once were percentiles of."""
    codes, number = pd.factorize(predictions[by])[0], predictions[by].nunique()
    picks = np.random.default_rng(seed).integers(0, number, (DRAWS, number))
    times = np.array([np.bincount(one, minlength=number) for one in picks], dtype=float)
    return weighted_scores(arrays(predictions), times.T[codes], None)


def _ends(drawn):
    return drawn.quantile([0.025, 0.975]).set_axis(["low", "high"]).T


def coverage(subjects, distances, sets):
    """Return coverage and median width by method and score, and the share without an interval."""
    true = [truth(distance)[NAMES] for distance in distances]
    rows = []
    for seed in range(sets):
        one, other = simulate(np.random.default_rng([subjects, seed]), subjects, distances)
        if one["label"].nunique() < 2:
            continue
        left_out = metrics.leave_out(one)
        drawn = percentiles(one, "subject", seed)
        between = drawn - percentiles(other, "subject", seed)
        difference = metrics.difference(left_out, metrics.leave_out(other))
        found = {
            "percentiles over images": (true[0], _ends(percentiles(one, "image_id", seed))),
            "percentiles over subjects": (true[0], _ends(drawn)),
            "the kit's": (true[0], metrics.interval(left_out)),
            "difference, percentiles": (true[0] - true[1], _ends(between)),
            "difference, the kit's": (true[0] - true[1], difference),
        }
        # The same data sets for all methods: those with enough subjects for the kit's interval.
        enough = np.isfinite(found["the kit's"][1]["low"].loc[NAMES])
        for method, (value, every) in found.items():
            ends = every.loc[NAMES]
            covers = ((ends["low"] <= value) & (value <= ends["high"])).where(enough)
            width = (ends["high"] - ends["low"]).where(enough)
            row = {"method": method, "covers": covers, "width": width, "too few": ~enough}
            rows.append(pd.DataFrame(row).rename_axis("score"))
    found = pd.concat(rows).groupby(["method", "score"], sort=False)
    columns = {"covers": "mean", "width": "median", "too few": "mean"}
    return found.agg(columns).astype(float)


def of_few(subjects, distances, sets=400):
    """Return coverage and median width for the sensitivity of few subjects, who all have ALL."""
    true = truth(distances[0])["sensitivity"]
    found = []
    with mock.patch.object(metrics.intervals, "FEWEST", 2):
        for seed in range(sets):
            one, _ = simulate(np.random.default_rng([subjects, seed]), subjects, distances, 1)
            low, high = metrics.jackknife(one).loc["sensitivity", ["low", "high"]]
            found.append((low <= true <= high, high - low))
    covers, widths = zip(*found, strict=True)
    return np.mean(covers), np.median(widths)


def main():
    sets, distances = EASE["scores near 0.85"]
    for subjects in FEW:
        covers, width = of_few(subjects, distances)
        print(f"sensitivity of {subjects} subjects: coverage {covers:.3f}, width {width:.2f}")
    for ease, (sets, distances) in EASE.items():
        print(f"coverage of 95% intervals / their median width, {sets} data sets, {ease}")
        for subjects in SUBJECTS:
            found = coverage(subjects, distances, sets)
            width = found["width"].map(" / {:.2f}".format)
            text = found["covers"].map("{:.3f}".format) + width
            table = text.unstack()[NAMES].reindex(found.index.unique("method"))
            few = found["too few"].groupby("score", sort=False).first()
            table.loc["too few subjects"] = few.map("{:.0%}".format)
            print(f"\n{subjects} subjects\n{table.to_string()}", flush=True)
        print()


if __name__ == "__main__":
    main()
